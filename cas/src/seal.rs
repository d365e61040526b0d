//! From staged to sealed, with the kernel's word that no writer is left.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use statefs_journal::{BlobHash, StoreError};

use crate::blank::MAY_BE_HELD;
use crate::error::CasError;
use crate::home::{Cas, remove};
use crate::hot::{file_len, make_parent, seal_mode};
use crate::in_place::{OWN_FILE_MAX, vnode_name};
use crate::lease::LeaseSupport;
use crate::sparse::{SparseReader, hash_file};
use crate::staging::copy;
use crate::sys;

/// Final content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Name of the content.
    pub hash: BlobHash,
    /// Length.
    pub size_bytes: u64,
    /// mtime of the staging file, in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// st_blocks of the staging file (units of 512 bytes).
    pub blocks: u64,
    /// False where leases are missing: the content was copied and the staging file still exists. A late writer
    /// may still change it, so whoever knows that there is none calls `remove_staging`.
    pub adopted: bool,
}

/// Of [`Cas::seal`].
#[derive(Debug)]
pub enum SealOutcome {
    Sealed(Sealed),
    /// A writer exists, or came while we were at it. The staging file is as it was.
    Busy,
    /// No staging file.
    Gone,
}

/// Of [`Cas::prepare_seal`].
pub enum PrepareOutcome<'a> {
    Prepared(Prepared<'a>),
    Busy,
    Gone,
}

/// Of [`Prepared::commit`].
#[derive(Debug)]
pub enum CommitOutcome {
    Sealed(Sealed),
    /// A writer came after the hash was taken. The staging file is as it was.
    Busy,
}

/// Content that has been hashed and, where leases work, cannot be opened for writing as long as this lives: such an
/// open waits (up to /proc/sys/fs/lease-break-time) or, with O_NONBLOCK, fails. So keep it short, and never open
/// the file for writing from the thread that holds it, but through `Cas::open_staging`.
pub struct Prepared<'a> {
    cas: &'a Cas,
    /// Holds the lease.
    file: File,
    /// What is renamed into the hot tier: the staging file, or its copy under `tmp/`.
    content: PathBuf,
    staging: PathBuf,
    sealed: Sealed,
}

impl Cas {
    /// Takes the lease and hashes.
    ///
    /// # Errors
    /// `Io`, `NoSpace`. A writer is not an error but `Busy`.
    pub fn prepare_seal(&self, ws: u32, vnode: u64) -> Result<PrepareOutcome<'_>, CasError> {
        let staging = self.staging_path(ws, vnode);
        let file = match OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(&staging) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(PrepareOutcome::Gone),
            other => other.map_err(CasError::io("open", &staging))?,
        };
        let leases = *self.lease_support() == LeaseSupport::Works;
        let (file, content) = if leases {
            match sys::take_read_lease(&file) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(PrepareOutcome::Busy),
                other => other.map_err(CasError::io("F_SETLEASE", &staging))?,
            }
            (file, staging.clone())
        } else {
            let before = Stamp::of(&file, &staging)?;
            let tmp = self.tmp_path();
            let copied = copy(&file, &tmp);
            if copied.is_err() || Stamp::of(&file, &staging)? != before {
                let _first_error_counts = remove(&tmp);
                return copied.map(|_| PrepareOutcome::Busy);
            }
            drop(copied);
            (file, tmp)
        };
        let before = Stamp::of(&file, &staging)?;
        let prepared =
            |hash, cas| Prepared { cas, file, content, staging, sealed: before.sealed(hash, leases) };
        let mut prepared = prepared(BlobHash([0; 32]), self);
        let (hash, len_bytes) = prepared.hash()?;
        prepared.sealed.hash = hash;
        if len_bytes != before.size_bytes || !prepared.undisturbed()? {
            return Ok(PrepareOutcome::Busy);
        }
        Ok(PrepareOutcome::Prepared(prepared))
    }

    /// Both steps at once, for callers with nothing to do in between.
    ///
    /// # Errors
    /// As [`Self::prepare_seal`] and [`Prepared::commit`].
    pub fn seal(&self, ws: u32, vnode: u64) -> Result<SealOutcome, CasError> {
        let prepared = match self.prepare_seal(ws, vnode)? {
            PrepareOutcome::Prepared(prepared) => prepared,
            PrepareOutcome::Busy => return Ok(SealOutcome::Busy),
            PrepareOutcome::Gone => return Ok(SealOutcome::Gone),
        };
        Ok(match prepared.commit()? {
            CommitOutcome::Sealed(sealed) => SealOutcome::Sealed(sealed),
            CommitOutcome::Busy => SealOutcome::Busy,
        })
    }
}

