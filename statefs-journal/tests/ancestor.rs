//! A length that the device made up: what it may cost.

mod common;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{DEVICE_MAX_BYTES, memory, open};
use statefs_journal::layout::record::{HEADER_LEN, PAYLOAD_LEN_AT, PAYLOAD_LEN_MAX};
use statefs_journal::layout::segment::SEGMENT_LEN;
use statefs_journal::{BlockDevice, BlockNo, DevOffset, MemDevice, StoreError};

/// Counts the bytes that are read.
struct Counting {
    dev: MemDevice,
    read_bytes: AtomicU64,
}

impl BlockDevice for Counting {
    fn len_bytes(&self) -> u64 {
        self.dev.len_bytes()
    }
    fn read_at(&self, offset: DevOffset, buf: &mut [u8]) -> io::Result<()> {
        self.read_bytes.fetch_add(buf.len() as u64, Ordering::Relaxed);
        self.dev.read_at(offset, buf)
    }
    fn write_at(&self, offset: DevOffset, buf: &[u8]) -> io::Result<()> {
        self.dev.write_at(offset, buf)
    }
    fn flush(&self) -> io::Result<()> {
        self.dev.flush()
    }
    fn discard(&self, offset: DevOffset, len_bytes: u64) -> io::Result<()> {
        self.dev.discard(offset, len_bytes)
    }
    fn reserve(&self, offset: DevOffset, len_bytes: u64) -> io::Result<()> {
        self.dev.reserve(offset, len_bytes)
    }
    fn grow(&self, len_bytes: u64) -> io::Result<()> {
        self.dev.grow(len_bytes)
    }
}

/// What opening reads, and what it says.
fn opened(dev: MemDevice) -> (u64, Result<usize, StoreError>) {
    let dev = Arc::new(Counting { dev, read_bytes: AtomicU64::new(0) });
    let outcome = open(dev.clone()).map(|(_, records)| records.len());
    (dev.read_bytes.load(Ordering::Relaxed), outcome)
}

#[test]
fn a_bogus_length_costs_no_more_reading_than_a_true_one() {
    let dev = memory();
    let (store, _) = open(dev.clone()).unwrap();
    for text in ["needle one", "needle two", "needle three"] {
        store.append(7, text.as_bytes()).unwrap();
        store.sync().unwrap();
    }
    store.append(7, b"needle at the end").unwrap();
    drop(store);
    dev.grow(DEVICE_MAX_BYTES).unwrap();
    let (usual_bytes, outcome) = opened(dev.fork());
    assert_eq!(outcome.unwrap(), 4);
    assert!(dev.len_bytes() > 16 * (usual_bytes + 2 * SEGMENT_LEN as u64), "the device is too small to tell");
    let mut damaged = 0;
    for block in dev.written_blocks() {
        let mut bytes = [0; 4096];
        dev.read_at(BlockNo(block).offset(), &mut bytes).unwrap();
        let Some(at) = bytes.windows(6).position(|w| w == b"needle") else { continue };
        let header = BlockNo(block).offset().0 + (at - HEADER_LEN) as u64;
        for len in [u32::MAX, i32::MAX as u32, PAYLOAD_LEN_MAX as u32, PAYLOAD_LEN_MAX as u32 - 9, 4096, 0] {
            let copy = dev.fork();
            copy.write_at(DevOffset(header + PAYLOAD_LEN_AT as u64), &len.to_le_bytes()).unwrap();
            let (read_bytes, outcome) = opened(copy);
            assert!(
                read_bytes <= usual_bytes + 2 * SEGMENT_LEN as u64,
                "{len}: {read_bytes} of {usual_bytes}"
            );
            // A torn tail, or damage in front of something that was synced.
            assert!(matches!(outcome, Ok(3) | Err(StoreError::JournalDamaged { .. })), "{len}: {outcome:?}");
            damaged += 1;
        }
    }
    assert_eq!(damaged, 4 * 6);
}
