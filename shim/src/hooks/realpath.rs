//! realpath(3) and canonicalize_file_name. A path that leaves the view is the C library's; where its answer
//! names a real file of the state folder (by a link of /proc), the view's name is given.

use super::{Routed, hook, route, settled};
use crate::elsewhere::Elsewhere;
use crate::errno;
use crate::fds;
use crate::heap;
use crate::init;
use crate::raw::Errno;
use crate::real::real;
use crate::resolve::Inside;
use crate::text::{PATH_MAX, PathText, bytes_of};
use crate::view;
use core::ffi::c_char;
use core::ptr::null_mut;
use libc::{AT_FDCWD, size_t};

/// The path without symlinks, dots and double slashes. By the name that was asked for, which for a file with
/// several is more than its vnode tells.
fn canonical(inside: &Inside, path: &mut PathText) -> Result<(), Errno> {
    let target = inside.existing()?;
    if !inside.is_plain() {
        return view::path_of(target.vnode, path);
    }
    match view::path_of(inside.parent.vnode, path) {
        // Removed since the path was resolved.
        Err(libc::ENOENT) => return Err(libc::ESTALE),
        result => result?,
    }
    path.push(b"/");
    path.push(inside.name.as_bytes());
    if path.overflowed() { Err(libc::ENAMETOOLONG) } else { Ok(()) }
}

/// Puts the answer where the caller wants it: into `to`, or into new memory.
///
/// # Safety
/// `to` is null or valid for PATH_MAX bytes.
unsafe fn answer(path: &PathText, to: *mut c_char) -> Result<*mut c_char, Errno> {
    if to.is_null() {
        return heap::c_string(path.as_bytes());
    }
    // SAFETY: by contract; a text is no longer, with its NUL.
    unsafe { to.copy_from_nonoverlapping(path.as_ptr(), path.as_bytes().len() + 1) };
    Ok(to)
}

/// # Safety
/// `path` is null or a C string; `to` is null or valid for PATH_MAX bytes.
unsafe fn resolve_to(
    path: *const c_char,
    to: *mut c_char,
    real: impl FnOnce(*const c_char) -> *mut c_char,
) -> *mut c_char {
    let mut elsewhere = Elsewhere::new();
    let mut text = PathText::new();
    let mut beyond = None;
    let result = settled(|| {
        // SAFETY: by contract.
        match unsafe { route(AT_FDCWD, path, true, &mut elsewhere) }? {
            Routed::View(inside) => canonical(&inside, &mut text),
            Routed::Real(_, path) => {
                beyond = Some(path);
                Ok(())
            }
        }
    });
    let result = match (result, beyond) {
        // SAFETY: by contract; a null `to` makes the C library allocate.
        (_, Some(path)) => return unsafe { in_view_terms(real(path), to) },
        // SAFETY: by contract.
        (Ok(()), None) => unsafe { answer(&text, to) },
        (Err(errno), None) => Err(errno),
    };
    result.unwrap_or_else(|errno| {
        errno::set(errno);
        null_mut()
    })
}

/// Translates the C library's answer when it names a file of the state folder.
///
/// # Safety
/// `found` is null or a C string; `to` is null (then `found` is the caller's to free) or valid for PATH_MAX bytes.
unsafe fn in_view_terms(found: *mut c_char, to: *mut c_char) -> *mut c_char {
    // SAFETY: by contract.
    let Some(bytes) = (unsafe { bytes_of(found) }).filter(|_| init::in_view()) else { return found };
    let mut named = PathText::new();
    match fds::vnode_of_real_path(bytes) {
        Ok(Some(vnode)) if view::path_of(vnode, &mut named).is_ok() => {}
        _ => return found,
    }
    // SAFETY: by contract.
    match unsafe { answer(&named, to) } {
        Ok(new) => {
            if to.is_null() {
                // SAFETY: nobody but us has seen it.
                unsafe { heap::release(found) };
            }
            new
        }
        Err(_) => found,
    }
}

hook! {
    fn realpath(path: *const c_char, to: *mut c_char) -> *mut c_char {
        // SAFETY: C's arguments.
        unsafe {
            resolve_to(path, to, |path| real!(realpath(path: *const c_char, to: *mut c_char) -> *mut c_char))
        }
    }
}

hook! {
    fn canonicalize_file_name(path: *const c_char) -> *mut c_char {
        // SAFETY: C's argument.
        unsafe {
            resolve_to(path, null_mut(), |path| {
                real!(canonicalize_file_name(path: *const c_char) -> *mut c_char)
            })
        }
    }
}

hook! {
    fn __realpath_chk(path: *const c_char, to: *mut c_char, size: size_t) -> *mut c_char {
        if size < PATH_MAX {
            // The C library ends the program before it looks at anything.
            return real!(__realpath_chk(path: *const c_char, to: *mut c_char, size: size_t) -> *mut c_char);
        }
        // SAFETY: C's arguments.
        unsafe {
            resolve_to(path, to, |path| {
                real!(__realpath_chk(path: *const c_char, to: *mut c_char, size: size_t) -> *mut c_char)
            })
        }
    }
}
