//! Putting blobs: small ones gathered, large ones straight into an extent of their own.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use crate::error::StoreError;
use crate::form::{Encoder, pays};
use crate::layout::{PACK_LEN, PACKED_BLOB_LEN_MAX, UNSYNCED_BLOB_BYTES_MAX};
use crate::stream::Source;
use crate::types::BlobHash;

use super::collect::note;
use super::write::{Written, check_hash, source_error};
use super::{Core, Store};

/// Of the setting that says how blobs are compressed: not at all.
const NO_COMPRESSION: i32 = i32::MIN;

impl Store {
    /// Blobs put from now on are compressed by zstd at this level, where that saves an eighth; `None`: only runs of
    /// zeros take no space. Every store can be read, whatever the setting.
    pub fn set_compression(&self, level: Option<i32>) {
        self.compression.store(level.unwrap_or(NO_COMPRESSION), Ordering::Relaxed);
    }

    pub(super) fn compression(&self) -> Option<i32> {
        Some(self.compression.load(Ordering::Relaxed)).filter(|level| *level != NO_COMPRESSION)
    }

    /// Stores `bytes` under `hash`, which the caller has computed; false if the blob is there already. Readable at
    /// once; it survives the process from the next append or sync on, and a power cut after a sync.
    ///
    /// # Errors
    /// `NoSpace`, `JournalFull`: the store is unchanged. `Io`: the store is poisoned.
    pub fn put_blob(&self, hash: &BlobHash, bytes: &[u8]) -> Result<bool, StoreError> {
        if self.has_blob(hash) {
            self.check()?;
            return Ok(false);
        }
        let _gate = self.enter()?;
        let (new, unsynced) = if bytes.len() <= PACKED_BLOB_LEN_MAX {
            let stored = self.stored_form(bytes);
            let mut core = self.core();
            (self.put_packed(&mut core, hash, bytes.len() as u64, &stored)?, core.unsynced_blob_bytes)
        } else {
            self.put_long(hash, &mut &bytes[..], bytes.len() as u64, false)?
        };
        self.bound_unsynced(unsynced)?;
        Ok(new)
    }

    /// Stores `len_bytes` from `source` under `hash`; false if the blob is there already (`source` is not read
    /// then). The bytes are hashed on the way: others than `hash` says are refused. Memory does not grow with their
    /// length, and zeros that the source tells apart cost nothing but their hash.
    ///
    /// # Errors
    /// As [`Self::put_blob`]; `SourceMismatch` and `BlobIo` for what `source` did, the store is unchanged.
    pub fn put_blob_from(
        &self,
        hash: &BlobHash,
        source: &mut dyn Source,
        len_bytes: u64,
    ) -> Result<bool, StoreError> {
        if self.has_blob(hash) {
            return Ok(false);
        }
        if len_bytes <= PACKED_BLOB_LEN_MAX as u64 {
            let bytes = whole(hash, source, len_bytes)?;
            check_hash(hash, BlobHash::of(&bytes))?;
            return self.put_blob(hash, &bytes);
        }
        let _gate = self.enter()?;
        let (new, unsynced) = self.put_long(hash, source, len_bytes, true)?;
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

    /// A short blob as it is going to lie in the store.
    pub(super) fn stored_form<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let mut encoder = Encoder::new(self.compression());
        encoder.data(bytes);
        encoder.finish();
        if pays(encoder.out.len() as u64, bytes.len() as u64) { encoder.out.into() } else { bytes.into() }
    }

    /// `stored` is a blob of `len_bytes` bytes in its stored form.
    pub(super) fn put_packed(
        &self,
        core: &mut Core,
        hash: &BlobHash,
        len_bytes: u64,
        stored: &[u8],
    ) -> Result<bool, StoreError> {
        self.check()?;
        note(core, hash);
        if core.table.get(hash).is_some() {
            return Ok(false);
        }
        if !core.pack.fits(stored.len()) {
            self.drain_pack(core)?;
        }
        if !core.pack.fits(stored.len()) {
            let fresh = self
                .allocate_blob(core, PACK_LEN as u64)
                .or_else(|_| self.allocate_blob(core, stored.len().max(1) as u64))?;
            if let Some(rest) = core.pack.replace(fresh) {
                core.alloc.free(rest);
            }
        }
        let loc = core
            .pack
            .push(*hash, len_bytes, stored)
            .ok_or(StoreError::NoSpace { what: "a small blob", needed_bytes: stored.len() as u64 })?;
        core.table.insert(*hash, loc);
        Ok(true)
    }

    /// Also returns the unsynced bytes after it.
    pub(super) fn put_long(
        &self,
        hash: &BlobHash,
        source: &mut dyn Source,
        len_bytes: u64,
        verify: bool,
    ) -> Result<(bool, u64), StoreError> {
        if self.has_blob(hash) {
            return Ok((false, 0));
        }
        let written = self.write_blob(hash, source, len_bytes, verify)?;
        let mut core = self.core();
        let outcome = match written {
            Written::Short(frames) => self.put_packed(&mut core, hash, len_bytes, &frames),
            Written::Long(extent, loc) => {
                // Someone else may have put the same blob meanwhile.
                let recorded = if core.table.get(hash).is_some() {
                    Ok(false)
                } else {
                    self.record_blobs(&mut core, &[(*hash, loc)]).map(|()| true)
                };
                if matches!(recorded, Ok(true)) {
                    core.table.insert(*hash, loc);
                } else {
                    core.alloc.free(extent);
                }
                recorded
            }
        };
        outcome.map(|new| (new, core.unsynced_blob_bytes))
    }
}

/// A short blob in memory.
fn whole(hash: &BlobHash, source: &mut dyn Source, len_bytes: u64) -> Result<Vec<u8>, StoreError> {
    use crate::stream::Piece;
    let mut bytes = vec![0; usize::try_from(len_bytes).unwrap_or(0)];
    let mut at = 0;
    while at < bytes.len() {
        match source.next(&mut bytes[at..]).map_err(|error| source_error(hash, error))? {
            Piece::Data(len) => at += len,
            Piece::Zeros(len) => {
                let end = bytes.len().min(at.saturating_add(usize::try_from(len).unwrap_or(usize::MAX)));
                bytes[at..end].fill(0);
                at = end;
            }
            Piece::End => return Err(source_error(hash, std::io::ErrorKind::UnexpectedEof.into())),
        }
    }
    Ok(bytes)
}
