//! Memory that begins at a page, as reads and writes past the page cache want it.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// What these begin at.
pub(crate) const PAGE_LEN: usize = 4096;

/// So many bytes from a page on, zero at first.
#[derive(Debug)]
pub(crate) struct Pages {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: it owns its memory, as a Vec does.
unsafe impl Send for Pages {}
// SAFETY: shared references only read.
unsafe impl Sync for Pages {}

impl Pages {
    /// `len` rounded up to whole pages, at least one. Aborts where there is no memory, as a Vec does.
    pub(crate) fn new(len: usize) -> Self {
        let len = len.max(1).next_multiple_of(PAGE_LEN);
        let Ok(layout) = Layout::from_size_align(len, PAGE_LEN) else {
            handle_alloc_error(Layout::new::<u8>());
        };
        // SAFETY: the size is not 0.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        Self { start, layout }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: all of it is allocated and was set to zero at first.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.layout.size()) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: all of it is allocated and was set to zero at first, and nobody else has a reference while this one lives.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.layout.size()) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: from alloc_zeroed, with this layout.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}
