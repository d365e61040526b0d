//! The one unsafe step: taking ownership of a descriptor that a system call has just made.
#![allow(unsafe_code)]

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Takes ownership of an fd that accept4(2) has just returned to us.
pub fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel made this descriptor for this call and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
