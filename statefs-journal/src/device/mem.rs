//! A device in memory, sparse, for tests and for throw-away stores.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::BlockDevice;
use crate::layout::record::RECORD_ALIGN;
use crate::layout::{BLOCK_LEN, BLOCK_LEN_BYTES};
use crate::types::DevOffset;

/// Sparse bytes in memory: blocks that were never written cost nothing and read as zero.
#[derive(Clone, Debug, Default)]
pub(crate) struct Image {
    pub(crate) len_bytes: u64,
    blocks: BTreeMap<u64, Box<[u8]>>,
}

impl Image {
    pub(crate) fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.check(offset, buf.len())?;
        let mut done = 0;
        while done < buf.len() {
            let (block, within, take) = Self::piece(offset + done as u64, buf.len() - done);
            let out = &mut buf[done..done + take];
            match self.blocks.get(&block) {
                Some(bytes) => out.copy_from_slice(&bytes[within..within + take]),
                None => out.fill(0),
            }
            done += take;
        }
        Ok(())
    }

    pub(crate) fn write(&mut self, offset: u64, buf: &[u8]) -> io::Result<()> {
        self.check(offset, buf.len())?;
        let mut done = 0;
        while done < buf.len() {
            let (block, within, take) = Self::piece(offset + done as u64, buf.len() - done);
            let bytes = self.blocks.entry(block).or_insert_with(|| vec![0; BLOCK_LEN].into());
            bytes[within..within + take].copy_from_slice(&buf[done..done + take]);
            done += take;
        }
        Ok(())
    }

    pub(crate) fn zero(&mut self, offset: u64, len_bytes: u64) {
        let first = offset / BLOCK_LEN_BYTES;
        let end = (offset + len_bytes) / BLOCK_LEN_BYTES;
        let gone: Vec<u64> = self.blocks.range(first..end).map(|(block, _)| *block).collect();
        for block in gone {
            self.blocks.remove(&block);
        }
    }

    pub(crate) fn holds(&self, block: u64) -> bool {
        self.blocks.contains_key(&block)
    }

    /// Numbers of the blocks that were ever written.
    pub(crate) fn written_blocks(&self) -> Vec<u64> {
        self.blocks.keys().copied().collect()
    }

    pub(crate) fn truncate(&mut self, len_bytes: u64) {
        self.blocks.split_off(&len_bytes.div_ceil(BLOCK_LEN_BYTES));
        self.len_bytes = len_bytes;
    }

    fn piece(at: u64, left: usize) -> (u64, usize, usize) {
        let within = usize::try_from(at % BLOCK_LEN_BYTES).unwrap_or(0);
        (at / BLOCK_LEN_BYTES, within, left.min(BLOCK_LEN - within))
    }

    fn check(&self, offset: u64, len: usize) -> io::Result<()> {
        match offset.checked_add(len as u64) {
            Some(end) if end <= self.len_bytes => Ok(()),
            _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        }
    }
}

/// A device in memory of a given length that grows up to a given bound.
#[derive(Debug)]
pub struct MemDevice {
    image: Mutex<Image>,
    max_len_bytes: u64,
}

impl MemDevice {
    /// `len_bytes` now, at most `max_len_bytes` ever.
    pub fn new(len_bytes: u64, max_len_bytes: u64) -> Self {
        Self::of(Image { len_bytes, ..Image::default() }, max_len_bytes)
    }

    pub(crate) fn of(image: Image, max_len_bytes: u64) -> Self {
        Self { image: Mutex::new(image), max_len_bytes }
    }

    /// The same bytes as an independent device: what another opener would see now.
    pub fn fork(&self) -> Self {
        Self::of(self.image().clone(), self.max_len_bytes)
    }

    /// Numbers of the blocks that were ever written, ascending.
    pub fn written_blocks(&self) -> Vec<u64> {
        self.image().written_blocks()
    }

    /// Cuts the device, as a careless copy would.
    pub fn truncate(&self, len_bytes: u64) {
        self.image().truncate(len_bytes);
    }

    fn image(&self) -> MutexGuard<'_, Image> {
        self.image.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BlockDevice for MemDevice {
    fn len_bytes(&self) -> u64 {
        self.image().len_bytes
    }

    fn read_at(&self, offset: DevOffset, buf: &mut [u8]) -> io::Result<()> {
        self.image().read(offset.0, buf)
    }

    fn write_at(&self, offset: DevOffset, buf: &[u8]) -> io::Result<()> {
        self.image().write(offset.0, buf)
    }

    fn write_unit_bytes(&self) -> usize {
        RECORD_ALIGN
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn discard(&self, offset: DevOffset, len_bytes: u64) -> io::Result<()> {
        self.image().zero(offset.0, len_bytes);
        Ok(())
    }

    fn reserve(&self, _offset: DevOffset, _len_bytes: u64) -> io::Result<()> {
        Ok(())
    }

    fn grow(&self, len_bytes: u64) -> io::Result<()> {
        if len_bytes > self.max_len_bytes {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        let mut image = self.image();
        image.len_bytes = image.len_bytes.max(len_bytes);
        Ok(())
    }
}
