//! The one error type of this crate.

use std::io;
use std::path::PathBuf;

use crate::types::{BlobHash, BlockNo, Epoch, Seq};

/// What went wrong: what, where, what was expected and what was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has the device open.
    #[error("store {path}: locked by another process")]
    Locked { path: PathBuf },
    /// The kernel gave the device to somebody else.
    #[error("store {name}: in use: mounted, part of a volume, or opened by another program")]
    Held { name: String },
    /// The device is not one that a store can be on.
    #[error("store {name}: {why}")]
    Unfit { name: String, why: String },
    /// The device holds something that is not a store.
    #[error("store {name}: holds {what} (its mark is at byte {offset})")]
    Foreign { name: String, what: &'static str, offset: u64 },
    /// The device has no bytes at all.
    #[error("store: the device is empty; it was never formatted or has been truncated to nothing")]
    Empty,
    /// No superblock was ever written here, or both lost their magic.
    #[error("store: blocks {slot_a} and {slot_b} hold no vrift superblock: not a store")]
    NotAStore { slot_a: u64, slot_b: u64 },
    /// Both superblocks carry traces of a store, none has a correct checksum.
    #[error("store: both superblocks are damaged (block {slot_a}: {why_a}; block {slot_b}: {why_b})")]
    SuperblocksDamaged { slot_a: u64, why_a: String, slot_b: u64, why_b: String },
    /// Written by a later vrift.
    #[error("store: format version {found} is newer than this vrift understands ({supported})")]
    NewerVersion { found: u32, supported: u32 },
    /// The device is shorter than what was synced to it.
    #[error("store: device is truncated: {what} needs {expected_bytes} bytes, device has {found_bytes}")]
    Truncated { what: &'static str, expected_bytes: u64, found_bytes: u64 },
    /// `format` found a store.
    #[error("store: the device already holds a store; refusing to format it again")]
    AlreadyFormatted,
    /// The device cannot hold even an empty store.
    #[error("store: device of {found_bytes} bytes is too small, {expected_bytes} are needed")]
    TooSmall { expected_bytes: u64, found_bytes: u64 },
    /// A journal record that was synced is no longer readable. Nothing has been overwritten.
    #[error(
        "store: journal of epoch {epoch} is damaged at byte {offset}: expected record {expected}, \
         which was synced (a later record says so), found no valid record; \
         vrift fsck --repair ends the journal before it"
    )]
    JournalDamaged { epoch: Epoch, offset: u64, expected: Seq },
    /// A structure other than a journal record is damaged. Nothing has been overwritten.
    #[error("store: {what} at block {} is damaged: expected {expected}, found {found}", block.0)]
    Damaged { what: &'static str, block: BlockNo, expected: String, found: String },
    /// A bound of `docs/spec/store.md` would be broken.
    #[error("store: {what}: {found} exceeds the bound of {bound}")]
    Bound { what: &'static str, bound: u64, found: u64 },
    /// The journal has reached its bound; a checkpoint empties it.
    #[error("store: journal has reached its bound of {bound} segments; a checkpoint is needed")]
    JournalFull { bound: u64 },
    /// No room. The store is unchanged and usable.
    #[error("store: no space for {what}: {needed_bytes} bytes needed")]
    NoSpace { what: &'static str, needed_bytes: u64 },
    /// No blob of that name.
    #[error("store: no blob {hash}")]
    NotFound { hash: BlobHash },
    /// The bytes on the device are not the bytes that were put. Nothing wrong was returned as good.
    #[error("store: blob {hash} is damaged: its bytes hash to {found}")]
    BlobMismatch { hash: BlobHash, found: BlobHash },
    /// The source handed to `put_blob_from` is not what its name and length said.
    #[error("store: source of blob {hash} does not match: {why}")]
    SourceMismatch { hash: BlobHash, why: String },
    /// Reading the source, or writing to the sink, of a blob failed. The store is unchanged.
    #[error("store: blob {hash}: {what} failed: {source}")]
    BlobIo { hash: BlobHash, what: &'static str, source: io::Error },
    /// Record kinds from `layout::KIND_ENGINE_FIRST` on belong to the engine.
    #[error("store: record kind {found:#x} is reserved, kinds end before {bound:#x}")]
    ReservedKind { found: u8, bound: u8 },
    /// A device operation failed.
    #[error("store: {what} at byte {offset} failed: {source}")]
    Io { what: &'static str, offset: u64, source: io::Error },
    /// An earlier write or flush failed, so nothing written since can be trusted to be durable.
    #[error("store: refusing to write since an earlier failure: {first}")]
    Poisoned { first: String },
    /// The client's checkpoint writer or replay callback failed.
    #[error("store: client: {0}")]
    Client(String),
    /// Not 64 lower-case hex digits.
    #[error("store: expected a hash of 64 lower-case hex digits, found {found:?}")]
    BadHash { found: String },
}

impl StoreError {
    /// True where freeing space would help.
    pub fn is_no_space(&self) -> bool {
        match self {
            Self::NoSpace { .. } => true,
            Self::Io { source, .. } | Self::BlobIo { source, .. } => {
                source.raw_os_error() == Some(libc::ENOSPC)
            }
            _ => false,
        }
    }
}
