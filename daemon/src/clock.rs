//! "Now" as the file system says it: RFC 0001, Times.

use nix::sys::stat::{fstat, futimens};
use nix::sys::time::TimeSpec;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Touches the scratch file and reads its time back.
pub struct Clock {
    scratch: File,
}

impl Clock {
    pub fn open(scratch: &Path) -> io::Result<Clock> {
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
