//! Signals: a program that may block SIGSYS or handle it itself is not looked at any longer ([`crate::sample`]).

use super::hook;
use crate::real::real;
use crate::sample;
use core::ffi::c_int;
use libc::{SIGSYS, sighandler_t, sigset_t};

/// Whether a set that a program gives has SIGSYS in it.
///
/// # Safety
/// `set` is null or points to a set.
unsafe fn has_sigsys(set: *const sigset_t) -> bool {
    // SAFETY: the kernel's set is the first eight bytes.
    !set.is_null() && unsafe { set.cast::<u64>().read_unaligned() } & 1 << (SIGSYS - 1) != 0
}

/// # Safety
/// `new` is null or as for sigaction(2).
unsafe fn before_action(signal: c_int, new: *const libc::sigaction) {
    if !sample::is_on() {
        return;
    }
    // SAFETY: by contract.
    let blocks_it = !new.is_null() && unsafe { has_sigsys(&raw const (*new).sa_mask) };
    if signal == SIGSYS {
        sample::stop_and_hand_over();
    } else if blocks_it {
        sample::stop();
    }
}

hook! {
    fn sigaction(signal: c_int, new: *const libc::sigaction, old: *mut libc::sigaction) -> c_int {
        // SAFETY: C's arguments.
        unsafe { before_action(signal, new) };
        real!(sigaction(signal: c_int, new: *const libc::sigaction, old: *mut libc::sigaction) -> c_int)
    }
}

hook! {
    fn __sigaction(signal: c_int, new: *const libc::sigaction, old: *mut libc::sigaction) -> c_int {
        // SAFETY: C's arguments.
        unsafe { before_action(signal, new) };
        real!(__sigaction(signal: c_int, new: *const libc::sigaction, old: *mut libc::sigaction) -> c_int)
    }
}

/// # Safety
/// None but what its callers have: the signature is C's.
unsafe fn before_signal(signal: c_int) {
    if signal == SIGSYS && sample::is_on() {
        sample::stop_and_hand_over();
    }
}

hook! {
    fn signal(signal: c_int, handler: sighandler_t) -> sighandler_t {
        // SAFETY: C's arguments.
        unsafe { before_signal(signal) };
        real!(signal(signal: c_int, handler: sighandler_t) -> sighandler_t)
    }
}

hook! {
    fn bsd_signal(signal: c_int, handler: sighandler_t) -> sighandler_t {
        // SAFETY: C's arguments.
        unsafe { before_signal(signal) };
        real!(bsd_signal(signal: c_int, handler: sighandler_t) -> sighandler_t)
    }
}

hook! {
    fn ssignal(signal: c_int, handler: sighandler_t) -> sighandler_t {
        // SAFETY: C's arguments.
        unsafe { before_signal(signal) };
        real!(ssignal(signal: c_int, handler: sighandler_t) -> sighandler_t)
    }
}

/// # Safety
/// `set` is null or points to a set.
unsafe fn before_mask(set: *const sigset_t) {
    // SAFETY: by contract.
    if sample::is_on() && unsafe { has_sigsys(set) } {
        sample::stop();
    }
}

hook! {
    fn sigprocmask(how: c_int, set: *const sigset_t, old: *mut sigset_t) -> c_int {
        // SAFETY: C's arguments.
        unsafe { before_mask(set) };
        real!(sigprocmask(how: c_int, set: *const sigset_t, old: *mut sigset_t) -> c_int)
    }
}

hook! {
    fn pthread_sigmask(how: c_int, set: *const sigset_t, old: *mut sigset_t) -> c_int {
        // SAFETY: C's arguments.
        unsafe { before_mask(set) };
        real!(pthread_sigmask(how: c_int, set: *const sigset_t, old: *mut sigset_t) -> c_int)
    }
}
