//! The superblock: where everything else starts.

use super::{BLOCK_LEN, get, get_u32, get_u64, put};
use crate::types::{BlockNo, Epoch, Seq, StoreId};

/// "vriftSB" and a newline: a text-mode copy changes it.
pub const MAGIC: [u8; 8] = *b"vriftSB\n";
/// The only version this code reads and writes.
pub const FORMAT_VERSION: u32 = 1;

pub const MAGIC_AT: usize = 0;
pub const VERSION_AT: usize = MAGIC_AT + 8;
pub const BLOCK_LEN_AT: usize = VERSION_AT + 4;
pub const STORE_ID_AT: usize = BLOCK_LEN_AT + 4;
pub const EPOCH_AT: usize = STORE_ID_AT + 16;
pub const GENERATION_AT: usize = EPOCH_AT + 8;
pub const DEVICE_LEN_AT: usize = GENERATION_AT + 8;
pub const CHECKPOINT_BLOCK_AT: usize = DEVICE_LEN_AT + 8;
pub const CHECKPOINT_LEN_AT: usize = CHECKPOINT_BLOCK_AT + 8;
pub const CHECKPOINT_HASH_AT: usize = CHECKPOINT_LEN_AT + 8;
pub const JOURNAL_BLOCK_AT: usize = CHECKPOINT_HASH_AT + 32;
pub const FIRST_SEQ_AT: usize = JOURNAL_BLOCK_AT + 8;
pub const STATE_KEYS_AT: usize = FIRST_SEQ_AT + 8;
pub const FIRST_SESSION_AT: usize = STATE_KEYS_AT + 8;
pub const RESERVED_AT: usize = FIRST_SESSION_AT + 4;
/// CRC32 of every byte before it. Magic, version and CRC keep their place in every version.
pub const CRC_AT: usize = BLOCK_LEN - 4;

/// Decoded superblock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    pub store_id: StoreId,
    pub epoch: Epoch,
    /// One more for each superblock published. Both slots carry the same when at rest.
    pub generation: u64,
    /// The device is at least this long.
    pub device_len_bytes: u64,
    /// First chunk, or block 0: no checkpoint.
    pub checkpoint_block: BlockNo,
    /// Bytes of the checkpoint stream.
    pub checkpoint_len_bytes: u64,
    /// BLAKE3 of the checkpoint stream.
    pub checkpoint_hash: [u8; 32],
    /// First segment of the epoch's journal.
    pub journal_block: BlockNo,
    /// Sequence of the first record of the epoch.
    pub first_seq: Seq,
    /// Entries of the key-value space in the checkpoint.
    pub state_keys: u64,
    /// The session in which the epoch began.
    pub first_session: u32,
}

/// What one slot holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slot {
    Valid(Superblock),
    /// Correct checksum, later version.
    Newer(u32),
    /// No magic.
    Foreign,
    /// Magic, but not valid. The text says why.
    Damaged(String),
}

impl Superblock {
    /// One whole block.
    pub fn encode(&self) -> Vec<u8> {
        let mut block = vec![0; BLOCK_LEN];
        put(&mut block, MAGIC_AT, &MAGIC);
        put(&mut block, VERSION_AT, &FORMAT_VERSION.to_le_bytes());
        put(&mut block, BLOCK_LEN_AT, &4096_u32.to_le_bytes());
        put(&mut block, STORE_ID_AT, &self.store_id.0);
        put(&mut block, EPOCH_AT, &self.epoch.0.to_le_bytes());
        put(&mut block, GENERATION_AT, &self.generation.to_le_bytes());
        put(&mut block, DEVICE_LEN_AT, &self.device_len_bytes.to_le_bytes());
        put(&mut block, CHECKPOINT_BLOCK_AT, &self.checkpoint_block.0.to_le_bytes());
        put(&mut block, CHECKPOINT_LEN_AT, &self.checkpoint_len_bytes.to_le_bytes());
        put(&mut block, CHECKPOINT_HASH_AT, &self.checkpoint_hash);
        put(&mut block, JOURNAL_BLOCK_AT, &self.journal_block.0.to_le_bytes());
        put(&mut block, FIRST_SEQ_AT, &self.first_seq.0.to_le_bytes());
        put(&mut block, STATE_KEYS_AT, &self.state_keys.to_le_bytes());
        put(&mut block, FIRST_SESSION_AT, &self.first_session.to_le_bytes());
        let crc = crc32fast::hash(&block[..CRC_AT]);
        put(&mut block, CRC_AT, &crc.to_le_bytes());
        block
    }

    /// Judges one block.
    pub fn decode(block: &[u8]) -> Slot {
        let crc = crc32fast::hash(&block[..CRC_AT]);
        let stored = get_u32(block, CRC_AT);
        let magic: [u8; 8] = get(block, MAGIC_AT);
        if crc != stored {
            if magic != MAGIC {
                return Slot::Foreign;
            }
            return Slot::Damaged(format!("checksum: expected {crc:#010x}, found {stored:#010x}"));
        }
        if magic != MAGIC {
            return Slot::Foreign;
        }
        let version = get_u32(block, VERSION_AT);
        if version > FORMAT_VERSION {
            return Slot::Newer(version);
        }
        let block_len = get_u32(block, BLOCK_LEN_AT);
        if version != FORMAT_VERSION || block_len != 4096 {
            return Slot::Damaged(format!("version {version}, block length {block_len}: expected 1, 4096"));
        }
        Slot::Valid(Self {
            store_id: StoreId(get(block, STORE_ID_AT)),
            epoch: Epoch(get_u64(block, EPOCH_AT)),
            generation: get_u64(block, GENERATION_AT),
            device_len_bytes: get_u64(block, DEVICE_LEN_AT),
            checkpoint_block: BlockNo(get_u64(block, CHECKPOINT_BLOCK_AT)),
            checkpoint_len_bytes: get_u64(block, CHECKPOINT_LEN_AT),
            checkpoint_hash: get(block, CHECKPOINT_HASH_AT),
            journal_block: BlockNo(get_u64(block, JOURNAL_BLOCK_AT)),
            first_seq: Seq(get_u64(block, FIRST_SEQ_AT)),
            state_keys: get_u64(block, STATE_KEYS_AT),
            // Zero in stores that never had a checkpoint of this kind.
            first_session: get_u32(block, FIRST_SESSION_AT).max(1),
        })
    }
}
