//! Reading all blobs back, and writing one again whose place has gone bad.

use std::io;

use crate::alloc::Extent;
use crate::error::StoreError;
use crate::layout::BLOCK_LEN;
use crate::stream::Source;
use crate::table::BlobLoc;
use crate::types::BlobHash;

use super::Store;
use super::write::Written;

impl Store {
    /// All blobs, sorted by hash, behind `after`.
    pub fn blobs_after(&self, after: Option<&BlobHash>) -> Vec<BlobHash> {
        let mut all: Vec<BlobHash> = Vec::new();
        self.for_each_blob(&mut |hash, _| {
            if after.is_none_or(|after| hash > after) {
                all.push(*hash);
            }
        });
        all.sort_unstable();
        all
    }

    /// Reads a blob from the device and checks it; its length.
    ///
    /// # Errors
    /// As [`Self::read_blob`]; `NotFound` also when it was removed meanwhile.
    pub fn verify_blob(&self, hash: &BlobHash) -> Result<u64, StoreError> {
        self.read_blob(hash, &mut io::sink())
    }

    /// Puts the right bytes of a blob to another place. The bad place is not used again before the store is opened
    /// anew.
    ///
    /// # Errors
    /// `NotFound`: there is no such blob. `SourceMismatch`: these are not its bytes. As [`Self::put_blob_from`].
    pub fn heal_blob(&self, hash: &BlobHash, source: &mut dyn Source) -> Result<(), StoreError> {
        let _gate = self.enter()?;
        let len_bytes = {
            let mut core = self.core();
            self.drain_pack(&mut core)?;
            core.table.get(hash).ok_or(StoreError::NotFound { hash: *hash })?.len_bytes
        };
        if len_bytes == 0 {
            return Ok(());
        }
        let (extent, loc) = match self.write_blob(hash, source, len_bytes, true)? {
            Written::Long(extent, loc) => (extent, loc),
            Written::Short(frames) => self.write_short(&frames, len_bytes)?,
        };
        let mut core = self.core();
        let recorded = match core.table.get(hash) {
            Some(_) => self.record_blobs(&mut core, &[(*hash, loc)]),
            // Removed while it was being written.
            None => Err(StoreError::NotFound { hash: *hash }),
        };
        if recorded.is_err() {
            core.alloc.free(extent);
            return recorded;
        }
        // The old place stays out of the allocator's hands.
        let _quarantined = core.table.insert(*hash, loc);
        Ok(())
    }

    /// Frames that could have been gathered with others, in an extent of their own.
    fn write_short(&self, frames: &[u8], len_bytes: u64) -> Result<(Extent, BlobLoc), StoreError> {
        let extent = self.allocate_blob(&mut self.core(), frames.len() as u64)?;
        let mut block = frames.to_vec();
        block.resize(block.len().next_multiple_of(BLOCK_LEN), 0);
        let offset = extent.start.offset();
        self.dev.write_at(offset, &block).map_err(|source| {
            self.core().alloc.free(extent);
            self.fail(StoreError::Io { what: "write of a blob", offset: offset.0, source })
        })?;
        Ok((extent, BlobLoc { offset, len_bytes, stored_bytes: frames.len() as u64 }))
    }
}
