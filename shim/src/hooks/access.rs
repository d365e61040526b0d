//! access(2), faccessat, euidaccess and eaccess.

use super::{hook, unknown};
use crate::creds::Creds;
use crate::elsewhere::Elsewhere;
use crate::errno;
use crate::raw::Errno;
use crate::real::real;
use crate::resolve::{Place, resolve_bytes};
use crate::text::bytes_of;
use core::ffi::{c_char, c_int};
use libc::{AT_EACCESS, AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW};

/// # Safety
/// `path` is null or a C string.
unsafe fn check(
    (dirfd, path, follow): (c_int, *const c_char, bool),
    want: c_int,
    creds: Creds,
    real: impl FnOnce(c_int, *const c_char) -> c_int,
) -> c_int {
    if want & !7 != 0 && crate::init::in_view() {
        return errno::fail(libc::EINVAL);
    }
    let mut elsewhere = Elsewhere::new();
    let place = if crate::init::in_view() {
        // SAFETY: by contract.
        match unsafe { bytes_of(path) } {
            Some(bytes) => resolve_bytes(dirfd, bytes, follow, &creds, &mut elsewhere),
            None => Ok(Place::Outside),
        }
    } else {
        Ok(Place::Outside)
    };
    let decide = |inside: &crate::resolve::Inside| -> Result<(), Errno> {
        let attr = inside.existing()?;
        let want = u32::try_from(want).ok().filter(|want| want & !7 == 0).ok_or(libc::EINVAL)?;
        if attr.may(&creds, want) { Ok(()) } else { Err(libc::EACCES) }
    };
    match place {
        Ok(Place::Inside(inside)) => errno::status(decide(&inside)),
        Ok(Place::Outside) => real(dirfd, path),
        Ok(Place::Elsewhere) => real(AT_FDCWD, elsewhere.as_ptr()),
        Err(errno) => errno::fail(errno),
    }
}

hook! {
    fn access(path: *const c_char, want: c_int) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            check((AT_FDCWD, path, true), want, Creds::real(), |_, path| {
                real!(access(path: *const c_char, want: c_int) -> c_int)
            })
        }
    }
}

macro_rules! effective_hooks {
    ($($name:ident)*) => {$(
        hook! {
            fn $name(path: *const c_char, want: c_int) -> c_int {
                // SAFETY: C's arguments.
                unsafe {
                    check((AT_FDCWD, path, true), want, Creds::effective(), |_, path| {
                        real!($name(path: *const c_char, want: c_int) -> c_int)
                    })
                }
            }
        }
    )*};
}

effective_hooks! { euidaccess eaccess }

hook! {
    fn faccessat(dirfd: c_int, path: *const c_char, want: c_int, flags: c_int) -> c_int {
        if unknown(flags, AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) {
            return errno::fail(libc::EINVAL);
        }
        let creds = if flags & AT_EACCESS != 0 { Creds::effective() } else { Creds::real() };
        // SAFETY: C's argument.
        if flags & AT_EMPTY_PATH != 0 && unsafe { bytes_of(path) } == Some(b"") {
            match super::stat::of_empty(dirfd) {
                Ok(Some(attr)) if attr.may(&creds, want as u32 & 7) => return 0,
                Ok(Some(_)) => return errno::fail(libc::EACCES),
                Ok(None) => {}
                Err(errno) => return errno::fail(errno),
            }
        }
        // SAFETY: C's arguments.
        unsafe {
            check((dirfd, path, flags & AT_SYMLINK_NOFOLLOW == 0), want, creds, |dirfd, path| {
                real!(faccessat(dirfd: c_int, path: *const c_char, want: c_int, flags: c_int) -> c_int)
            })
        }
    }
}
