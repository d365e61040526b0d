//! The one unsafe step of the test's server.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Takes ownership of an fd that accept4(2) has just made.
pub fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
