//! Older and internal names of functions that glibc exports beside the public ones, and functions that are little
//! more than a call of another.

use super::env::popen;
use super::stat::stat;
use super::stdio::fopen;
use super::{hook, open, other, sockets};
use crate::errno;
use crate::text::{Text, bytes_of};
use core::ffi::{c_char, c_int, c_uint};
use libc::{FILE, key_t, mmsghdr, mode_t, sockaddr, socklen_t, stat as Stat, statfs as Statfs};

hook! {
    fn __open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
        // SAFETY: C's arguments.
        unsafe { open::open(path, flags, mode) }
    }
}

hook! {
    fn __open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
        // SAFETY: C's arguments.
        unsafe { open::open64(path, flags, mode) }
    }
}

hook! {
    fn __statfs(path: *const c_char, to: *mut Statfs) -> c_int {
        // SAFETY: C's arguments.
        unsafe { other::statfs(path, to) }
    }
}

hook! {
    fn __connect(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int {
        // SAFETY: C's arguments.
        unsafe { sockets::connect(fd, address, len) }
    }
}

hook! {
    fn __sendmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int {
        // SAFETY: C's arguments.
        unsafe { sockets::sendmmsg(fd, messages, count, flags) }
    }
}

hook! {
    fn _IO_fopen(path: *const c_char, mode: *const c_char) -> *mut FILE {
        // SAFETY: C's arguments.
        unsafe { fopen(path, mode) }
    }
}

hook! {
    fn _IO_popen(command: *const c_char, mode: *const c_char) -> *mut FILE {
        // SAFETY: C's arguments.
        unsafe { popen(command, mode) }
    }
}

/// A table of mounts is a stream that is closed on exec.
///
/// # Safety
/// The arguments are null or C strings.
unsafe fn open_mounts(path: *const c_char, mode: *const c_char) -> *mut FILE {
    // SAFETY: by contract.
    let given = unsafe { bytes_of(mode) }.unwrap_or(b"r");
    let mode: Text<64> = Text::from_parts(&[given, b"e"]);
    if mode.overflowed() {
        errno::set(libc::EINVAL);
        return core::ptr::null_mut();
    }
    // SAFETY: C's argument and a string of our own.
    unsafe { fopen(path, mode.as_ptr()) }
}

hook! {
    fn setmntent(path: *const c_char, mode: *const c_char) -> *mut FILE {
        // SAFETY: C's arguments.
        unsafe { open_mounts(path, mode) }
    }
}

hook! {
    fn __setmntent(path: *const c_char, mode: *const c_char) -> *mut FILE {
        // SAFETY: C's arguments.
        unsafe { open_mounts(path, mode) }
    }
}

hook! {
    /// ftok(3): 16 bits of the inode, 8 of the device, 8 of `project`.
    fn ftok(path: *const c_char, project: c_int) -> key_t {
        // SAFETY: all fields are integers, for which zero is a value.
        let mut found: Stat = unsafe { core::mem::zeroed() };
        // SAFETY: C's argument, and a struct of our own.
        if unsafe { stat(path, &mut found) } != 0 {
            return -1;
        }
        ((found.st_ino & 0xffff) as u32 | (found.st_dev as u32 & 0xff) << 16 | (project as u32 & 0xff) << 24) as key_t
    }
}
