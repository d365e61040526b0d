//! Reading, removing and listing blobs.

use crate::error::StoreError;
use crate::layout::record::{KIND_BLOB_REMOVE, PAYLOAD_LEN_MAX};
use crate::mutant::{Mutant, planted};
use crate::stream::Sink;
use crate::types::BlobHash;

use super::collect::note;
use super::read::{read_from, read_gathered};
use super::{Core, Store};

/// Large enough for sequential speed, small enough for many readers at once.
pub(super) const IO_LEN: usize = 1 << 20;

impl Store {
    /// True for a blob whose put has returned and that was not removed. Who asks may go on to refer to it, so a
    /// collection under way keeps it.
    pub fn has_blob(&self, hash: &BlobHash) -> bool {
        let mut core = self.core();
        note(&mut core, hash);
        core.table.get(hash).is_some()
    }

    /// Length in bytes, if there is such a blob.
    pub fn blob_len(&self, hash: &BlobHash) -> Option<u64> {
        self.core().table.get(hash).map(|loc| loc.len_bytes)
    }

    /// What a blob takes in the store, if there is one of that name.
    pub fn blob_stored_len(&self, hash: &BlobHash) -> Option<u64> {
        self.core().table.get(hash).map(|loc| loc.stored_bytes)
    }

    /// Streams a blob into `sink` and returns its length. The hash is checked at the end: on an error what `sink`
    /// got must be thrown away.
    ///
    /// # Errors
    /// `NotFound`; `BlobMismatch` when the device returned other bytes; `Io`; `BlobIo` of the sink.
    pub fn read_blob(&self, hash: &BlobHash, sink: &mut dyn Sink) -> Result<u64, StoreError> {
        let (loc, gathered) = {
            let core = self.core();
            let loc = core.table.get(hash).ok_or(StoreError::NotFound { hash: *hash })?;
            (loc, core.pack.read(&loc).map(<[u8]>::to_vec))
        };
        let outcome = match gathered {
            Some(bytes) => read_gathered(&*self.dev, hash, loc, bytes, sink),
            None => read_from(&*self.dev, hash, loc, sink),
        };
        match outcome {
            Ok(()) => Ok(loc.len_bytes),
            // Removed while it was being read: its blocks may hold something else by now.
            Err(StoreError::BlobMismatch { .. }) if self.core().table.get(hash) != Some(loc) => {
                Err(StoreError::NotFound { hash: *hash })
            }
            Err(error) => Err(error),
        }
    }

    /// A whole blob in memory.
    ///
    /// # Errors
    /// As [`Self::read_blob`].
    pub fn read_blob_vec(&self, hash: &BlobHash) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        self.read_blob(hash, &mut bytes)?;
        Ok(bytes)
    }

    /// Forgets a blob; true if it was there. Its blocks are used again only after the next sync.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn remove_blob(&self, hash: &BlobHash) -> Result<bool, StoreError> {
        Ok(self.remove_blobs(std::slice::from_ref(hash))? == 1)
    }

    /// Forgets blobs; returns how many were there. Far cheaper than one by one.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn remove_blobs(&self, hashes: &[BlobHash]) -> Result<u64, StoreError> {
        self.remove_where(hashes, &mut |_, _| true)
    }

    /// Forgets those of `hashes` that are there and for which `goes` says yes.
    pub(super) fn remove_where(
        &self,
        hashes: &[BlobHash],
        goes: &mut dyn FnMut(&Core, &BlobHash) -> bool,
    ) -> Result<u64, StoreError> {
        let _gate = self.enter()?;
        let mut core = self.core();
        // The journal must say put before it says remove.
        self.drain_pack(&mut core)?;
        let mut removed = 0;
        for some in hashes.chunks(PAYLOAD_LEN_MAX / 32) {
            let mut there: Vec<BlobHash> =
                some.iter().filter(|hash| core.table.get(hash).is_some()).copied().collect();
            there.retain(|hash| goes(&core, hash));
            if there.is_empty() {
                continue;
            }
            let payload: Vec<u8> = there.iter().flat_map(|hash| hash.0).collect();
            let seq = self.append_records(&mut core, &[(KIND_BLOB_REMOVE, &payload)])?;
            let mut early = Vec::new();
            for hash in &there {
                if let Some(mut freed) = core.table.remove(hash) {
                    removed += 1;
                    if planted(Mutant::DiscardTooEarly) {
                        early.append(&mut freed);
                    } else {
                        core.pending_free.push((seq, freed));
                    }
                }
            }
            if !early.is_empty() {
                drop(core);
                self.give_back(early);
                core = self.core();
            }
        }
        Ok(removed)
    }

    /// Visits every blob that was there when it is called, with its length, in no order. Nobody waits for it.
    pub fn for_each_blob(&self, visit: &mut dyn FnMut(&BlobHash, u64)) {
        let blobs = self.core().table.picture();
        blobs.iter().for_each(|(hash, loc)| visit(hash, loc.len_bytes));
    }
}
