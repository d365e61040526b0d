//! Looking at a store that nobody has open: what is damaged, and what can be done about it.

use std::io;
use std::sync::PoisonError;

use crate::checkpoint::ChunkReader;
use crate::device::BlockDevice;
use crate::error::StoreError;
use crate::layout::segment::{RECORDS_AT, SEGMENT_BLOCKS, SegmentHeader};
use crate::layout::superblock::Superblock;
use crate::layout::{BLOCK_LEN, BLOCK_LEN_BYTES, JOURNAL_SEGMENTS_MAX};
use crate::replay;
use crate::state::Picture;
use crate::table::Blobs;
use crate::types::{BlockNo, Seq};

use super::open::{choose, repair};
use super::recover::rebuild;
use super::{Replay, Store};

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong, and where.
    pub what: String,
    /// What a repair does about it, and what that costs; `None`: nothing can be done here.
    pub remedy: Option<&'static str>,
    /// The repair was done.
    pub repaired: bool,
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fsck {
    pub findings: Vec<Finding>,
    /// Records of the journal that were read.
    pub records: u64,
    /// Bytes of the checkpoint that were read.
    pub checkpoint_bytes: u64,
}

impl Fsck {
    fn note(&mut self, what: String, remedy: Option<&'static str>, repaired: bool) {
        self.findings.push(Finding { what, remedy, repaired });
    }

    /// Everything that was found is repaired, or there was nothing.
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| finding.repaired)
    }
}

const ANEW: &str = "a checkpoint writes superblocks, checkpoint and journal anew from what is in memory";
const BOTH_SLOTS: &str = "the damaged superblock is written again from the other one";
const CUT: &str = "the journal ends before the damage; what was recorded behind it is lost";

impl Store {
    /// Checks superblocks, checkpoint and journal (not the bytes of blobs: open the store and verify them). Changes
    /// nothing without `repairs`. A repair that loses something is named in the finding.
    ///
    /// # Errors
    /// What makes it impossible to tell what the store holds: `Empty`, `NotAStore`, `SuperblocksDamaged`,
    /// `NewerVersion`, `Truncated`, `Io`.
    pub fn fsck(dev: &dyn BlockDevice, repairs: bool) -> Result<Fsck, StoreError> {
        let mut fsck = Fsck::default();
        let (superblock, stale) = choose(dev)?;
        for slot in &stale {
            fsck.note(
                format!("superblock at block {slot} is damaged or out of date"),
                Some(BOTH_SLOTS),
                repairs,
            );
        }
        if repairs {
            repair(dev, &superblock, &stale)?;
        }
        check_checkpoint(dev, &superblock, &mut fsck)?;
        check_journal(dev, &superblock, repairs, &mut fsck)?;
        Ok(fsck)
    }

    /// Checks superblocks, checkpoint and journal of the open store, as they are at one moment: what they lead to must
    /// be what is served. Others go on meanwhile, but for checkpoints. Changes nothing; a checkpoint writes all of it
    /// anew from memory.
    ///
    /// # Errors
    /// As [`Self::fsck`].
    pub fn fsck_live(&self) -> Result<Fsck, StoreError> {
        let mut fsck = Fsck::default();
        let stale = {
            // Nobody is between the two slots.
            let _one = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
            choose(&*self.dev)?.1
        };
        for slot in stale {
            fsck.note(format!("superblock at block {slot} is damaged or out of date"), Some(ANEW), false);
        }
        // No checkpoint may replace what is read.
        let _one = self.checkpointing.lock().unwrap_or_else(PoisonError::into_inner);
        let cut = self.cut()?;
        let superblock = &cut.superblock;
        fsck.checkpoint_bytes = superblock.checkpoint_len_bytes;
        // Records behind the cut are still being written.
        let until = Some(cut.last_seq.next());
        let read = rebuild(&*self.dev, superblock, until, &mut |replay| {
            fsck.records += u64::from(matches!(replay, Replay::Record { .. }));
            Ok(())
        });
        match read {
            Ok((_, _, journal)) if journal.last_seq < cut.last_seq => {
                let block = journal.segments[journal.segments.len() - 2];
                let (offset, expected) = (block.offset().plus(journal.pos as u64), journal.last_seq.next());
                let what = format!(
                    "journal of epoch {} is damaged at or before byte {}: expected record {expected}, which was \
                     written, found no valid record",
                    journal.seed.epoch, offset.0
                );
                fsck.note(what, Some(ANEW), false);
            }
            Ok((rebuilt, ..)) => {
                let same = rebuilt.table.iter().all(|(hash, loc)| cut.blobs.get(hash) == Some(*loc))
                    && rebuilt.table.len() == cut.blobs.len()
                    && rebuilt.state.picture().iter().eq(cut.state.iter());
                // Blobs that could not be handed to a poisoned device are in memory alone.
                if !same && self.poison.get().is_none() {
                    let what = "checkpoint and journal lead to something else than what is served";
                    fsck.note(what.to_owned(), Some(ANEW), false);
                }
            }
            Err(error @ (StoreError::Damaged { .. } | StoreError::Truncated { .. })) => {
                fsck.note(error.to_string(), Some(ANEW), false);
            }
            Err(error) => return Err(error),
        }
        Ok(fsck)
    }

