//! The memory of a split virtqueue (2.7) and the order in which both sides look at it.
//!
//! The driver writes descriptors and the available ring, the device the used ring. Nothing that the driver wrote is read
//! back: its own copies are elsewhere.

use std::sync::Arc;
use std::sync::atomic::Ordering::{self, Acquire, Relaxed, Release};

use crate::arena::Arena;

/// 2.7.5: the buffer goes on in the descriptor `next`.
pub(crate) const DESC_NEXT: u16 = 1;
/// 2.7.5: the device writes it.
pub(crate) const DESC_WRITE: u16 = 2;
/// 2.7.6: the driver wants no interrupts.
const AVAIL_NO_INTERRUPT: u16 = 1;
/// 2.7.8: the device wants no notifications.
const USED_NO_NOTIFY: u16 = 1;

const DESC_LEN: usize = 16;
const USED_ELEM_LEN: usize = 8;

/// Where the parts of a ring of `len` descriptors begin, from its own start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) len: u16,
}

impl Layout {
    pub(crate) const DESC: usize = 0;

    pub(crate) fn avail(self) -> usize {
        Self::DESC + DESC_LEN * usize::from(self.len)
    }
    fn avail_idx(self) -> usize {
        self.avail() + 2
    }
    fn avail_entry(self, at: u16) -> usize {
        self.avail() + 4 + 2 * usize::from(at % self.len)
    }
    fn used_event(self) -> usize {
        self.avail() + 4 + 2 * usize::from(self.len)
    }
    pub(crate) fn used(self) -> usize {
        (self.used_event() + 2).next_multiple_of(4)
    }
    fn used_idx(self) -> usize {
        self.used() + 2
    }
    fn used_elem(self, at: u16) -> usize {
        self.used() + 4 + USED_ELEM_LEN * usize::from(at % self.len)
    }
    fn avail_event(self) -> usize {
        self.used() + 4 + USED_ELEM_LEN * usize::from(self.len)
    }
    pub(crate) fn end(self) -> usize {
        self.avail_event() + 2
    }
}

/// Memory that both sides see, by byte offset from the ring's start.
pub(crate) trait Cells {
    fn load16(&self, at: usize, order: Ordering) -> u16;
    fn store16(&self, at: usize, value: u16, order: Ordering);
    fn load32(&self, at: usize, order: Ordering) -> u32;
    fn store32(&self, at: usize, value: u32, order: Ordering);
    fn store64(&self, at: usize, value: u64, order: Ordering);
    /// Sequentially consistent.
    fn fence(&self);
}

/// A ring in an arena.
#[derive(Clone)]
pub(crate) struct ArenaCells {
    pub(crate) arena: Arc<Arena>,
    pub(crate) start: usize,
}

impl Cells for ArenaCells {
    fn load16(&self, at: usize, order: Ordering) -> u16 {
        u16::from_le(self.arena.shared_u16(self.start + at).load(order))
    }
    fn store16(&self, at: usize, value: u16, order: Ordering) {
        self.arena.shared_u16(self.start + at).store(value.to_le(), order);
    }
    fn load32(&self, at: usize, order: Ordering) -> u32 {
        u32::from_le(self.arena.shared_u32(self.start + at).load(order))
    }
    fn store32(&self, at: usize, value: u32, order: Ordering) {
        self.arena.shared_u32(self.start + at).store(value.to_le(), order);
    }
    fn store64(&self, at: usize, value: u64, order: Ordering) {
        self.arena.shared_u64(self.start + at).store(value.to_le(), order);
    }
    fn fence(&self) {
        std::sync::atomic::fence(Ordering::SeqCst);
    }
}

/// An element of the used ring, as the device wrote it: not to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) id: u32,
    pub(crate) len_bytes: u32,
}

/// The driver's end.
pub(crate) struct Ring<C> {
    cells: C,
    layout: Layout,
    event_idx: bool,
    /// What was made available, and what of it the device was told of.
    next_avail: u16,
    published: u16,
    next_used: u16,
}

impl<C: Cells> Ring<C> {
    /// Over zeroed memory.
    pub(crate) fn new(cells: C, len: u16, event_idx: bool) -> Self {
        let layout = Layout { len };
        Self { cells, layout, event_idx, next_avail: 0, published: 0, next_used: 0 }
    }

    /// Writes one descriptor. Nobody else may own it at this moment.
    pub(crate) fn describe(&self, index: u16, address: u64, len_bytes: u32, flags: u16, next: u16) {
        let at = Layout::DESC + DESC_LEN * usize::from(index);
        self.cells.store64(at, address, Relaxed);
        self.cells.store32(at + 8, len_bytes, Relaxed);
        self.cells.store16(at + 12, flags, Relaxed);
        self.cells.store16(at + 14, next, Relaxed);
    }

    /// Makes the chain that begins there available; the device sees it with the next [`Self::publish`].
    pub(crate) fn push(&mut self, head: u16) {
        self.cells.store16(self.layout.avail_entry(self.next_avail), head, Relaxed);
        self.next_avail = self.next_avail.wrapping_add(1);
    }

    /// Shows the device everything pushed; true: it wants to be notified (2.7.13.3, 2.7.10).
    pub(crate) fn publish(&mut self) -> bool {
        let (old, new) = (self.published, self.next_avail);
        if old == new {
            return false;
        }
        self.published = new;
        // Release: the device sees the descriptors and the entries that it finds by the index.
        self.cells.store16(self.layout.avail_idx(), new, Release);
        // Between showing and asking: a device that goes to sleep sees the one or says the other.
        self.cells.fence();
        if self.event_idx {
            let event = self.cells.load16(self.layout.avail_event(), Relaxed);
            return is_passed(event, new, old);
        }
        self.cells.load16(self.layout.used(), Relaxed) & USED_NO_NOTIFY == 0
    }

    /// How many elements the device says that it used and that were not taken; more than are in flight is a lie.
    pub(crate) fn ready(&self) -> u16 {
        self.cells.load16(self.layout.used_idx(), Acquire).wrapping_sub(self.next_used)
    }

    /// Takes the next element; only if there is one.
    pub(crate) fn take(&mut self) -> Used {
        let at = self.layout.used_elem(self.next_used);
        self.next_used = self.next_used.wrapping_add(1);
        Used { id: self.cells.load32(at, Relaxed), len_bytes: self.cells.load32(at + 4, Relaxed) }
    }

    /// Asks for an interrupt with the next element. True: there is one already, and perhaps no interrupt (2.7.7).
    pub(crate) fn arm(&mut self) -> bool {
        if self.event_idx {
            self.cells.store16(self.layout.used_event(), self.next_used, Relaxed);
        } else {
            self.cells.store16(self.layout.avail(), 0, Relaxed);
        }
        // Between asking and looking: as in `publish`, the other way round.
        self.cells.fence();
        self.ready() > 0
    }

    /// Asks for none, as far as the device listens.
    pub(crate) fn disarm(&mut self) {
        if self.event_idx {
            // One that was passed just now comes around after 65,535 more.
            self.cells.store16(self.layout.used_event(), self.next_used.wrapping_sub(1), Relaxed);
        } else {
            self.cells.store16(self.layout.avail(), AVAIL_NO_INTERRUPT, Relaxed);
        }
    }
}

/// Whether going from `old` to `new` passes the element that `event` names (2.7.7.2).
pub(crate) fn is_passed(event: u16, new: u16, old: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}

#[cfg(all(test, loom))]
mod loom_tests;
