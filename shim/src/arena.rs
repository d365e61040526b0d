//! Memory for the arrays and strings of one exec or spawn: on the stack while they are small, as nearly
//! always, else mapped.
//!
//! A vfork(2) child runs in its parent's memory: what it maps before an exec that works stays in the parent.
//! Only argument lists beyond the stack's part come to that.

use crate::raw::{self, Errno};
use core::cell::{Cell, UnsafeCell};
use core::ffi::c_char;
use core::mem::MaybeUninit;

/// Words on the stack: the variables of this library and an array of some hundred pointers, and still little
/// on a thread's stack of 64 KiB.
const WORDS: usize = 384;
/// Blocks beyond the stack: an environment, an argument list, that of the shell which runs a file without
/// magic, and a library path.
const MAPPINGS_MAX: usize = 6;
/// No block is longer: the kernel takes less than this of arguments and environment together.
const BLOCK_MAX: usize = 1 << 26;

pub struct Arena {
    words: UnsafeCell<[MaybeUninit<usize>; WORDS]>,
    used: Cell<usize>,
    mappings: [Cell<(usize, usize)>; MAPPINGS_MAX],
}

impl Arena {
    pub const fn new() -> Arena {
        Arena {
            words: UnsafeCell::new([const { MaybeUninit::uninit() }; WORDS]),
            used: Cell::new(0),
            mappings: [const { Cell::new((0, 0)) }; MAPPINGS_MAX],
        }
    }

    /// Room for `count` words, which lives as long as the arena and must not outlive its next move.
    pub fn words(&self, count: usize) -> Result<*mut usize, Errno> {
        let used = self.used.get();
        if count <= WORDS - used {
            self.used.set(used + count);
            // SAFETY: inside the array, by the check above.
            return Ok(unsafe { self.words.get().cast::<usize>().add(used) });
        }
        let len = count.checked_mul(size_of::<usize>()).filter(|len| *len <= BLOCK_MAX).ok_or(libc::E2BIG)?;
        let free = self.mappings.iter().find(|mapping| mapping.get().1 == 0).ok_or(libc::E2BIG)?;
        let at = raw::map_anonymous(len)?;
        free.set((at as usize, len));
        Ok(at.cast())
    }

    /// A C string of these parts.
    pub fn string(&self, parts: &[&[u8]]) -> Result<*const c_char, Errno> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let start = self.words(len / size_of::<usize>() + 1)?.cast::<u8>();
        let mut at = start;
        for part in parts {
            // SAFETY: the block has room for all parts and a NUL, and is new: it overlaps nothing.
            unsafe {
                at.copy_from_nonoverlapping(part.as_ptr(), part.len());
                at = at.add(part.len());
            }
        }
        // SAFETY: as above.
        unsafe { at.write(0) };
        Ok(start.cast_const().cast())
    }

    /// An array of `count` pointers.
    pub fn pointers(&self, count: usize) -> Result<Pointers, Errno> {
        Ok(Pointers {
            start: self.words(count.checked_add(1).ok_or(libc::E2BIG)?)?.cast(),
            len: 0,
            room: count,
        })
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        for mapping in &self.mappings {
            let (at, len) = mapping.get();
            if len != 0 {
                // SAFETY: mapped above; what pointed into it goes with the arena.
                unsafe { raw::unmap(at as *mut u8, len) };
            }
        }
    }
}

/// An array of C strings that is being written, always ended by a null pointer.
pub struct Pointers {
    start: *mut *const c_char,
    len: usize,
    room: usize,
}

impl Pointers {
    /// Appends; what is beyond the room asked for is dropped.
    pub fn push(&mut self, string: *const c_char) {
        if self.len < self.room {
            // SAFETY: below `room`.
            unsafe { self.start.add(self.len).write(string) };
            self.len += 1;
        }
    }

    /// The array, ended.
    pub fn finish(self) -> *const *const c_char {
        // SAFETY: there is one word more than `room`.
        unsafe { self.start.add(self.len).write(core::ptr::null()) };
        self.start
    }
}

/// The entries of a null-terminated array of C strings; none of a null pointer.
///
/// # Safety
/// `array` is null or such an array, which stays as it is while the result is used.
pub unsafe fn entries(array: *const *const c_char) -> impl Iterator<Item = *const c_char> {
    let mut at = array;
    core::iter::from_fn(move || {
        if at.is_null() {
            return None;
        }
        // SAFETY: not beyond the terminating null, by contract.
        let entry = unsafe { *at };
        if entry.is_null() {
            return None;
        }
        // SAFETY: as above.
        at = unsafe { at.add(1) };
        Some(entry)
    })
}
