//! The unsafe steps: taking ownership of a descriptor that a system call has just made, and a call of the C library's
//! allocator.
#![allow(unsafe_code)]

use nix::fcntl::{FcntlArg, fcntl};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

/// Takes ownership of an fd that accept4(2) has just returned to us.
pub fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel made this descriptor for this call and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Further groups of the process at the other end, when it connected (SO_PEERGROUPS of unix(7)); none where the kernel does
/// not tell.
pub fn peer_groups(socket: &OwnedFd) -> std::sync::Arc<[u32]> {
    // NGROUPS_MAX of limits.h.
    const MOST: usize = 65536;
    let mut groups: Vec<u32> = vec![0; 64];
    loop {
        let mut len = (groups.len() * size_of::<u32>()) as libc::socklen_t;
        // SAFETY: the buffer has `len` bytes, which are written as far as they are needed, and `len` says how far.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &mut len,
            )
        };
        let count = len as usize / size_of::<u32>();
        match result {
            0 => return groups.get(..count).unwrap_or_default().into(),
            _ if nix::errno::Errno::last() == nix::errno::Errno::ERANGE
                && count <= MOST
                && count > groups.len() =>
            {
                groups.resize(count, 0);
            }
            _ => return std::sync::Arc::default(),
        }
    }
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

/// Starts a program with these fds under the numbers beside them, which no other program that is started at the same
/// time gets.
pub fn start_with_fds(command: &mut Command, fds: Vec<(OwnedFd, RawFd)>) -> std::io::Result<Child> {
    // Above all numbers that are wanted, so that none is overwritten before it was moved.
    const ABOVE: RawFd = 16;
    let mut moved = Vec::new();
    for (fd, wanted) in fds {
        let high = fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(ABOVE))?;
        moved.push((own(high), wanted));
    }
    let numbers: Vec<(RawFd, RawFd)> = moved.iter().map(|(fd, wanted)| (fd.as_raw_fd(), *wanted)).collect();
    let place = move || {
        for (fd, wanted) in &numbers {
            // SAFETY: two numbers; dup2(2) is async-signal-safe and clears FD_CLOEXEC of the copy.
            if unsafe { libc::dup2(*fd, *wanted) } < 0 {
                return Err(std::io::Error::last_os_error());
            }
        }
        // SAFETY: as sigemptyset(3) and sigprocmask(2) have it; both are async-signal-safe. The daemon's threads block
        // signals that are to end a service.
        unsafe {
            let mut none = std::mem::zeroed();
            libc::sigemptyset(&mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
        }
        Ok(())
    };
    // SAFETY: between fork and exec only the two calls above are made, and nothing is allocated.
    unsafe { command.pre_exec(place) };
    command.spawn()
}
