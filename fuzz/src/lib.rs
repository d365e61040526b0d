//! Everything that reads bytes it did not write itself, as functions of bytes: for a fuzzer, and for what it has kept.
//!
//! Lives here: the targets, a driver that mutates what is in `corpus`, and an allocator that counts. May be imported:
//! whatever has a decoder. Must never appear here: what only a fuzzer could run; the targets are plain functions.
#![deny(unsafe_code)]

pub mod drive;
mod store;
pub mod sys;
mod wire;

/// Name of a target, and what it does with some bytes.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: [Target; 8] = [
    ("superblock", store::superblock),
    ("journal", store::journal),
    ("checkpoint", store::checkpoint),
    ("frame_server", wire::frame_server),
    ("frame_client", wire::frame_client),
    ("path", wire::path),
    ("index_dump", wire::index_dump),
    ("index_reader", wire::index_reader),
];

/// Bytes that one input may have allocated at a time: a store's own tables and buffers, several times over, and far
/// from what a made-up length would ask for.
pub const ALLOCATED_MAX_BYTES: usize = 64 << 20;
