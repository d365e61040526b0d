//! Calls that take a path and have nothing to answer from the index: file system facts come from the state folder.

use super::{hook, on_path};
use crate::real::real;
use crate::view;
use core::ffi::{c_char, c_int, c_long};
use libc::{AT_FDCWD, statfs as Statfs, statvfs as Statvfs};

macro_rules! fs_hooks {
    ($($name:ident: $type:ty;)*) => {$(
        hook! {
            fn $name(path: *const c_char, to: *mut $type) -> c_int {
                let inside = |inside: &crate::resolve::Inside| {
                    inside.existing()?;
                    let hot = view::hot_prefix()?;
                    let path = hot.as_ptr();
                    Ok(real!($name(path: *const c_char, to: *mut $type) -> c_int))
                };
                // SAFETY: C's arguments.
                unsafe {
                    on_path(AT_FDCWD, path, true, inside, |_, path| {
                        real!($name(path: *const c_char, to: *mut $type) -> c_int)
                    })
                }
            }
        }
    )*};
}

fs_hooks! {
    statfs: Statfs;
    statfs64: Statfs;
    statvfs: Statvfs;
    statvfs64: Statvfs;
}

hook! {
    fn pathconf(path: *const c_char, name: c_int) -> c_long {
        let mut answer = -1;
        let inside = |inside: &crate::resolve::Inside| {
            inside.existing()?;
            let hot = view::hot_prefix()?;
            let path = hot.as_ptr();
            answer = real!(pathconf(path: *const c_char, name: c_int) -> c_long);
            Ok(0)
        };
        let mut beyond = None;
        // SAFETY: C's arguments.
        let result = unsafe {
            on_path(AT_FDCWD, path, true, inside, |_, path| {
                beyond = Some(real!(pathconf(path: *const c_char, name: c_int) -> c_long));
                0
            })
        };
        match beyond {
            Some(answer) => answer,
            None if result == 0 => answer,
            None => -1,
        }
    }
}
