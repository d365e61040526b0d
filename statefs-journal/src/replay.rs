//! The reading end of the journal: finds its end and tells a torn tail from damage.

use crate::device::BlockDevice;
use crate::error::StoreError;
use crate::layout::record::{self, HEADER_LEN, KIND_SESSION, RecordHeader, Seed};
use crate::layout::segment::{RECORDS_AT, SEGMENT_LEN, SegmentHeader};
use crate::layout::superblock::Superblock;
use crate::layout::{BLOCK_LEN, DATA_START_BLOCK, JOURNAL_SEGMENTS_MAX};
use crate::mutant::{Mutant, planted};
use crate::types::{BlockNo, Epoch, Seq};

/// Where and how the journal goes on.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) seed: Seed,
    /// Segments with records, then the one that is allocated ahead.
    pub(crate) segments: Vec<BlockNo>,
    /// Which of them is the first one of the epoch in which the journal ends.
    pub(crate) first_index: u64,
    /// Start of the first block behind the last valid record.
    pub(crate) pos: usize,
    pub(crate) session: u32,
    pub(crate) last_seq: Seq,
    pub(crate) synced_seq: Seq,
}

/// Called with each record in order.
pub(crate) type Apply<'a> = dyn FnMut(&RecordHeader, &[u8]) -> Result<(), StoreError> + 'a;

/// One segment in memory.
struct Segment {
    block: BlockNo,
    /// That its header says; without a header the epoch in which it was looked for.
    epoch: Epoch,
    bytes: Vec<u8>,
    header: Option<SegmentHeader>,
}

struct Reader<'a> {
    dev: &'a dyn BlockDevice,
    seed: Seed,
    expected: Seq,
    /// The first record that is not wanted.
    until: Option<Seq>,
    session: u32,
    synced_seq: Seq,
}

/// Calls `apply` with every valid record of the epoch, in order.
///
/// The end is where no valid record with the next sequence follows: in the same place, at the start of the next
/// block (where a sync or a new session moved to), or at the start of the next segment. It is damage, not a
/// torn tail, if any later record proves that the missing one had been synced.
///
/// With `until`, the journal ends before the record of that number: the caller has read it all once and found
/// that it cannot be kept.
pub(crate) fn replay(
    dev: &dyn BlockDevice,
    superblock: &Superblock,
    until: Option<Seq>,
    apply: &mut Apply<'_>,
) -> Result<Recovered, StoreError> {
    let seed = Seed { store_id: superblock.store_id, epoch: superblock.epoch };
    // What precedes the epoch is in the checkpoint, which was flushed.
    let synced_seq = Seq(superblock.first_seq.0.saturating_sub(1));
    let session = superblock.first_session;
    let mut reader = Reader { dev, seed, expected: superblock.first_seq, until, session, synced_seq };
    let mut first_index = 0;
    let mut segments = vec![superblock.journal_block];
    let first = |header: &SegmentHeader| header.epoch == superblock.epoch && header.index == 0;
    let mut segment = reader.load(superblock.journal_block, superblock.epoch)?;
    let Some(mut header) = segment.header.filter(first) else {
        return Err(StoreError::Damaged {
            what: "first journal segment",
            block: superblock.journal_block,
            expected: format!("a segment header of epoch {}", superblock.epoch),
            found: "none".to_owned(),
        });
    };
    let mut pos = RECORDS_AT;
    loop {
        // A later opening may have cut the journal here because of what the next record refers to.
        let boundary = pos.next_multiple_of(BLOCK_LEN);
        if boundary != pos && boundary < SEGMENT_LEN && reader.restarts(&segment, boundary) {
            pos = boundary;
        } else if boundary != pos
            && boundary == SEGMENT_LEN
            && let Some((next, next_header)) = reader.follow(header, segments.len() as u64)?
            && reader.restarts(&next, RECORDS_AT)
        {
            first_index = if next_header.index == 0 { segments.len() as u64 } else { first_index };
            segments.push(next.block);
            (segment, header, pos) = (next, next_header, RECORDS_AT);
        }
        if let Some(at) =
            [pos, pos.next_multiple_of(BLOCK_LEN)].into_iter().find(|at| reader.valid(&segment, *at))
        {
            pos = reader.take(&segment, at, apply)?;
            continue;
        }
        let Some((next, next_header)) = reader.follow(header, segments.len() as u64)? else { break };
        if !reader.valid(&next, RECORDS_AT) {
            break;
        }
        first_index = if next_header.index == 0 { segments.len() as u64 } else { first_index };
        segments.push(next.block);
        (segment, header, pos) = (next, next_header, RECORDS_AT);
    }
    if until.is_none() {
        reader.look_behind_the_end(&segment, header, pos, segments.len() as u64)?;
    }
    segments.push(header.next);
    Ok(Recovered {
        seed: Seed { epoch: segment.epoch, ..seed },
        segments,
        first_index,
        pos: pos.next_multiple_of(BLOCK_LEN),
        session: reader.session,
        last_seq: Seq(reader.expected.0 - 1),
        synced_seq: reader.synced_seq,
    })
}

/// Is `next` what comes behind the segment with `header`: the next one of its epoch, or the first of the next epoch?
fn follows(header: &SegmentHeader, next: &SegmentHeader) -> bool {
    let same = next.epoch == header.epoch && next.index == header.index + 1;
    let rotated = next.epoch.0 == header.epoch.0 + 1 && next.index == 0;
    same || rotated || planted(Mutant::NoEpoch)
}

