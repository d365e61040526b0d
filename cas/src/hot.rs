//! The hot tier: sealed blobs as read-only files.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use statefs_journal::BlobHash;

use crate::error::CasError;
use crate::home::{Cas, make_folder, remove};
use crate::sparse::SparseWriter;

/// Mode of a sealed blob: executables run from it, nobody writes it.
pub(crate) const SEALED_MODE: u32 = 0o555;

impl Cas {
    /// hot/HH/HASH, whether it exists or not.
    pub fn hot_path(&self, hash: &BlobHash) -> PathBuf {
        let name = hash.to_string();
        let mut path = self.folder("hot");
        path.push(&name[..2]);
        path.push(name);
        path
    }

    /// Makes sure that the hot file exists, from the store if need be (verified), and returns its path. The file
    /// appears whole or not at all; several callers at once are fine.
    ///
    /// # Errors
    /// `NotFound`, `HotDamaged` (the only copy has the wrong length), `NoSpace`, `Io`, `Store`.
    pub fn materialise(&self, hash: &BlobHash) -> Result<PathBuf, CasError> {
        let path = self.hot_path(hash);
        let unstored_len = self.unstored().get(hash).copied();
        let len_bytes = self.store.blob_len(hash).or(unstored_len);
        let Some(len_bytes) = len_bytes else { return Err(CasError::NotFound { hash: *hash }) };
        let found = file_len(&path)?;
        if found == Some(len_bytes) {
            return Ok(path);
        }
        if !self.store.has_blob(hash) {
            return Err(match found {
                None => CasError::NotFound { hash: *hash },
                Some(found) => {
                    let why = format!("expected {len_bytes} bytes, found {found}");
                    CasError::HotDamaged { hash: *hash, path, why }
                }
            });
        }
        let tmp = self.tmp_path();
        let outcome = self.extract(hash, &tmp).and_then(|()| {
            make_parent(&path)?;
            fs::rename(&tmp, &path).map_err(CasError::io("rename into the hot tier", &path))
        });
        if outcome.is_err() {
            let _first_error_counts = remove(&tmp);
        }
        outcome.map(|()| path)
    }

    /// The hot file, open for reading.
    ///
    /// # Errors
    /// As [`Self::materialise`].
    pub fn open_blob(&self, hash: &BlobHash) -> Result<File, CasError> {
        let path = self.materialise(hash)?;
        match File::open(&path) {
            // Someone emptied the hot tier in between, which they may.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let path = self.materialise(hash)?;
                File::open(&path).map_err(CasError::io("open", &path))
            }
            other => other.map_err(CasError::io("open", &path)),
        }
    }

    /// Verified bytes of the store as a new file with the mode of a sealed blob.
    fn extract(&self, hash: &BlobHash, tmp: &Path) -> Result<(), CasError> {
        let file = create_new(tmp)?;
        let mut sink = SparseWriter::new(&file);
        match self.store.read_blob(hash, &mut sink) {
            Ok(_) => sink.finish().map_err(CasError::io("write", tmp))?,
            Err(statefs_journal::StoreError::BlobIo { source, .. }) => {
                return Err(CasError::io("write", tmp)(source));
            }
            Err(error) => return Err(error.into()),
        }
        seal_mode(&file, tmp)
    }
}

pub(crate) fn create_new(path: &Path) -> Result<File, CasError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o700)
        .open(path)
        .map_err(CasError::io("creation", path))
}

pub(crate) fn seal_mode(file: &File, path: &Path) -> Result<(), CasError> {
    file.set_permissions(Permissions::from_mode(SEALED_MODE)).map_err(CasError::io("chmod", path))
}

pub(crate) fn make_parent(path: &Path) -> Result<(), CasError> {
    path.parent().map_or(Ok(()), make_folder)
}

/// `None`: no such file.
pub(crate) fn file_len(path: &Path) -> Result<Option<u64>, CasError> {
    match path.symlink_metadata() {
        Ok(meta) if meta.is_file() => Ok(Some(meta.len())),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CasError::io("stat", path)(error)),
    }
}
