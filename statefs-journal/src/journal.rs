//! The writing end of the journal.

use crate::alloc::{Allocator, Extent, Purpose};
use crate::device::BlockDevice;
use crate::error::StoreError;
use crate::layout::record::{self, KIND_BLOB_REMOVE, KIND_SESSION, KIND_SYNCED, RecordHeader, Seed};
use crate::layout::segment::{RECORDS_AT, SEGMENT_BLOCKS, SEGMENT_LEN, SegmentHeader};
use crate::layout::{BLOCK_LEN, JOURNAL_SEGMENTS_MAX, JOURNAL_SEGMENTS_RESERVED, PREPARED_LEN};
use crate::mutant::{Mutant, planted};
use crate::types::{BlockNo, Epoch, Seq};

/// Where the journal ends and how the next record is written.
///
/// Invariant: everything before `tail` is written; `tail` is what the device's unit of writing at the end already holds.
/// [`Self::seal`] moves to a fresh block, so that a block with synced records is never written again.
#[derive(Debug)]
pub(crate) struct Journal {
    pub(crate) seed: Seed,
    pub(crate) session: u32,
    /// All segments of the epoch, in order; the last one is allocated but not begun.
    pub(crate) segments: Vec<BlockNo>,
    /// Which of them is the first one of the present epoch.
    pub(crate) first_index: u64,
    /// Byte within the present segment where the next record goes.
    pub(crate) pos: usize,
    tail: Vec<u8>,
    /// What the device writes at once, in bytes.
    unit: usize,
    /// The last record before the present epoch, where it was begun by this process.
    rotated_at: Seq,
    /// Up to here, within the present segment, was something written already.
    prepared: usize,
    /// Written since the last flush.
    unflushed_bytes: usize,
    /// The last record written.
    pub(crate) last_seq: Seq,
    /// The last record that is not a mere [`KIND_SYNCED`]: what a sync has to make durable.
    pub(crate) last_dirty_seq: Seq,
    pub(crate) synced_seq: Seq,
}

/// What a failed append leaves behind.
pub(crate) enum AppendError {
    /// Nothing was written; the journal goes on.
    Refused(StoreError),
    /// A write failed: the device can no longer be trusted.
    Failed(StoreError),
}

impl Journal {
    /// Starts an epoch: writes the header of its first segment.
    pub(crate) fn begin(
        dev: &dyn BlockDevice,
        alloc: &mut Allocator,
        seed: Seed,
        last_seq: Seq,
    ) -> Result<Self, AppendError> {
        let first = Self::new_segment(dev, alloc).map_err(AppendError::Refused)?;
        let next = match Self::new_segment(dev, alloc) {
            Ok(next) => next,
            Err(error) => {
                alloc.free(Extent::new(first, SEGMENT_BLOCKS));
                return Err(AppendError::Refused(error));
            }
        };
        let header = SegmentHeader {
            store_id: seed.store_id,
            epoch: seed.epoch,
            index: 0,
            block: first,
            next,
            session: 1,
        };
        write(dev, "write of a segment header", first, 0, &header.encode())?;
        let segments = vec![first, next];
        Ok(Self::resume(dev, seed, 1, segments, RECORDS_AT, last_seq, last_seq))
    }

    /// Goes on behind a recovered journal; `pos` must be the start of a block.
    pub(crate) fn resume(
        dev: &dyn BlockDevice,
        seed: Seed,
        session: u32,
        segments: Vec<BlockNo>,
        pos: usize,
        last_seq: Seq,
        synced_seq: Seq,
    ) -> Self {
        debug_assert!(pos.is_multiple_of(BLOCK_LEN) && segments.len() >= 2);
        Self {
            seed,
            session,
            segments,
            first_index: 0,
            pos,
            tail: Vec::new(),
            unit: dev.write_unit_bytes(),
            rotated_at: Seq(0),
            prepared: 0,
            unflushed_bytes: 0,
            last_seq,
            last_dirty_seq: last_seq,
            synced_seq,
        }
    }

    /// Tells the device where the next records will go.
    pub(crate) fn announce(&self, dev: &dyn BlockDevice) {
        for segment in &self.segments[self.segments.len() - 2..] {
            // They were reserved when they were allocated, but the device may be a copy with holes.
            if dev.reserve(segment.offset(), SEGMENT_LEN as u64).is_ok() {
                dev.expect_writes(segment.offset(), SEGMENT_LEN as u64);
            }
        }
    }

