//! glob(3): the C library's own matcher, which looks at the file system through these hooks.

use super::dir_read::readdir64;
use super::dirs::{closedir, opendir};
use super::hook;
use super::stat::{lstat, stat};
use crate::init;
use crate::real::real;
use core::ffi::{c_char, c_int, c_void};
use libc::{DIR, dirent64, size_t, stat as Stat};

/// Take the functions in the struct instead of the system's.
const GLOB_ALTDIRFUNC: c_int = 1 << 9;

/// glibc's glob_t; with 64-bit offsets everywhere, glob64_t is the same.
#[repr(C)]
pub struct Glob {
    gl_pathc: size_t,
    gl_pathv: *mut *mut c_char,
    gl_offs: size_t,
    gl_flags: c_int,
    calls: Calls,
}

/// The functions that GLOB_ALTDIRFUNC stands for.
#[repr(C)]
#[derive(Clone, Copy)]
struct Calls {
    gl_closedir: Option<unsafe extern "C" fn(*mut DIR)>,
    gl_readdir: Option<unsafe extern "C" fn(*mut DIR) -> *mut dirent64>,
    gl_opendir: Option<unsafe extern "C" fn(*const c_char) -> *mut DIR>,
    gl_lstat: Option<unsafe extern "C" fn(*const c_char, *mut Stat) -> c_int>,
    gl_stat: Option<unsafe extern "C" fn(*const c_char, *mut Stat) -> c_int>,
}

const OURS: Calls = Calls {
    gl_closedir: Some(close),
    gl_readdir: Some(readdir64),
    gl_opendir: Some(opendir),
    gl_lstat: Some(lstat),
    gl_stat: Some(stat),
};

unsafe extern "C" fn close(dir: *mut DIR) {
    // SAFETY: the matcher closes what it opened with ours.
    unsafe { closedir(dir) };
}

type OnError = *const c_void;

/// # Safety
/// `to` is null or valid for a read and a write, though its functions may not have been set.
unsafe fn with_hooks(flags: c_int, to: *mut Glob, real: impl FnOnce(c_int) -> c_int) -> c_int {
    if !init::in_view() || to.is_null() || flags & GLOB_ALTDIRFUNC != 0 {
        return real(flags);
    }
    // SAFETY: by contract; the bits are only put back.
    unsafe {
        let calls = (&raw mut (*to).calls).cast::<core::mem::MaybeUninit<Calls>>();
        let given = calls.read();
        calls.cast::<Calls>().write(OURS);
        let result = real(flags | GLOB_ALTDIRFUNC);
        calls.write(given);
        (*to).gl_flags &= !GLOB_ALTDIRFUNC;
        result
    }
}

macro_rules! glob_hooks {
    ($($name:ident)*) => {$(
        hook! {
            fn $name(pattern: *const c_char, flags: c_int, on_error: OnError, to: *mut Glob) -> c_int {
                // SAFETY: C's arguments.
                unsafe {
                    with_hooks(flags, to, |flags| {
                        real!($name(pattern: *const c_char, flags: c_int, on_error: OnError, to: *mut Glob) -> c_int)
                    })
                }
            }
        }
    )*};
}

glob_hooks! { glob glob64 }
