//! A device that counts what is written to the one below.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use statefs_journal::{BlockDevice, DevOffset};

/// See the module.
pub struct Counting {
    below: Arc<dyn BlockDevice>,
    pub written_bytes: AtomicU64,
    pub writes: AtomicU64,
    pub flushes: AtomicU64,
}

impl Counting {
    pub fn new(below: Arc<dyn BlockDevice>) -> Self {
        let zero = AtomicU64::default;
        Self { below, written_bytes: zero(), writes: zero(), flushes: zero() }
    }
}

impl BlockDevice for Counting {
    fn len_bytes(&self) -> u64 {
        self.below.len_bytes()
    }
    fn read_at(&self, offset: DevOffset, buf: &mut [u8]) -> io::Result<()> {
        self.below.read_at(offset, buf)
    }
    fn write_at(&self, offset: DevOffset, buf: &[u8]) -> io::Result<()> {
        self.written_bytes.fetch_add(buf.len() as u64, Ordering::Relaxed);
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.below.write_at(offset, buf)
    }
    fn write_unit_bytes(&self) -> usize {
        self.below.write_unit_bytes()
    }
    fn likes_written_places(&self) -> bool {
        self.below.likes_written_places()
    }
    fn flush(&self) -> io::Result<()> {
        self.flushes.fetch_add(1, Ordering::Relaxed);
        self.below.flush()
    }
    fn discard(&self, offset: DevOffset, len_bytes: u64) -> io::Result<()> {
        self.below.discard(offset, len_bytes)
    }
    fn reserve(&self, offset: DevOffset, len_bytes: u64) -> io::Result<()> {
        self.below.reserve(offset, len_bytes)
    }
    fn expect_writes(&self, offset: DevOffset, len_bytes: u64) {
        self.below.expect_writes(offset, len_bytes);
    }
    fn grow(&self, len_bytes: u64) -> io::Result<()> {
        self.below.grow(len_bytes)
    }
}
