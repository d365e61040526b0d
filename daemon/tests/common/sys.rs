//! Taking ownership of a received descriptor.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

pub fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: just received, and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
