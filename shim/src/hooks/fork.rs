//! fork(2). What the child is likely to call is looked up before, so that a shell's hundreds of children need not do it,
//! each in pages of the C library that nobody else looks at.

use super::hook;
use crate::init;
use crate::real::{self, Symbol, real};
use core::sync::atomic::{AtomicBool, Ordering};
use libc::pid_t;

static LOOKED_UP: AtomicBool = AtomicBool::new(false);

/// What the children of shells call before they execute something or end.
const IN_CHILDREN: [Symbol; 13] = [
    Symbol::close,
    Symbol::dup2,
    Symbol::fcntl,
    Symbol::fcntl64,
    Symbol::open,
    Symbol::open64,
    Symbol::stat,
    Symbol::stat64,
    Symbol::fstat,
    Symbol::fstat64,
    Symbol::sigaction,
    Symbol::execve,
    Symbol::__curbrk,
];

hook! {
    fn fork() -> pid_t {
        // Not written each time: the page would be copied after each fork.
        if init::in_view() && !LOOKED_UP.load(Ordering::Relaxed) {
            LOOKED_UP.store(true, Ordering::Relaxed);
            for symbol in IN_CHILDREN {
                real::address(symbol);
            }
        }
        real!(fork() -> pid_t)
    }
}
