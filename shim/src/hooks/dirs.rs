//! opendir(3), fdopendir, closedir, dirfd and the positions of a stream.

use super::{Routed, hook, route};
use crate::elsewhere::Elsewhere;
use crate::errno;
use crate::fds::{self, FdKind};
use crate::init;
use crate::raw::{self, Errno};
use crate::real::real;
use crate::stream::{self, Stream};
use core::ffi::{c_char, c_int, c_long};
use core::ptr::null_mut;
use libc::{AT_FDCWD, DIR};

/// What a path came to.
pub enum Opened {
    View(*mut DIR),
    Real(c_int, *const c_char),
}

/// opendir(3), with a directory to start from.
///
/// # Safety
/// `path` is null or a C string; `elsewhere` outlives the use of the result.
pub unsafe fn open_dir(
    dirfd: c_int,
    path: *const c_char,
    elsewhere: &mut Elsewhere,
) -> Result<Opened, Errno> {
    // SAFETY: by contract.
    match unsafe { route(dirfd, path, true, elsewhere) }? {
        Routed::View(inside) => stream::open_checked(inside.existing()?).map(Opened::View),
        Routed::Real(dirfd, path) => Ok(Opened::Real(dirfd, path)),
    }
}

/// The C library has opened a directory: whatever was known of its fd's number is of another file.
fn opened_outside(dir: *mut DIR) -> *mut DIR {
    if init::in_view() && !dir.is_null() {
        fds::forget(real!(dirfd(dir: *mut DIR) -> c_int));
    }
    dir
}

hook! {
    fn opendir(path: *const c_char) -> *mut DIR {
        let mut elsewhere = Elsewhere::new();
        // SAFETY: C's argument.
        match unsafe { open_dir(AT_FDCWD, path, &mut elsewhere) } {
            Ok(Opened::View(dir)) => dir,
            Ok(Opened::Real(_, path)) => opened_outside(real!(opendir(path: *const c_char) -> *mut DIR)),
            Err(errno) => {
                errno::set(errno);
                null_mut()
            }
        }
    }
}

/// A stream over an fd of the view; None: the fd is not the view's.
fn open_fd(fd: c_int) -> Result<Option<*mut DIR>, Errno> {
    let FdKind::View(vnode) = fds::identify(fd) else { return Ok(None) };
    if raw::fstat(fd)?.st_mode & libc::S_IFMT != libc::S_IFDIR {
        return Err(libc::ENOTDIR);
    }
    let dir = Stream::open(vnode, fd)?;
    // As glibc does, in spite of what its manual says of fds that are given.
    if let Err(errno) = raw::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC as usize) {
        // SAFETY: just made.
        unsafe { Stream::close(dir) };
        return Err(errno);
    }
    Ok(Some(dir))
}

hook! {
    fn fdopendir(fd: c_int) -> *mut DIR {
        match open_fd(fd) {
            Ok(Some(dir)) => dir,
            Ok(None) => real!(fdopendir(fd: c_int) -> *mut DIR),
            Err(errno) => {
                errno::set(errno);
                null_mut()
            }
        }
    }
}

hook! {
    fn closedir(dir: *mut DIR) -> c_int {
        // SAFETY: C's argument.
        if unsafe { Stream::of(dir) }.is_none() {
            if init::in_view() && !dir.is_null() {
                fds::forget(real!(dirfd(dir: *mut DIR) -> c_int));
            }
            return real!(closedir(dir: *mut DIR) -> c_int);
        }
        // SAFETY: it is ours, and C says that nobody uses it any more.
        match unsafe { Stream::close(dir) } {
            -1 => 0,
            // SAFETY: close(2) takes any fd.
            fd => unsafe { super::fd::close(fd) },
        }
    }
}

hook! {
    fn dirfd(dir: *mut DIR) -> c_int {
        // SAFETY: C's argument.
        match unsafe { Stream::of(dir) } {
            Some(stream) => stream.fd().unwrap_or_else(errno::fail),
            None => real!(dirfd(dir: *mut DIR) -> c_int),
        }
    }
}

hook! {
    fn rewinddir(dir: *mut DIR) -> () {
        // SAFETY: C's argument.
        match unsafe { Stream::of(dir) } {
            Some(stream) => stream.seek(0),
            None => real!(rewinddir(dir: *mut DIR) -> ()),
        }
    }
}

hook! {
    fn seekdir(dir: *mut DIR, position: c_long) -> () {
        // SAFETY: C's argument.
        match unsafe { Stream::of(dir) } {
            Some(stream) => stream.seek(position),
            None => real!(seekdir(dir: *mut DIR, position: c_long) -> ()),
        }
    }
}

hook! {
    fn telldir(dir: *mut DIR) -> c_long {
        // SAFETY: C's argument.
        match unsafe { Stream::of(dir) } {
            Some(stream) => stream.tell(),
            None => real!(telldir(dir: *mut DIR) -> c_long),
        }
    }
}