impl Prepared<'_> {
    /// What [`Self::commit`] will return if no writer comes.
    pub fn sealed(&self) -> &Sealed {
        &self.sealed
    }

    /// Makes the content the hot file (or drops it where the hot file exists) and queues it for the store. Writers
    /// that came in between make this `Busy`, with everything as it was.
    ///
    /// # Errors
    /// `Io`, `NoSpace`: the staging file is still there.
    pub fn commit(self) -> Result<CommitOutcome, CasError> {
        if !self.undisturbed()? {
            return Ok(CommitOutcome::Busy);
        }
        let hot = self.cas.hot_path(&self.sealed.hash);
        make_parent(&hot)?;
        // Queued first: a flush must never miss a blob that is already referred to.
        let stored = self.cas.store.has_blob(&self.sealed.hash);
        let queued =
            !stored && self.cas.unstored().insert(self.sealed.hash, self.sealed.size_bytes).is_none();
        let outcome = self.adopt(&hot);
        if queued && !matches!(outcome, Ok(CommitOutcome::Sealed(_))) && file_len(&hot)?.is_none() {
            self.cas.unstored().remove(&self.sealed.hash);
        }
        outcome
    }

    /// Puts the content into the store before anything refers to it; true if it is new there. It is durable after the
    /// store's next sync, and before every record that is appended after this returned. The folder that [`Self::commit`]
    /// needs is made as well: lack of room is found here.
    ///
    /// # Errors
    /// `SourceChanged`: a writer came. `Io`, `NoSpace`, `Store`.
    pub fn store(&self) -> Result<bool, CasError> {
        make_parent(&self.cas.hot_path(&self.sealed.hash))?;
        let copy;
        let content = if self.sealed.adopted {
            &self.file
        } else {
            copy = File::open(&self.content).map_err(CasError::io("open", &self.content))?;
            &copy
        };
        let mut source = SparseReader::new(content, 0).map_err(CasError::io("read", &self.content))?;
        match self.cas.store.put_blob_from(&self.sealed.hash, &mut source, self.sealed.size_bytes) {
            Err(StoreError::SourceMismatch { why, .. }) => Err(CasError::SourceChanged { why }),
            result => Ok(result?),
        }
    }

    /// Leaves everything as it was. The same as dropping it.
    pub fn abandon(self) {}

    fn adopt(&self, hot: &Path) -> Result<CommitOutcome, CasError> {
        loop {
            if file_len(hot)? == Some(self.sealed.size_bytes) {
                return self.join_duplicate(hot);
            }
            let leases = self.sealed.adopted;
            self.set_mode(hot, true)?;
            let replace = file_len(hot)?.is_some();
            let flags = if replace { RenameFlags::empty() } else { RenameFlags::RENAME_NOREPLACE };
            match renameat2(AT_FDCWD, &self.content, AT_FDCWD, hot, flags) {
                Ok(()) => {}
                // Someone sealed the same bytes this very moment.
                Err(nix::errno::Errno::EEXIST) => continue,
                Err(errno) => {
                    self.set_mode(hot, false)?;
                    return Err(CasError::io("rename into the hot tier", hot)(errno.into()));
                }
            }
            // A writer that looked the name up before the rename waits in open(2) for our lease: it must find its
            // file in staging, not among the sealed ones.
            if leases && !sys::holds_read_lease(&self.file) {
                fs::rename(hot, &self.content).map_err(CasError::io("rename back into staging", hot))?;
                self.set_mode(hot, false)?;
                return Ok(CommitOutcome::Busy);
            }
            return Ok(CommitOutcome::Sealed(self.sealed));
        }
    }

    /// The bytes are in the hot tier already. Somebody may have this inode open, or lock it later, so it becomes the
    /// vnode's own hot file; a long one that nobody has open gives its space back.
    fn join_duplicate(&self, hot: &Path) -> Result<CommitOutcome, CasError> {
        if self.sealed.adopted && !sys::holds_read_lease(&self.file) {
            return Ok(CommitOutcome::Busy);
        }
        let name = self.staging.file_name().and_then(|name| name.to_str());
        let vnode = name.and_then(|name| u64::from_str_radix(name, 16).ok());
        let Some(vnode) = vnode.filter(|_| self.sealed.adopted && self.wants_own_file()) else {
            remove(&self.content)?;
            return Ok(CommitOutcome::Sealed(self.sealed));
        };
        let own = vnode_name(hot, vnode);
        self.set_mode(hot, true)?;
        fs::rename(&self.content, &own).map_err(CasError::io("rename into the hot tier", &own))?;
        if !sys::holds_read_lease(&self.file) {
            fs::rename(&own, &self.content).map_err(CasError::io("rename back into staging", &own))?;
            self.set_mode(hot, false)?;
            return Ok(CommitOutcome::Busy);
        }
        Ok(CommitOutcome::Sealed(self.sealed))
    }

    fn wants_own_file(&self) -> bool {
        // A write lease is granted only to who is alone; back to the read lease that tells of writers.
        let alone =
            || sys::take_write_lease(&self.file).and_then(|()| sys::take_read_lease(&self.file)).is_ok();
        self.sealed.size_bytes <= OWN_FILE_MAX || !alone()
    }

    fn set_mode(&self, hot: &Path, sealed: bool) -> Result<(), CasError> {
        use std::os::unix::fs::PermissionsExt;
        if self.sealed.adopted && sealed {
            return seal_mode(&self.file, hot);
        }
        let mode = if sealed { crate::hot::SEALED_MODE } else { 0o700 | MAY_BE_HELD };
        fs::set_permissions(&self.content, fs::Permissions::from_mode(mode))
            .map_err(CasError::io("chmod", &self.content))
    }

    fn hash(&self) -> Result<(BlobHash, u64), CasError> {
        let outcome = if self.sealed.adopted {
            hash_file(&self.file, 0)
        } else {
            File::open(&self.content).and_then(|copy| hash_file(&copy, 0))
        };
        outcome.map_err(CasError::io("read", &self.content))
    }

    /// Has nobody come to write since the hash was begun?
    fn undisturbed(&self) -> Result<bool, CasError> {
        let now = Stamp::of(&self.file, &self.staging)?;
        let same = now.size_bytes == self.sealed.size_bytes && now.mtime_ns == self.sealed.mtime_ns;
        let present = !self.sealed.adopted || now.links > 0;
        Ok(same && present && (!self.sealed.adopted || sys::holds_read_lease(&self.file)))
    }
}

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        if self.sealed.adopted {
            // Closing would do, but a child forked this very moment may hold a copy of the descriptor.
            let _gone_already_if_broken = sys::release_lease(&self.file);
        } else {
            let _renamed_or_left_for_the_next_start = remove(&self.content);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    size_bytes: u64,
    mtime_ns: i64,
    blocks: u64,
    links: u64,
}

