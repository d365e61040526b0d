//! Checkpoints: the client's state and the blob table in one stream; the journal starts afresh.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::alloc::{Extent, Purpose};
use crate::checkpoint::{ChunkWriter, Written};
use crate::error::StoreError;
use crate::layout::BLOCK_LEN_BYTES;
use crate::layout::chunk::CHUNK_BLOCKS;
use crate::layout::record::{BLOB_ENTRY_LEN, KIND_SYNCED, Seed};
use crate::layout::superblock::Superblock;
use crate::mutant::{Mutant, planted};
use crate::state::{Picture, encode_entry};
use crate::table::Blobs;
use crate::types::Seq;

use super::Store;
use super::sync::take_ripe;

/// Entries are handed on in pieces of this.
const BUFFER_LEN: usize = 64 << 10;

/// How long a checkpoint for which there was no room keeps others from being begun with less.
const RETRY_PAUSE: Duration = Duration::from_secs(60);

/// What a checkpoint starts from.
struct Begun {
    /// Segments of the journal that the checkpoint makes needless.
    old_segments: usize,
    seed: Seed,
    session: u32,
    last_seq: Seq,
    blobs: Blobs,
    state: Picture,
}

/// Chunks that are set aside before the journal is touched, so that a checkpoint for which there is no room costs
/// nothing, however often it is tried.
struct Chunks<'a> {
    store: &'a Store,
    spare: RefCell<Vec<Extent>>,
}

impl Chunks<'_> {
    fn next(&self) -> Result<Extent, StoreError> {
        let spare = self.spare.borrow_mut().pop();
        spare.map_or_else(|| self.store.allocate_chunk(), Ok)
    }
}

impl Drop for Chunks<'_> {
    fn drop(&mut self) {
        self.store.give_back(self.spare.take());
    }
}

/// Room for a checkpoint; see [`Store::prepare_checkpoint`].
pub struct CheckpointRoom<'a> {
    chunks: Chunks<'a>,
    _one: MutexGuard<'a, ()>,
}

/// A checkpoint that was begun: records from now on belong to the next epoch. Appends and puts go on while it is
/// written. Dropped without an end it leaves the old state in force.
pub struct PendingCheckpoint<'a> {
    room: CheckpointRoom<'a>,
    begun: Begun,
}

impl<'a> CheckpointRoom<'a> {
    /// Begins a checkpoint that is written while others go on. The caller sees to it that the state it will stream
    /// has the effect of all its records appended before this call and of none appended after it.
    ///
    /// # Errors
    /// `NoSpace`, `JournalFull`: nothing was begun. `Io`: the store is poisoned.
    pub fn begin(self) -> Result<PendingCheckpoint<'a>, StoreError> {
        // One hold of the engine's lock: nobody is between a record and its effect.
        Ok(PendingCheckpoint { begun: self.chunks.store.begin()?, room: self })
    }
}

impl PendingCheckpoint<'_> {
    /// Writes the checkpoint and empties the journal up to its beginning. `write` streams the client's state as it was
    /// when the checkpoint was begun.
    ///
    /// # Errors
    /// `NoSpace`, `Client` (what `write` returned): the old checkpoint and journal stay in force. `Io`: the store
    /// is poisoned.
    pub fn finish(self, write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> Result<(), StoreError> {
        let chunks = &self.room.chunks;
        chunks.store.complete(&self.begun, chunks, write)
    }
}

impl Store {
    /// Writes a checkpoint and empties the journal. `write` streams the client's state, which must include the
    /// effect of every record appended so far; it may read from the store but must not change it (it would wait
    /// for itself). Appends and puts of other threads wait, reads do not.
    ///
    /// # Errors
    /// As [`PendingCheckpoint::finish`].
    pub fn checkpoint(
        &self,
        write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        let room = self.prepare_checkpoint()?;
        let _alone = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        room.begin()?.finish(write)
    }

