//! close(2), dup and fcntl: the fd table follows, and the shim's own connection stays out of reach.

use super::hook;
use crate::errno;
use crate::fds;
use crate::raw;
use crate::real::real;
use crate::request;
use core::ffi::{c_int, c_uint, c_ulong};

hook! {
    fn close(fd: c_int) -> c_int {
        if request::is_connection(fd) {
            return errno::fail(libc::EBADF);
        }
        fds::forget(fd);
        real!(close(fd: c_int) -> c_int)
    }
}

hook! {
    /// close_range(2), around the connection.
    fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
        let around = request::connection().map(|fd| fd as c_uint).filter(|fd| (first..=last).contains(fd));
        let Some(fd) = around else {
            return real!(close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int);
        };
        let upper = fd + 1;
        if upper <= last {
            let first = upper;
            let result = real!(close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int);
            if result != 0 {
                return result;
            }
        }
        match fd.checked_sub(1) {
            Some(last) if first <= last => real!(close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int),
            _ => 0,
        }
    }
}

hook! {
    fn closefrom(low: c_int) -> () {
        let Some(fd) = request::connection().filter(|fd| *fd >= low) else {
            return real!(closefrom(low: c_int) -> ());
        };
        for each in low.max(0)..fd {
            raw::close(each);
        }
        let low = fd + 1;
        real!(closefrom(low: c_int) -> ())
    }
}

/// After dup and its kin.
fn duplicated(from: c_int, to: c_int) -> c_int {
    if to >= 0 {
        fds::copied(from, to);
    }
    to
}

hook! {
    fn dup(fd: c_int) -> c_int {
        duplicated(fd, real!(dup(fd: c_int) -> c_int))
    }
}

hook! {
    fn dup2(fd: c_int, to: c_int) -> c_int {
        request::give_up(to);
        duplicated(fd, real!(dup2(fd: c_int, to: c_int) -> c_int))
    }
}

hook! {
    fn dup3(fd: c_int, to: c_int, flags: c_int) -> c_int {
        request::give_up(to);
        duplicated(fd, real!(dup3(fd: c_int, to: c_int, flags: c_int) -> c_int))
    }
}

macro_rules! fcntl_hooks {
    ($($name:ident)*) => {$(
        hook! {
            fn $name(fd: c_int, command: c_int, argument: c_ulong) -> c_int {
                let result = real!($name(fd: c_int, command: c_int, argument: c_ulong) -> c_int);
                match command {
                    libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => duplicated(fd, result),
                    _ => result,
                }
            }
        }
    )*};
}

// C's `...` of fcntl() is at most one integer or pointer, passed in the same register.
fcntl_hooks! { fcntl fcntl64 }

hook! {
    fn umask(mask: libc::mode_t) -> libc::mode_t {
        let old = raw::umask(mask);
        crate::umask::note(mask);
        old
    }
}
