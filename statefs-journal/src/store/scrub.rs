//! Reading all blobs back, and writing one again whose place has gone bad.

use std::io;

use crate::error::StoreError;
use crate::table::BlobLoc;
use crate::types::BlobHash;

use super::Store;

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
    /// `NotFound`: there is no such blob. `SourceMismatch`: these are not its bytes. As [`Self::put_blob`].
    pub fn heal_blob(&self, hash: &BlobHash, bytes: &[u8]) -> Result<(), StoreError> {
        let found = BlobHash::of(bytes);
        if found != *hash {
            let why = format!("its bytes hash to {found}");
            return Err(StoreError::SourceMismatch { hash: *hash, why });
        }
        let _gate = self.enter()?;
        let len_bytes = bytes.len() as u64;
        let extent = {
            let mut core = self.core();
            self.drain_pack(&mut core)?;
            core.table.get(hash).ok_or(StoreError::NotFound { hash: *hash })?;
            self.allocate_blob(&mut core, len_bytes.max(1))?
        };
        let offset = extent.start.offset();
        let loc = BlobLoc { offset, len_bytes };
        let written = self.write_extent(hash, &mut &bytes[..], offset, len_bytes, false);
        let mut core = self.core();
        let recorded = written.and_then(|()| self.record_blobs(&mut core, &[(*hash, loc)]));
        if recorded.is_err() {
            core.alloc.free(extent);
            return recorded;
        }
        // The old place stays out of the allocator's hands.
        let _quarantined = core.table.insert(*hash, loc);
        Ok(())
    }
}