    /// Bytes from the start of the epoch to here.
    pub(crate) fn len_bytes(&self) -> u64 {
        (self.segments.len() as u64 - 2) * SEGMENT_LEN as u64 + self.pos as u64
    }

    /// The next record starts a new block.
    pub(crate) fn seal(&mut self) {
        if planted(Mutant::BlockRewritten) {
            return;
        }
        self.pos = self.pos.next_multiple_of(BLOCK_LEN);
        self.tail.clear();
    }

    /// Called before a flush, behind [`Self::seal`]. Short syncs that follow each other find places that were written
    /// before, so that the file system has nothing to note: the zeros ahead become durable with this flush.
    pub(crate) fn prepare(&mut self, dev: &dyn BlockDevice) -> Result<(), AppendError> {
        let short = std::mem::take(&mut self.unflushed_bytes) < PREPARED_LEN / 4;
        // A sync takes a block for its records and begins the next one.
        let ready = self.pos + 2 * BLOCK_LEN <= self.prepared.min(SEGMENT_LEN);
        if !short || ready || !dev.likes_written_places() || self.pos >= SEGMENT_LEN {
            return Ok(());
        }
        let end = (self.pos + PREPARED_LEN).min(SEGMENT_LEN);
        let from = self.pos.max(self.prepared.next_multiple_of(BLOCK_LEN));
        if from < end {
            self.prepared = end;
            write(dev, "write of zeros ahead of the journal", self.current(), from, &vec![0; end - from])?;
        }
        Ok(())
    }

    /// Appends the records in order: all of them, or none where the refusal says so.
    pub(crate) fn append(
        &mut self,
        dev: &dyn BlockDevice,
        alloc: &mut Allocator,
        records: &[(u8, &[u8])],
    ) -> Result<Seq, AppendError> {
        for (_, payload) in records {
            if payload.len() > record::PAYLOAD_LEN_MAX {
                return Err(AppendError::Refused(StoreError::Bound {
                    what: "record payload in bytes",
                    bound: record::PAYLOAD_LEN_MAX as u64,
                    found: payload.len() as u64,
                }));
            }
        }
        let mut spare = self.allocate_rolls(dev, alloc, records).map_err(AppendError::Refused)?.into_iter();
        // `out` is what goes to the device in one write: from the start of the tail's unit.
        let mut out = std::mem::take(&mut self.tail);
        let mut out_at = self.pos - out.len();
        for (kind, payload) in records {
            if self.pos + record::record_len(payload.len()) > SEGMENT_LEN {
                self.write_out(dev, &mut out, out_at)?;
                out.clear();
                if let Some(next) = spare.next() {
                    self.roll(dev, next)?;
                }
                out_at = self.pos;
            }
            self.last_seq = self.last_seq.next();
            if *kind != KIND_SYNCED {
                self.last_dirty_seq = self.last_seq;
            }
            let header = RecordHeader {
                payload_len: payload.len(),
                seq: self.last_seq,
                synced_seq: self.synced_seq,
                session: self.session,
                kind: *kind,
            };
            let at = self.current().offset().plus(self.pos as u64);
            record::encode(&mut out, &self.seed, at, &header, payload);
            self.pos = out_at + out.len();
        }
        let used = out.len();
        self.write_out(dev, &mut out, out_at)?;
        self.unflushed_bytes = self.unflushed_bytes.saturating_add(used);
        // Only the unfinished unit is kept for the next write.
        out.truncate(used);
        out.drain(..used - used % self.unit);
        self.tail = out;
        Ok(self.last_seq)
    }

    /// Ends the epoch: the next record is the first one of the next epoch, in a segment of its own. The chain leads
    /// on, so that replay goes from one epoch to the next as long as no checkpoint has made the older one needless.
    /// Returns how many segments the chain has before that one.
    pub(crate) fn rotate(
        &mut self,
        dev: &dyn BlockDevice,
        alloc: &mut Allocator,
    ) -> Result<usize, AppendError> {
        if self.segments.len() as u64 > JOURNAL_SEGMENTS_MAX {
            return Err(AppendError::Refused(StoreError::JournalFull { bound: JOURNAL_SEGMENTS_MAX }));
        }
        let next = Self::new_segment(dev, alloc).map_err(AppendError::Refused)?;
        self.seed.epoch.0 += 1;
        self.rotated_at = self.last_seq;
        self.first_index = self.segments.len() as u64 - 1;
        self.tail.clear();
        self.roll(dev, next)?;
        Ok(self.segments.len() - 2)
    }

