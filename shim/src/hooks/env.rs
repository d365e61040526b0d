//! system(3) and popen: the C library starts a shell with its own exec, from this process's environment.

use super::hook;
use crate::envp;
use crate::real::real;
use core::ffi::{c_char, c_int};
use libc::FILE;

hook! {
    fn system(command: *const c_char) -> c_int {
        envp::repair_own();
        real!(system(command: *const c_char) -> c_int)
    }
}

hook! {
    fn popen(command: *const c_char, mode: *const c_char) -> *mut FILE {
        envp::repair_own();
        real!(popen(command: *const c_char, mode: *const c_char) -> *mut FILE)
    }
}