    /// What is served at one moment, and how far the journal is then.
    fn cut(&self) -> Result<Cut, StoreError> {
        let mut core = self.core();
        if self.poison.get().is_none() {
            self.drain_pack(&mut core)?;
        }
        Ok(Cut {
            superblock: core.superblock.clone(),
            last_seq: core.journal.last_seq,
            blobs: core.table.picture(),
            state: core.state.picture(),
        })
    }
}

/// See [`Store::cut`].
struct Cut {
    superblock: Superblock,
    last_seq: Seq,
    blobs: Blobs,
    state: Picture,
}

fn check_checkpoint(
    dev: &dyn BlockDevice,
    superblock: &Superblock,
    fsck: &mut Fsck,
) -> Result<(), StoreError> {
    if superblock.checkpoint_block == BlockNo(0) {
        return Ok(());
    }
    let mut reader = ChunkReader::new(dev, superblock);
    let read = io::copy(&mut reader, &mut io::sink());
    fsck.checkpoint_bytes = read.unwrap_or(0);
    let outcome = match reader.failure.take() {
        Some(error) => Err(error),
        None => reader.finish().map(drop),
    };
    match outcome {
        Err(error @ StoreError::Damaged { .. }) => {
            fsck.note(error.to_string(), None, false);
            Ok(())
        }
        other => other,
    }
}

fn check_journal(
    dev: &dyn BlockDevice,
    superblock: &Superblock,
    repairs: bool,
    fsck: &mut Fsck,
) -> Result<(), StoreError> {
    let mut records = 0;
    let read = replay::replay(dev, superblock, None, &mut |_, _| {
        records += 1;
        Ok(())
    });
    fsck.records = records;
    let (text, expected) = match read {
        Ok(_) => return Ok(()),
        Err(error @ StoreError::JournalDamaged { expected, .. }) => (error.to_string(), expected),
        Err(error @ StoreError::Damaged { .. }) => {
            fsck.note(error.to_string(), None, false);
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    if repairs {
        cut(dev, superblock, expected)?;
    }
    fsck.note(text, Some(CUT), repairs);
    Ok(())
}

/// Makes the journal end before the record of this number: nothing behind it may speak for it any more.
fn cut(dev: &dyn BlockDevice, superblock: &Superblock, expected: Seq) -> Result<(), StoreError> {
    let kept = replay::replay(dev, superblock, Some(expected), &mut |_, _| Ok(()))?;
    // The last one is allocated ahead of the one in which the journal ends.
    let mut at = kept.segments[kept.segments.len() - 2];
    let mut from = kept.pos;
    for _ in 0..JOURNAL_SEGMENTS_MAX {
        let end = at.offset().0 + SEGMENT_BLOCKS * BLOCK_LEN_BYTES;
        let offset = at.offset().plus(from as u64);
        let io = |what| move |source| StoreError::Io { what, offset: offset.0, source };
        let mut header = vec![0; BLOCK_LEN];
        dev.read_at(at.offset(), &mut header).map_err(io("read of a segment header"))?;
        let next = SegmentHeader::decode(&header)
            .filter(|h| h.store_id == superblock.store_id && h.epoch >= superblock.epoch && h.block == at);
        let zeroes = vec![0; usize::try_from(end - offset.0).unwrap_or(0)];
        if !zeroes.is_empty() {
            dev.write_at(offset, &zeroes).map_err(io("write of the cut"))?;
        }
        match next {
            Some(header) if header.next.offset().0 + SEGMENT_BLOCKS * BLOCK_LEN_BYTES <= dev.len_bytes() => {
                (at, from) = (header.next, RECORDS_AT);
            }
            _ => break,
        }
    }
    dev.flush().map_err(|source| StoreError::Io { what: "flush of the cut", offset: 0, source })
}
