//! The folders under `$VRIFT_HOME` and the handle to them.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use statefs_journal::{BlobHash, Store};

use crate::error::CasError;
use crate::lease::{self, LeaseSupport};
use crate::sys;

/// The handle. All methods may be called from several threads.
pub struct Cas {
    home: PathBuf,
    pub(crate) store: Arc<Store>,
    pub(crate) lease: LeaseSupport,
    /// Sealed blobs, with their length, whose only copy is the hot file.
    unstored: Mutex<HashMap<BlobHash, u64>>,
    tmp_counter: AtomicU64,
}

impl Cas {
    /// Makes the folders (mode 0700), empties `tmp/`, probes the staging folder for leases. SIGIO is ignored from
    /// now on in this process if it still had its default action: it would end the process when a writer comes
    /// while a file is being sealed.
    ///
    /// # Errors
    /// `Io`, `NoSpace`.
    pub fn open(home: &Path, store: Arc<Store>) -> Result<Self, CasError> {
        for folder in [home.to_owned(), home.join("hot"), home.join("staging"), home.join("tmp")] {
            make_folder(&folder)?;
            // One that someone made before us may be open to others.
            fs::set_permissions(&folder, Permissions::from_mode(0o700))
                .map_err(CasError::io("chmod", &folder))?;
        }
        // Away from what others remove beside it: see `blank`.
        let _where_it_means_nothing =
            File::open(home.join("staging")).and_then(|it| sys::spread_folders_in(&it));
        let tmp = home.join("tmp");
        empty_folder(&tmp)?;
        sys::ignore_lease_signal().map_err(CasError::io("setting of SIGIO", home))?;
        let probe = home.join("staging/.probe");
        let lease = lease::probe(&probe).map_err(CasError::io("lease probe", &probe))?;
        Ok(Self {
            home: home.to_owned(),
            store,
            lease,
            unstored: Mutex::default(),
            tmp_counter: AtomicU64::new(0),
        })
    }

    /// The store behind.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// What the probe found.
    pub fn lease_support(&self) -> &LeaseSupport {
        &self.lease
    }

    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    /// A name under `tmp/` that no one else has.
    pub(crate) fn tmp_path(&self) -> PathBuf {
        self.home.join(format!("tmp/{}", self.tmp_counter.fetch_add(1, Ordering::Relaxed)))
    }

    pub(crate) fn unstored(&self) -> MutexGuard<'_, HashMap<BlobHash, u64>> {
        self.unstored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Mode 0700; an existing folder is fine.
pub(crate) fn make_folder(path: &Path) -> Result<(), CasError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(CasError::io("making of a folder", path)(error))
        }
        _ => Ok(()),
    }
}

fn empty_folder(path: &Path) -> Result<(), CasError> {
    let list = fs::read_dir(path).map_err(CasError::io("listing", path))?;
    for entry in list {
        let entry = entry.map_err(CasError::io("listing", path))?;
        remove(&entry.path())?;
    }
    Ok(())
}

/// True if there was such a file.
pub(crate) fn remove(path: &Path) -> Result<bool, CasError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(CasError::io("removal", path)(error)),
    }
}
