//! Whole trees as content-addressed objects, one for a directory: what snapshots and forks are made of.
//!
//! An object's address is the hash of its bytes, and a directory's entry in its parent carries the address of its
//! own object, so that the root's address stands for everything below it (a Merkle tree): equal addresses are equal
//! trees. Hashing and keeping the bytes is the caller's part.

mod cache;
mod diff;
mod load;
mod object;
mod restore;
mod seal;

pub use cache::TreeCache;
pub use diff::{Fetch, TreeChange, diff};
pub use load::Loaded;
pub use object::{Entry, EntryRef, TreeRoot, Xattrs, decode, encode, visit};
pub use restore::{Restore, Restored};
pub use seal::{Facts, Frozen, SealError};

/// An object's name: the hash of its bytes.
pub type Address = [u8; 32];
