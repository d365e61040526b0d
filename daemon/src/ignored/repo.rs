//! What a git repository says of its work tree: what it tracks, and what `info/exclude` ignores. Read as files; git is
//! not needed.

use super::index::{self, Tracked};
use super::patterns;
use super::rule_file::{RuleFile, Says};
use crate::walk::os;
use ignore::gitignore::Gitignore;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// gitrepository-layout(5).
const EXCLUDE: &str = "info/exclude";
const INDEX: &str = "index";
const COMMON_DIR: &str = "commondir";

pub struct Repo {
    /// Top of the work tree.
    root: PathBuf,
    git_dir: PathBuf,
    pub exclude: Option<Gitignore>,
    /// What was read, as it was before.
    pub files: [RuleFile; 2],
    /// Read when something is ignored. None: not understood, so that everything counts as tracked.
    tracked: OnceLock<Option<Tracked>>,
}

impl Repo {
    /// The repository whose work tree begins at `root`; None: its `.git` is nothing of the kind.
    pub fn at(root: &Path) -> Option<Repo> {
        let git_dir = git_dir(root)?;
        let common = std::fs::read_to_string(git_dir.join(COMMON_DIR));
        let common = common.map_or_else(|_| git_dir.clone(), |text| git_dir.join(text.trim()));
        let files = [
            RuleFile::now(common.join(EXCLUDE), Says::WhatIsIgnored),
            RuleFile::now(git_dir.join(INDEX), Says::WhatIsTracked),
        ];
        let exclude = std::fs::read(common.join(EXCLUDE)).ok();
        let exclude = exclude.map(|text| patterns(root, EXCLUDE.as_bytes(), &text));
        Some(Repo { root: root.to_path_buf(), git_dir, exclude, files, tracked: OnceLock::new() })
    }

    fn tracked(&self) -> Option<&Tracked> {
        self.tracked
            .get_or_init(|| {
                let path = self.git_dir.join(INDEX);
                match std::fs::read(&path) {
                    Ok(bytes) => {
                        let tracked = index::parse(&bytes);
                        if tracked.is_none() {
                            tracing::warn!("{}: not understood: git's rules are not used", path.display());
                        }
                        tracked
                    }
                    Err(error) if error.kind() == ErrorKind::NotFound => Some(Tracked::default()),
                    Err(error) => {
                        tracing::warn!("{}: {error}: git's rules are not used", path.display());
                        None
                    }
                }
            })
            .as_ref()
    }

    /// Whether git tracks the file at `path`, an absolute one.
    pub fn tracks(&self, path: &Path) -> bool {
        let Ok(path) = path.strip_prefix(&self.root) else { return false };
        self.tracked().is_none_or(|tracked| tracked.has(path.as_os_str().as_bytes()))
    }

    /// Whether git tracks something in the directory at `path`.
    pub fn tracks_below(&self, path: &Path) -> bool {
        let Ok(path) = path.strip_prefix(&self.root) else { return false };
        self.tracked().is_none_or(|tracked| tracked.has_below(path.as_os_str().as_bytes()))
    }
}

/// `.git`, or what it names in a linked work tree or a submodule.
fn git_dir(root: &Path) -> Option<PathBuf> {
    let dot_git = root.join(os(super::GIT_DIR));
    if dot_git.is_dir() {
        return Some(dot_git);
    }
    let text = std::fs::read(&dot_git).ok()?;
    let named = text.strip_prefix(b"gitdir: ")?;
    let end = named.iter().rposition(|byte| !byte.is_ascii_whitespace())? + 1;
    Some(root.join(os(&named[..end])))
}
