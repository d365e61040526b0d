//! A durable store on one block device: superblocks, journal, checkpoints and blob extents.
//!
//! Lives here: the [`BlockDevice`] trait and its file, memory and fault-injecting devices, and [`Store`],
//! which keeps a client's journal records, the client's checkpoint and content-addressed blobs.
//! May be imported: hashing, checksums and the standard library; nothing else of vrift.
//! Must never appear here: paths inside a view, vnodes, sockets, policy. The client's records are opaque.
//!
//! Every byte on the device is described in `docs/spec/store.md`. `unsafe` is confined to `sys`.
#![deny(unsafe_code)]

mod alloc;
mod checkpoint;
pub mod device;
mod error;
mod form;
mod journal;
pub mod layout;
pub mod mutant;
mod pack;
mod replay;
pub mod state;
mod store;
mod stream;
mod sys;
mod table;
mod types;

pub use device::{BlockDevice, FileDevice, MemDevice, RawDevice};
pub use error::StoreError;
pub use state::{Key, KeyError, StateOp, StatePage, StateRow, Transaction};
pub use store::{
    CheckpointRoom, Collection, Finding, FormatOptions, Fsck, PendingCheckpoint, Replay, Stats, Store, Swept,
};
pub use stream::{Piece, Sink, Source, hash_zeros};
pub use types::{BlobHash, BlockNo, DevOffset, Epoch, Seq, StoreId};
