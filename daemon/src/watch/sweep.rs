//! Puppets that nobody watches any more are removed; those that a daemon before this one left are taken over.

use super::{Watched, Watches, puppets};
use crate::daemon::Daemon;
use crate::folders::Folders;
use crate::namespace::Namespaces;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::HashSet;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use vrift_manifest::VnodeNo;
use vrift_manifest::types::{S_IFDIR, S_IFMT};
use vrift_protocol::names;

/// How often it is looked whether watched vnodes still are; a client has as long to add its watch.
const SWEEP: Duration = Duration::from_secs(60);

/// The thread that hands on what is written, and sweeps.
pub fn run(daemon: &Arc<Daemon>) {
    let Some(inotify) = daemon.watches.inotify() else { return };
    let mut swept = Instant::now();
    loop {
        let timeout = if daemon.watches.active.load(Ordering::Acquire) {
            PollTimeout::try_from(SWEEP).unwrap_or(PollTimeout::MAX)
        } else {
            PollTimeout::NONE
        };
        let _ = poll(&mut [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)], timeout);
        daemon.watches.drain_now();
        if swept.elapsed() >= SWEEP {
            daemon.watches.sweep();
            swept = Instant::now();
        }
    }
}

impl Watches {
    fn sweep(&self) {
        let Some(mut state) = self.current() else { return };
        let Some(in_use) = watched_inodes() else { return };
        state.retain(|_, watched| {
            watched.sweep(&in_use);
            if watched.things.is_empty()
                && let (Some(inotify), Some(descriptor)) = (self.inotify(), watched.descriptor)
            {
                let _ = inotify.rm_watch(descriptor);
            }
            !watched.things.is_empty()
        });
        self.active.store(!state.is_empty(), Ordering::Release);
    }

    /// Takes over the puppets of a daemon that is gone: their watches are still there.
    pub fn take_over(&self, daemon: &Daemon) {
        let spaces = daemon.spaces();
        remove_unknown(&daemon.folders, &spaces);
        let mut state = self.state();
        for workspace in spaces.workspaces.values() {
            if !puppets::dir_of(&daemon.folders, workspace.id).is_dir() {
                continue;
            }
            let Ok(mut watched) = Watched::new(&daemon.folders, workspace.id) else { continue };
            for (vnode, is_dir) in watched.puppets.left_behind() {
                let attr = workspace.index.attr(VnodeNo(vnode));
                if attr.is_none_or(|attr| (attr.mode & S_IFMT == S_IFDIR) != is_dir) {
                    watched.puppets.remove(vnode, is_dir);
                } else if watched.add(daemon, workspace, VnodeNo(vnode), is_dir).is_ok() {
                    watched.remove_strangers(vnode, workspace);
                }
            }
            if !watched.things.is_empty() && self.listen(daemon, workspace.id, &mut watched).is_ok() {
                state.insert(workspace.id, watched);
                self.active.store(true, Ordering::Release);
            }
        }
    }
}

impl Watched {
    fn sweep(&mut self, in_use: &HashSet<u64>) {
        let unused: Vec<u64> = self
            .things
            .iter()
            .filter(|(vnode, thing)| {
                let inode = fs::symlink_metadata(self.puppets.own(**vnode)).map_or(0, |stat| stat.ino());
                thing.since.elapsed() >= SWEEP && !in_use.contains(&inode)
            })
            .map(|(vnode, _)| *vnode)
            .collect();
        for vnode in unused {
            self.gone(VnodeNo(vnode));
        }
    }

    /// Entries of names that the directory does not have (any more).
    fn remove_strangers(&self, dir: u64, workspace: &crate::namespace::Workspace) {
        for entry in fs::read_dir(self.puppets.own(dir)).into_iter().flatten().flatten() {
            if workspace.index.lookup(VnodeNo(dir), entry.file_name().as_bytes()).is_none() {
                let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
                self.puppets.remove_entry(dir, entry.file_name().as_bytes(), is_dir);
            }
        }
    }
}

fn remove_unknown(folders: &Folders, spaces: &Namespaces) {
    for entry in fs::read_dir(folders.in_runtime(names::WATCHES_DIR)).into_iter().flatten().flatten() {
        let id = entry.file_name().to_str().and_then(|name| u32::from_str_radix(name, 16).ok());
        if id.is_none_or(|id| spaces.get(id).is_err()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The inodes that any process of this user watches, by fdinfo of proc(5). None: a process could not be looked
/// into, so that nobody knows.
fn watched_inodes() -> Option<HashSet<u64>> {
    let mut inodes = HashSet::new();
    let own = nix::unistd::geteuid().as_raw();
    for process in fs::read_dir("/proc").ok()?.flatten() {
        if !process.file_name().as_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        let fds = match fs::read_dir(process.path().join("fdinfo")) {
            Ok(fds) => fds,
            // Others' processes cannot have an fd of ours unless they were handed one.
            Err(_) if process.metadata().is_ok_and(|stat| stat.uid() != own) => continue,
            Err(error) if gone(&error) => continue,
            Err(_) => return None,
        };
        for fd in fds.flatten() {
            match fs::read_to_string(fd.path()) {
                Ok(text) => inodes.extend(text.lines().filter_map(inode_of)),
                Err(error) if gone(&error) => {}
                Err(_) => return None,
            }
        }
    }
    Some(inodes)
}

fn gone(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::ENOENT | Errno::ESRCH))
}

/// "inotify wd:1 ino:HEX sdev:HEX ..."
fn inode_of(line: &str) -> Option<u64> {
    let field = line.strip_prefix("inotify ")?.split(' ').find_map(|field| field.strip_prefix("ino:"))?;
    u64::from_str_radix(field, 16).ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn fdinfo_tells_the_inode() {
        let line = "inotify wd:3 ino:9e7e sdev:800013 mask:800afce ignored_mask:0 fhandle-bytes:8";
        assert_eq!(super::inode_of(line), Some(0x9e7e));
        assert_eq!(super::inode_of("pos:\t0"), None);
    }
}
