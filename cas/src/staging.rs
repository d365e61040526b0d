//! Staging files: content that is still being written.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use statefs_journal::BlobHash;

use crate::blank::MAY_BE_HELD;
use crate::error::CasError;
use crate::home::{Cas, make_folder, remove};
use crate::hot::create_new;
use crate::lease::LeaseSupport;
use crate::sparse::copy_sparse;
use crate::sys;

/// What a staging file can be opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    ReadWrite,
    /// Read and write, and cut to nothing; made if there is none.
    Truncate,
}

impl Cas {
    /// staging/WS, whether it exists or not.
    pub fn staging_dir(&self, ws: u32) -> PathBuf {
        self.folder("staging").join(format!("{ws:08x}"))
    }

    /// staging/WS/VNODE, whether it exists or not.
    pub fn staging_path(&self, ws: u32, vnode: u64) -> PathBuf {
        self.staging_dir(ws).join(format!("{vnode:016x}"))
    }

    /// Makes staging/WS. Must come before the first staging file of a workspace.
    ///
    /// # Errors
    /// `Io`, `NoSpace`.
    pub fn ensure_staging_dir(&self, ws: u32) -> Result<PathBuf, CasError> {
        let path = self.staging_dir(ws);
        make_folder(&path)?;
        Ok(path)
    }

    /// An empty staging file, open for reading and writing, mode 0700. One that exists is cut and keeps its inode,
    /// as open(2) with O_TRUNC would do.
    ///
    /// # Errors
    /// `BeingSealed`, `Io`, `NoSpace`.
    pub fn create_staging(&self, ws: u32, vnode: u64) -> Result<File, CasError> {
        let path = self.staging_path(ws, vnode);
        self.open_staging(ws, vnode, Access::Truncate)?
            .ok_or_else(|| CasError::io("creation", &path)(io::Error::from(io::ErrorKind::NotFound)))
    }

    /// Opens a staging file; `None` if there is none. Never waits for a lease: while the file is being sealed, an
    /// open for writing fails with `BeingSealed` and makes the seal come out as busy, so a second try succeeds as
    /// soon as the sealing thread has noticed.
    ///
    /// # Errors
    /// `BeingSealed`, `Io`, `NoSpace`.
    pub fn open_staging(&self, ws: u32, vnode: u64, access: Access) -> Result<Option<File>, CasError> {
        let path = self.staging_path(ws, vnode);
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).mode(0o700);
        match access {
            Access::Read => {}
            Access::ReadWrite => {
                options.write(true);
            }
            Access::Truncate => {
                options.write(true).create(true).truncate(true);
            }
        }
        let mut opened = options.open(&path);
        if access != Access::Read
            && opened.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
        {
            // A crash between chmod and rename of a seal leaves a staging file with the mode of a sealed one.
            fs::set_permissions(&path, Permissions::from_mode(0o700 | MAY_BE_HELD))
                .map_err(CasError::io("chmod", &path))?;
            opened = options.open(&path);
        }
        match opened {
            Ok(file) => {
                sys::clear_nonblock(&file).map_err(CasError::io("F_SETFL", &path))?;
                Ok(Some(file))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(CasError::BeingSealed { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound && access != Access::Truncate => Ok(None),
            Err(error) => Err(CasError::io("open", &path)(error)),
        }
    }

    /// Makes a sealed blob's bytes the staging file, replacing one that exists: by reflink, else by copying in the
    /// kernel. It is written under `tmp/` and renamed, so half a copy is never seen.
    ///
    /// # Errors
    /// `NotFound`, `NoSpace`, `Io`, `Store`.
    pub fn stage_copy(&self, ws: u32, vnode: u64, hash: &BlobHash) -> Result<(), CasError> {
        let from = self.open_blob(hash)?;
        let tmp = self.tmp_path();
        let to = self.staging_path(ws, vnode);
        // Closed under its temporary name: nobody who listens to the staging folder takes it for a writer.
        let outcome = copy(&from, &tmp)
            .map(drop)
            .and_then(|()| fs::rename(&tmp, &to).map_err(CasError::io("rename into staging", &to)));
        if outcome.is_err() {
            let _first_error_counts = remove(&tmp);
        }
        outcome
    }

    /// Removes a staging file; true if there was one. Open descriptors keep their bytes.
    ///
    /// # Errors
    /// `Io`.
    pub fn remove_staging(&self, ws: u32, vnode: u64) -> Result<bool, CasError> {
        remove(&self.staging_path(ws, vnode))
    }

    /// Whether anyone has a staging file open for writing. Where leases are missing nobody can tell: true.
    ///
    /// # Errors
    /// `Io`. A file that is not there has no writer.
    pub fn has_writer(&self, ws: u32, vnode: u64) -> Result<bool, CasError> {
        let path = self.staging_path(ws, vnode);
        let opened = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(&path);
        let file = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            // The mode of an unnamed file is its client's, which must not keep the daemon out.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let mode = fs::symlink_metadata(&path).map_err(CasError::io("stat", &path))?.permissions();
                let set = |mode| fs::set_permissions(&path, mode).map_err(CasError::io("chmod", &path));
                set(Permissions::from_mode(0o600))?;
                let file = File::open(&path);
                set(mode)?;
                file.map_err(CasError::io("open", &path))?
            }
            other => other.map_err(CasError::io("open", &path))?,
        };
        if *self.lease_support() != LeaseSupport::Works {
            return Ok(true);
        }
        match sys::take_read_lease(&file) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            other => {
                other.map_err(CasError::io("F_SETLEASE", &path))?;
                sys::release_lease(&file).map_err(CasError::io("F_SETLEASE", &path))?;
                Ok(false)
            }
        }
    }

    /// Vnodes of a workspace that have a staging file, in no order. Names that are not ours are skipped.
    ///
    /// # Errors
    /// `Io`.
    pub fn list_staging(&self, ws: u32) -> Result<Vec<u64>, CasError> {
        let path = self.staging_dir(ws);
        let list = match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(CasError::io("listing", &path))?,
        };
        let mut vnodes = Vec::new();
        for entry in list {
            let name = entry.map_err(CasError::io("listing", &path))?.file_name();
            let digits = name.to_str().filter(|name| name.len() == 16);
            vnodes.extend(digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()));
        }
        Ok(vnodes)
    }

    /// Removes staging/WS and everything in it.
    ///
    /// # Errors
    /// `Io`.
    pub fn remove_workspace(&self, ws: u32) -> Result<(), CasError> {
        let path = self.staging_dir(ws);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(CasError::io("removal", &path)(error))
            }
            _ => Ok(()),
        }
    }
}

/// A new file `to` with the bytes of `from`.
pub(crate) fn copy(from: &File, to: &Path) -> Result<File, CasError> {
    let copy = create_new(to)?;
    if sys::reflink(from, &copy).is_ok() {
        return Ok(copy);
    }
    copy_sparse(from, &copy).map_err(CasError::io("copy", to))?;
    Ok(copy)
}
