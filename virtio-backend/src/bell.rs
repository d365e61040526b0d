//! What the device rings when it has answered: an eventfd behind an interrupt, or a stand-in for it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// See the module.
pub(crate) trait Bell: Send + Sync {
    /// Waits until it rings, or rang since the last wait. May return without reason.
    fn wait(&self);
    /// Rings it, so that whoever waits looks around.
    fn ring(&self);
}

/// An eventfd (eventfd(2)), which the kernel signals for an interrupt.
#[derive(Debug)]
pub(crate) struct EventFd {
    file: File,
}

impl EventFd {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: takes two integers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new descriptor that nobody else has.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { file: File::from(fd) })
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Whether it rang, or rings within the limit.
    pub(crate) fn rings_within(&self, limit: Duration) -> bool {
        let mut row = libc::pollfd { fd: self.fd(), events: libc::POLLIN, revents: 0 };
        let limit_ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the pointer is to one row, which lives until the call returns.
        unsafe { libc::poll(&raw mut row, 1, limit_ms) > 0 }
    }
}

impl Bell for EventFd {
    fn wait(&self) {
        // One call in place of poll(2) and read(2): who sees to it that nobody waits for ever rings it.
        let _ = (&self.file).read(&mut [0; 8]);
    }

    fn ring(&self) {
        let _ = (&self.file).write(&1_u64.to_ne_bytes());
    }
}
