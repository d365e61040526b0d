//! The only memory that the device may reach: rings, headers of requests, and buffers.
//!
//! It is made of chunks, each of which is in one piece for the device as well, at an address that the device uses.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64};

/// What a piece of memory never crosses: a huge page, so that the same holds without an IOMMU.
pub(crate) const CHUNK_LEN: usize = 2 << 20;

/// See the module. What owns the memory, and lets the device reach it, lives as long.
pub(crate) struct Arena {
    start: NonNull<u8>,
    /// The device's address of each chunk.
    bus: Vec<u64>,
    /// Dropped with the arena: the device reaches it no more, then it is given back.
    _owner: Box<dyn Send + Sync>,
}

// SAFETY: all accesses are through atomics or by the one who has taken the piece (`Pool`).
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

impl Arena {
    /// # Safety
    /// `start` is aligned to a page and has `bus.len()` chunks, zero at first, which are valid as long as `owner` lives and
    /// used by nobody else in this process.
    pub(crate) unsafe fn new(start: NonNull<u8>, bus: Vec<u64>, owner: Box<dyn Send + Sync>) -> Self {
        Self { start, bus, _owner: owner }
    }

    pub(crate) fn len(&self) -> usize {
        self.bus.len() * CHUNK_LEN
    }

    /// The device's address of a piece, which must not cross chunks.
    pub(crate) fn bus_address(&self, offset: usize, len: usize) -> u64 {
        let (chunk, within) = (offset / CHUNK_LEN, offset % CHUNK_LEN);
        assert!(chunk < self.bus.len() && within + len <= CHUNK_LEN, "{offset}+{len} crosses a chunk");
        self.bus[chunk] + within as u64
    }

    /// Where in the arena these bytes are; `None`: elsewhere, or across chunks.
    pub(crate) fn find(&self, bytes: &[u8]) -> Option<usize> {
        let offset = (bytes.as_ptr() as usize).checked_sub(self.start.as_ptr() as usize)?;
        let end = offset.checked_add(bytes.len())?;
        let within = end <= self.len() && offset % CHUNK_LEN + bytes.len() <= CHUNK_LEN;
        within.then_some(offset)
    }

    /// Where the bytes begin.
    pub(crate) fn pointer(&self, offset: usize, len: usize) -> *mut u8 {
        assert!(offset.checked_add(len).is_some_and(|end| end <= self.len()), "{offset}+{len}");
        // SAFETY: within the memory, as was just seen.
        unsafe { self.start.as_ptr().add(offset) }
    }
}

/// Integers that both sides may read and write at any time.
macro_rules! shared {
    ($name:ident, $atomic:ty) => {
        pub(crate) fn $name(&self, offset: usize) -> &$atomic {
            let pointer = self.pointer(offset, size_of::<$atomic>());
            assert!(offset.is_multiple_of(size_of::<$atomic>()), "{offset}");
            // SAFETY: valid as long as the arena and aligned, as was just seen; rings and headers, which is what this is
            // called for, are accessed as atomics alone.
            unsafe { <$atomic>::from_ptr(pointer.cast()) }
        }
    };
}

impl Arena {
    shared!(shared_u8, AtomicU8);
    shared!(shared_u16, AtomicU16);
    shared!(shared_u32, AtomicU32);
    shared!(shared_u64, AtomicU64);
}
