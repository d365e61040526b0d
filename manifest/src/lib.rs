//! The namespace of a workspace: names, attributes and where each file's bytes are.
//!
//! Lives here: the shared-memory index that *is* the namespace (one writer, lock-free readers), its
//! `no_std` reader, the operations on it with POSIX rules, the dump that checkpoints use, and whole trees as
//! content-addressed objects with their differences.
//! May be imported: nothing of vrift. Must never appear here: permission checks (the reader's user does
//! them), I/O on file contents, journals, sockets.
//!
//! `unsafe` is confined to [`sys`], which turns mapped memory into bounds-checked atomic loads and stores.
//! Layout: [`layout`], normative text in `docs/spec/index.md`.
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(unsafe_code)]

pub mod layout;
pub mod reader;
pub mod sys;
pub mod types;

#[cfg(feature = "std")]
mod dump;
#[cfg(feature = "std")]
mod index;
#[cfg(feature = "std")]
mod steps;
#[cfg(feature = "std")]
pub mod tree;

pub use reader::Reader;
pub use types::{Content, ROOT, VnodeNo};

#[cfg(feature = "std")]
pub use index::{
    Attr, Index, LeftBehind, MappedReader, NewVnode, OpError, Params, Renamed, SetAttr, Unlinked,
};
#[cfg(feature = "std")]
pub use steps::{Dump, Steps};
