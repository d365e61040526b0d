//! Putting blobs: small ones gathered, large ones straight into an extent of their own.

use std::io::{self, Read};

use crate::alloc::{Extent, Purpose};
use crate::error::StoreError;
use crate::layout::{BLOCK_LEN, PACK_LEN, PACKED_BLOB_LEN_MAX, UNSYNCED_BLOB_BYTES_MAX, blocks_for};
use crate::table::BlobLoc;
use crate::types::{BlobHash, DevOffset};

use super::blobs::IO_LEN;
use super::collect::note;
use super::{Core, Store};

impl Store {
    /// Stores `bytes` under `hash`, which the caller has computed; false if the blob is there already. Readable at
    /// once; it survives the process from the next append or sync on, and a power cut after a sync.
    ///
    /// # Errors
    /// `NoSpace`, `JournalFull`: the store is unchanged. `Io`: the store is poisoned.
    pub fn put_blob(&self, hash: &BlobHash, bytes: &[u8]) -> Result<bool, StoreError> {
        let _gate = self.enter()?;
        let (new, unsynced) = if bytes.len() <= PACKED_BLOB_LEN_MAX {
            let mut core = self.core();
            (self.put_packed(&mut core, hash, bytes)?, core.unsynced_blob_bytes)
        } else {
            self.put_extent(hash, &mut &bytes[..], bytes.len() as u64, false)?
        };
        self.bound_unsynced(unsynced)?;
        Ok(new)
    }

    /// Stores `len_bytes` from `source` under `hash`; false if the blob is there already (`source` is not read
    /// then). The bytes are hashed on the way: others than `hash` says are refused.
    ///
    /// # Errors
    /// As [`Self::put_blob`]; `SourceMismatch` and `BlobIo` for what `source` did, the store is unchanged.
    pub fn put_blob_from(
        &self,
        hash: &BlobHash,
        source: &mut dyn Read,
        len_bytes: u64,
    ) -> Result<bool, StoreError> {
        if self.has_blob(hash) {
            return Ok(false);
        }
        if len_bytes <= PACKED_BLOB_LEN_MAX as u64 {
            let mut bytes = vec![0; usize::try_from(len_bytes).unwrap_or(0)];
            source.read_exact(&mut bytes).map_err(|error| source_error(hash, error))?;
            check_hash(hash, BlobHash::of(&bytes))?;
            return self.put_blob(hash, &bytes);
        }
        let _gate = self.enter()?;
        let (new, unsynced) = self.put_extent(hash, source, len_bytes, true)?;
        self.bound_unsynced(unsynced)?;
        Ok(new)
    }

    /// What the next open must verify stays bounded.
    pub(super) fn bound_unsynced(&self, unsynced_bytes: u64) -> Result<(), StoreError> {
        if unsynced_bytes > UNSYNCED_BLOB_BYTES_MAX {
            self.sync_inside()?;
        }
        Ok(())
    }

    pub(super) fn put_packed(
        &self,
        core: &mut Core,
        hash: &BlobHash,
        bytes: &[u8],
    ) -> Result<bool, StoreError> {
        self.check()?;
        note(core, hash);
        if core.table.get(hash).is_some() {
            return Ok(false);
        }
        if !core.pack.fits(bytes.len()) {
            self.drain_pack(core)?;
        }
        if !core.pack.fits(bytes.len()) {
            let fresh = self
                .allocate_blob(core, PACK_LEN as u64)
                .or_else(|_| self.allocate_blob(core, bytes.len().max(1) as u64))?;
            if let Some(rest) = core.pack.replace(fresh) {
                core.alloc.free(rest);
            }
        }
        let loc = core
            .pack
            .push(*hash, bytes)
            .ok_or(StoreError::NoSpace { what: "a small blob", needed_bytes: bytes.len() as u64 })?;
        core.table.insert(*hash, loc);
        Ok(true)
    }

    pub(super) fn allocate_blob(&self, core: &mut Core, len_bytes: u64) -> Result<Extent, StoreError> {
        let extent = core.alloc.allocate(&*self.dev, blocks_for(len_bytes), Purpose::Blob, "a blob")?;
        // So that writing what was promised to the caller cannot fail for want of space.
        if self.dev.reserve(extent.start.offset(), extent.len_bytes()).is_err() {
            core.alloc.free(extent);
            return Err(StoreError::NoSpace { what: "a blob", needed_bytes: len_bytes });
        }
        Ok(extent)
    }

    /// Also returns the unsynced bytes after it.
    pub(super) fn put_extent(
        &self,
        hash: &BlobHash,
        source: &mut dyn Read,
        len_bytes: u64,
        verify: bool,
    ) -> Result<(bool, u64), StoreError> {
        let extent = {
            let mut core = self.core();
            note(&mut core, hash);
            if core.table.get(hash).is_some() {
                return Ok((false, 0));
            }
            self.allocate_blob(&mut core, len_bytes)?
        };
        let offset = extent.start.offset();
        let written = self.write_extent(hash, source, offset, len_bytes, verify);
        let mut core = self.core();
        let loc = BlobLoc { offset, len_bytes };
        let outcome = match written {
            // Someone else may have put the same blob meanwhile.
            Ok(()) if core.table.get(hash).is_some() => Ok(false),
            Ok(()) => self.record_blobs(&mut core, &[(*hash, loc)]).map(|()| true),
            Err(error) => Err(error),
        };
        if matches!(outcome, Ok(true)) {
            core.table.insert(*hash, loc);
        } else {
            core.alloc.free(extent);
        }
        outcome.map(|new| (new, core.unsynced_blob_bytes))
    }

    pub(super) fn write_extent(
        &self,
        hash: &BlobHash,
        source: &mut dyn Read,
        start: DevOffset,
        len_bytes: u64,
        verify: bool,
    ) -> Result<(), StoreError> {
        let mut hasher = blake3::Hasher::new();
        let mut buf = Vec::with_capacity(IO_LEN);
        let mut done = 0;
        while done < len_bytes {
            let want = usize::try_from(len_bytes - done).unwrap_or(usize::MAX).min(IO_LEN);
            buf.resize(want, 0);
            source.read_exact(&mut buf).map_err(|error| source_error(hash, error))?;
            if verify {
                hasher.update(&buf);
            }
            buf.resize(want.next_multiple_of(BLOCK_LEN), 0);
            self.check()?;
            let offset = start.plus(done);
            self.dev.write_at(offset, &buf).map_err(|error| self.data_error(offset, len_bytes, error))?;
            done += want as u64;
        }
        if verify { check_hash(hash, hasher.finalize().into()) } else { Ok(()) }
    }

    /// Nothing refers to the extent yet, so a full device is no reason to stop trusting it.
    fn data_error(&self, offset: DevOffset, len_bytes: u64, source: io::Error) -> StoreError {
        if source.raw_os_error() == Some(libc::ENOSPC) {
            return StoreError::NoSpace { what: "a blob", needed_bytes: len_bytes };
        }
        self.fail(StoreError::Io { what: "write of a blob", offset: offset.0, source })
    }
}

fn source_error(hash: &BlobHash, source: io::Error) -> StoreError {
    if source.kind() == io::ErrorKind::UnexpectedEof {
        return StoreError::SourceMismatch { hash: *hash, why: "it ended early".to_owned() };
    }
    StoreError::BlobIo { hash: *hash, what: "read of the source", source }
}

fn check_hash(hash: &BlobHash, found: BlobHash) -> Result<(), StoreError> {
    if found == *hash {
        return Ok(());
    }
    Err(StoreError::SourceMismatch { hash: *hash, why: format!("its bytes hash to {found}") })
}
