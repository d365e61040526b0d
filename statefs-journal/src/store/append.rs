//! Journal records, the client's and the engine's.

use crate::error::StoreError;
use crate::layout::record::{BLOB_ENTRY_LEN_MAX, KIND_BLOB_PUT, KIND_ENGINE_FIRST, PAYLOAD_LEN_MAX};
use crate::pack::Image;
use crate::table::BlobLoc;
use crate::types::{BlobHash, Seq};

use super::{Core, Store};

impl Store {
    /// Appends one record. When this returns the device has it: it survives kill -9 of this process, and a
    /// power cut once a later [`Self::sync`] has returned.
    ///
    /// # Errors
    /// `ReservedKind`, `Bound`, `NoSpace`, `JournalFull`: nothing was appended. `Io`: the store is poisoned.
    pub fn append(&self, kind: u8, payload: &[u8]) -> Result<Seq, StoreError> {
        self.append_batch(&[(kind, payload)])
    }

    /// Appends records in order with one write where they fit in one segment; returns the number of the last.
    /// Refused as a whole or appended as a whole, but a crash may keep a prefix. Blobs whose put returned before are
    /// handed to the device first: a record may refer to them, and they survive the process as it does.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn append_batch(&self, records: &[(u8, &[u8])]) -> Result<Seq, StoreError> {
        if let Some((kind, _)) = records.iter().find(|(kind, _)| *kind >= KIND_ENGINE_FIRST) {
            return Err(StoreError::ReservedKind { found: *kind, bound: KIND_ENGINE_FIRST });
        }
        let _gate = self.enter()?;
        let mut core = self.core();
        self.drain_pack(&mut core)?;
        self.append_records(&mut core, records)
    }

    pub(super) fn append_records(&self, core: &mut Core, records: &[(u8, &[u8])]) -> Result<Seq, StoreError> {
        // Another thread may have failed while this one waited for the lock.
        self.check()?;
        self.judge(core.journal.append(&*self.dev, &mut core.alloc, records))
    }

    /// Records blobs whose bytes the device already has.
    pub(super) fn record_blobs(
        &self,
        core: &mut Core,
        entries: &[(BlobHash, BlobLoc)],
    ) -> Result<(), StoreError> {
        let mut payloads = Vec::new();
        for some in entries.chunks(PAYLOAD_LEN_MAX / BLOB_ENTRY_LEN_MAX) {
            let mut payload = Vec::with_capacity(some.len() * BLOB_ENTRY_LEN_MAX);
            for (hash, loc) in some {
                loc.entry(hash).encode(&mut payload);
            }
            payloads.push(payload);
        }
        let records: Vec<(u8, &[u8])> =
            payloads.iter().map(|payload| (KIND_BLOB_PUT, payload.as_slice())).collect();
        self.append_records(core, &records)?;
        core.unsynced_blob_bytes += entries.iter().map(|(_, loc)| loc.len_bytes).sum::<u64>();
        Ok(())
    }

    /// Hands gathered small blobs to the device and records them.
    pub(super) fn drain_pack(&self, core: &mut Core) -> Result<(), StoreError> {
        if core.pack.is_empty() {
            return Ok(());
        }
        self.check()?;
        let Some(Image { offset, bytes, entries }) = core.pack.image() else { return Ok(()) };
        let entries = entries.to_vec();
        self.dev.write_at(offset, bytes).map_err(|source| {
            self.fail(StoreError::Io { what: "write of packed blobs", offset: offset.0, source })
        })?;
        self.record_blobs(core, &entries)?;
        core.pack.advance();
        Ok(())
    }
}
