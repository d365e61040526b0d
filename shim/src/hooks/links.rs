//! readlink(2) and kin; links of /proc that name real files of the state folder read as view paths.

use super::{Routed, hook, route};
use crate::elsewhere::Elsewhere;
use crate::errno;
use crate::fds;
use crate::raw::Errno;
use crate::real::real;
use crate::resolve::Inside;
use crate::text::{PATH_MAX, PathText, bytes_of};
use crate::view;
use core::ffi::{c_char, c_int};
use libc::{AT_FDCWD, size_t};

/// Copies what fits, as readlink does.
///
/// # Safety
/// `to` is valid for `len` bytes.
unsafe fn copy(bytes: &[u8], to: *mut c_char, len: size_t) -> isize {
    let fits = bytes.len().min(len);
    // SAFETY: by contract; the source is ours.
    unsafe { to.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), fits) };
    fits as isize
}

fn target_of(inside: &Inside, text: &mut PathText) -> Result<(), Errno> {
    let attr = inside.existing()?;
    if !attr.is_symlink() {
        return Err(libc::EINVAL);
    }
    let vnode = attr.vnode;
    view::read(|reader| {
        let slot = reader.slot(vnode).ok_or(libc::ENOENT)?;
        let is_whole =
            text.fill_len(reader.target_len(slot), |bytes| reader.target(slot, bytes) == bytes.len());
        if is_whole { Ok(()) } else { Err(libc::EIO) }
    })?
}

/// # Safety
/// `path` is null or a C string, `to` valid for `len` bytes.
unsafe fn read_link(
    dirfd: c_int,
    path: *const c_char,
    to: *mut c_char,
    len: size_t,
    real: impl FnOnce(c_int, *const c_char) -> isize,
) -> isize {
    let mut elsewhere = Elsewhere::new();
    let mut text = PathText::new();
    // SAFETY: by contract.
    let result = match unsafe { route(dirfd, path, false, &mut elsewhere) } {
        Ok(Routed::View(_)) if len == 0 => Err(libc::EINVAL),
        Ok(Routed::View(inside)) => target_of(&inside, &mut text),
        Ok(Routed::Real(dirfd, path)) => {
            // SAFETY: by contract.
            match unsafe { bytes_of(path) } {
                Some(name) if name.starts_with(b"/proc/") && in_view_terms(path, &mut text) => Ok(()),
                _ => return real(dirfd, path),
            }
        }
        Err(errno) => Err(errno),
    };
    match result {
        Ok(()) if to.is_null() => errno::fail(libc::EFAULT) as isize,
        // SAFETY: by contract.
        Ok(()) => unsafe { copy(text.as_bytes(), to, len) },
        Err(errno) => errno::fail(errno) as isize,
    }
}

/// Whether a link of /proc names a file of the state folder; then `named` is its path in the view.
fn in_view_terms(path: *const c_char, named: &mut PathText) -> bool {
    if !crate::init::in_view() {
        return false;
    }
    let mut whole = PathText::new();
    // SAFETY: a C string, as the caller found.
    let link = unsafe { core::ffi::CStr::from_ptr(path) };
    if crate::raw::readlink_text(link, &mut whole).is_err() {
        return false;
    }
    let real = whole.as_bytes();
    let (real, deleted) = match real.strip_suffix(b" (deleted)") {
        Some(real) => (real, true),
        None => (real, false),
    };
    match fds::vnode_of_real_path(real) {
        Ok(Some(vnode)) if view::path_of(vnode, named).is_ok() => {}
        _ => return false,
    }
    // A staging file that was sealed, or a blob that was replaced, is not a file that was removed.
    if deleted && fds::mirror_vnode(real).is_ok_and(|vnode| vnode.is_some()) {
        named.push(b" (deleted)");
    }
    true
}

hook! {
    fn readlink(path: *const c_char, to: *mut c_char, len: size_t) -> isize {
        // SAFETY: C's arguments.
        unsafe {
            read_link(AT_FDCWD, path, to, len, |_, path| {
                real!(readlink(path: *const c_char, to: *mut c_char, len: size_t) -> isize)
            })
        }
    }
}

hook! {
    fn readlinkat(dirfd: c_int, path: *const c_char, to: *mut c_char, len: size_t) -> isize {
        // SAFETY: C's arguments.
        unsafe {
            read_link(dirfd, path, to, len, |dirfd, path| {
                real!(readlinkat(dirfd: c_int, path: *const c_char, to: *mut c_char, len: size_t) -> isize)
            })
        }
    }
}

hook! {
    fn __readlink_chk(path: *const c_char, to: *mut c_char, len: size_t, size: size_t) -> isize {
        // SAFETY: C's arguments; a length beyond the buffer is the C library's to punish.
        unsafe {
            read_link(AT_FDCWD, path, to, len.min(size).min(PATH_MAX), |_, path| {
                real!(__readlink_chk(path: *const c_char, to: *mut c_char, len: size_t, size: size_t) -> isize)
            })
        }
    }
}

hook! {
    fn __readlinkat_chk(dirfd: c_int, path: *const c_char, to: *mut c_char, len: size_t, size: size_t) -> isize {
        // SAFETY: as above.
        unsafe {
            read_link(dirfd, path, to, len.min(size).min(PATH_MAX), |dirfd, path| {
                real!(__readlinkat_chk(dirfd: c_int, path: *const c_char, to: *mut c_char, len: size_t, size: size_t) -> isize)
            })
        }
    }
}
