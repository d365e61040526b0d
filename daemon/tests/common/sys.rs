//! Taking ownership of a received descriptor.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

pub fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: just received, and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// This thread, and no other one of the process, becomes another user: by raw system calls, which the C library would make
/// for all threads. It stays so to its end.
pub fn become_user(uid: u32, groups: &[u32]) {
    let call = |number, a: usize, b: usize, c: usize| {
        // SAFETY: numbers, and for setgroups(2) an array of as many groups as are said.
        let result = unsafe { nix::libc::syscall(number, a, b, c) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    };
    let id = uid as usize;
    call(nix::libc::SYS_setgroups, groups.len(), groups.as_ptr() as usize, 0);
    call(nix::libc::SYS_setresgid, id, id, id);
    call(nix::libc::SYS_setresuid, id, id, id);
}
