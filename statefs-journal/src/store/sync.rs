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
/// Longer ones are discarded piece by piece: a file system keeps writers of the same file out meanwhile.
const DISCARD_LEN_MAX_BYTES: u64 = 1 << 20;
/// Extents that are freed under one hold of the lock: keeps the pause of others below a millisecond.
const FREED_AT_ONCE: usize = 256;

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
        let mut ripe = Vec::new();
        let outcome = self.flush_all(&mut ripe);
        let mut flushing = self.flushing();
        flushing.active = false;
        if let Ok(synced) = outcome {
            flushing.synced = flushing.synced.max(synced);
        }
        drop(flushing);
        self.flushed.notify_all();
        self.give_back(ripe);
        outcome
    }

    /// One flush for everything there is now; `ripe` gets the blocks that are free from now on.
    fn flush_all(&self, ripe: &mut Vec<Extent>) -> Result<Seq, StoreError> {
        let (target, blob_bytes, grown) = {
            let mut core = self.core();
            self.drain_pack(&mut core)?;
            // What is being flushed is not written again: the next record starts a new block.
            core.journal.seal();
            let prepared = core.journal.prepare(&*self.dev);
            self.judge(prepared)?;
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
        *ripe = take_ripe(&mut core, target);
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

    /// Frees blocks that nothing durable refers to. The device is told before anybody can get them, and nobody waits
    /// for it; the caller holds no lock.
    pub(super) fn give_back(&self, extents: Vec<Extent>) {
        let extents = joined(extents);
        for extent in extents.iter().filter(|extent| extent.len_bytes() >= DISCARD_LEN_MIN_BYTES) {
            let mut done = 0;
            while done < extent.len_bytes() {
                let len_bytes = (extent.len_bytes() - done).min(DISCARD_LEN_MAX_BYTES);
                let offset = extent.start.offset().plus(done);
                if let Err(error) = self.dev.discard(offset, len_bytes) {
                    tracing::debug!(%error, offset = offset.0, "store: discard refused");
                }
                done += len_bytes;
            }
        }
        for some in extents.chunks(FREED_AT_ONCE) {
            let mut core = self.core();
            some.iter().for_each(|extent| core.alloc.free(*extent));
        }
    }
}

/// Takes out the blocks of removals that are durable up to `synced`.
pub(super) fn take_ripe(core: &mut Core, synced: Seq) -> Vec<Extent> {
    let ripe = core.pending_free.partition_point(|(seq, _)| *seq <= synced);
    core.pending_free.drain(..ripe).flat_map(|(_, extents)| extents).collect()
}

/// Sorted, neighbours put together.
fn joined(mut extents: Vec<Extent>) -> Vec<Extent> {
    extents.sort_unstable();
    let mut joined: Vec<Extent> = Vec::with_capacity(extents.len());
    for extent in extents {
        match joined.last_mut() {
            Some(last) if last.end() == extent.start.0 => last.blocks += extent.blocks,
            _ => joined.push(extent),
        }
    }
    joined
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
