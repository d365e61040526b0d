//! What is still being written, as it is now: for who asks that it survive before it is sealed.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use statefs_journal::BlobHash;

use crate::error::CasError;
use crate::home::{Cas, remove};
use crate::ingest::Ingested;
use crate::staging::{Access, copy};

/// A staging file as it was put into the store. Times in nanoseconds since 1970, those before it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    pub hash: BlobHash,
    pub size_bytes: u64,
    /// st_blocks, in units of 512 bytes.
    pub blocks: u64,
    pub mtime_ns: i64,
    pub ctime_ns: i64,
}

impl Cas {
    /// Puts the bytes that a staging file has now into the store, whoever writes it; `None` if there is no such file.
    /// What is written meanwhile may be among them or not. Durable after the store's next sync, and before every record
    /// that is appended after this returned.
    ///
    /// # Errors
    /// `Io`, `NoSpace`, `Store`.
    pub fn keep_staging(&self, ws: u32, vnode: u64) -> Result<Option<Kept>, CasError> {
        let Some(file) = self.open_staging(ws, vnode, Access::Read)? else { return Ok(None) };
        let path = self.staging_path(ws, vnode);
        let stat = file.metadata().map_err(CasError::io("fstat", &path))?;
        let ns = |s: i64, ns: i64| s.saturating_mul(1_000_000_000).saturating_add(ns);
        let Ingested { hash, len_bytes, .. } = match self.ingest(&file, stat.len()) {
            // Long, and written between the two times that it is read: a copy stands still.
            Err(CasError::SourceChanged { .. }) => self.ingest_copy(&file, &self.tmp_path())?,
            kept => kept?,
        };
        Ok(Some(Kept {
            hash,
            size_bytes: len_bytes,
            blocks: stat.blocks(),
            mtime_ns: ns(stat.mtime(), stat.mtime_nsec()),
            ctime_ns: ns(stat.ctime(), stat.ctime_nsec()),
        }))
    }

    fn ingest_copy(&self, file: &File, tmp: &Path) -> Result<Ingested, CasError> {
        let kept = copy(file, tmp).and_then(|_written| {
            let copy = File::open(tmp).map_err(CasError::io("open", tmp))?;
            self.ingest(&copy, copy.metadata().map_err(CasError::io("fstat", tmp))?.len())
        });
        let removed = remove(tmp);
        kept.and_then(|kept| removed.map(|_| kept))
    }
}
