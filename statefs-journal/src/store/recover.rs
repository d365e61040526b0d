//! What a store holds, found by reading alone.

use std::collections::HashMap;
use std::io::Read;

use crate::alloc::{Allocator, Extent};
use crate::checkpoint::{BLOB_COUNT_LEN, ChunkReader};
use crate::device::BlockDevice;
use crate::error::StoreError;
use crate::layout::BLOCK_LEN_BYTES;
use crate::layout::record::{
    BLOB_HASH_LEN, BlobEntry, KIND_BLOB_PUT, KIND_BLOB_REMOVE, KIND_ENGINE_FIRST, KIND_SESSION, KIND_STATE,
    KIND_SYNCED, RecordHeader,
};
use crate::layout::segment::SEGMENT_BLOCKS;
use crate::layout::superblock::Superblock;
use crate::mutant::{Mutant, planted};
use crate::replay::{self, Recovered};
use crate::state::{Entries, Space, decode_ops};
use crate::table::{BlobLoc, Table};
use crate::types::{BlobHash, BlockNo, Seq};

use super::{Replay, read};

pub(super) struct Found {
    pub(super) table: Table,
    pub(super) state: Space,
    pub(super) alloc: Allocator,
    pub(super) checkpoint_extents: Vec<Extent>,
    pub(super) journal: Recovered,
}

/// What the engine's own records build up.
#[derive(Default)]
pub(super) struct Rebuilt {
    pub(super) table: Table,
    pub(super) state: Space,
}

type Deliver<'a> = dyn FnMut(Replay<'_>) -> Result<(), StoreError> + 'a;

pub(super) fn recover(
    dev: &dyn BlockDevice,
    superblock: &Superblock,
    deliver: &mut Deliver<'_>,
) -> Result<Found, StoreError> {
    let (lost, session) = first_lost(dev, superblock)?;
    let (rebuilt, checkpoint_extents, mut journal) = rebuild(dev, superblock, lost, deliver)?;
    // What lies behind the cut may be of a later session than what lies before it.
    journal.session = journal.session.max(session);
    let Rebuilt { table, state } = rebuilt;
    let alloc = map_space(dev, superblock, &table, &checkpoint_extents, &journal)?;
    Ok(Found { table, state, alloc, checkpoint_extents, journal })
}

/// Checkpoint and journal, the latter up to the record `until`.
pub(super) fn rebuild(
    dev: &dyn BlockDevice,
    superblock: &Superblock,
    until: Option<Seq>,
    deliver: &mut Deliver<'_>,
) -> Result<(Rebuilt, Vec<Extent>, Recovered), StoreError> {
    let mut rebuilt = Rebuilt::default();
    let checkpoint_extents = read_checkpoint(dev, superblock, &mut rebuilt, deliver)?;
    let journal = replay::replay(dev, superblock, until, &mut |header, payload| {
        if header.kind < KIND_ENGINE_FIRST {
            return deliver(Replay::Record { seq: header.seq, kind: header.kind, payload });
        }
        rebuilt.apply(superblock, header, payload)
    })?;
    Ok((rebuilt, checkpoint_extents, journal))
}

/// A record may survive a power cut that the bytes of its blobs did not survive, as long as no sync covered both.
/// What is kept must be a beginning of what happened, so such a record ends the journal. Returns its number, and
/// the last session that the journal knows.
fn first_lost(dev: &dyn BlockDevice, superblock: &Superblock) -> Result<(Option<Seq>, u32), StoreError> {
    let mut recent = Recent::default();
    let journal = replay::replay(dev, superblock, None, &mut |header, payload| {
        recent.note(header, payload);
        Ok(())
    })?;
    recent.puts.retain(|put| put.seq > journal.synced_seq);
    let lost = recent.first_lost(dev)?;
    if let Some(seq) = lost {
        tracing::warn!(%seq, "store: the journal ends before a blob that was not synced and is lost");
    }
    Ok((lost, journal.session))
}

/// A blob that was recorded and is not known to be durable.
struct Put {
    seq: Seq,
    hash: BlobHash,
    loc: BlobLoc,
    /// The record that removed or replaced it. Its blocks may hold something else once that was synced, of which the
    /// power cut may have taken the evidence.
    gone: Option<Seq>,
}

#[derive(Default)]
struct Recent {
    puts: Vec<Put>,
    /// Place of each blob's last put in `puts`.
    last: HashMap<BlobHash, usize>,
}

impl Recent {
    fn note(&mut self, header: &RecordHeader, payload: &[u8]) {
        let seq = header.seq;
        match header.kind {
            KIND_BLOB_PUT => {
                for entry in BlobEntry::decode_all(payload).unwrap_or_default() {
                    let hash = entry.hash;
                    self.end(&hash, seq);
                    self.last.insert(hash, self.puts.len());
                    self.puts.push(Put { seq, hash, loc: entry.into(), gone: None });
                }
            }
            KIND_BLOB_REMOVE => {
                let hashes = payload.chunks_exact(BLOB_HASH_LEN).filter_map(|entry| entry.try_into().ok());
                hashes.for_each(|hash| self.end(&BlobHash(hash), seq));
            }
            // What is known to be durable need not be kept in memory.
            KIND_SYNCED | KIND_SESSION
                if self.puts.last().is_some_and(|put| put.seq <= header.synced_seq) =>
            {
                self.puts.clear();
                self.last.clear();
            }
            _ => {}
        }
    }

    fn end(&mut self, hash: &BlobHash, seq: Seq) {
        if let Some(at) = self.last.remove(hash) {
            self.puts[at].gone = Some(seq);
        }
    }

