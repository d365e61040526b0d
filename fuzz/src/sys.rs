//! An allocator that counts, and memory that an index reader takes for a mapping.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use vrift_manifest::reader::Reader;
use vrift_manifest::sys::Window;

/// The system's allocator, counted.
pub struct Counting;

static NOW_BYTES: AtomicUsize = AtomicUsize::new(0);
static PEAK_BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW_BYTES.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK_BYTES.fetch_max(now, Ordering::Relaxed);
        // SAFETY: by contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW_BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: by contract.
        unsafe { System.dealloc(at, layout) }
    }
}

/// The most that was allocated at a time while `work` ran, beyond what was before.
pub fn peak_of(work: impl FnOnce()) -> usize {
    let before = NOW_BYTES.load(Ordering::Relaxed);
    PEAK_BYTES.store(before, Ordering::Relaxed);
    work();
    PEAK_BYTES.load(Ordering::Relaxed).saturating_sub(before)
}

/// Looks at `bytes` as at a mapped index, if its header lets itself be read as one.
pub fn with_reader(bytes: &[u8], look: impl FnOnce(&Reader)) {
    let mut aligned = vec![0_u64; bytes.len().div_ceil(8)];
    for (to, from) in aligned.iter_mut().zip(bytes.chunks(8)) {
        let mut word = [0; 8];
        word[..from.len()].copy_from_slice(from);
        *to = u64::from_ne_bytes(word);
    }
    // SAFETY: the memory is aligned, has that many bytes, and outlives the reader.
    let window = unsafe { Window::new(aligned.as_mut_ptr().cast::<u8>(), aligned.len() * 8) };
    if let Ok(reader) = Reader::new(window) {
        look(&reader);
    }
    drop(aligned);
}
