//! Bytes from outside (the real tree) into the store.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use statefs_journal::{BlobHash, StoreError};

use crate::error::CasError;
use crate::home::Cas;
use crate::sparse::{SparseReader, hash_file};

/// Files up to this length are read once, into memory; longer ones are hashed, then streamed.
const WHOLE_LEN_MAX: u64 = 8 << 20;
/// One read of a longer file.
pub(crate) const READ_LEN: usize = 256 << 10;

/// What [`Cas::ingest`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ingested {
    /// Name of the content.
    pub hash: BlobHash,
    /// Length of the content.
    pub len_bytes: u64,
    /// False if the store had it already.
    pub new: bool,
}

impl Cas {
    /// Reads `file` from its position to its end and puts it into the store. `expected_len_bytes` (from stat) only
    /// chooses the way. Durable after the store's next sync.
    ///
    /// # Errors
    /// `SourceChanged` if a long file changed between hashing and copying; `Io`, `NoSpace`, `Store`.
    pub fn ingest(&self, file: &File, expected_len_bytes: u64) -> Result<Ingested, CasError> {
        let read_error = || CasError::io("read of the file to ingest", Path::new("(open file)"));
        let mut file = file;
        if expected_len_bytes <= WHOLE_LEN_MAX {
            let mut bytes = Vec::with_capacity(usize::try_from(expected_len_bytes).unwrap_or(0) + 1);
            let limited = Read::by_ref(&mut file).take(WHOLE_LEN_MAX + 1).read_to_end(&mut bytes);
            limited.map_err(read_error())?;
            if bytes.len() as u64 <= WHOLE_LEN_MAX {
                return self.ingest_bytes(&bytes);
            }
            // Grew beyond what is read at once since its length was taken: the long way, from where we began.
            let back = -i64::try_from(bytes.len()).unwrap_or(i64::MAX);
            file.seek(SeekFrom::Current(back)).map_err(read_error())?;
        }
        let start = file.stream_position().map_err(read_error())?;
        let (hash, len_bytes) = hash_file(file, start).map_err(read_error())?;
        let mut source = SparseReader::new(file, start).map_err(read_error())?;
        let new = match self.store.put_blob_from(&hash, &mut source, len_bytes) {
            Err(StoreError::SourceMismatch { why, .. }) => return Err(CasError::SourceChanged { why }),
            result => result?,
        };
        Ok(Ingested { hash, len_bytes, new })
    }

    /// The same for bytes in memory.
    ///
    /// # Errors
    /// `NoSpace`, `Store`.
    pub fn ingest_bytes(&self, bytes: &[u8]) -> Result<Ingested, CasError> {
        let hash = BlobHash::of(bytes);
        let new = self.store.put_blob(&hash, bytes)?;
        Ok(Ingested { hash, len_bytes: bytes.len() as u64, new })
    }
}
