//! Group commit.

use std::sync::PoisonError;

use crate::alloc::Extent;
use crate::error::StoreError;
use crate::layout::record::KIND_SYNCED;
use crate::layout::superblock::Superblock;
use crate::layout::{BLOCK_LEN_BYTES, SUPERBLOCK_BLOCKS};
use crate::mutant::{Mutant, planted};
use crate::types::{BlockNo, Seq};

use super::{Core, Store};

/// Freed runs shorter than this are not discarded: a hole that small helps no file system.
const DISCARD_LEN_MIN_BYTES: u64 = 64 << 10;

impl Store {
    /// Returns when every append and put that returned before the call is durable. Callers that come together
    /// share one flush.
    ///
    /// # Errors
    /// `Io`: the flush or a write failed; the store is poisoned and the flush is not tried again. `NoSpace`,
    /// `JournalFull`: gathered blobs could not be recorded; nothing is lost, make room and call again.
    pub fn sync(&self) -> Result<Seq, StoreError> {
        let _gate = self.enter()?;
        self.sync_inside()
    }

    /// For callers that hold the gate.
    pub(super) fn sync_inside(&self) -> Result<Seq, StoreError> {
        let target = {
            let mut core = self.core();
            self.drain_pack(&mut core)?;
            core.journal.last_dirty_seq
        };
        {
            let mut flushing = self.flushing();
            loop {
                if flushing.synced >= target {
                    return Ok(flushing.synced);
                }
                self.check()?;
                if !flushing.active {
                    flushing.active = true;
                    break;
                }
                flushing = self.flushed.wait(flushing).unwrap_or_else(PoisonError::into_inner);
            }
        }
        let outcome = self.flush_all();
        let mut flushing = self.flushing();
        flushing.active = false;
        if let Ok(synced) = outcome {
            flushing.synced = flushing.synced.max(synced);
        }
        drop(flushing);
        self.flushed.notify_all();
        outcome
    }

    /// One flush for everything there is now.
    fn flush_all(&self) -> Result<Seq, StoreError> {
        let (target, blob_bytes, grown) = {
            let mut core = self.core();
            self.drain_pack(&mut core)?;
            // What is being flushed is not written again: the next record starts a new block.
            core.journal.seal();
            let grown = self.dev.len_bytes() != core.superblock.device_len_bytes;
            (core.journal.last_seq, core.unsynced_blob_bytes, grown)
        };
        if grown {
            // A cut-off device must be noticed even where everything in the lost part is missing.
            self.publish(|superblock| superblock)?;
        } else {
            self.flush_device()?;
        }
        let mut core = self.core();
        core.unsynced_blob_bytes = core.unsynced_blob_bytes.saturating_sub(blob_bytes);
        core.journal.synced_seq = core.journal.synced_seq.max(target);
        self.release(&mut core, target);
        // Makes the claim readable at the next open, where replay looks for it: at the start of a block. A store
        // without room for it is still correct.
        core.journal.seal();
        match self.append_records(&mut core, &[(KIND_SYNCED, &[])]) {
            Ok(_) | Err(StoreError::NoSpace { .. } | StoreError::JournalFull { .. }) => Ok(target),
            Err(error) => Err(error),
        }
    }

    pub(super) fn flush_device(&self) -> Result<(), StoreError> {
        self.check()?;
        if planted(Mutant::MissingFlush) {
            return Ok(());
        }
        self.dev
            .flush()
            .map_err(|source| self.fail(StoreError::Io { what: "flush of the device", offset: 0, source }))
    }

    /// Writes both slots, one after the other, so that at every instant one of them is whole. Flushes everything
    /// written before as well.
    ///
    /// `change` makes the next superblock of the present one; generation and device length are seen to.
    pub(super) fn publish(&self, change: impl FnOnce(Superblock) -> Superblock) -> Result<(), StoreError> {
        let _one = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        self.check()?;
        let present = {
            let mut core = self.core();
            // What the flushes below may cover is not written again.
            core.journal.seal();
            core.superblock.clone()
        };
        let next = Superblock {
            generation: present.generation + 1,
            device_len_bytes: self.dev.len_bytes(),
            ..change(present)
        };
        publish(&*self.dev, &next).map_err(|error| self.fail(error))?;
        self.core().superblock = next;
        Ok(())
    }

    /// Gives back the blocks of removals that are durable up to `synced`.
    pub(super) fn release(&self, core: &mut Core, synced: Seq) {
        let (ripe, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut core.pending_free).into_iter().partition(|(seq, _)| *seq <= synced);
        core.pending_free = rest;
        ripe.into_iter().flat_map(|(_, extents)| extents).for_each(|extent| self.give_back(core, extent));
    }

    /// Frees blocks that nothing durable refers to.
    pub(super) fn give_back(&self, core: &mut Core, extent: Extent) {
        if extent.len_bytes() >= DISCARD_LEN_MIN_BYTES
            && let Err(error) = self.dev.discard(extent.start.offset(), extent.len_bytes())
        {
            tracing::debug!(%error, block = extent.start.0, "store: discard refused");
        }
        core.alloc.free(extent);
    }
}

/// See [`Store::publish`].
pub(super) fn publish(
    dev: &dyn crate::device::BlockDevice,
    superblock: &Superblock,
) -> Result<(), StoreError> {
    let block = superblock.encode();
    debug_assert_eq!(block.len() as u64, BLOCK_LEN_BYTES);
    // What the superblock points at must be durable before it is.
    let flush =
        || dev.flush().map_err(|source| StoreError::Io { what: "flush of the device", offset: 0, source });
    if !planted(Mutant::SuperblockBeforeData) {
        flush()?;
    }
    for slot in SUPERBLOCK_BLOCKS {
        let offset = BlockNo(slot).offset();
        dev.write_at(offset, &block).map_err(|source| StoreError::Io {
            what: "write of a superblock",
            offset: offset.0,
            source,
        })?;
        flush()?;
        if planted(Mutant::OneSuperblock) {
            break;
        }
    }
    Ok(())
}
