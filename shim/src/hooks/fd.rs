//! close(2), dup and fcntl: the fd table follows, and the shim's own connection stays out of reach.

use super::hook;
use crate::errno;
use crate::fds;
use crate::line;
use crate::raw;
use crate::real::real;
use core::ffi::{c_int, c_uint, c_ulong};

hook! {
    fn close(fd: c_int) -> c_int {
        if line::is_own(fd) {
            return errno::fail(libc::EBADF);
        }
        fds::forget(fd);
        real!(close(fd: c_int) -> c_int)
    }
}

hook! {
    /// close_range(2), around this library's own fds.
    fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
        fds::doubt_all();
        let mut first = first;
        while let Some(own) = c_int::try_from(first).ok().and_then(line::next_own).map(|fd| fd as c_uint)
            && own <= last
        {
            if first < own {
                let last = own - 1;
                let result = real!(close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int);
                if result != 0 {
                    return result;
                }
            }
            if own == last {
                return 0;
            }
            first = own + 1;
        }
        real!(close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int)
    }
}

hook! {
    fn closefrom(low: c_int) -> () {
        fds::doubt_all();
        let mut low = low.max(0);
        while let Some(own) = line::next_own(low) {
            for each in low..own {
                raw::close(each);
            }
            low = own + 1;
        }
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
        line::give_up(to);
        duplicated(fd, real!(dup2(fd: c_int, to: c_int) -> c_int))
    }
}

hook! {
    fn dup3(fd: c_int, to: c_int, flags: c_int) -> c_int {
        line::give_up(to);
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
