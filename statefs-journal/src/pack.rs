//! The write buffer: small blobs gathered into one sequential write.

use crate::alloc::Extent;
use crate::layout::{BLOCK_LEN, PACK_ALIGN, blocks_for};
use crate::table::BlobLoc;
use crate::types::{BlobHash, DevOffset};

/// Blobs that were put but not yet handed to the device, in an extent set aside for them.
///
/// The base is always the start of a block: once gathered bytes are written, what follows starts a new block,
/// so that a block that may have been synced is never written again.
#[derive(Debug, Default)]
pub(crate) struct Pack {
    extent: Option<Extent>,
    bytes: Vec<u8>,
    entries: Vec<(BlobHash, BlobLoc)>,
}

/// A gathered write.
pub(crate) struct Image<'a> {
    pub(crate) offset: DevOffset,
    pub(crate) bytes: &'a [u8],
    pub(crate) entries: &'a [(BlobHash, BlobLoc)],
}

impl Pack {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// True where `len` more bytes fit behind what is gathered.
    pub(crate) fn fits(&self, len: usize) -> bool {
        self.extent.is_some_and(|extent| (self.bytes.len() + len) as u64 <= extent.len_bytes())
    }

    /// Takes a new extent; returns what is left of the old one. Only when empty.
    pub(crate) fn replace(&mut self, extent: Extent) -> Option<Extent> {
        debug_assert!(self.is_empty());
        self.extent.replace(extent).filter(|old| old.blocks > 0)
    }

    /// Gathers one blob of so many bytes, in the form in which it is stored. `None`: it does not fit.
    pub(crate) fn push(&mut self, hash: BlobHash, len_bytes: u64, bytes: &[u8]) -> Option<BlobLoc> {
        let extent = self.extent.filter(|_| self.fits(bytes.len()))?;
        let offset = extent.start.offset().plus(self.bytes.len() as u64);
        let loc = BlobLoc { offset, len_bytes, stored_bytes: bytes.len() as u64 };
        self.bytes.extend_from_slice(bytes);
        let aligned = (self.bytes.len() as u64).next_multiple_of(PACK_ALIGN);
        self.bytes.resize(usize::try_from(aligned).unwrap_or(self.bytes.len()), 0);
        self.entries.push((hash, loc));
        Some(loc)
    }

    /// A blob that is still here, in the form in which it is stored.
    pub(crate) fn read(&self, loc: &BlobLoc) -> Option<&[u8]> {
        let base = self.extent?.start.offset();
        let from = usize::try_from(loc.offset.0.checked_sub(base.0)?).ok()?;
        self.bytes.get(from..from.checked_add(usize::try_from(loc.stored_bytes).ok()?)?)
    }

    /// What to write and where, padded to whole blocks, and the entries to record once it is written.
    pub(crate) fn image(&mut self) -> Option<Image<'_>> {
        let base = self.extent?.start.offset();
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK_LEN), 0);
        Some(Image { offset: base, bytes: &self.bytes, entries: &self.entries })
    }

    /// The image is on the device and recorded: go on behind it.
    pub(crate) fn advance(&mut self) {
        let blocks = blocks_for(self.bytes.len() as u64);
        if let Some(extent) = &mut self.extent {
            extent.start.0 += blocks;
            extent.blocks -= blocks;
        }
        self.bytes.clear();
        self.entries.clear();
    }
}
