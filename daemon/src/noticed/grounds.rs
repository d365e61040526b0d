//! What must hold for changes to be noticed at all.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::statfs::{self, FsType, fstatfs};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

/// proc(5): polled, it tells of changes of the mount table.
const MOUNTS: &str = "/proc/self/mountinfo";

/// Linux's magic numbers of file systems that nix has no name for.
const F2FS: FsType = FsType(0xF2F5_2010);
const ZFS: FsType = FsType(0x2FC1_2FC1);
const BCACHEFS: FsType = FsType(0xCA45_1A4E);

/// Local file systems, where nothing changes but by this kernel's calls. Others (NFS, 9p, FUSE) change from elsewhere.
const LOCAL: &[FsType] = &[
    statfs::EXT4_SUPER_MAGIC,
    statfs::XFS_SUPER_MAGIC,
    statfs::BTRFS_SUPER_MAGIC,
    statfs::TMPFS_MAGIC,
    statfs::OVERLAYFS_SUPER_MAGIC,
    F2FS,
    ZFS,
    BCACHEFS,
];

/// Whether inotify tells of all changes of a file system.
pub fn tells_of_changes(dir: &OwnedFd) -> bool {
    fstatfs(dir).is_ok_and(|stat| LOCAL.contains(&stat.filesystem_type()))
}

/// The mount table: what is mounted over a directory hides what is watched, and no event tells.
pub struct Mounts {
    file: Option<File>,
    changes: Mutex<u64>,
}

impl Mounts {
    pub fn new() -> Mounts {
        Mounts { file: File::open(MOUNTS).ok(), changes: Mutex::new(0) }
    }

    /// How often it was seen to have changed; None: it cannot be told.
    pub fn changes(&self) -> Option<u64> {
        let file = self.file.as_ref()?;
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLPRI)];
        if poll(&mut fds, PollTimeout::ZERO).ok()? > 0 {
            *changes += 1;
        }
        Some(*changes)
    }
}
