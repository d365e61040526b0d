//! Which store a state folder belongs to. What is being written lies in the folder, by numbers that only that store gives
//! a meaning: with another one they would be other files.

use crate::folders::Folders;
use crate::namespace::Namespaces;
use anyhow::{Context, Result, ensure};
use statefs_journal::Store;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use vrift_protocol::names;

/// Name in the state folder: the store's id, in hex.
const OWNER_FILE: &str = "store.id";

/// Makes the folder the store's. What another store left there that can be made again is removed.
///
/// # Errors
/// Another store's daemon left files that were being written; the folder cannot be read or written.
pub fn claim(folders: &Folders, store: &Store, spaces: &Namespaces) -> Result<()> {
    let path = folders.in_home(OWNER_FILE);
    let mine = store.id().to_string();
    let at = || format!("cannot use {}", path.display());
    let owner = match fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(at),
    };
    match owner.as_deref().map(str::trim) {
        Some(owner) if owner == mine => return Ok(()),
        // An empty store has no use for what is there: it is removed as that of workspaces that are gone.
        Some(owner) if !spaces.workspaces.is_empty() => {
            ensure!(
                !has_staged(folders)?,
                "the state folder {} belongs to store {owner} and has files that were being written there; the store {} is {mine}\nuse another state folder (--home, VRIFT_HOME) for it",
                folders.home.display(),
                folders.store
            );
            for dir in [names::MIRROR_DIR, names::WORKTREE_DIR] {
                remove_inside(&folders.in_home(dir))?;
            }
        }
        _ => {}
    }
    let beside = path.with_extension("new");
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(format!("{mine}\n").as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &path)
    };
    write().with_context(at)
}

fn has_staged(folders: &Folders) -> Result<bool> {
    for workspace in fs::read_dir(folders.in_home(names::STAGING_DIR))? {
        let workspace = workspace?;
        if workspace.file_type()?.is_dir() && fs::read_dir(workspace.path())?.next().is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn remove_inside(dir: &std::path::Path) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}
