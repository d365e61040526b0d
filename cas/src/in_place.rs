//! A sealed file that somebody has open is written in place: what it has read, mapped and locked is on its inode.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use statefs_journal::BlobHash;

use crate::blank::MAY_BE_HELD;
use crate::error::CasError;
use crate::home::{Cas, remove};
use crate::lease::LeaseSupport;
use crate::sys;

/// Up to this many bytes each vnode has a hot file of its own, so that locks on files of equal content are not on one
/// inode; longer files share one, unless somebody had them open when they were sealed.
pub const OWN_FILE_MAX: u64 = 64 * 1024;

/// Of [`Cas::quiet`].
pub enum Quiet {
    /// Somebody has the file open.
    Somebody,
    /// Nobody has; as long as this lives, whoever opens it waits (up to /proc/sys/fs/lease-break-time). So keep it
    /// short, and do not open the file meanwhile.
    Nobody(Option<Lease>),
}

/// A write lease, given back when it is dropped.
pub struct Lease(File);

impl Drop for Lease {
    fn drop(&mut self) {
        // Closing would do, but a child forked this very moment may hold a copy of the descriptor.
        let _gone_already_if_broken = sys::release_lease(&self.0);
    }
}

/// hot/HH/HASH.VNODE, by the blob's path: the name by which a vnode's sealed bytes are opened.
pub fn vnode_name(blob: &Path, vnode: u64) -> PathBuf {
    let mut name = blob.as_os_str().to_owned();
    name.push(format!(".{vnode:016x}"));
    PathBuf::from(name)
}

impl Cas {
    /// Whether anyone has a vnode's sealed file open. Where leases are missing, nobody can tell: as if not.
    ///
    /// # Errors
    /// `Io`.
    pub fn quiet(&self, hash: &BlobHash, vnode: u64) -> Result<Quiet, CasError> {
        let path = vnode_name(&self.hot_path(hash), vnode);
        if *self.lease_support() != LeaseSupport::Works {
            return Ok(Quiet::Nobody(None));
        }
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Quiet::Nobody(None)),
            other => other.map_err(CasError::io("open", &path))?,
        };
        match sys::take_write_lease(&file) {
            Ok(()) => Ok(Quiet::Nobody(Some(Lease(file)))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Quiet::Somebody),
            Err(error) => Err(CasError::io("F_SETLEASE", &path)(error)),
        }
    }

    /// Makes a vnode's sealed file its staging file again, with its inode. False, and nothing is changed: other names
    /// than the vnode's share the inode. The bytes are in the store before anyone can change them, and no longer in the
    /// hot tier when this returns, also after a power cut.
    ///
    /// # Errors
    /// `NoSpace`, `Io`, `Store`, `HotDamaged`.
    pub fn unseal_in_place(&self, ws: u32, vnode: u64, hash: &BlobHash) -> Result<bool, CasError> {
        let blob = self.hot_path(hash);
        let own = vnode_name(&blob, vnode);
        let Ok(stat) = fs::symlink_metadata(&own) else { return Ok(false) };
        let is_blob = fs::symlink_metadata(&blob).is_ok_and(|blob| blob.ino() == stat.ino());
        if stat.nlink() != 1 + u64::from(is_blob) {
            return Ok(false);
        }
        if !self.store.has_blob(hash) && !self.keep(hash, stat.len())? {
            return Ok(false);
        }
        let staging = self.staging_path(ws, vnode);
        fs::set_permissions(&own, Permissions::from_mode(0o700 | MAY_BE_HELD))
            .map_err(CasError::io("chmod", &own))?;
        if is_blob {
            remove(&blob)?;
        }
        fs::rename(&own, &staging).map_err(CasError::io("rename into staging", &staging))?;
        if let Some(folder) = own.parent() {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(CasError::io("fsync", folder))?;
        }
        Ok(true)
    }

    /// A hot file of the vnode's own with a blob's bytes, unless there is one.
    ///
    /// # Errors
    /// `NoSpace`, `Io`.
    pub fn copy_for(&self, blob: &Path, vnode: u64) -> Result<(), CasError> {
        use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
        let (own, tmp) = (vnode_name(blob, vnode), self.tmp_path());
        let from = File::open(blob).map_err(CasError::io("open", blob))?;
        let copied = crate::staging::copy(&from, &tmp).and_then(|file| crate::hot::seal_mode(&file, &tmp));
        let named = copied.and_then(|()| {
            match renameat2(AT_FDCWD, &tmp, AT_FDCWD, &own, RenameFlags::RENAME_NOREPLACE) {
                // Another process asked for it at the same moment.
                Err(nix::errno::Errno::EEXIST) => remove(&tmp).map(drop),
                result => {
                    result.map_err(|errno| CasError::io("rename into the hot tier", &own)(errno.into()))
                }
            }
        });
        if named.is_err() {
            let _first_error_counts = remove(&tmp);
        }
        named
    }
}