impl Reader<'_> {
    fn load(&self, block: BlockNo, epoch: Epoch) -> Result<Segment, StoreError> {
        if !self.within_device(block) {
            return Err(StoreError::Truncated {
                what: "a journal segment",
                expected_bytes: block.offset().0.saturating_add(SEGMENT_LEN as u64),
                found_bytes: self.dev.len_bytes(),
            });
        }
        let mut bytes = vec![0; SEGMENT_LEN];
        let offset = block.offset();
        self.dev.read_at(offset, &mut bytes).map_err(|source| StoreError::Io {
            what: "read of a journal segment",
            offset: offset.0,
            source,
        })?;
        let header = SegmentHeader::decode(&bytes[..BLOCK_LEN])
            .filter(|header| header.store_id == self.seed.store_id && header.block == block);
        let epoch = header.map_or(epoch, |header| header.epoch);
        Ok(Segment { block, epoch, bytes, header })
    }

    fn within_device(&self, block: BlockNo) -> bool {
        block.0 >= DATA_START_BLOCK
            && block.offset().0.checked_add(SEGMENT_LEN as u64).is_some_and(|end| end <= self.dev.len_bytes())
    }

    fn decode<'s>(&self, segment: &'s Segment, at: usize) -> Option<(RecordHeader, &'s [u8])> {
        let offset = segment.block.offset().plus(at as u64);
        let seed = Seed { epoch: segment.epoch, ..self.seed };
        record::decode(&seed, offset, segment.bytes.get(at..)?)
    }

    /// Is there the record that must come next? A session only ends by a record that starts a later one, so
    /// what an earlier session left behind the cut is not ours.
    fn valid(&self, segment: &Segment, at: usize) -> bool {
        self.decode(segment, at).is_some_and(|(header, _)| {
            let same = header.session == self.session;
            let starts = header.kind == KIND_SESSION && header.session > self.session;
            let unbound = planted(Mutant::NoSession) || planted(Mutant::NoEpoch);
            let (same, starts) = (same || unbound, starts || unbound);
            header.seq == self.expected && self.until != Some(header.seq) && (same || starts)
        })
    }

    /// Does the record that must come next start a later session here?
    fn restarts(&self, segment: &Segment, at: usize) -> bool {
        self.valid(segment, at)
            && self.decode(segment, at).is_some_and(|(header, _)| header.session > self.session)
    }

    /// The segment behind the one with `header`, if it was begun.
    fn follow(
        &self,
        header: SegmentHeader,
        index: u64,
    ) -> Result<Option<(Segment, SegmentHeader)>, StoreError> {
        if index >= JOURNAL_SEGMENTS_MAX || !self.within_device(header.next) {
            return Ok(None);
        }
        let next = self.load(header.next, header.epoch)?;
        let first = self.decode(&next, RECORDS_AT).map(|(first, _)| first.session);
        let entered = |header: &SegmentHeader| {
            first == Some(header.session) || planted(Mutant::HeaderOfAnySession) || planted(Mutant::NoEpoch)
        };
        Ok(next.header.filter(|next| follows(&header, next)).filter(entered).map(|header| (next, header)))
    }

    fn take(&mut self, segment: &Segment, at: usize, apply: &mut Apply<'_>) -> Result<usize, StoreError> {
        let Some((header, payload)) = self.decode(segment, at) else { return Ok(at) };
        apply(&header, payload)?;
        self.expected = header.seq.next();
        self.session = header.session;
        self.synced_seq = self.synced_seq.max(header.synced_seq);
        Ok(at + record::record_len(payload.len()))
    }

    /// Every sync is followed by a record at the start of a block that says how far it reached. So the starts
    /// of the blocks behind the end tell whether something that was synced is missing.
    fn look_behind_the_end(
        &self,
        segment: &Segment,
        mut header: SegmentHeader,
        pos: usize,
        index: u64,
    ) -> Result<(), StoreError> {
        let end = segment.block.offset().plus(pos as u64);
        let mut proof = self.claims(segment, pos);
        let mut next = header.next;
        for _ in index..JOURNAL_SEGMENTS_MAX {
            if proof >= self.expected || !self.within_device(next) {
                break;
            }
            let mut later = self.load(next, header.epoch)?;
            proof = proof.max(self.claims(&later, RECORDS_AT));
            match later.header.filter(|next| follows(&header, next)) {
                Some(later) => (next, header) = (later.next, later),
                None => {
                    // Its header may be what is damaged: it may have been the first one of the next epoch.
                    later.epoch = Epoch(header.epoch.0 + 1);
                    proof = proof.max(self.claims(&later, RECORDS_AT));
                    break;
                }
            }
        }
        if proof >= self.expected {
            return Err(StoreError::JournalDamaged {
                epoch: self.seed.epoch,
                offset: end.0,
                expected: self.expected,
            });
        }
        Ok(())
    }

    /// The highest synced sequence that a record at the start of a block behind `pos` claims. Only records that
    /// end within their block are looked at: those that follow a sync do, and it bounds the work.
    fn claims(&self, segment: &Segment, pos: usize) -> Seq {
        let first = pos.next_multiple_of(BLOCK_LEN);
        let starts = (first..SEGMENT_LEN).step_by(BLOCK_LEN);
        let claim = |at: usize| {
            let block = &segment.bytes[at..at + BLOCK_LEN];
            if block[..HEADER_LEN].iter().all(|byte| *byte == 0) {
                return None;
            }
            let offset = segment.block.offset().plus(at as u64);
            let seed = Seed { epoch: segment.epoch, ..self.seed };
            record::decode(&seed, offset, block).map(|(header, _)| header.synced_seq)
        };
        starts.filter_map(claim).max().unwrap_or_default()
    }
}
