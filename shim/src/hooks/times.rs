//! utime(2), utimes, lutimes, futimes, futimesat, utimensat and futimens.

use super::attrs::{is_name_only, on_fd, send_by_path, setting};
use super::{hook, on_path, unknown};
use crate::creds::{Creds, WRITE};
use crate::errno;
use crate::raw::Errno;
use crate::real::real;
use crate::request::Request;
use crate::resolve::{Attr, Inside};
use core::ffi::{c_char, c_int};
use libc::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, UTIME_NOW, UTIME_OMIT, timespec, timeval, utimbuf};
use vrift_protocol::vnode_op::set;
use zerocopy::byteorder::little_endian::I64;

const NS_PER_S: i64 = 1_000_000_000;
const US_PER_S: i64 = 1_000_000;

/// What one of the two times becomes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Time {
    Now,
    Omit,
    At(i64),
}

type Times = [Time; 2];

fn of_timespec(time: timespec) -> Result<Time, Errno> {
    match time.tv_nsec {
        UTIME_NOW => Ok(Time::Now),
        UTIME_OMIT => Ok(Time::Omit),
        0..NS_PER_S => Ok(Time::At(time.tv_sec.saturating_mul(NS_PER_S).saturating_add(time.tv_nsec))),
        _ => Err(libc::EINVAL),
    }
}

fn of_timeval(time: timeval) -> Result<Time, Errno> {
    match time.tv_usec {
        0..US_PER_S => {
            Ok(Time::At(time.tv_sec.saturating_mul(NS_PER_S).saturating_add(time.tv_usec * 1_000)))
        }
        _ => Err(libc::EINVAL),
    }
}

/// # Safety
/// `times` is null or points to two values.
unsafe fn timespecs(times: *const timespec) -> Result<Times, Errno> {
    if times.is_null() {
        return Ok([Time::Now; 2]);
    }
    // SAFETY: by contract.
    unsafe { Ok([of_timespec(*times)?, of_timespec(*times.add(1))?]) }
}

/// # Safety
/// `times` is null or points to two values.
unsafe fn timevals(times: *const timeval) -> Result<Times, Errno> {
    if times.is_null() {
        return Ok([Time::Now; 2]);
    }
    // SAFETY: by contract.
    unsafe { Ok([of_timeval(*times)?, of_timeval(*times.add(1))?]) }
}

/// Two times now need write permission or ownership, anything else ownership. None: nothing to do.
fn request_of(attr: &Attr, times: Times) -> Result<Option<Request<'static>>, Errno> {
    if times == [Time::Omit; 2] {
        return Ok(None);
    }
    let creds = Creds::effective();
    if !creds.is_root() && creds.uid() != attr.uid {
        match times {
            [Time::Now, Time::Now] if attr.may(&creds, WRITE) => {}
            [Time::Now, Time::Now] => return Err(libc::EACCES),
            _ => return Err(libc::EPERM),
        }
    }
    let mut request = setting(attr.vnode, 0);
    let mut bits = 0;
    match times[0] {
        Time::Now => bits |= set::ATIME_NOW,
        Time::At(ns) => {
            bits |= set::ATIME;
            request.body.atime_ns = I64::new(ns);
        }
        Time::Omit => {}
    }
    match times[1] {
        Time::Now => bits |= set::MTIME_NOW,
        Time::At(ns) => {
            bits |= set::MTIME;
            request.body.mtime_ns = I64::new(ns);
        }
        Time::Omit => {}
    }
    request.body.set = bits.into();
    Ok(Some(request))
}

fn set_in(inside: &Inside, times: Times) -> Result<c_int, Errno> {
    match request_of(inside.existing()?, times)? {
        Some(request) => send_by_path(request),
        None => Ok(0),
    }
}

/// # Safety
/// `path` is null or a C string.
unsafe fn by_path(
    (dirfd, path, follow): (c_int, *const c_char, bool),
    times: Result<Times, Errno>,
    real: impl FnOnce(c_int, *const c_char) -> c_int,
) -> c_int {
    // SAFETY: by contract.
    unsafe { on_path(dirfd, path, follow, |inside| set_in(inside, times?), real) }
}

