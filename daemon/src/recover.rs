//! From store, staging folder and whatever a dead daemon left behind to a state that can be served.

use crate::checkpoint;
use crate::daemon::TEMPORARY_STAGING;
use crate::folders::Folders;
use crate::namespace::{Namespaces, Places, Workspace};
use crate::record::{Change, Origin, Record};
use crate::sealing::vnode_of_name;
use anyhow::{Context, Result};
use statefs_journal::{BlockDevice, Replay, Store, StoreError};
use std::collections::HashSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vrift_cas::{BlobHash, Cas};
use vrift_manifest::{Attr, Content, Index, VnodeNo};
use vrift_protocol::{counters::COUNTERS_LEN, names};

/// Name of an index that is not published yet.
pub const REPLAY_FILE: &str = "index.replay";

/// While the journal is read the indexes are out of the readers' sight.
struct OutOfSight<'a>(&'a Folders);

impl Places for OutOfSight<'_> {
    fn index_path(&self, workspace: u32) -> PathBuf {
        self.0.workspace_runtime(workspace).join(REPLAY_FILE)
    }
    fn published_path(&self, workspace: u32) -> PathBuf {
        self.0.index_path(workspace)
    }
    fn home(&self) -> &Path {
        &self.0.home
    }
}

/// Opens the store, making an empty one if there is none, and replays it.
pub fn open_store(folders: &Folders) -> Result<(Arc<Store>, Namespaces)> {
    let place = &folders.store;
    let device = crate::failing::device(place.open()?);
    let opened = replay_store(device, folders).map_err(|error| match error.downcast_ref::<StoreError>() {
        Some(StoreError::NotAStore { .. } | StoreError::Empty) => error.context(place.hint_to_make()),
        _ => error,
    });
    let (store, spaces) = opened.with_context(|| format!("cannot open the store {place}"))?;
    crate::owner::claim(folders, &store, &spaces)?;
    Ok((store, spaces))
}

/// Opens a store and builds the namespaces that it tells of, out of the readers' sight.
pub fn replay_store(device: Arc<dyn BlockDevice>, folders: &Folders) -> Result<(Arc<Store>, Namespaces)> {
    let places = OutOfSight(folders);
    let mut spaces = Namespaces::default();
    let store = Store::open(device, &mut |event| {
        let client = |error: &dyn std::fmt::Display| StoreError::Client(error.to_string());
        match event {
            Replay::Checkpoint { bytes, .. } => {
                spaces = checkpoint::read(bytes, &places).map_err(|error| client(&error))?;
            }
            Replay::Record { kind, payload, .. } => {
                let record = Record::decode(kind, payload).map_err(|error| client(&error))?;
                spaces.replay(&record, &places).map_err(|error| client(&error))?;
            }
        }
        Ok(())
    })?;
    crate::snapshots::load_all(&store, &mut spaces, &places);
    // An ingest that did not come to its end never happened.
    spaces.workspaces.retain(|_, workspace| workspace.base.is_some());
    Ok((Arc::new(store), spaces))
}

/// Brings staging folder, hot tier and namespaces together; changes that this takes are in the journal.
pub fn take_over(folders: &Folders, store: &Store, cas: &Cas, spaces: &mut Namespaces) -> Result<()> {
    remove_unknown(&folders.in_home(names::STAGING_DIR), &spaces.workspaces.keys().copied().collect())?;
    remove_unknown(&folders.in_home(names::MIRROR_DIR), &spaces.workspaces.keys().copied().collect())?;
    crate::sockets::clean(folders, spaces);
    remove_unknown(&folders.in_home(names::WORKTREE_DIR), &spaces.workspaces.keys().copied().collect())?;
    for workspace in spaces.workspaces.values_mut() {
        cas.ensure_staging_dir(workspace.id)?;
        take_over_staging(folders, store, cas, workspace)?;
        crate::snapshots::nodes::make_all_missing(folders, workspace.id, &workspace.index);
        remove_dead_mirrors(folders, workspace);
        note_unstored(store, cas, workspace);
    }
    Ok(())
}

fn take_over_staging(folders: &Folders, store: &Store, cas: &Cas, workspace: &mut Workspace) -> Result<()> {
    let mut found = HashSet::new();
    let is_vnode = |vnode| workspace.index.attr(vnode).is_some();
    crate::unnamed::settle(&cas.staging_dir(workspace.id), &is_vnode)
        .context("cannot settle the staging folder")?;
    for number in cas.list_staging(workspace.id)? {
        if crate::unnamed::is_unnamed(number) && cas.has_writer(workspace.id, number)? {
            continue;
        }
        let attr = workspace.index.attr(VnodeNo(number)).filter(|_| number < TEMPORARY_STAGING);
        match attr.map(|attr| (attr, attr.content)) {
            Some((_, Content::Staged | Content::None)) => {
                found.insert(number);
            }
            Some((attr, Content::Sealed(hash)))
                if !is_kept(store, cas, &hash) || was_written(folders, cas, workspace.id, &attr)? =>
            {
                // The daemon died between the journal's record of the sealing and the rename, and whoever was about to
                // write the file did.
                let change = Change::SetContent {
                    vnode: attr.vnode,
                    content: Content::Staged,
                    size: attr.size,
                    blocks: attr.blocks,
                    mtime_ns: attr.mtime_ns,
                    ctime_ns: attr.ctime_ns,
                };
                amend(store, workspace, &change)?;
                found.insert(number);
            }
            // Kept for a vnode to come: [`crate::spare`] takes it over.
            None if number < TEMPORARY_STAGING && cas.is_blank(workspace.id, number) => {}
            _ => {
                tracing::info!(workspace = workspace.id, number, "staging file of nobody removed");
                let _ = fs::remove_file(folders.staging(workspace.id, number));
            }
        }
    }
    let missing: Vec<_> = workspace.staged.iter().filter(|(vnode, _)| !found.contains(vnode)).collect();
    let missing: Vec<_> = missing.into_iter().map(|(vnode, before)| (VnodeNo(*vnode), *before)).collect();
    let mut lost = HashSet::new();
    for (vnode, before) in missing {
        let path = workspace.index.path_of(vnode).unwrap_or_default();
        let path = String::from_utf8_lossy(&path).into_owned();
        let Some(attr) = workspace.index.attr(vnode) else { continue };
        let Some(hash) = before.filter(|hash| is_kept(store, cas, hash)) else {
            tracing::error!(
                workspace = workspace.id,
                path,
                "never sealed, and its staging file is missing: it is removed"
            );
            lost.insert(vnode.0);
            continue;
        };
        tracing::error!(
            workspace = workspace.id,
            path,
            "staging file is missing: what was written since its last sealing is lost"
        );
        let size = store.blob_len(&BlobHash(hash)).unwrap_or(0);
        let change = Change::SetContent {
            vnode,
            content: Content::Sealed(hash),
            size,
            blocks: size.div_ceil(512),
            mtime_ns: attr.mtime_ns,
            ctime_ns: attr.ctime_ns,
        };
        amend(store, workspace, &change)?;
    }
    remove_lost(store, workspace, &lost)
}