    /// The first record with a blob that is in force where the journal ends and whose bytes are not there. Ending it
    /// earlier may bring blobs back into force that are removed later.
    fn first_lost(&self, dev: &dyn BlockDevice) -> Result<Option<Seq>, StoreError> {
        let mut end: Option<Seq> = None;
        loop {
            let before = end;
            let in_force = |put: &&Put| {
                end.is_none_or(|end| put.seq < end)
                    && put.gone.is_none_or(|gone| end.is_some_and(|end| gone >= end))
            };
            for put in self.puts.iter().filter(in_force) {
                match read::read_from(dev, &put.hash, put.loc, &mut std::io::sink()) {
                    Ok(()) => {}
                    Err(StoreError::BlobMismatch { .. } | StoreError::Truncated { .. })
                        if planted(Mutant::LostBlobsKept) => {}
                    Err(StoreError::BlobMismatch { .. } | StoreError::Truncated { .. }) => {
                        end = Some(put.seq);
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
            if end == before {
                return Ok(end);
            }
        }
    }
}

fn read_checkpoint(
    dev: &dyn BlockDevice,
    superblock: &Superblock,
    rebuilt: &mut Rebuilt,
    deliver: &mut Deliver<'_>,
) -> Result<Vec<Extent>, StoreError> {
    if superblock.checkpoint_block == BlockNo(0) {
        return Ok(Vec::new());
    }
    let mut reader = ChunkReader::new(dev, superblock);
    let mut outcome = rebuilt.read(&mut reader, superblock);
    if outcome.is_ok() {
        let len_bytes = reader.left_bytes();
        outcome = deliver(Replay::Checkpoint { len_bytes, bytes: &mut reader });
    }
    match reader.failure.take() {
        Some(error) => Err(error),
        None => outcome.and_then(|()| reader.finish()),
    }
}

impl Rebuilt {
    /// The engine's part of the checkpoint stream.
    fn read(&mut self, reader: &mut ChunkReader<'_>, superblock: &Superblock) -> Result<(), StoreError> {
        let damaged = |what| StoreError::Damaged {
            what,
            block: superblock.checkpoint_block,
            expected: "a count and as many entries".to_owned(),
            found: "something else".to_owned(),
        };
        let short = |_| damaged("blob table of the checkpoint");
        let mut count = [0; BLOB_COUNT_LEN];
        reader.read_exact(&mut count).map_err(short)?;
        for _ in 0..u64::from_le_bytes(count) {
            let entry = BlobEntry::read(reader).map_err(short)?;
            self.table.insert(entry.hash, entry.into());
        }
        let mut entries = Entries::new(&mut *reader);
        let mut all = Vec::new();
        for _ in 0..superblock.state_keys {
            match entries.next_change() {
                Some((key, Some(value))) => all.push((key, value)),
                _ => return Err(damaged("key-value space of the checkpoint")),
            }
        }
        self.state = Space::of(all);
        Ok(())
    }

    /// One of the engine's records.
    fn apply(
        &mut self,
        superblock: &Superblock,
        header: &RecordHeader,
        payload: &[u8],
    ) -> Result<(), StoreError> {
        let entries = |len: usize| payload.chunks_exact(len);
        let unknown = || {
            let (seq, kind, len) = (header.seq, header.kind, payload.len());
            Err(StoreError::Damaged {
                what: "engine record in the journal",
                block: superblock.journal_block,
                expected: "a known kind with whole entries".to_owned(),
                found: format!("record {seq} of kind {kind:#x}, {len} bytes"),
            })
        };
        match header.kind {
            KIND_BLOB_PUT => match BlobEntry::decode_all(payload) {
                Some(entries) => {
                    entries.into_iter().for_each(|entry| _ = self.table.insert(entry.hash, entry.into()));
                }
                None => return unknown(),
            },
            KIND_BLOB_REMOVE if payload.len().is_multiple_of(BLOB_HASH_LEN) => {
                for hash in entries(BLOB_HASH_LEN).filter_map(|entry| entry.try_into().ok()) {
                    self.table.remove(&BlobHash(hash));
                }
            }
            KIND_SYNCED | KIND_SESSION => {}
            KIND_STATE => match decode_ops(payload) {
                Some(changes) => changes.into_iter().for_each(|(key, value)| self.state.apply(key, value)),
                None => return unknown(),
            },
            _ => return unknown(),
        }
        Ok(())
    }
}
fn map_space(
    dev: &dyn BlockDevice,
    superblock: &Superblock,
    table: &Table,
    checkpoint: &[Extent],
    journal: &Recovered,
) -> Result<Allocator, StoreError> {
    let segments = journal.segments.iter().map(|start| Extent::new(*start, SEGMENT_BLOCKS));
    // The growth for the segment allocated ahead may have been lost with an unsynced header.
    for segment in segments.clone().filter(|s| s.end() * BLOCK_LEN_BYTES > dev.len_bytes()) {
        let len_bytes = segment.end() * BLOCK_LEN_BYTES;
        dev.grow(len_bytes)
            .map_err(|_| StoreError::NoSpace { what: "a journal segment", needed_bytes: len_bytes })?;
    }
    let mut used = table.used_extents().map_err(|hash| StoreError::Damaged {
        what: "blob table",
        block: superblock.checkpoint_block,
        expected: "blobs that do not overlap".to_owned(),
        found: format!("an overlap at blob {hash}"),
    })?;
    if let Some(beyond) = used.last().filter(|last| last.end() * BLOCK_LEN_BYTES > dev.len_bytes()) {
        return Err(StoreError::Truncated {
            what: "a blob",
            expected_bytes: beyond.end() * BLOCK_LEN_BYTES,
            found_bytes: dev.len_bytes(),
        });
    }
    used.extend(segments);
    used.extend_from_slice(checkpoint);
    Allocator::rebuild(dev.len_bytes(), used)
}