fn by_fd(fd: c_int, times: Result<Times, Errno>, real: impl FnOnce() -> c_int) -> c_int {
    match times {
        // Nothing to set: only whether the fd is open matters, which the real call says.
        Ok([Time::Omit, Time::Omit]) | Err(_) => real(),
        Ok(times) => on_fd(fd, |attr| request_of(attr, times)?.ok_or(libc::EINVAL), real),
    }
}

hook! {
    fn utime(path: *const c_char, times: *const utimbuf) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            let given = if times.is_null() {
                [Time::Now; 2]
            } else {
                [(*times).actime, (*times).modtime].map(|time| Time::At(time.saturating_mul(NS_PER_S)))
            };
            by_path((AT_FDCWD, path, true), Ok(given), |_, path| {
                real!(utime(path: *const c_char, times: *const utimbuf) -> c_int)
            })
        }
    }
}

hook! {
    fn utimes(path: *const c_char, times: *const timeval) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            by_path((AT_FDCWD, path, true), timevals(times), |_, path| {
                real!(utimes(path: *const c_char, times: *const timeval) -> c_int)
            })
        }
    }
}

hook! {
    fn lutimes(path: *const c_char, times: *const timeval) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            by_path((AT_FDCWD, path, false), timevals(times), |_, path| {
                real!(lutimes(path: *const c_char, times: *const timeval) -> c_int)
            })
        }
    }
}

hook! {
    fn futimesat(dirfd: c_int, path: *const c_char, times: *const timeval) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            by_path((dirfd, path, true), timevals(times), |dirfd, path| {
                real!(futimesat(dirfd: c_int, path: *const c_char, times: *const timeval) -> c_int)
            })
        }
    }
}

hook! {
    fn futimes(fd: c_int, times: *const timeval) -> c_int {
        // SAFETY: C's argument.
        let given = unsafe { timevals(times) };
        if is_name_only(fd) {
            return errno::fail(libc::EBADF);
        }
        by_fd(fd, given, || real!(futimes(fd: c_int, times: *const timeval) -> c_int))
    }
}

hook! {
    fn futimens(fd: c_int, times: *const timespec) -> c_int {
        // SAFETY: C's argument.
        let given = unsafe { timespecs(times) };
        if is_name_only(fd) {
            return errno::fail(libc::EBADF);
        }
        by_fd(fd, given, || real!(futimens(fd: c_int, times: *const timespec) -> c_int))
    }
}

hook! {
    /// A null path, which means the fd to the system call, is refused by the C library.
    fn utimensat(dirfd: c_int, path: *const c_char, times: *const timespec, flags: c_int) -> c_int {
        if path.is_null() && crate::init::in_view() {
            return errno::fail(libc::EINVAL);
        }
        // SAFETY: C's argument.
        let given = unsafe { timespecs(times) };
        // "We must not even check the path": do_utimes in fs/utimes.c.
        if given == Ok([Time::Omit; 2]) {
            return 0;
        }
        if unknown(flags, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) {
            return errno::fail(libc::EINVAL);
        }
        // SAFETY: C's argument.
        let name = unsafe { crate::text::bytes_of(path) };
        if name.is_some_and(|name| name.is_empty() && flags & AT_EMPTY_PATH != 0) {
            return by_fd(dirfd, given, || {
                real!(utimensat(dirfd: c_int, path: *const c_char, times: *const timespec, flags: c_int) -> c_int)
            });
        }
        if let Err(errno) = given {
            return errno::fail(errno);
        }
        // SAFETY: C's argument.
        unsafe {
            by_path((dirfd, path, flags & AT_SYMLINK_NOFOLLOW == 0), given, |dirfd, path| {
                real!(utimensat(dirfd: c_int, path: *const c_char, times: *const timespec, flags: c_int) -> c_int)
            })
        }
    }
}