/// Removes all names of files whose bytes are gone. An empty file in their place would be newer than what it was made from, and
/// pass for the result of a build.
fn remove_lost(store: &Store, workspace: &mut Workspace, lost: &HashSet<u64>) -> Result<()> {
    if lost.is_empty() {
        return Ok(());
    }
    let mut names = Vec::new();
    workspace.index.vnodes(&mut |dir| {
        workspace.index.children(dir, &mut |name, vnode| {
            if lost.contains(&vnode.0) {
                names.push((dir, name.to_vec()));
            }
        });
    });
    for (dir, name) in names {
        let now_ns = crate::clock::system_now_ns();
        amend(store, workspace, &Change::Unlink { dir, name: &name, now_ns })?;
    }
    Ok(())
}

/// Whether a staging file is not, or may soon be other than, what was sealed.
fn was_written(folders: &Folders, cas: &Cas, workspace: u32, attr: &Attr) -> Result<bool> {
    let stat = fs::symlink_metadata(folders.staging(workspace, attr.vnode.0))?;
    let mtime_ns = stat.mtime().saturating_mul(1_000_000_000).saturating_add(stat.mtime_nsec());
    Ok((stat.len(), mtime_ns) != (attr.size, attr.mtime_ns) || cas.has_writer(workspace, attr.vnode.0)?)
}

fn is_kept(store: &Store, cas: &Cas, hash: &[u8; 32]) -> bool {
    let hash = BlobHash(*hash);
    store.has_blob(&hash) || cas.hot_path(&hash).exists()
}

fn amend(store: &Store, workspace: &mut Workspace, change: &Change<'_>) -> Result<()> {
    let record = Record::Change { workspace: workspace.id, origin: Origin::default(), change: *change };
    let (kind, payload) = record.encode();
    store.append(kind, &payload).context("cannot write the journal")?;
    workspace.apply(change).map(drop).context("cannot amend the index")
}

fn remove_dead_mirrors(folders: &Folders, workspace: &Workspace) {
    let Ok(entries) = fs::read_dir(folders.mirror_dir(workspace.id)) else { return };
    for entry in entries.flatten() {
        let vnode = vnode_of_name(entry.file_name().as_bytes());
        if vnode.is_none_or(|vnode| workspace.index.attr(VnodeNo(vnode)).is_none()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Sealed content that reached the hot tier but not the store is stored later.
fn note_unstored(store: &Store, cas: &Cas, workspace: &Workspace) {
    let mut seen = HashSet::new();
    workspace.index.vnodes(&mut |vnode| {
        let Some(hash) = workspace.sealed_hash(vnode).map(BlobHash) else { return };
        if store.has_blob(&hash) || !seen.insert(hash) {
            return;
        }
        if let Err(error) = cas.note_unstored(&hash) {
            let path = workspace.index.path_of(vnode).unwrap_or_default();
            let path = String::from_utf8_lossy(&path).into_owned();
            tracing::error!(workspace = workspace.id, path, %error, "content is missing");
        }
    });
}

/// Removes folders of workspaces that are not there.
fn remove_unknown(dir: &Path, known: &HashSet<u32>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        let id =
            name.to_str().filter(|name| name.len() == 8).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        if id.is_none_or(|id| !known.contains(&id)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

/// Shows the indexes to readers and tells those of a dead daemon's that theirs are out of date.
pub fn publish(folders: &Folders, spaces: &mut Namespaces) -> Result<()> {
    remove_unknown(&folders.runtime.join("w"), &spaces.workspaces.keys().copied().collect())?;
    for workspace in spaces.workspaces.values_mut() {
        let path = folders.index_path(workspace.id);
        let left_behind = Index::open_left_behind(&path);
        workspace.index.move_to(&path).with_context(|| format!("cannot publish {}", path.display()))?;
        make_counters(&folders.workspace_runtime(workspace.id))?;
        Index::retire(&left_behind);
    }
    Ok(())
}

/// The counters page of a workspace; counts of a daemon before this one go on.
pub fn make_counters(dir: &Path) -> std::io::Result<()> {
    let path = dir.join(names::COUNTERS_FILE);
    let file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    // A longer one has a roll of processes behind the page, which processes may be writing.
    match file.metadata()?.len() < COUNTERS_LEN as u64 {
        true => file.set_len(COUNTERS_LEN as u64),
        false => Ok(()),
    }
}
