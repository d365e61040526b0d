//! A checkpoint chunk: header, then a piece of the checkpoint stream.

use super::{BLOCK_LEN, get, get_u32, get_u64, put};
use crate::types::{BlockNo, Epoch, StoreId};

/// Long enough for sequential speed, short enough to find room in a fragmented device.
pub const CHUNK_LEN: usize = super::geometry(256 << 10, 8 << 10);
pub const CHUNK_BLOCKS: u64 = (CHUNK_LEN / BLOCK_LEN) as u64;

pub const MAGIC: [u8; 8] = *b"vriftCP\n";

pub const MAGIC_AT: usize = 0;
pub const STORE_ID_AT: usize = MAGIC_AT + 8;
pub const EPOCH_AT: usize = STORE_ID_AT + 16;
pub const INDEX_AT: usize = EPOCH_AT + 8;
pub const NEXT_BLOCK_AT: usize = INDEX_AT + 8;
pub const PAYLOAD_LEN_AT: usize = NEXT_BLOCK_AT + 8;
/// CRC32 of every other byte of header and payload.
pub const CRC_AT: usize = PAYLOAD_LEN_AT + 4;
pub const PAYLOAD_AT: usize = CRC_AT + 4;
pub const PAYLOAD_LEN_MAX: usize = CHUNK_LEN - PAYLOAD_AT;

/// Decoded chunk header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkHeader {
    pub store_id: StoreId,
    /// The epoch that starts with this checkpoint.
    pub epoch: Epoch,
    pub index: u64,
    /// Next chunk, or block 0: the last one.
    pub next: BlockNo,
    pub payload_len: usize,
}

/// Fills the header of `chunk`, whose payload is in place.
pub fn seal(chunk: &mut [u8], header: &ChunkHeader) {
    put(chunk, MAGIC_AT, &MAGIC);
    put(chunk, STORE_ID_AT, &header.store_id.0);
    put(chunk, EPOCH_AT, &header.epoch.0.to_le_bytes());
    put(chunk, INDEX_AT, &header.index.to_le_bytes());
    put(chunk, NEXT_BLOCK_AT, &header.next.0.to_le_bytes());
    let payload_len = u32::try_from(header.payload_len).unwrap_or(u32::MAX);
    put(chunk, PAYLOAD_LEN_AT, &payload_len.to_le_bytes());
    let crc = crc_of(chunk, header.payload_len);
    put(chunk, CRC_AT, &crc.to_le_bytes());
}

/// `None`: not a chunk, or a damaged one. `chunk` holds [`CHUNK_LEN`] bytes.
pub fn decode(chunk: &[u8]) -> Option<ChunkHeader> {
    let magic: [u8; 8] = get(chunk, MAGIC_AT);
    let payload_len = usize::try_from(get_u32(chunk, PAYLOAD_LEN_AT)).ok()?;
    if magic != MAGIC || payload_len > PAYLOAD_LEN_MAX {
        return None;
    }
    if crc_of(chunk, payload_len) != get_u32(chunk, CRC_AT) {
        return None;
    }
    Some(ChunkHeader {
        store_id: StoreId(get(chunk, STORE_ID_AT)),
        epoch: Epoch(get_u64(chunk, EPOCH_AT)),
        index: get_u64(chunk, INDEX_AT),
        next: BlockNo(get_u64(chunk, NEXT_BLOCK_AT)),
        payload_len,
    })
}

fn crc_of(chunk: &[u8], payload_len: usize) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&chunk[..CRC_AT]);
    hasher.update(&chunk[PAYLOAD_AT..PAYLOAD_AT + payload_len]);
    hasher.finalize()
}
