//! What a request asks, as a device reads it from its descriptors.

use super::memory::translate;
use crate::arena::Arena;
use crate::queue::ring::{DESC_NEXT, DESC_WRITE};
use std::sync::atomic::Ordering::Relaxed;

/// A chain of descriptors, checked as the standard asks the driver to make it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) head: u16,
    pub(super) kind: u32,
    pub(super) sector: u64,
    /// Offset in the arena and length.
    pub(super) data: Option<(usize, u32)>,
    pub(super) status: usize,
}

struct Descriptor {
    at: usize,
    len: u32,
    flags: u16,
    next: u16,
}

fn descriptor(arena: &Arena, table: usize, index: u16) -> Descriptor {
    let at = table + 16 * usize::from(index);
    let address = arena.shared_u64(at).load(Relaxed);
    let len = arena.shared_u32(at + 8).load(Relaxed);
    let flags = arena.shared_u16(at + 12).load(Relaxed);
    let next = arena.shared_u16(at + 14).load(Relaxed);
    let at = translate(arena, address, len).expect("the driver gives addresses of the arena");
    Descriptor { at, len, flags, next }
}

pub(super) fn read(arena: &Arena, table: usize, head: u16) -> Request {
    let header = descriptor(arena, table, head);
    assert_eq!((header.len, header.flags), (16, DESC_NEXT));
    let mut last = descriptor(arena, table, header.next);
    let mut data = None;
    if last.flags & DESC_NEXT != 0 {
        data = Some((last.at, last.len, last.flags & DESC_WRITE != 0));
        last = descriptor(arena, table, last.next);
    }
    assert_eq!((last.len, last.flags), (1, DESC_WRITE));
    let kind = u32::from_le(arena.shared_u32(header.at).load(Relaxed));
    let sector = u64::from_le(arena.shared_u64(header.at + 8).load(Relaxed));
    if let Some((_, _, writable)) = data {
        assert_eq!(writable, kind == 0, "the device writes what is read, and nothing else");
    }
    Request { head, kind, sector, data: data.map(|(at, len, _)| (at, len)), status: last.at }
}
