//! What lies where in the arena.

use crate::arena::CHUNK_LEN;
use crate::queue::ring::Layout;

/// Longest queue that is set up: 85 requests, more than a queue of the kernel's has tags by default.
pub(super) const QUEUE_LEN_MAX: u16 = 256;
/// One slot's header (16), range (16) and status (1).
pub(super) const SLOT_LEN: usize = 64;
pub(super) const HEADER_AT: usize = 0;
pub(super) const RANGE_AT: usize = 16;
pub(super) const STATUS_AT: usize = 32;
/// Ring and slots of one queue.
const QUEUE_AREA_LEN: usize = 16 << 10;
/// Most queues that are used.
pub(super) const QUEUES_MAX: u16 = 4;

/// Memory that what lies elsewhere is copied through.
pub(super) const BOUNCE_LEN: usize = 64 << 10;
pub(super) const BOUNCES: usize = 64;
const BOUNCES_START: usize = CHUNK_LEN;

/// Memory that is handed out, and needs no copy.
pub(super) const BUFFER_LEN: usize = 1 << 20;
pub(super) const BUFFERS: usize = 8;
const BUFFERS_START: usize = BOUNCES_START + (BOUNCES * BOUNCE_LEN).next_multiple_of(CHUNK_LEN);

/// The whole arena.
pub(super) const CHUNKS: usize = (BUFFERS_START + BUFFERS * BUFFER_LEN).div_ceil(CHUNK_LEN);

const _: () = assert!(QUEUES_MAX as usize * QUEUE_AREA_LEN <= CHUNK_LEN);
const _: () = assert!(CHUNK_LEN.is_multiple_of(BOUNCE_LEN) && CHUNK_LEN.is_multiple_of(BUFFER_LEN));

pub(super) fn ring_start(queue: u16) -> usize {
    usize::from(queue) * QUEUE_AREA_LEN
}

/// Behind the ring of a queue of that length.
pub(super) fn slot_start(queue: u16, queue_len: u16, slot: u16) -> usize {
    let slots = ring_start(queue) + Layout { len: queue_len }.end().next_multiple_of(SLOT_LEN);
    let start = slots + usize::from(slot) * SLOT_LEN;
    debug_assert!(start + SLOT_LEN <= ring_start(queue) + QUEUE_AREA_LEN);
    start
}

pub(super) fn bounce_start(number: usize) -> usize {
    BOUNCES_START + number * BOUNCE_LEN
}

pub(super) fn buffer_start(number: usize) -> usize {
    BUFFERS_START + number * BUFFER_LEN
}
