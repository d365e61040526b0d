//! "Now" as the file system says it: RFC 0001, Times.

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::{fstat, futimens};
use nix::sys::statfs::{
    BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, F2FS_SUPER_MAGIC, TMPFS_MAGIC, XFS_SUPER_MAGIC, statfs,
};
use nix::sys::time::TimeSpec;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Touches a file and reads its time back.
pub struct Clock {
    scratch: File,
}

impl Clock {
    /// Where the state folder is on a file system whose times this kernel makes, a file in memory does as well and
    /// costs half as much; a server's times can only be had from a file there, which is `scratch`.
    pub fn open(scratch: &Path) -> io::Result<Clock> {
        let local = [EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC, TMPFS_MAGIC];
        let folder = scratch.parent().unwrap_or(Path::new("."));
        if statfs(folder).is_ok_and(|known| local.contains(&known.filesystem_type()))
            && let Ok(memory) = memfd_create(c"vrift-clock", MFdFlags::MFD_CLOEXEC)
        {
            return Ok(Clock { scratch: memory.into() });
        }
        let scratch = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(scratch)?;
        Ok(Clock { scratch })
    }

    /// The kernel's file time in ns. Falls back to the system's clock should the touch fail: a time that is
    /// a tick off is better than a mutation refused.
    pub fn now_ns(&self) -> i64 {
        let touched = futimens(&self.scratch, &TimeSpec::UTIME_NOW, &TimeSpec::UTIME_NOW);
        match touched.and_then(|()| fstat(&self.scratch)) {
            Ok(stat) => stat.st_mtime * 1_000_000_000 + stat.st_mtime_nsec,
            Err(_) => system_now_ns(),
        }
    }
}

/// CLOCK_REALTIME in ns.
pub fn system_now_ns() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// A time of the namespace as the kernel takes it.
pub fn timespec(time_ns: i64) -> TimeSpec {
    TimeSpec::new(time_ns.div_euclid(1_000_000_000), time_ns.rem_euclid(1_000_000_000))
}