    /// Where the present epoch began, if it is behind that of the superblock and nobody but the engine has written to
    /// it: how many segments come before it, and the last record before it.
    pub(crate) fn fresh_epoch(&self, published: Epoch) -> Option<(usize, Seq)> {
        let first = usize::try_from(self.first_index).unwrap_or(0);
        let is_fresh = self.seed.epoch > published
            && first > 0
            && self.segments.len() - 2 == first
            && self.last_dirty_seq <= self.rotated_at;
        is_fresh.then_some((first, self.rotated_at))
    }

    /// The first `count` segments are needed no more.
    pub(crate) fn forget(&mut self, count: usize) -> Vec<Extent> {
        self.first_index = self.first_index.saturating_sub(count as u64);
        self.segments.drain(..count).map(|start| Extent::new(start, SEGMENT_BLOCKS)).collect()
    }

    fn current(&self) -> BlockNo {
        self.segments[self.segments.len() - 2]
    }

    fn write_out(&self, dev: &dyn BlockDevice, out: &mut Vec<u8>, out_at: usize) -> Result<(), AppendError> {
        if out.is_empty() {
            return Ok(());
        }
        out.resize(out.len().next_multiple_of(self.unit), 0);
        write(dev, "write of journal records", self.current(), out_at, out)
    }

    /// Moves into the segment that was allocated ahead; `next` is the one ahead of it.
    fn roll(&mut self, dev: &dyn BlockDevice, next: BlockNo) -> Result<(), AppendError> {
        self.segments.push(next);
        let block = self.current();
        let header = SegmentHeader {
            store_id: self.seed.store_id,
            epoch: self.seed.epoch,
            index: self.segments.len() as u64 - 2 - self.first_index,
            block,
            next,
            session: self.session,
        };
        self.pos = RECORDS_AT;
        self.prepared = RECORDS_AT;
        write(dev, "write of a segment header", block, 0, &header.encode())
    }

    /// Segments that appending `records` needs, allocated before the first byte is written, so that a full
    /// device refuses the batch as a whole.
    fn allocate_rolls(
        &self,
        dev: &dyn BlockDevice,
        alloc: &mut Allocator,
        records: &[(u8, &[u8])],
    ) -> Result<Vec<BlockNo>, StoreError> {
        let mut pos = self.pos;
        let mut rolls = 0;
        for (_, payload) in records {
            let len = record::record_len(payload.len());
            if pos + len > SEGMENT_LEN {
                pos = RECORDS_AT;
                rolls += 1;
            }
            pos += len;
        }
        let mut fresh = Vec::new();
        let housekeeping = records.iter().all(|(kind, _)| (KIND_BLOB_REMOVE..=KIND_SESSION).contains(kind));
        let reserved = if housekeeping { 0 } else { JOURNAL_SEGMENTS_RESERVED };
        let full = self.segments.len() as u64 - 1 + rolls > JOURNAL_SEGMENTS_MAX - reserved;
        for _ in 0..rolls {
            let segment = if full {
                Err(StoreError::JournalFull { bound: JOURNAL_SEGMENTS_MAX })
            } else {
                Self::new_segment(dev, alloc)
            };
            match segment {
                Ok(block) => fresh.push(block),
                Err(error) => {
                    fresh.into_iter().for_each(|block| alloc.free(Extent::new(block, SEGMENT_BLOCKS)));
                    return Err(error);
                }
            }
        }
        Ok(fresh)
    }

    fn new_segment(dev: &dyn BlockDevice, alloc: &mut Allocator) -> Result<BlockNo, StoreError> {
        let extent = alloc.allocate(dev, SEGMENT_BLOCKS, Purpose::Engine, "a journal segment")?;
        match dev.reserve(extent.start.offset(), extent.len_bytes()) {
            Ok(()) => {
                dev.expect_writes(extent.start.offset(), extent.len_bytes());
                Ok(extent.start)
            }
            Err(_) => {
                alloc.free(extent);
                Err(StoreError::NoSpace { what: "a journal segment", needed_bytes: extent.len_bytes() })
            }
        }
    }
}

fn write(
    dev: &dyn BlockDevice,
    what: &'static str,
    segment: BlockNo,
    at: usize,
    bytes: &[u8],
) -> Result<(), AppendError> {
    let offset = segment.offset().plus(at as u64);
    dev.write_at(offset, bytes)
        .map_err(|source| AppendError::Failed(StoreError::Io { what, offset: offset.0, source }))
}