impl Stamp {
    fn of(file: &File, path: &Path) -> Result<Self, CasError> {
        let meta = file.metadata().map_err(CasError::io("fstat", path))?;
        let mtime_ns = meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec());
        Ok(Self { size_bytes: meta.len(), mtime_ns, blocks: meta.blocks(), links: meta.nlink() })
    }

    fn sealed(self, hash: BlobHash, adopted: bool) -> Sealed {
        let Self { size_bytes, mtime_ns, blocks, .. } = self;
        Sealed { hash, size_bytes, mtime_ns, blocks, adopted }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use statefs_journal::{FormatOptions, MemDevice, Store};

    use super::*;

    #[test]
    fn where_leases_are_missing_a_copy_is_sealed_and_the_staging_file_stays() {
        let home = tempfile::tempdir().unwrap();
        let dev = Arc::new(MemDevice::new(0, 1 << 30));
        Store::format(&*dev, &FormatOptions::default()).unwrap();
        let store = Arc::new(Store::open(dev, &mut |_| Ok(())).unwrap());
        let mut cas = Cas::open(home.path(), store).unwrap();
        cas.lease = LeaseSupport::Missing("for the test".to_owned());
        cas.ensure_staging_dir(1).unwrap();
        let mut writer = cas.create_staging(1, 1).unwrap();
        writer.write_all(b"first").unwrap();
        for _ in 0..2 {
            let SealOutcome::Sealed(sealed) = cas.seal(1, 1).unwrap() else { panic!("not sealed") };
            assert_eq!((sealed.hash, sealed.adopted), (BlobHash::of(b"first"), false));
        }
        // A late writer changes the staging file, never the sealed one.
        writer.write_all(b" late").unwrap();
        let hot = cas.hot_path(&BlobHash::of(b"first"));
        assert_eq!(fs::read(&hot).unwrap(), b"first");
        assert_eq!(hot.metadata().unwrap().mode() & 0o7777, 0o555);
        let PrepareOutcome::Prepared(prepared) = cas.prepare_seal(1, 1).unwrap() else {
            panic!("not prepared")
        };
        writer.write_all(b" again").unwrap();
        assert!(matches!(prepared.commit().unwrap(), CommitOutcome::Busy));
        assert_eq!(fs::read_dir(home.path().join("tmp")).unwrap().count(), 0);
        assert_eq!(cas.pending(), 1);
    }
}
