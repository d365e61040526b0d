//! Growable memory from the process's own allocator, for what C's contract says the caller frees, and for
//! directory listings, whose size nobody knows beforehand.
//!
//! The allocator is called by its name and not through [`crate::real`]: a program may bring its own malloc,
//! which stands before this library in the search order, and what the program will free must come from there.
//! These four names are never hooked, so this cannot come back into the shim.

use crate::raw::Errno;
use core::ffi::{c_char, c_void};
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr::null_mut;

unsafe extern "C" {
    fn malloc(len: usize) -> *mut c_void;
    fn realloc(old: *mut c_void, len: usize) -> *mut c_void;
    fn free(block: *mut c_void);
}

/// Room for `len` bytes, aligned for any C type; never null.
pub fn allocate(len: usize) -> Result<*mut u8, Errno> {
    // SAFETY: malloc(3) takes any length.
    let block = unsafe { malloc(len.max(1)) };
    if block.is_null() { Err(libc::ENOMEM) } else { Ok(block.cast()) }
}

/// # Safety
/// `block` is null or from this allocator, and nobody uses it any more.
pub unsafe fn release<T>(block: *mut T) {
    // SAFETY: by contract.
    unsafe { free(block.cast()) }
}

/// A C string of these bytes, for the caller to free.
pub fn c_string(bytes: &[u8]) -> Result<*mut c_char, Errno> {
    let to = allocate(bytes.len() + 1)?;
    // SAFETY: the block is new and one byte longer than what is copied.
    unsafe {
        to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        to.add(bytes.len()).write(0);
    }
    Ok(to.cast())
}

/// A vector that says so when there is no memory.
pub struct List<T> {
    start: *mut T,
    len: usize,
    room: usize,
}

impl<T> List<T> {
    pub const fn new() -> List<T> {
        List { start: null_mut(), len: 0, room: 0 }
    }

    /// Makes room for `more` further items.
    pub fn reserve(&mut self, more: usize) -> Result<(), Errno> {
        const { assert!(size_of::<T>() != 0 && align_of::<T>() <= 16) };
        let needed = self.len.checked_add(more).ok_or(libc::ENOMEM)?;
        if needed <= self.room {
            return Ok(());
        }
        let room = needed.max(self.room.saturating_mul(2));
        let bytes = room.checked_mul(size_of::<T>()).ok_or(libc::ENOMEM)?;
        // SAFETY: `start` is null or this list's block, which nobody else knows.
        let start = unsafe { realloc(self.start.cast(), bytes) };
        if start.is_null() {
            return Err(libc::ENOMEM);
        }
        (self.start, self.room) = (start.cast(), room);
        Ok(())
    }

    pub fn push(&mut self, item: T) -> Result<(), Errno> {
        self.reserve(1)?;
        // SAFETY: there is room for one more behind the last.
        unsafe { self.start.add(self.len).write(item) };
        self.len += 1;
        Ok(())
    }

    pub fn pop(&mut self) -> Option<T> {
        self.len = self.len.checked_sub(1)?;
        // SAFETY: it was an item and is none any more.
        Some(unsafe { self.start.add(self.len).read() })
    }

    /// The block, for the caller to free; null when nothing was ever pushed.
    pub fn into_raw(self) -> *mut T {
        ManuallyDrop::new(self).start
    }
}

impl<T: Copy> List<T> {
    pub fn extend(&mut self, items: &[T]) -> Result<(), Errno> {
        self.reserve(items.len())?;
        // SAFETY: there is room, and the items are a shared borrow of something else.
        unsafe { self.start.add(self.len).copy_from_nonoverlapping(items.as_ptr(), items.len()) };
        self.len += items.len();
        Ok(())
    }

    /// Cuts to `len` or extends to it with `item`.
    pub fn resize(&mut self, len: usize, item: T) -> Result<(), Errno> {
        self.reserve(len.saturating_sub(self.len))?;
        while self.len < len {
            // SAFETY: there is room, by the line above.
            unsafe { self.start.add(self.len).write(item) };
            self.len += 1;
        }
        self.len = len;
        Ok(())
    }

    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}

impl<T> Deref for List<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        if self.start.is_null() {
            return &[];
        }
        // SAFETY: the first `len` are items.
        unsafe { core::slice::from_raw_parts(self.start, self.len) }
    }
}

impl<T> DerefMut for List<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        if self.start.is_null() {
            return &mut [];
        }
        // SAFETY: as above, and borrowed alone.
        unsafe { core::slice::from_raw_parts_mut(self.start, self.len) }
    }
}

impl<T> Drop for List<T> {
    fn drop(&mut self) {
        while let Some(item) = self.pop() {
            drop(item);
        }
        // SAFETY: the list's own block, or null.
        unsafe { release(self.start) };
    }
}
