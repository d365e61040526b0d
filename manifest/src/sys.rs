//! Mapped memory as bounds-checked atomic loads and stores.
//!
//! The writer changes the memory while readers look at it, in other processes too, so every access is an
//! atomic one; the sequence lock in the header tells a reader whether what it read belongs together. An
//! access outside the mapping reads zero and writes nothing: a torn read can produce any offset.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

/// A shared mapping of `len` bytes. Copies of a `Window` stand for the same memory.
#[derive(Clone, Copy)]
pub struct Window {
    base: *const u8,
    len: usize,
}

// SAFETY: all access goes through atomics, and the mapping outlives every Window (contract of `new`).
unsafe impl Send for Window {}
// SAFETY: as above.
unsafe impl Sync for Window {}

impl Window {
    /// # Safety
    /// `base` is page-aligned and maps `len` bytes, shared, readable (writable if any `set_*` is called), for
    /// as long as any copy of the Window is used; the memory is accessed by atomics only.
    pub unsafe fn new(base: *const u8, len: usize) -> Window {
        Window { base, len }
    }

    /// Length of the mapping in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn at<T>(&self, offset: usize) -> Option<&T> {
        let end = offset.checked_add(size_of::<T>())?;
        if end > self.len || !offset.is_multiple_of(align_of::<T>()) {
            return None;
        }
        // SAFETY: in bounds and aligned (base is page-aligned); T is only ever an atomic integer, for which
        // every bit pattern is valid and shared mutation is allowed.
        Some(unsafe { &*self.base.add(offset).cast::<T>() })
    }

    pub fn u32(&self, offset: usize) -> u32 {
        self.at::<AtomicU32>(offset).map_or(0, |cell| cell.load(Ordering::Relaxed))
    }

    pub fn u64(&self, offset: usize) -> u64 {
        self.at::<AtomicU64>(offset).map_or(0, |cell| cell.load(Ordering::Relaxed))
    }

    pub fn u64_acquire(&self, offset: usize) -> u64 {
        self.at::<AtomicU64>(offset).map_or(0, |cell| cell.load(Ordering::Acquire))
    }

    pub fn set_u32(&self, offset: usize, value: u32) {
        if let Some(cell) = self.at::<AtomicU32>(offset) {
            cell.store(value, Ordering::Relaxed);
        }
    }

    pub fn set_u64(&self, offset: usize, value: u64) {
        if let Some(cell) = self.at::<AtomicU64>(offset) {
            cell.store(value, Ordering::Relaxed);
        }
    }

    pub fn set_u64_release(&self, offset: usize, value: u64) {
        if let Some(cell) = self.at::<AtomicU64>(offset) {
            cell.store(value, Ordering::Release);
        }
    }

    /// Adds to a counter.
    pub fn add_u64(&self, offset: usize, value: u64) {
        if let Some(cell) = self.at::<AtomicU64>(offset) {
            cell.fetch_add(value, Ordering::Relaxed);
        }
    }

    /// Adds to a counter; what it was before. None: out of bounds.
    pub fn take_u64(&self, offset: usize, value: u64) -> Option<u64> {
        self.at::<AtomicU64>(offset).map(|cell| cell.fetch_add(value, Ordering::Relaxed))
    }

    /// Makes a counter at least `value`.
    pub fn raise_u64(&self, offset: usize, value: u64) {
        if let Some(cell) = self.at::<AtomicU64>(offset) {
            cell.fetch_max(value, Ordering::Relaxed);
        }
    }

    /// Copies bytes out; false when out of bounds.
    pub fn copy_out(&self, offset: usize, to: &mut [u8]) -> bool {
        for (index, byte) in to.iter_mut().enumerate() {
            match self.at::<AtomicU8>(offset.wrapping_add(index)) {
                Some(cell) => *byte = cell.load(Ordering::Relaxed),
                None => return false,
            }
        }
        true
    }

    /// Copies bytes in; false when out of bounds (what fits may have been written).
    pub fn copy_in(&self, offset: usize, from: &[u8]) -> bool {
        for (index, byte) in from.iter().enumerate() {
            match self.at::<AtomicU8>(offset.wrapping_add(index)) {
                Some(cell) => cell.store(*byte, Ordering::Relaxed),
                None => return false,
            }
        }
        true
    }
}

#[cfg(feature = "std")]
pub use mapped::Mapping;

#[cfg(feature = "std")]
mod mapped {
    use super::Window;
    use memmap2::{MmapOptions, MmapRaw};
    use std::fs::File;
    use std::io;

    /// A mapped file, read-write, shared; the pages go with it.
    pub struct Mapping {
        map: MmapRaw,
    }

    impl Mapping {
        /// Maps the first `len` bytes of `file`, which must be that long.
        pub fn new(file: &File, len: usize) -> io::Result<Mapping> {
            Ok(Mapping { map: MmapOptions::new().len(len).map_raw(file)? })
        }

        /// The memory. The Window must not be used after the Mapping is dropped: it is kept private to
        /// this crate, beside its Mapping.
        pub(crate) fn window(&self) -> Window {
            // SAFETY: mmap returns page-aligned memory of this length; the crate keeps Window and Mapping in
            // one struct and never hands the Window out beyond a borrow of it.
            unsafe { Window::new(self.map.as_ptr(), self.map.len()) }
        }
    }
}
