//! The one error type of this crate.

use std::io;
use std::path::{Path, PathBuf};

use statefs_journal::{BlobHash, StoreError};

/// What went wrong, and with which file or blob.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CasError {
    /// The file system under `$VRIFT_HOME`, or the store, is full.
    #[error("cas: no space left for {what} ({path})")]
    NoSpace { what: &'static str, path: PathBuf },
    /// A lease for sealing is held on the staging file right now; try again.
    #[error("cas: staging file {path} is being sealed")]
    BeingSealed { path: PathBuf },
    /// Neither the hot tier nor the store has the blob.
    #[error("cas: no blob {hash} in the hot tier or the store")]
    NotFound { hash: BlobHash },
    /// The hot file's bytes are not what its name says, and the store has no other copy.
    #[error("cas: hot file {path} does not hold blob {hash}: {why}")]
    HotDamaged { hash: BlobHash, path: PathBuf, why: String },
    /// The file changed while it was read.
    #[error("cas: source file changed while it was being read: {why}")]
    SourceChanged { why: String },
    /// A system call failed.
    #[error("cas: {what} of {path} failed: {source}")]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
}

impl CasError {
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT) => Self::NoSpace { what, path: path.to_owned() },
            _ => Self::Io { what, path: path.to_owned(), source },
        }
    }
}

impl From<StoreError> for CasError {
    fn from(error: StoreError) -> Self {
        if error.is_no_space() {
            return Self::NoSpace { what: "a blob", path: "store".into() };
        }
        match error {
            StoreError::NotFound { hash } => Self::NotFound { hash },
            other => Self::Store(other),
        }
    }
}