    /// [`Self::prepare_checkpoint`] and [`CheckpointRoom::begin`].
    ///
    /// # Errors
    /// As those.
    pub fn begin_checkpoint(&self) -> Result<PendingCheckpoint<'_>, StoreError> {
        self.prepare_checkpoint()?.begin()
    }

    /// Sets space aside for a checkpoint as long as the last one, as far as there is any. Takes a while; nobody waits for
    /// it but another checkpoint. Where there was too little space for one lately, as much must be there now.
    ///
    /// # Errors
    /// `NoSpace`: nothing has changed.
    pub fn prepare_checkpoint(&self) -> Result<CheckpointRoom<'_>, StoreError> {
        let one = self.checkpointing.lock().unwrap_or_else(PoisonError::into_inner);
        self.check()?;
        let known = self.core().checkpoint_extents.len();
        let lately = self.too_long().filter(|(_, when)| when.elapsed() < RETRY_PAUSE);
        let wanted = known.max(lately.map_or(1, |(chunks, _)| chunks));
        let chunks = Chunks { store: self, spare: RefCell::default() };
        for _ in 0..wanted {
            match self.allocate_chunk() {
                Ok(chunk) => chunks.spare.borrow_mut().push(chunk),
                Err(error) if lately.is_some() => return Err(error),
                // It may be shorter than the last one.
                Err(_) => break,
            }
        }
        // The first that was allocated is the first to be written.
        chunks.spare.borrow_mut().reverse();
        Ok(CheckpointRoom { chunks, _one: one })
    }

    fn too_long(&self) -> MutexGuard<'_, Option<(usize, Instant)>> {
        self.too_long.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the epoch in the journal and takes a picture of what the engine keeps itself. An epoch that
    /// was begun for a checkpoint that failed serves again as long as nothing was appended to it.
    fn begin(&self) -> Result<Begun, StoreError> {
        self.check()?;
        let mut guard = self.core();
        let core = &mut *guard;
        if !planted(Mutant::CheckpointWithoutBlobs) {
            self.drain_pack(core)?;
        }
        let (old_segments, last_seq) = match core.journal.fresh_epoch(core.superblock.epoch) {
            Some(begun) => begun,
            None => {
                let rotated = core.journal.rotate(&*self.dev, &mut core.alloc);
                let old_segments = self.judge(rotated)?;
                let last_seq = core.journal.last_seq;
                // Replay enters a segment by its first record: none must be without one when the next epoch begins.
                self.append_records(core, &[(KIND_SYNCED, &[])])?;
                (old_segments, last_seq)
            }
        };
        Ok(Begun {
            old_segments,
            seed: core.journal.seed,
            session: core.journal.session,
            last_seq,
            blobs: core.table.picture(),
            state: core.state.picture(),
        })
    }

    fn complete(
        &self,
        begun: &Begun,
        chunks: &Chunks<'_>,
        write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        let (written, chunks) = self.stream(begun, chunks, write)?;
        *self.too_long() = None;
        self.switch(begun, &written, chunks)
    }

    fn stream(
        &self,
        begun: &Begun,
        chunks: &Chunks<'_>,
        write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(Written, Vec<Extent>), StoreError> {
        let (blobs, state, seed) = (&begun.blobs, &begun.state, begun.seed);
        let allocate = || chunks.next();
        let mut writer = ChunkWriter::new(&*self.dev, &allocate, seed.store_id, seed.epoch);
        let engine = write_blobs(blobs, &mut writer).and_then(|()| write_state(state, &mut writer));
        let mut client = engine.and_then(|()| write(&mut writer));
        if writer.failure.is_some() {
            client = Ok(());
        }
        let outcome =
            client.map_err(|error| StoreError::Client(error.to_string())).and_then(|()| writer.finish());
        let chunks = std::mem::take(&mut writer.extents);
        outcome.map(|written| (written, chunks.clone())).map_err(|error| {
            let got = chunks.len();
            self.give_back(chunks);
            match error {
                // Nothing refers to the chunks yet.
                full if full.is_no_space() => {
                    *self.too_long() = Some((got + 1, Instant::now()));
                    StoreError::NoSpace { what: "a checkpoint", needed_bytes: CHUNK_BLOCKS * BLOCK_LEN_BYTES }
                }
                failed @ StoreError::Io { .. } => self.fail(failed),
                other => other,
            }
        })
    }

    fn allocate_chunk(&self) -> Result<Extent, StoreError> {
        let what = "a checkpoint";
        let extent = self.core().alloc.allocate(&*self.dev, CHUNK_BLOCKS, Purpose::Engine, what)?;
        if self.dev.reserve(extent.start.offset(), extent.len_bytes()).is_err() {
            self.core().alloc.free(extent);
            return Err(StoreError::NoSpace { what, needed_bytes: extent.len_bytes() });
        }
        Ok(extent)
    }

    /// From here on the new epoch is in force; what the old one used becomes free.
    fn switch(&self, begun: &Begun, written: &Written, chunks: Vec<Extent>) -> Result<(), StoreError> {
        let journal_block = self.core().journal.segments[begun.old_segments];
        self.publish(|present| Superblock {
            epoch: begun.seed.epoch,
            checkpoint_block: written.first,
            checkpoint_len_bytes: written.len_bytes,
            checkpoint_hash: written.hash,
            journal_block,
            first_seq: begun.last_seq.next(),
            state_keys: begun.state.len(),
            first_session: begun.session,
            ..present
        })?;
        let mut guard = self.core();
        let core = &mut *guard;
        let mut old = core.journal.forget(begun.old_segments);
        old.append(&mut core.checkpoint_extents);
        core.checkpoint_extents = chunks;
        core.journal.synced_seq = core.journal.synced_seq.max(begun.last_seq);
        old.append(&mut take_ripe(core, begun.last_seq));
        drop(guard);
        let mut flushing = self.flushing();
        flushing.synced = flushing.synced.max(begun.last_seq);
        drop(flushing);
        self.give_back(old);
        Ok(())
    }
}

fn write_blobs(blobs: &Blobs, to: &mut dyn Write) -> io::Result<()> {
    let mut entries = Vec::with_capacity(BUFFER_LEN + BLOB_ENTRY_LEN);
    entries.extend_from_slice(&blobs.len().to_le_bytes());
    for (hash, loc) in blobs.iter() {
        loc.entry(hash).encode(&mut entries);
        if entries.len() >= BUFFER_LEN {
            to.write_all(&entries)?;
            entries.clear();
        }
    }
    to.write_all(&entries)
}

fn write_state(state: &Picture, to: &mut dyn Write) -> io::Result<()> {
    let mut entries = Vec::with_capacity(BUFFER_LEN);
    for (key, value) in state.iter() {
        encode_entry(&mut entries, key, value);
        if entries.len() >= BUFFER_LEN {
            to.write_all(&entries)?;
            entries.clear();
        }
    }
    to.write_all(&entries)
}
