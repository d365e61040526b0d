//! On-disk constants and codecs. Normative text: `docs/spec/store.md`.
//!
//! All numbers are little-endian. Nothing here does I/O.

pub mod chunk;
pub mod record;
pub mod segment;
pub mod superblock;

/// Unit of allocation and of device I/O.
pub const BLOCK_LEN: usize = 4096;
/// [`BLOCK_LEN`] for arithmetic on device offsets.
pub const BLOCK_LEN_BYTES: u64 = BLOCK_LEN as u64;

/// The two superblocks: far enough apart that one bad erase unit or track does not take both.
pub const SUPERBLOCK_BLOCKS: [u64; 2] = [0, 16];
/// First block that may be allocated.
pub const DATA_START_BLOCK: u64 = 32;

/// The geometry on disk, or the one in which tests enumerate power cuts.
const fn geometry(real: usize, tiny: usize) -> usize {
    if cfg!(feature = "tiny") { tiny } else { real }
}

/// A file device grows by at least this: few length changes, and sparse, so nothing is wasted.
pub const GROW_STEP_BYTES: u64 = geometry(64 << 20, 256 << 10) as u64;
/// Blobs leave this free on a device that cannot grow, so that deleting and checkpointing work when blobs no
/// longer fit: a checkpoint needs two segments for the new journal and, here, up to 4 MiB for its stream.
pub const RESERVE_BLOCKS: u64 = 2 * segment::SEGMENT_BLOCKS + 16 * chunk::CHUNK_BLOCKS;
/// Smallest device: the superblocks, two segments, the reserve.
pub const DEVICE_LEN_MIN_BYTES: u64 =
    (DATA_START_BLOCK + 2 * segment::SEGMENT_BLOCKS + RESERVE_BLOCKS) * BLOCK_LEN_BYTES;

/// Segments of one epoch's journal: bounds replay to 1 GiB of reading.
pub const JOURNAL_SEGMENTS_MAX: u64 = 512;
/// Of these, kept for the engine's own records, so that a full journal can still be opened, synced and
/// checkpointed (an opening takes two blocks).
pub const JOURNAL_SEGMENTS_RESERVED: u64 = 8;
/// Blob bytes recorded since the last sync after which a put syncs by itself: bounds the bytes that opening
/// must verify (plus the one blob that crosses the bound).
pub const UNSYNCED_BLOB_BYTES_MAX: u64 = 256 << 20;

/// The journal is filled with zeros so far ahead of syncs that follow each other closely, where the device likes that.
pub const PREPARED_LEN: usize = geometry(256 << 10, 8 << 10);

/// Blobs up to this length share blocks with their neighbours; longer ones have an extent of their own.
pub const PACKED_BLOB_LEN_MAX: usize = geometry(64 << 10, 6 << 10);
/// Length of the extent that packed blobs are gathered in and the largest single write of them.
pub const PACK_LEN: usize = geometry(1 << 20, 16 << 10);
/// Packed blobs start at multiples of this.
pub const PACK_ALIGN: u64 = 8;

pub(crate) fn get<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

pub(crate) fn get_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(get(bytes, at))
}

pub(crate) fn get_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(get(bytes, at))
}

pub(crate) fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}

/// `bytes` rounded up to whole blocks.
pub(crate) const fn blocks_for(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK_LEN_BYTES)
}
