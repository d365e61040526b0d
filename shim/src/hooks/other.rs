//! Calls that take a path and have nothing to answer from the index: file system facts come from the state
//! folder; extended attributes and watches are refused inside the view, never sent to the real tree.

use super::{hook, on_path};
use crate::real::real;
use crate::view;
use core::ffi::{c_char, c_int, c_long, c_void};
use libc::{AT_FDCWD, size_t, statfs as Statfs, statvfs as Statvfs};

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

/// Extended attributes do not exist in the view: reading says ENOTSUP as a file system without them does.
macro_rules! xattr_hooks {
    ($($name:ident($follow:expr; $($arg:ident: $type:ty),*) -> $result:ty;)*) => {$(
        hook! {
            fn $name(path: *const c_char, $($arg: $type),*) -> $result {
                let mut beyond = None;
                let inside = |inside: &crate::resolve::Inside| {
                    inside.existing()?;
                    Err(libc::ENOTSUP)
                };
                // SAFETY: C's arguments.
                let result = unsafe {
                    on_path(AT_FDCWD, path, $follow, inside, |_, path| {
                        beyond = Some(real!($name(path: *const c_char, $($arg: $type),*) -> $result));
                        0
                    })
                };
                beyond.unwrap_or(result as $result)
            }
        }
    )*};
}

xattr_hooks! {
    getxattr(true; name: *const c_char, value: *mut c_void, len: size_t) -> isize;
    lgetxattr(false; name: *const c_char, value: *mut c_void, len: size_t) -> isize;
    setxattr(true; name: *const c_char, value: *const c_void, len: size_t, flags: c_int) -> c_int;
    lsetxattr(false; name: *const c_char, value: *const c_void, len: size_t, flags: c_int) -> c_int;
    listxattr(true; list: *mut c_char, len: size_t) -> isize;
    llistxattr(false; list: *mut c_char, len: size_t) -> isize;
    removexattr(true; name: *const c_char) -> c_int;
    lremovexattr(false; name: *const c_char) -> c_int;
}

macro_rules! fd_xattr_hooks {
    ($($name:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => {$(
        hook! {
            fn $name(fd: c_int, $($arg: $type),*) -> $result {
                if let crate::fds::FdKind::View(_) = crate::fds::identify(fd) {
                    return crate::errno::fail(libc::ENOTSUP) as $result;
                }
                real!($name(fd: c_int, $($arg: $type),*) -> $result)
            }
        }
    )*};
}

fd_xattr_hooks! {
    fgetxattr(name: *const c_char, value: *mut c_void, len: size_t) -> isize;
    fsetxattr(name: *const c_char, value: *const c_void, len: size_t, flags: c_int) -> c_int;
    flistxattr(list: *mut c_char, len: size_t) -> isize;
    fremovexattr(name: *const c_char) -> c_int;
}

hook! {
    /// Refused on view paths: the real tree is not what the program looks at.
    fn inotify_add_watch(fd: c_int, path: *const c_char, mask: u32) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            on_path(AT_FDCWD, path, true, |_| Err(libc::EOPNOTSUPP), |_, path| {
                real!(inotify_add_watch(fd: c_int, path: *const c_char, mask: u32) -> c_int)
            })
        }
    }
}
