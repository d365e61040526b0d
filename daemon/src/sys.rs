//! The unsafe steps: taking ownership of a descriptor that a system call has just made, and a call of the C library's
//! allocator.
#![allow(unsafe_code)]

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Takes ownership of an fd that accept4(2) has just returned to us.
pub fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel made this descriptor for this call and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Gives memory that was freed back to the kernel: malloc_trim(3). After something large was worked on by a thread, its
/// share of the heap stays as large as it was. Takes some milliseconds for 100 MB.
pub fn give_back_memory() {
    // SAFETY: no arguments that matter, and safe to be called by several threads at once.
    unsafe { libc::malloc_trim(0) };
}
