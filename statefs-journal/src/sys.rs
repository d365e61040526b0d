//! The system calls that std does not offer: advisory lock, preallocation, hole punching.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Takes the exclusive `flock` of `file` without waiting. `false`: someone else has it.
pub(crate) fn try_lock_exclusive(file: &File) -> io::Result<bool> {
    // SAFETY: flock takes a descriptor, which `file` keeps open during the call, and no pointers.
    let rc = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
    if rc == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::EWOULDBLOCK) { Ok(false) } else { Err(error) }
}

/// Allocates file-system space for the range without changing its bytes.
pub(crate) fn preallocate(file: &File, offset: u64, len_bytes: u64) -> io::Result<()> {
    fallocate(file, 0, offset, len_bytes)
}

/// Gives the range's space back to the file system; it reads as zero afterwards.
pub(crate) fn punch_hole(file: &File, offset: u64, len_bytes: u64) -> io::Result<()> {
    fallocate(file, libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE, offset, len_bytes)
}

fn fallocate(file: &File, mode: libc::c_int, offset: u64, len_bytes: u64) -> io::Result<()> {
    let too_big = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let offset = libc::off64_t::try_from(offset).map_err(too_big)?;
    let len = libc::off64_t::try_from(len_bytes).map_err(too_big)?;
    loop {
        // SAFETY: fallocate takes a descriptor, which `file` keeps open during the call, and no pointers.
        let rc = unsafe { libc::fallocate64(file.as_raw_fd(), mode, offset, len) };
        if rc == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
