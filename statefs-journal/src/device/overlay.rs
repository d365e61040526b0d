//! A device that is only read: what is written to it stays in memory. For looking at a store without changing it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::BlockDevice;
use super::mem::Image;
use crate::layout::{BLOCK_LEN, BLOCK_LEN_BYTES};
use crate::types::DevOffset;

/// See the module. Memory grows with what is written.
pub struct OverlayDevice {
    below: Arc<dyn BlockDevice>,
    above: Mutex<Image>,
}

impl OverlayDevice {
    /// Everything as it is on `below`.
    pub fn new(below: Arc<dyn BlockDevice>) -> Self {
        let mut above = Image::default();
        above.len_bytes = below.len_bytes();
        Self { below, above: Mutex::new(above) }
    }

    fn above(&self) -> std::sync::MutexGuard<'_, Image> {
        self.above.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BlockDevice for OverlayDevice {
    fn len_bytes(&self) -> u64 {
        self.above().len_bytes
    }

    fn read_at(&self, offset: DevOffset, buf: &mut [u8]) -> io::Result<()> {
        let above = self.above();
        if offset.0.saturating_add(buf.len() as u64) > above.len_bytes {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        let within = self.below.len_bytes().saturating_sub(offset.0).min(buf.len() as u64);
        let within = usize::try_from(within).unwrap_or(buf.len());
        self.below.read_at(offset, &mut buf[..within])?;
        buf[within..].fill(0);
        for (block, piece) in (offset.0 / BLOCK_LEN_BYTES..).zip(buf.chunks_mut(BLOCK_LEN)) {
            if above.holds(block) {
                above.read(block * BLOCK_LEN_BYTES, piece)?;
            }
        }
        Ok(())
    }

    fn write_at(&self, offset: DevOffset, buf: &[u8]) -> io::Result<()> {
        self.above().write(offset.0, buf)
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn discard(&self, _offset: DevOffset, _len_bytes: u64) -> io::Result<()> {
        Ok(())
    }

    fn reserve(&self, _offset: DevOffset, _len_bytes: u64) -> io::Result<()> {
        Ok(())
    }

    fn grow(&self, len_bytes: u64) -> io::Result<()> {
        let mut above = self.above();
        above.len_bytes = above.len_bytes.max(len_bytes);
        Ok(())
    }
}
