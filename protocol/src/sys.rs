//! The one unsafe step of the client: taking ownership of a received descriptor.
#![allow(unsafe_code)]

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Takes ownership of an fd that recvmsg(2) has just installed for us.
pub fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel installed this descriptor for this message and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
