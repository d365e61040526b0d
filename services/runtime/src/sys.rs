//! The one unsafe step of a service: taking over the fds that it was started with.
#![allow(unsafe_code)]

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// The fd with this number, if there is one. To be called once for each, before anything else is opened.
pub fn inherited(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: used for one fcntl(2), which fails if the fd is not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).ok()?;
    // SAFETY: it is open, and was given to this process by its starter; nobody in it knows it yet.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}
