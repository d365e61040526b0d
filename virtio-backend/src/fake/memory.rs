//! The arena as a device sees it: chunks that are not next to each other.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

use crate::arena::{Arena, CHUNK_LEN};

/// Device address of the first chunk, and from one chunk to the next: what crosses one is nowhere.
const BUS_START: u64 = 0x40_0000_0000;
const BUS_STEP: u64 = 3 * CHUNK_LEN as u64;

struct Heap {
    start: NonNull<u8>,
    layout: Layout,
}
// SAFETY: it only gives the memory back.
unsafe impl Send for Heap {}
// SAFETY: as above.
unsafe impl Sync for Heap {}
impl Drop for Heap {
    fn drop(&mut self) {
        // SAFETY: from alloc_zeroed with this layout; the arena is gone.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

pub(super) fn arena(chunks: usize) -> Arena {
    let layout = Layout::from_size_align(chunks * CHUNK_LEN, 4096).unwrap();
    // SAFETY: the length is not 0.
    let start = NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap();
    let bus = (0..chunks as u64).map(|chunk| BUS_START + chunk * BUS_STEP).collect();
    // SAFETY: so many chunks, zero, aligned to a page; `Heap` keeps them.
    unsafe { Arena::new(start, bus, Box::new(Heap { start, layout })) }
}

/// Offset in the arena; `None`: an IOMMU would stop it.
pub(super) fn translate(arena: &Arena, address: u64, len: u32) -> Option<usize> {
    let from = address.checked_sub(BUS_START)?;
    let (chunk, within) = (from / BUS_STEP, from % BUS_STEP);
    let fits = within + u64::from(len) <= CHUNK_LEN as u64;
    let offset = usize::try_from(chunk * CHUNK_LEN as u64 + within).ok()?;
    (fits && offset + len as usize <= arena.len()).then_some(offset)
}
