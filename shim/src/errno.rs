//! The calling thread's errno, and its address as the thread's name.

use core::ffi::c_int;

unsafe extern "C" {
    fn __errno_location() -> *mut c_int;
}

/// Sets errno and returns -1, as most calls report failure.
pub fn fail(errno: c_int) -> c_int {
    set(errno);
    -1
}

pub fn set(errno: c_int) {
    // SAFETY: glibc returns the address of this thread's errno, always valid.
    unsafe { *__errno_location() = errno }
}

pub fn get() -> c_int {
    // SAFETY: as above.
    unsafe { *__errno_location() }
}

/// A number that differs between living threads: who holds a lock.
pub fn thread_id() -> usize {
    // SAFETY: as above; only the address is used.
    unsafe { __errno_location() as usize }
}

/// What a hook that returns 0 or -1 says.
pub fn status(result: Result<(), c_int>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(errno) => fail(errno),
    }
}
