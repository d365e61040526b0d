//! A journal record: header, payload, zero padding to 8 bytes.

use std::io::{self, Read};

use super::{get_u32, get_u64, put};
use crate::mutant::{Mutant, planted};
use crate::types::{BlobHash, DevOffset, Epoch, Seq, StoreId};

/// CRC32 of the seed (store id, epoch, device offset of the record), the rest of the header, the payload.
pub const CRC_AT: usize = 0;
pub const PAYLOAD_LEN_AT: usize = CRC_AT + 4;
pub const SEQ_AT: usize = PAYLOAD_LEN_AT + 4;
/// The last record known to be durable when this one was written.
pub const SYNCED_SEQ_AT: usize = SEQ_AT + 8;
/// Number of the opening of the store, within the epoch, that wrote the record.
pub const SESSION_AT: usize = SYNCED_SEQ_AT + 8;
pub const KIND_AT: usize = SESSION_AT + 4;
pub const ZERO_AT: usize = KIND_AT + 1;
pub const HEADER_LEN: usize = ZERO_AT + 3;
/// Records start at multiples of this.
pub const RECORD_ALIGN: usize = 8;
/// Two of them fit in a segment; more than any client record needs.
pub const PAYLOAD_LEN_MAX: usize = super::segment::SEGMENT_LEN / 2 - 8192;

/// Kinds from here on are the engine's.
pub const KIND_ENGINE_FIRST: u8 = 0xf0;
/// Payload: [`BLOB_ENTRY_LEN`] bytes for each blob.
pub const KIND_BLOB_PUT: u8 = 0xf0;
/// Payload: 32 bytes (the hash) for each blob.
pub const KIND_BLOB_REMOVE: u8 = 0xf1;
/// No payload: carries the synced sequence after a sync.
pub const KIND_SYNCED: u8 = 0xf2;
/// No payload: first record of a session.
pub const KIND_SESSION: u8 = 0xf3;
/// Payload: changes of the key-value space, which take effect together.
pub const KIND_STATE: u8 = 0xf4;

pub const BLOB_HASH_LEN: usize = 32;
pub const BLOB_HASH_AT: usize = 0;
pub const BLOB_OFFSET_AT: usize = BLOB_HASH_AT + BLOB_HASH_LEN;
pub const BLOB_LEN_AT: usize = BLOB_OFFSET_AT + 8;
pub const BLOB_ENTRY_LEN: usize = BLOB_LEN_AT + 8;
/// Bit of the length: the blob lies in the store as frames, and their length follows the entry.
pub const BLOB_FRAMED: u64 = 1 << 63;
/// Longest entry.
pub const BLOB_ENTRY_LEN_MAX: usize = BLOB_ENTRY_LEN + 8;

/// What every record of one epoch shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed {
    pub store_id: StoreId,
    pub epoch: Epoch,
}

/// Decoded record header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    pub payload_len: usize,
    pub seq: Seq,
    pub synced_seq: Seq,
    pub session: u32,
    pub kind: u8,
}

impl Seed {
    fn hasher(&self, at: DevOffset) -> crc32fast::Hasher {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.store_id.0);
        if !planted(Mutant::NoEpoch) {
            hasher.update(&self.epoch.0.to_le_bytes());
        }
        hasher.update(&at.0.to_le_bytes());
        hasher
    }
}

/// Bytes that a record with this payload takes, padding included.
pub const fn record_len(payload_len: usize) -> usize {
    (HEADER_LEN + payload_len).next_multiple_of(RECORD_ALIGN)
}

/// Appends the record that will lie at `at` to `out`. The payload must respect [`PAYLOAD_LEN_MAX`].
pub fn encode(out: &mut Vec<u8>, seed: &Seed, at: DevOffset, header: &RecordHeader, payload: &[u8]) {
    debug_assert_eq!(header.payload_len, payload.len());
    debug_assert!(payload.len() <= PAYLOAD_LEN_MAX);
    let mut bytes = [0; HEADER_LEN];
    let payload_len = u32::try_from(header.payload_len).unwrap_or(u32::MAX);
    put(&mut bytes, PAYLOAD_LEN_AT, &payload_len.to_le_bytes());
    put(&mut bytes, SEQ_AT, &header.seq.0.to_le_bytes());
    put(&mut bytes, SYNCED_SEQ_AT, &header.synced_seq.0.to_le_bytes());
    put(&mut bytes, SESSION_AT, &header.session.to_le_bytes());
    bytes[KIND_AT] = header.kind;
    let crc = checksum(seed, at, &bytes, payload);
    put(&mut bytes, CRC_AT, &crc.to_le_bytes());
    out.extend_from_slice(&bytes);
    out.extend_from_slice(payload);
    out.resize(out.len() + record_len(payload.len()) - HEADER_LEN - payload.len(), 0);
}

