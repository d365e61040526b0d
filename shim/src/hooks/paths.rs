//! The working directory: chdir(2), fchdir, getcwd and kin; chroot is refused inside the view.

use super::{hook, on_path};
use crate::creds::{Creds, SEARCH};
use crate::cwd::{self, Cwd};
use crate::errno;
use crate::fds::{self, FdKind};
use crate::init::settings;
use crate::raw::Errno;
use crate::real::real;
use crate::resolve::{Attr, Inside};
use crate::text::{PATH_MAX, PathText, below};
use crate::view;
use core::ffi::{c_char, c_int};
use libc::{AT_FDCWD, size_t};

fn enter(attr: &Attr) -> Result<c_int, Errno> {
    if !attr.is_dir() {
        return Err(libc::ENOTDIR);
    }
    if !attr.may(&Creds::effective(), SEARCH) {
        return Err(libc::EACCES);
    }
    match cwd::enter(attr.vnode) {
        Err(libc::ENOENT) => Err(libc::ESTALE),
        result => result.map(|()| 0),
    }
}

fn left_view(result: c_int) -> c_int {
    if result == 0 && crate::init::in_view() {
        // It may have led back into the view by a real symlink: ask the kernel next time.
        cwd::forget();
    }
    result
}

hook! {
    fn chdir(path: *const c_char) -> c_int {
        let into = |inside: &Inside| enter(inside.existing()?);
        // SAFETY: C's argument.
        unsafe {
            on_path(AT_FDCWD, path, true, into, |_, path| left_view(real!(chdir(path: *const c_char) -> c_int)))
        }
    }
}

hook! {
    fn fchdir(fd: c_int) -> c_int {
        let result = match fds::identify(fd) {
            FdKind::Outside => return left_view(real!(fchdir(fd: c_int) -> c_int)),
            FdKind::View(vnode) => view::read(|reader| reader.slot(vnode).map(|slot| Attr::of(reader, slot)))
                .and_then(|attr| match attr {
                    Some(attr) => enter(&attr),
                    // A removed directory can still be entered by its fd.
                    None => crate::raw::fchdir(fd).map(|()| {
                        cwd::remember(Cwd::View(vnode));
                        0
                    }),
                }),
        };
        match result {
            Ok(value) => value,
            Err(libc::ESTALE) => errno::fail(libc::ENOENT),
            Err(errno) => errno::fail(errno),
        }
    }
}

/// The view path of the working directory; None when it is not in the view.
fn here(path: &mut PathText) -> Result<Option<()>, Errno> {
    if !crate::init::in_view() {
        return Ok(None);
    }
    match cwd::current()? {
        Cwd::Outside | Cwd::Apart if !settings().worktree.is_empty() => {
            let mut kernel = PathText::new();
            cwd::kernel(&mut kernel)?;
            let Some(rest) = below(kernel.as_bytes(), settings().worktree.as_bytes()) else {
                return Ok(None);
            };
            path.clear();
            path.push(settings().view.as_bytes());
            path.push(if rest.is_empty() { b"" } else { b"/" });
            path.push(rest);
            if path.overflowed() { Err(libc::ENAMETOOLONG) } else { Ok(Some(())) }
        }
        Cwd::Outside | Cwd::Apart => Ok(None),
        Cwd::View(vnode) => view::path_of(vnode, path).map(Some),
    }
}

/// getcwd(3) with C's memory rules: a null buffer is allocated, of `len` bytes or as large as needed.
///
/// # Safety
/// `to` is null or valid for `len` bytes.
unsafe fn cwd_into(to: *mut c_char, len: size_t, real: impl FnOnce() -> *mut c_char) -> *mut c_char {
    let mut path = PathText::new();
    match here(&mut path) {
        Ok(None) => real(),
        Ok(Some(())) => {
            let needed = path.as_bytes().len() + 1;
            if !to.is_null() && len == 0 {
                errno::set(libc::EINVAL);
                return core::ptr::null_mut();
            }
            if len != 0 && len < needed {
                errno::set(libc::ERANGE);
                return core::ptr::null_mut();
            }
            let to = if to.is_null() {
                // malloc(3) has set errno when it fails.
                crate::heap::allocate(needed.max(len)).map_or(core::ptr::null_mut(), <*mut u8>::cast)
            } else {
                to
            };
            if !to.is_null() {
                // SAFETY: room for `needed` bytes, by the checks above; the NUL stands after the path.
                unsafe { to.copy_from_nonoverlapping(path.as_ptr(), needed) };
            }
            to
        }
        Err(errno) => {
            // A path beyond PATH_MAX does not fit a buffer of at most that size.
            let short = errno == libc::ENAMETOOLONG && !to.is_null() && len <= PATH_MAX;
            errno::set(if short { libc::ERANGE } else { errno });
            core::ptr::null_mut()
        }
    }
}

hook! {
    fn getcwd(to: *mut c_char, len: size_t) -> *mut c_char {
        // SAFETY: C's arguments.
        unsafe { cwd_into(to, len, || real!(getcwd(to: *mut c_char, len: size_t) -> *mut c_char)) }
    }
}

hook! {
    fn __getcwd_chk(to: *mut c_char, len: size_t, size: size_t) -> *mut c_char {
        // SAFETY: C's arguments; a length beyond the buffer is the C library's to punish.
        unsafe {
            cwd_into(to, len.min(size), || real!(__getcwd_chk(to: *mut c_char, len: size_t, size: size_t) -> *mut c_char))
        }
    }
}

hook! {
    fn getwd(to: *mut c_char) -> *mut c_char {
        // SAFETY: C's argument has room for PATH_MAX bytes.
        unsafe { cwd_into(to, PATH_MAX, || real!(getwd(to: *mut c_char) -> *mut c_char)) }
    }
}

hook! {
    fn __getwd_chk(to: *mut c_char, size: size_t) -> *mut c_char {
        // SAFETY: C's arguments.
        unsafe { cwd_into(to, PATH_MAX.min(size), || real!(__getwd_chk(to: *mut c_char, size: size_t) -> *mut c_char)) }
    }
}

hook! {
    /// The path in allocated memory. glibc answers with $PWD when that names the directory; the path without
    /// symlinks that this gives is an answer of the same rank.
    fn get_current_dir_name() -> *mut c_char {
        // SAFETY: a null buffer is allocated.
        unsafe { cwd_into(core::ptr::null_mut(), 0, || real!(get_current_dir_name() -> *mut c_char)) }
    }
}

hook! {
    fn chroot(path: *const c_char) -> c_int {
        // SAFETY: C's argument.
        unsafe {
            on_path(AT_FDCWD, path, true, |_| Err(libc::EPERM), |_, path| real!(chroot(path: *const c_char) -> c_int))
        }
    }
}
