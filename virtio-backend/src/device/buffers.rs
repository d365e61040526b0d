//! Pieces of the arena: who has which. Each is one owner's, and the device's while a request with it is under way.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use statefs_journal::device::Memory;

use super::layout::{BOUNCE_LEN, BOUNCES, BUFFER_LEN, BUFFERS, bounce_start, buffer_start};
use crate::arena::Arena;

/// What is free of one kind, as offsets in the arena.
pub(super) struct Pool {
    free: Mutex<Vec<usize>>,
    returned: Condvar,
}

impl Pool {
    fn new(starts: impl Iterator<Item = usize>) -> Self {
        Self { free: Mutex::new(starts.collect()), returned: Condvar::new() }
    }

    pub(super) fn of_bounces() -> Self {
        Self::new((0..BOUNCES).rev().map(bounce_start))
    }

    pub(super) fn of_buffers() -> Self {
        Self::new((0..BUFFERS).rev().map(buffer_start))
    }

    /// One, if more than so many are free.
    fn try_take(&self, reserve: usize) -> Option<usize> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() > reserve { free.pop() } else { None }
    }

    fn take(&self) -> usize {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(start) = free.pop() {
                return start;
            }
            free = self.returned.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn give_back(&self, start: usize) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(start);
        self.returned.notify_one();
    }
}

/// Memory that the device reads and writes by itself: no copy. As long as it lives nobody else has it.
pub struct Buffer {
    arena: Arc<Arena>,
    pool: Arc<Pool>,
    start: usize,
    len: usize,
}

impl Buffer {
    /// `None`: longer than there are any, or all are out.
    pub(super) fn take(
        arena: &Arc<Arena>,
        bounces: &Arc<Pool>,
        buffers: &Arc<Pool>,
        len: usize,
    ) -> Option<Self> {
        let (pool, reserve) = if len <= BOUNCE_LEN { (bounces, BOUNCES / 4) } else { (buffers, 0) };
        if len > BUFFER_LEN {
            return None;
        }
        let start = pool.try_take(reserve)?;
        Some(Self { arena: arena.clone(), pool: pool.clone(), start, len })
    }

    /// At least one, waiting for it; more, up to `wanted`, if they are free.
    pub(super) fn bounces(arena: &Arc<Arena>, pool: &Arc<Pool>, wanted: usize) -> Vec<Self> {
        let of = |start| Self { arena: arena.clone(), pool: pool.clone(), start, len: BOUNCE_LEN };
        let more = std::iter::from_fn(|| pool.try_take(0));
        std::iter::once_with(|| pool.take()).chain(more).take(wanted.max(1)).map(of).collect()
    }

    pub(super) fn start(&self) -> usize {
        self.start
    }
}

impl Memory for Buffer {
    fn bytes(&self) -> &[u8] {
        let start = self.arena.pointer(self.start, self.len);
        // SAFETY: in the arena, which lives as long, and this owner's alone. Requests that the device writes it for borrow
        // it mutably or own it until they ended; a device that goes on writing afterwards is fenced by its reset only, and
        // then what the bytes are is nobody's concern, as every user of what was read checks it (RFC 0015).
        unsafe { std::slice::from_raw_parts(start, self.len) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        let start = self.arena.pointer(self.start, self.len);
        // SAFETY: as above, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(start, self.len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.give_back(self.start);
    }
}
