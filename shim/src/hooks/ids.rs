//! setuid(2) and its kin: a process that becomes another user cannot reach the state folder and the daemon by
//! their names any more, so it takes hold of both before.

use super::hook;
use crate::real::real;
use crate::{handle, init, line, view};
use core::ffi::c_int;
use libc::uid_t;

/// Before the change.
pub fn take_hold() {
    if init::in_view() && view::index().is_ok() {
        view::home_device();
        handle::take();
        line::stay_connected();
    }
}

hook! {
    fn setuid(uid: uid_t) -> c_int {
        take_hold();
        real!(setuid(uid: uid_t) -> c_int)
    }
}

hook! {
    fn seteuid(uid: uid_t) -> c_int {
        take_hold();
        real!(seteuid(uid: uid_t) -> c_int)
    }
}

hook! {
    fn setreuid(real_uid: uid_t, uid: uid_t) -> c_int {
        take_hold();
        real!(setreuid(real_uid: uid_t, uid: uid_t) -> c_int)
    }
}

hook! {
    fn setresuid(real_uid: uid_t, uid: uid_t, saved: uid_t) -> c_int {
        take_hold();
        real!(setresuid(real_uid: uid_t, uid: uid_t, saved: uid_t) -> c_int)
    }
}
