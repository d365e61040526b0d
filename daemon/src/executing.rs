//! Whether a file of the view is being executed: the kernel refuses writing to such a file (ETXTBSY), and what it
//! runs here is a link to sealed bytes that nobody opens for writing.

use crate::daemon::Daemon;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use vrift_cas::BlobHash;
use vrift_manifest::VnodeNo;

/// Some 200 bytes each; a build executes hundreds of its own programs, not tens of thousands.
const REMEMBERED_MAX: usize = 16 * 1024;

/// The vnode that each link for exec was made for: its names may have changed since.
#[derive(Debug, Default)]
pub struct Executables(HashMap<PathBuf, VnodeNo>);

impl Executables {
    pub fn linked(&mut self, link: PathBuf, vnode: VnodeNo) {
        if self.0.len() >= REMEMBERED_MAX {
            self.0.clear();
        }
        self.0.insert(link, vnode);
    }

    fn is_of(&self, link: &Path, vnode: VnodeNo) -> bool {
        self.0.get(link) == Some(&vnode)
    }
}

/// Looks at all processes: some microseconds for each. Another user's cannot be seen, unless by root. Of programs
/// that were started before this daemon was, it says no.
pub fn is_executing(daemon: &Daemon, vnode: VnodeNo, hash: &BlobHash) -> bool {
    let Ok(blob) = fs::metadata(daemon.cas.hot_path(hash)) else { return false };
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    processes
        .flatten()
        .filter(|process| process.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok()))
        .map(|process| process.path().join("exe"))
        .filter(|exe| fs::metadata(exe).is_ok_and(|it| (it.dev(), it.ino()) == (blob.dev(), blob.ino())))
        // Other vnodes may have the same bytes: the name it was started by tells.
        .filter_map(|exe| fs::read_link(exe).ok())
        .any(|link| daemon.spaces().executables.is_of(&link, vnode))
}
