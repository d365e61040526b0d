//! The system calls that std does not offer: advisory lock, preallocation, hole punching, mapped writes.
#![allow(unsafe_code)]

pub(crate) mod block;
pub(crate) mod pages;

use memmap2::{MmapOptions, MmapRaw};
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

/// What the file system has left for users, in bytes (fstatvfs(3)).
pub(crate) fn available_bytes(file: &File) -> io::Result<u64> {
    let mut stat = std::mem::MaybeUninit::<libc::statvfs64>::uninit();
    // SAFETY: the descriptor is open during the call, and the pointer is to a whole statvfs64, which it fills.
    if unsafe { libc::fstatvfs64(file.as_raw_fd(), stat.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded.
    let stat = unsafe { stat.assume_init() };
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Whether every byte of the range was written before (SEEK_HOLE, lseek(2)).
pub(crate) fn is_written(file: &File, offset: u64, len_bytes: u64) -> bool {
    let Ok(from) = libc::off64_t::try_from(offset) else { return false };
    // SAFETY: takes a descriptor, which is open during the call, and no pointers. Nobody uses the file's position.
    let hole = unsafe { libc::lseek64(file.as_raw_fd(), from, libc::SEEK_HOLE) };
    u64::try_from(hole).is_ok_and(|hole| hole >= offset.saturating_add(len_bytes))
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

/// Whether a mapped page of preallocated space can always be written: these file systems overwrite in place. Others need
/// new space for it, and would kill the process where there is none.
pub(crate) fn overwrites_in_place(file: &File) -> bool {
    // SAFETY: all zeros is a value of this structure of integers.
    let mut found: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: fstatfs writes one structure, which lives until the call returns; `file` keeps the descriptor open.
    let rc = unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut found) };
    rc == 0 && [libc::EXT4_SUPER_MAGIC, libc::XFS_SUPER_MAGIC, libc::TMPFS_MAGIC].contains(&found.f_type)
}

/// A mapped range of a file, to be written without a system call. What is written belongs to the kernel at once, as with
/// write(2): it survives the process.
#[derive(Debug)]
pub(crate) struct Window {
    map: MmapRaw,
    offset: u64,
}

impl Window {
    /// The range must be allocated, and the file must stay that long.
    pub(crate) fn new(file: &File, offset: u64, len_bytes: usize) -> io::Result<Self> {
        let map = MmapOptions::new().offset(offset).len(len_bytes).map_raw(file)?;
        Ok(Self { map, offset })
    }

    /// Whether the range begins there.
    pub(crate) fn begins_at(&self, offset: u64) -> bool {
        self.offset == offset
    }

    /// False, with nothing written, when `bytes` do not lie within the range. Two writers at a time must not write the
    /// same bytes.
    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> bool {
        let at = offset.checked_sub(self.offset).and_then(|at| usize::try_from(at).ok());
        let Some(at) = at.filter(|at| at.checked_add(bytes.len()).is_some_and(|end| end <= self.map.len()))
        else {
            return false;
        };
        // SAFETY: within the mapping, as was just seen; `bytes` are elsewhere, and nobody has a reference into it.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.map.as_mut_ptr().add(at), bytes.len()) };
        true
    }
}