/// Of everything but the checksum itself and the padding.
fn checksum(seed: &Seed, at: DevOffset, header: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = seed.hasher(at);
    if planted(Mutant::CrcWithoutLength) {
        hasher.update(&header[SEQ_AT..HEADER_LEN]);
    } else {
        hasher.update(&header[PAYLOAD_LEN_AT..HEADER_LEN]);
        hasher.update(payload);
    }
    hasher.finalize()
}

/// The record at the start of `bytes`, which lie at `at`. `None`: no valid record of this store and epoch
/// there. A length is believed only where it stays within `bytes`.
pub fn decode<'a>(seed: &Seed, at: DevOffset, bytes: &'a [u8]) -> Option<(RecordHeader, &'a [u8])> {
    if bytes.len() < HEADER_LEN {
        return None;
    }
    let payload_len = usize::try_from(get_u32(bytes, PAYLOAD_LEN_AT)).ok()?;
    if payload_len > PAYLOAD_LEN_MAX || record_len(payload_len) > bytes.len() {
        return None;
    }
    let payload = &bytes[HEADER_LEN..HEADER_LEN + payload_len];
    if checksum(seed, at, bytes, payload) != get_u32(bytes, CRC_AT) && !planted(Mutant::NoCrc) {
        return None;
    }
    let header = RecordHeader {
        payload_len,
        seq: Seq(get_u64(bytes, SEQ_AT)),
        synced_seq: Seq(get_u64(bytes, SYNCED_SEQ_AT)),
        session: get_u32(bytes, SESSION_AT),
        kind: bytes[KIND_AT],
    };
    Some((header, payload))
}

/// One entry of a [`KIND_BLOB_PUT`] record or of the checkpoint's blob table: [`BLOB_ENTRY_LEN`] bytes, and 8 more
/// where the blob does not lie in the store as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobEntry {
    pub hash: BlobHash,
    pub offset: DevOffset,
    /// Of the content.
    pub len_bytes: u64,
    /// What it takes in the store; the length, where it lies there as it is.
    pub stored_bytes: u64,
}

impl BlobEntry {
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.hash.0);
        out.extend_from_slice(&self.offset.0.to_le_bytes());
        let framed = self.stored_bytes != self.len_bytes;
        let flag = if framed { BLOB_FRAMED } else { 0 };
        out.extend_from_slice(&(self.len_bytes | flag).to_le_bytes());
        if framed {
            out.extend_from_slice(&self.stored_bytes.to_le_bytes());
        }
    }

    /// The next entry of a stream, buffered by the caller.
    ///
    /// # Errors
    /// What reading says; `UnexpectedEof` where there is no whole entry.
    pub fn read(from: &mut dyn Read) -> io::Result<Self> {
        let mut entry = [0; BLOB_ENTRY_LEN];
        from.read_exact(&mut entry)?;
        let len = get_u64(&entry, BLOB_LEN_AT);
        let len_bytes = len & !BLOB_FRAMED;
        let mut stored = len.to_le_bytes();
        if len != len_bytes {
            from.read_exact(&mut stored)?;
        }
        Ok(Self {
            hash: BlobHash(super::get(&entry, BLOB_HASH_AT)),
            offset: DevOffset(get_u64(&entry, BLOB_OFFSET_AT)),
            len_bytes,
            stored_bytes: u64::from_le_bytes(stored),
        })
    }

    /// All entries of a record's payload; `None` where it does not consist of whole ones.
    pub fn decode_all(mut payload: &[u8]) -> Option<Vec<Self>> {
        let mut entries = Vec::with_capacity(payload.len() / BLOB_ENTRY_LEN);
        while !payload.is_empty() {
            entries.push(Self::read(&mut payload).ok()?);
        }
        Some(entries)
    }
}
