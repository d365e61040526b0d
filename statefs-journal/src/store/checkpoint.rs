//! Checkpoints: the client's state and the blob table in one stream; the journal starts afresh.

use std::io::{self, Write};
use std::sync::PoisonError;

use crate::alloc::{Extent, Purpose};
use crate::checkpoint::{ChunkWriter, Written};
use crate::error::StoreError;
use crate::journal::Journal;
use crate::layout::chunk::CHUNK_BLOCKS;
use crate::layout::record::{BLOB_ENTRY_LEN, Seed, encode_blob};
use crate::layout::superblock::Superblock;
use crate::mutant::{Mutant, planted};
use crate::state::{Picture, encode_entry};
use crate::types::Epoch;

use super::Store;

/// Entries are handed on in pieces of this.
const BUFFER_LEN: usize = 64 << 10;

/// What a checkpoint starts from.
struct Begun {
    journal: Journal,
    table: Vec<u8>,
    state: Picture,
}

impl Store {
    /// Writes a checkpoint and empties the journal. `write` streams the client's state, which must include the
    /// effect of every record appended so far; it may read from the store but must not change it (it would wait
    /// for itself). Appends and puts of other threads wait, reads do not.
    ///
    /// # Errors
    /// `NoSpace`, `Client` (what `write` returned): the old checkpoint and journal stay in force. `Io`: the store
    /// is poisoned.
    pub fn checkpoint(
        &self,
        write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        let _alone = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        self.check()?;
        let Begun { journal, table, state } = self.begin_epoch()?;
        match self.stream(&table, &state, journal.seed, write) {
            Ok((written, chunks)) => self.switch(journal, &written, state.len(), chunks),
            Err(error) => {
                let mut core = self.core();
                journal.extents().for_each(|extent| core.alloc.free(extent));
                Err(error)
            }
        }
    }

    /// The new epoch's empty journal, and what goes into the stream before the client's bytes.
    fn begin_epoch(&self) -> Result<Begun, StoreError> {
        let mut guard = self.core();
        let core = &mut *guard;
        if !planted(Mutant::CheckpointWithoutBlobs) {
            self.drain_pack(core)?;
        }
        let epoch = Epoch(core.superblock.epoch.0 + 1);
        let seed = Seed { store_id: self.store_id, epoch };
        let begun = Journal::begin(&*self.dev, &mut core.alloc, seed, core.journal.last_seq);
        let journal = self.judge(begun)?;
        let count = usize::try_from(core.table.len()).unwrap_or(0);
        let mut table = Vec::with_capacity(8 + count * BLOB_ENTRY_LEN);
        table.extend_from_slice(&core.table.len().to_le_bytes());
        for (hash, loc) in core.table.iter() {
            encode_blob(&mut table, hash, loc.offset, loc.len_bytes);
        }
        Ok(Begun { journal, table, state: core.state.picture() })
    }

    fn stream(
        &self,
        table: &[u8],
        state: &Picture,
        seed: Seed,
        write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(Written, Vec<Extent>), StoreError> {
        let allocate = || self.allocate_chunk();
        let mut writer = ChunkWriter::new(&*self.dev, &allocate, seed.store_id, seed.epoch);
        let engine = writer.write_all(table).and_then(|()| write_state(state, &mut writer));
        let mut client = engine.and_then(|()| write(&mut writer));
        if writer.failure.is_some() {
            client = Ok(());
        }
        let outcome =
            client.map_err(|error| StoreError::Client(error.to_string())).and_then(|()| writer.finish());
        let chunks = std::mem::take(&mut writer.extents);
        outcome.map(|written| (written, chunks.clone())).map_err(|error| {
            let mut core = self.core();
            chunks.into_iter().for_each(|extent| core.alloc.free(extent));
            drop(core);
            match error {
                // Nothing refers to the chunks yet.
                full if full.is_no_space() => StoreError::NoSpace { what: "a checkpoint", needed_bytes: 0 },
                failed @ StoreError::Io { .. } => self.fail(failed),
                other => other,
            }
        })
    }

    fn allocate_chunk(&self) -> Result<Extent, StoreError> {
        let mut core = self.core();
        let what = "a checkpoint";
        let extent = core.alloc.allocate(&*self.dev, CHUNK_BLOCKS, Purpose::Engine, what)?;
        if self.dev.reserve(extent.start.offset(), extent.len_bytes()).is_err() {
            core.alloc.free(extent);
            return Err(StoreError::NoSpace { what, needed_bytes: extent.len_bytes() });
        }
        Ok(extent)
    }

    /// From here on the new epoch is in force; what the old one used becomes free.
    fn switch(
        &self,
        journal: Journal,
        written: &Written,
        state_keys: u64,
        chunks: Vec<Extent>,
    ) -> Result<(), StoreError> {
        let superblock = {
            let core = self.core();
            Superblock {
                store_id: self.store_id,
                epoch: journal.seed.epoch,
                generation: core.superblock.generation + 1,
                device_len_bytes: self.dev.len_bytes(),
                checkpoint_block: written.first,
                checkpoint_len_bytes: written.len_bytes,
                checkpoint_hash: written.hash,
                journal_block: journal.segments[0],
                first_seq: journal.last_seq.next(),
                state_keys,
            }
        };
        self.publish(&superblock)?;
        let mut guard = self.core();
        let core = &mut *guard;
        let synced = journal.last_seq;
        let old: Vec<Extent> =
            core.journal.extents().chain(core.checkpoint_extents.iter().copied()).collect();
        core.journal = journal;
        core.superblock = superblock;
        core.checkpoint_extents = chunks;
        core.unsynced_blob_bytes = 0;
        old.into_iter().for_each(|extent| self.give_back(core, extent));
        self.release(core, synced);
        drop(guard);
        let mut flushing = self.flushing();
        flushing.synced = flushing.synced.max(synced);
        Ok(())
    }
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
