//! A journal segment: one header block, then records.

use super::{BLOCK_LEN, get, get_u32, get_u64, put};
use crate::types::{BlockNo, Epoch, StoreId};

/// Long enough that rolling is rare, short enough that an empty store stays small.
pub const SEGMENT_LEN: usize = super::geometry(2 << 20, 32 << 10);
pub const SEGMENT_BLOCKS: u64 = (SEGMENT_LEN / BLOCK_LEN) as u64;
/// Records start behind the header block.
pub const RECORDS_AT: usize = BLOCK_LEN;

pub const MAGIC: [u8; 8] = *b"vriftJS\n";

pub const MAGIC_AT: usize = 0;
pub const STORE_ID_AT: usize = MAGIC_AT + 8;
pub const EPOCH_AT: usize = STORE_ID_AT + 16;
pub const INDEX_AT: usize = EPOCH_AT + 8;
pub const SELF_BLOCK_AT: usize = INDEX_AT + 8;
pub const NEXT_BLOCK_AT: usize = SELF_BLOCK_AT + 8;
pub const SESSION_AT: usize = NEXT_BLOCK_AT + 8;
/// CRC32 of every byte before it.
pub const CRC_AT: usize = BLOCK_LEN - 4;

/// Decoded segment header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    pub store_id: StoreId,
    pub epoch: Epoch,
    /// Position in the chain, from 0.
    pub index: u64,
    /// Where this segment lies: a copy elsewhere is not this segment.
    pub block: BlockNo,
    /// Where the chain goes on; allocated, its header not yet written.
    pub next: BlockNo,
    /// The session that entered the segment: that of its first record. What an earlier session wrote here before a
    /// cut may still lie here, and leads elsewhere.
    pub session: u32,
}

impl SegmentHeader {
    /// One whole block.
    pub fn encode(&self) -> Vec<u8> {
        let mut block = vec![0; BLOCK_LEN];
        put(&mut block, MAGIC_AT, &MAGIC);
        put(&mut block, STORE_ID_AT, &self.store_id.0);
        put(&mut block, EPOCH_AT, &self.epoch.0.to_le_bytes());
        put(&mut block, INDEX_AT, &self.index.to_le_bytes());
        put(&mut block, SELF_BLOCK_AT, &self.block.0.to_le_bytes());
        put(&mut block, NEXT_BLOCK_AT, &self.next.0.to_le_bytes());
        put(&mut block, SESSION_AT, &self.session.to_le_bytes());
        let crc = crc32fast::hash(&block[..CRC_AT]);
        put(&mut block, CRC_AT, &crc.to_le_bytes());
        block
    }

    /// `None`: not a header, or a damaged one.
    pub fn decode(block: &[u8]) -> Option<Self> {
        let magic: [u8; 8] = get(block, MAGIC_AT);
        if magic != MAGIC || crc32fast::hash(&block[..CRC_AT]) != get_u32(block, CRC_AT) {
            return None;
        }
        Some(Self {
            store_id: StoreId(get(block, STORE_ID_AT)),
            epoch: Epoch(get_u64(block, EPOCH_AT)),
            index: get_u64(block, INDEX_AT),
            block: BlockNo(get_u64(block, SELF_BLOCK_AT)),
            next: BlockNo(get_u64(block, NEXT_BLOCK_AT)),
            session: get_u32(block, SESSION_AT),
        })
    }
}
