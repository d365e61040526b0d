//! What a store holds, found by reading alone.

use std::io::Read;

use crate::alloc::{Allocator, Extent};
use crate::checkpoint::{BLOB_COUNT_LEN, ChunkReader};
use crate::device::BlockDevice;
use crate::error::StoreError;
use crate::layout::BLOCK_LEN_BYTES;
use crate::layout::record::{
    BLOB_ENTRY_LEN, KIND_BLOB_PUT, KIND_BLOB_REMOVE, KIND_ENGINE_FIRST, KIND_SESSION, KIND_SYNCED,
    RecordHeader, decode_blob,
};
use crate::layout::segment::SEGMENT_BLOCKS;
use crate::layout::superblock::Superblock;
use crate::replay::{self, Recovered};
use crate::table::{BlobLoc, Table};
use crate::types::{BlobHash, BlockNo, Seq};

use super::{Replay, blobs};

pub(super) struct Found {
    pub(super) table: Table,
    pub(super) alloc: Allocator,
    pub(super) checkpoint_extents: Vec<Extent>,
    pub(super) journal: Recovered,
    /// Blobs that were recorded but whose bytes did not survive; no sync had covered them.
    pub(super) dropped: Vec<BlobHash>,
}

type Deliver<'a> = dyn FnMut(Replay<'_>) -> Result<(), StoreError> + 'a;

pub(super) fn recover(
    dev: &dyn BlockDevice,
    superblock: &Superblock,
    deliver: &mut Deliver<'_>,
) -> Result<Found, StoreError> {
    let mut table = Table::default();
    let checkpoint_extents = read_checkpoint(dev, superblock, &mut table, deliver)?;
    let mut recent: Vec<(Seq, BlobHash, BlobLoc)> = Vec::new();
    let journal = replay::replay(dev, superblock, &mut |header, payload| {
        if header.kind < KIND_ENGINE_FIRST {
            return deliver(Replay::Record { seq: header.seq, kind: header.kind, payload });
        }
        apply(&mut table, &mut recent, superblock, header, payload)
    })?;
    recent.retain(|(seq, ..)| *seq > journal.synced_seq);
    let dropped = verify(dev, &mut table, &recent)?;
    let alloc = map_space(dev, superblock, &table, &checkpoint_extents, &journal)?;
    Ok(Found { table, alloc, checkpoint_extents, journal, dropped })
}

fn read_checkpoint(
    dev: &dyn BlockDevice,
    superblock: &Superblock,
    table: &mut Table,
    deliver: &mut Deliver<'_>,
) -> Result<Vec<Extent>, StoreError> {
    if superblock.checkpoint_block == BlockNo(0) {
        return Ok(Vec::new());
    }
    let mut reader = ChunkReader::new(dev, superblock);
    let mut outcome = read_table(&mut reader, superblock, table);
    if outcome.is_ok() {
        let len_bytes = reader.left_bytes();
        outcome = deliver(Replay::Checkpoint { len_bytes, bytes: &mut reader });
    }
    match reader.failure.take() {
        Some(error) => Err(error),
        None => outcome.and_then(|()| reader.finish()),
    }
}

fn read_table(
    reader: &mut ChunkReader<'_>,
    superblock: &Superblock,
    table: &mut Table,
) -> Result<(), StoreError> {
    let damaged = |_| StoreError::Damaged {
        what: "blob table of the checkpoint",
        block: superblock.checkpoint_block,
        expected: "a count and as many entries".to_owned(),
        found: "fewer bytes".to_owned(),
    };
    let mut count = [0; BLOB_COUNT_LEN];
    reader.read_exact(&mut count).map_err(damaged)?;
    let mut entry = [0; BLOB_ENTRY_LEN];
    for _ in 0..u64::from_le_bytes(count) {
        reader.read_exact(&mut entry).map_err(damaged)?;
        let (hash, offset, len_bytes) = decode_blob(&entry);
        table.insert(hash, BlobLoc { offset, len_bytes });
    }
    Ok(())
}

fn apply(
    table: &mut Table,
    recent: &mut Vec<(Seq, BlobHash, BlobLoc)>,
    superblock: &Superblock,
    header: &RecordHeader,
    payload: &[u8],
) -> Result<(), StoreError> {
    let step = match header.kind {
        KIND_BLOB_PUT => BLOB_ENTRY_LEN,
        KIND_BLOB_REMOVE => 32,
        KIND_SYNCED | KIND_SESSION => {
            recent.retain(|(seq, ..)| *seq > header.synced_seq);
            return Ok(());
        }
        _ => 0,
    };
    if step == 0 || !payload.len().is_multiple_of(step) {
        return Err(StoreError::Damaged {
            what: "engine record in the journal",
            block: superblock.journal_block,
            expected: "a known kind with whole entries".to_owned(),
            found: format!("record {} of kind {:#x}, {} bytes", header.seq, header.kind, payload.len()),
        });
    }
    for entry in payload.chunks_exact(step) {
        if header.kind == KIND_BLOB_PUT {
            let (hash, offset, len_bytes) = decode_blob(entry);
            let loc = BlobLoc { offset, len_bytes };
            table.insert(hash, loc);
            recent.push((header.seq, hash, loc));
        } else if let Ok(hash) = entry.try_into() {
            table.remove(&BlobHash(hash));
        }
    }
    Ok(())
}

/// A record may survive a power cut that its blob's bytes did not survive, as long as no sync covered both.
/// Such a blob is forgotten, so that the client puts it again.
fn verify(
    dev: &dyn BlockDevice,
    table: &mut Table,
    recent: &[(Seq, BlobHash, BlobLoc)],
) -> Result<Vec<BlobHash>, StoreError> {
    let mut dropped = Vec::new();
    for (_, hash, loc) in recent {
        if table.get(hash) != Some(*loc) {
            continue;
        }
        match blobs::read_from(dev, hash, *loc, &mut std::io::sink()) {
            Ok(()) => {}
            Err(StoreError::BlobMismatch { .. } | StoreError::Truncated { .. }) => {
                table.remove(hash);
                dropped.push(*hash);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(dropped)
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
