//! The real sockets behind socket vnodes: `s/WS-VNODE` in the runtime folder, both numbers in hex, made by the
//! process that binds. Beside each a symlink `.n` whose target is the name that was given to bind(2).

use crate::daemon::Daemon;
use crate::folders::Folders;
use crate::namespace::{Namespaces, errno_of};
use nix::errno::Errno;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use vrift_manifest::VnodeNo;
use vrift_protocol::names;

/// Names of sockets whose vnode is gone that are kept: getsockname(2) of an open socket tells its name for as long
/// as it is open. The oldest goes first.
const KEPT_NAMES_MAX: usize = 4096;

/// Names whose socket was unlinked.
#[derive(Default)]
pub struct KeptNames(Mutex<VecDeque<PathBuf>>);

fn real(folders: &Folders, workspace: u32, vnode: VnodeNo) -> PathBuf {
    folders.in_runtime(names::SOCKETS_DIR).join(format!("{workspace:x}-{:x}", vnode.0))
}

fn name_of(socket: &Path) -> PathBuf {
    let mut name = socket.as_os_str().to_owned();
    name.push(names::GIVEN_NAME_SUFFIX);
    PathBuf::from(name)
}

/// Keeps what bind(2) was given for a vnode that is about to be made. Nothing is kept for mknod(2).
pub fn name(daemon: &Daemon, workspace: u32, vnode: VnodeNo, given: &[u8]) -> Result<(), Errno> {
    if given.is_empty() {
        return Ok(());
    }
    let link = name_of(&real(&daemon.folders, workspace, vnode));
    let made = || std::os::unix::fs::symlink(OsStr::from_bytes(given), &link);
    let made = match made() {
        // Left from before the vnode number was decided.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs::remove_file(&link).and_then(|()| made())
        }
        made => made,
    };
    made.map_err(|error| errno_of(&error))
}

/// After the last name of a vnode was removed: nobody can connect any more.
pub fn remove(daemon: &Daemon, workspace: u32, vnode: VnodeNo) {
    let socket = real(&daemon.folders, workspace, vnode);
    if fs::remove_file(&socket).is_err() {
        return;
    }
    let mut kept = daemon.socket_names.0.lock().unwrap_or_else(PoisonError::into_inner);
    kept.push_back(name_of(&socket));
    if kept.len() > KEPT_NAMES_MAX
        && let Some(oldest) = kept.pop_front()
    {
        let _ = fs::remove_file(oldest);
    }
}

/// Removes what belongs to vnodes that are not there (any more).
pub fn clean(folders: &Folders, spaces: &Namespaces) {
    let Ok(entries) = fs::read_dir(folders.in_runtime(names::SOCKETS_DIR)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let parsed = name.to_str().and_then(|name| {
            let (workspace, vnode) = name.trim_end_matches(names::GIVEN_NAME_SUFFIX).split_once('-')?;
            Some((u32::from_str_radix(workspace, 16).ok()?, u64::from_str_radix(vnode, 16).ok()?))
        });
        let is_known = parsed.is_some_and(|(workspace, vnode)| {
            spaces.get(workspace).is_ok_and(|workspace| workspace.index.attr(VnodeNo(vnode)).is_some())
        });
        if !is_known {
            let _ = fs::remove_file(entry.path());
        }
    }
}
