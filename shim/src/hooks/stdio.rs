//! fopen(3), freopen and fclose: glibc's stdio opens files inside itself, so streams are made over our fds.

use super::hook;
use super::open::{Opened, open_at};
use crate::elsewhere::Elsewhere;
use crate::errno;
use crate::fds::{self, FdKind};
use crate::raw;
use crate::real::real;
use crate::text::{Text, bytes_of};
use core::ffi::{c_char, c_int};
use libc::{AT_FDCWD, FILE, O_APPEND, O_CLOEXEC, O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY};

/// Mode of files that fopen makes, before the umask.
const NEW_MODE: u32 = 0o666;

/// The open flags that a mode string stands for; None: not a mode.
fn flags_of(mode: &[u8]) -> Option<c_int> {
    let (first, rest) = mode.split_first()?;
    let mut flags = match first {
        b'r' => O_RDONLY,
        b'w' => O_WRONLY | O_CREAT | O_TRUNC,
        b'a' => O_WRONLY | O_CREAT | O_APPEND,
        _ => return None,
    };
    for letter in rest {
        match letter {
            b'+' => flags = flags & !libc::O_ACCMODE | O_RDWR,
            b'x' => flags |= O_EXCL,
            b'e' => flags |= O_CLOEXEC,
            b',' => break,
            _ => {}
        }
    }
    Some(flags)
}

macro_rules! fopen_hooks {
    ($($name:ident)*) => {$(
        hook! {
            fn $name(path: *const c_char, mode: *const c_char) -> *mut FILE {
                let mut elsewhere = Elsewhere::new();
                // SAFETY: C's argument.
                let Some(flags) = unsafe { bytes_of(mode) }.and_then(flags_of) else {
                    return real!($name(path: *const c_char, mode: *const c_char) -> *mut FILE);
                };
                // SAFETY: C's argument.
                match unsafe { open_at(AT_FDCWD, path, flags, NEW_MODE, &mut elsewhere) } {
                    Ok(Opened::View(fd)) => {
                        let stream = real!(fdopen(fd: c_int, mode: *const c_char) -> *mut FILE);
                        if stream.is_null() {
                            raw::close(fd);
                            fds::forget(fd);
                        }
                        stream
                    }
                    Ok(Opened::Real(_, path)) => {
                        real!($name(path: *const c_char, mode: *const c_char) -> *mut FILE)
                    }
                    Err(errno) => {
                        errno::set(errno);
                        core::ptr::null_mut()
                    }
                }
            }
        }
    )*};
}

fopen_hooks! { fopen fopen64 }

macro_rules! freopen_hooks {
    ($($name:ident)*) => {$(
        hook! {
            fn $name(path: *const c_char, mode: *const c_char, stream: *mut FILE) -> *mut FILE {
                let mut elsewhere = Elsewhere::new();
                // SAFETY: C's argument.
                let flags = unsafe { bytes_of(mode) }.and_then(flags_of);
                // Without a path the stream's own file is opened again: by the kernel's link to it, as the C library does.
                let own = if path.is_null() { link_of(stream) } else { None };
                let path = own.as_ref().map_or(path, Text::as_ptr);
                let (Some(flags), false) = (flags, path.is_null()) else {
                    return real!($name(path: *const c_char, mode: *const c_char, stream: *mut FILE) -> *mut FILE);
                };
                // SAFETY: C's argument.
                match unsafe { open_at(AT_FDCWD, path, flags, NEW_MODE, &mut elsewhere) } {
                    Ok(Opened::View(fd)) => {
                        // SAFETY: C's arguments.
                        unsafe { reopen(fd, mode, stream) }
                    }
                    Ok(Opened::Real(_, path)) => {
                        real!($name(path: *const c_char, mode: *const c_char, stream: *mut FILE) -> *mut FILE)
                    }
                    Err(errno) => {
                        // As the C library: the old file is closed even when the new one cannot be opened.
                        real!(fclose(stream: *mut FILE) -> c_int);
                        errno::set(errno);
                        core::ptr::null_mut()
                    }
                }
            }
        }
    )*};
}

freopen_hooks! { freopen freopen64 }

/// The link to the file of a stream; None: it is not the view's.
fn link_of(stream: *mut FILE) -> Option<Text<32>> {
    let fd = real!(fileno(stream: *mut FILE) -> c_int);
    let FdKind::View(_) = fds::identify(fd) else { return None };
    let mut name: Text<32> = Text::from_parts(&[b"/proc/self/fd/"]);
    name.push_decimal(fd.max(0) as u64);
    Some(name)
}

/// Has the C library open the file of `fd` once more under its /proc name, which puts it into `stream`.
///
/// # Safety
/// `mode` is a C string, `stream` an open stream.
unsafe fn reopen(fd: c_int, mode: *const c_char, stream: *mut FILE) -> *mut FILE {
    let mut name: Text<32> = Text::from_parts(&[b"/proc/self/fd/"]);
    name.push_decimal(fd.max(0) as u64);
    // The file exists by now: O_EXCL would refuse it.
    let mut plain: Text<32> = Text::new();
    // SAFETY: by contract.
    for letter in unsafe { bytes_of(mode) }.unwrap_or(b"r").iter().filter(|letter| **letter != b'x') {
        plain.push(core::slice::from_ref(letter));
    }
    let (path, mode) = (name.as_ptr(), plain.as_ptr());
    let stream = real!(freopen(path: *const c_char, mode: *const c_char, stream: *mut FILE) -> *mut FILE);
    if !stream.is_null() {
        let new = real!(fileno(stream: *mut FILE) -> c_int);
        fds::copied(fd, new);
    }
    if stream.is_null() || real!(fileno(stream: *mut FILE) -> c_int) != fd {
        raw::close(fd);
        fds::forget(fd);
    }
    stream
}

hook! {
    fn fclose(stream: *mut FILE) -> c_int {
        if crate::init::in_view() && !stream.is_null() {
            let saved = errno::get();
            fds::forget(real!(fileno(stream: *mut FILE) -> c_int));
            errno::set(saved);
        }
        real!(fclose(stream: *mut FILE) -> c_int)
    }
}
