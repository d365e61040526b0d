//! The unsafe steps: taking ownership of a descriptor that a system call has just made, and a call of the C library's
//! allocator.
#![allow(unsafe_code)]

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Takes ownership of an fd that accept4(2) has just returned to us.
pub fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel made this descriptor for this call and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// All threads share one heap: of others the C library gives nothing back to the kernel, and each thread that works on
/// a large directory would keep as much as that takes. To be called before there are threads.
pub fn share_one_heap() {
    // SAFETY: two integers; no other thread allocates yet.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

/// Gives memory that was freed back to the kernel: malloc_trim(3). Takes some milliseconds for 100 MB.
pub fn give_back_memory() {
    // SAFETY: no arguments that matter, and safe to be called by several threads at once.
    unsafe { libc::malloc_trim(0) };
}
