//! Content-addressed blobs as plain files: staging, sealing and the hot tier, in front of the store.
//!
//! Lives here: which file under `$VRIFT_HOME` holds which bytes, when content counts as final, and how it
//! moves between staging, hot tier and store. May be imported: statefs-journal. Must never appear here:
//! names inside a view, the index, sockets, policy.
//!
//! `unsafe` and libc are confined to `sys`. Folders and their meaning: RFC 0001.
#![deny(unsafe_code)]

mod blank;
mod error;
mod home;
mod hot;
mod in_place;
mod ingest;
mod keep;
mod lease;
mod prune;
mod seal;
mod sparse;
mod staging;
mod sys;
mod unstored;

pub use blank::{BLANK_MODE, Blank, MAY_BE_HELD};
pub use error::CasError;
pub use home::Cas;
pub use in_place::{OWN_FILE_MAX, Quiet, vnode_name};
pub use ingest::Ingested;
pub use keep::Kept;
pub use lease::LeaseSupport;
pub use prune::HotFile;
pub use seal::{CommitOutcome, PrepareOutcome, Prepared, SealOutcome, Sealed};
pub use sparse::{SparseReader, SparseWriter, copy_sparse, hash_file};
pub use staging::Access;
pub use statefs_journal::BlobHash;
