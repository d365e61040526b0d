//! Sealed blobs that the store does not have yet.

use std::fs::File;

use statefs_journal::{BlobHash, StoreError};

use crate::error::CasError;
use crate::home::Cas;
use crate::sparse::{SparseReader, hash_file};

impl Cas {
    /// Number of sealed blobs whose only copy is their hot file. Those must not be deleted from the hot tier.
    pub fn pending(&self) -> usize {
        self.unstored().len()
    }

    /// Puts every sealed blob that the store does not have yet into it, verified on the way, and returns how many
    /// were new. They are durable after the store's next sync. Blobs sealed meanwhile are left for the next call.
    ///
    /// # Errors
    /// The first failure, after all others were tried: `NoSpace`, `HotDamaged`, `NotFound` (the hot file is gone),
    /// `Io`, `Store`. What failed stays pending.
    pub fn flush(&self) -> Result<usize, CasError> {
        let waiting: Vec<(BlobHash, u64)> = self.unstored().iter().map(|(h, len)| (*h, *len)).collect();
        let mut stored = 0;
        let mut first_error = None;
        for (hash, len_bytes) in waiting {
            match self.store_hot(&hash, len_bytes) {
                Ok(new) => {
                    stored += usize::from(new);
                    self.unstored().remove(&hash);
                }
                // Forgotten meanwhile: nothing refers to it any more.
                Err(_) if !self.unstored().contains_key(&hash) => {}
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        first_error.map_or(Ok(stored), Err)
    }

    /// Length of a sealed blob that the store does not have yet.
    pub fn unstored_len(&self, hash: &BlobHash) -> Option<u64> {
        self.unstored().get(hash).copied()
    }

    /// The sealed blobs that the store does not have yet.
    pub fn unstored_hashes(&self) -> Vec<BlobHash> {
        self.unstored().keys().copied().collect()
    }

    /// Drops a sealed blob that the store does not have yet, with the names that vnodes have for it: the caller knows
    /// that nothing refers to it, and keeps others from sealing equal bytes meanwhile.
    pub fn forget_unstored(&self, hash: &BlobHash) {
        if self.unstored().remove(hash).is_none() {
            return;
        }
        // What cannot be removed is only space that the next start finds unused.
        let path = self.hot_path(hash);
        let (Some(folder), Some(blob)) = (path.parent(), path.file_name()) else { return };
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(blob.as_encoded_bytes()) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    /// After a crash: `hash` is referred to, and the store may not have it. If so, its hot file is verified and
    /// queued for [`Self::flush`].
    ///
    /// # Errors
    /// `NotFound` if there is no hot file either, `HotDamaged` if its bytes are others, `Io`.
    pub fn note_unstored(&self, hash: &BlobHash) -> Result<(), CasError> {
        if self.store.has_blob(hash) {
            return Ok(());
        }
        let path = self.hot_path(hash);
        let file = self.open_hot(hash)?;
        let (found, len_bytes) = hash_file(&file, 0).map_err(CasError::io("read", &path))?;
        if found != *hash {
            let why = format!("its bytes hash to {found}");
            return Err(CasError::HotDamaged { hash: *hash, path, why });
        }
        self.unstored().insert(*hash, len_bytes);
        Ok(())
    }

    /// Puts one sealed blob into the store, if it is not there yet; durable after the store's next sync.
    ///
    /// # Errors
    /// As [`Self::flush`].
    pub fn flush_one(&self, hash: &BlobHash) -> Result<(), CasError> {
        let waiting = self.unstored_len(hash);
        let Some(len_bytes) = waiting else { return Ok(()) };
        self.store_hot(hash, len_bytes)?;
        self.unstored().remove(hash);
        Ok(())
    }

    /// Puts a sealed blob into the store now. False: there is no hot file under its own name.
    pub(crate) fn keep(&self, hash: &BlobHash, len_bytes: u64) -> Result<bool, CasError> {
        match self.store_hot(hash, len_bytes) {
            Err(CasError::NotFound { .. }) => Ok(false),
            other => {
                other?;
                self.unstored().remove(hash);
                Ok(true)
            }
        }
    }

    fn store_hot(&self, hash: &BlobHash, len_bytes: u64) -> Result<bool, CasError> {
        let file = self.open_hot(hash)?;
        let path = || self.hot_path(hash);
        let mut source = SparseReader::new(&file, 0).map_err(|error| CasError::io("read", &path())(error))?;
        match self.store.put_blob_from(hash, &mut source, len_bytes) {
            Err(StoreError::SourceMismatch { why, .. }) => {
                Err(CasError::HotDamaged { hash: *hash, path: self.hot_path(hash), why })
            }
            other => Ok(other?),
        }
    }

    fn open_hot(&self, hash: &BlobHash) -> Result<File, CasError> {
        let path = self.hot_path(hash);
        match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(CasError::NotFound { hash: *hash })
            }
            other => other.map_err(CasError::io("open", &path)),
        }
    }
}
