//! _exit(2), _Exit and quick_exit: the ends of a process that run no destructors.

use super::hook;
use crate::real::real;
use crate::roll;
use core::ffi::c_int;

/// The functions behind these do not return; a process that goes on after its own end must not.
fn never() -> ! {
    // SAFETY: abort(3) takes no arguments and does not return.
    unsafe { libc::abort() }
}

hook! {
    fn _exit(code: c_int) -> ! {
        roll::end();
        real!(_exit(code: c_int) -> c_int);
        never()
    }
}

hook! {
    fn _Exit(code: c_int) -> ! {
        roll::end();
        real!(_Exit(code: c_int) -> c_int);
        never()
    }
}

hook! {
    fn quick_exit(code: c_int) -> ! {
        roll::end();
        real!(quick_exit(code: c_int) -> c_int);
        never()
    }
}
