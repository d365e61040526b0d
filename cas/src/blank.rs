//! Staging files that nobody needs any more, emptied to be used again: ext4 looks long for a free inode where many were
//! freed within the last minutes (`recently_deleted` in fs/ext4/ialloc.c), so a build that removes and makes
//! thousands of files had better keep them.

use std::fs::{self, File, FileTimes, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use crate::error::CasError;
use crate::home::Cas;
use crate::lease::LeaseSupport;
use crate::sys;

/// Permissions of a blank file.
pub const BLANK_MODE: u32 = 0o644;
/// In the mode of a staging file that was something else before (a sealed or an unnamed file): somebody may have it open
/// without reading or writing (O_PATH), which no lease tells of.
pub const MAY_BE_HELD: u32 = 0o1000;

/// Times of the last read and write of a blank file that is kept, since 1970: a daemon that starts anew knows it by them.
const MARK: Duration = Duration::new(1, 987_654_321);

/// An empty file that nobody has open. Whoever opens it waits as long as this lives.
pub struct Blank {
    file: File,
    path: PathBuf,
}

impl Cas {
    /// Empties a staging file if it is certain that nobody has it open, and its user and group are `owner`, those of its
    /// folder. None, and it is as it was: somebody has it open, or nobody can tell.
    ///
    /// # Errors
    /// `Io`.
    pub fn blank_staging(&self, ws: u32, vnode: u64, owner: (u32, u32)) -> Result<Option<Blank>, CasError> {
        let path = self.staging_path(ws, vnode);
        if *self.lease_support() != LeaseSupport::Works {
            return Ok(None);
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW);
        let file = options.open(&path).map_err(CasError::io("open", &path))?;
        match sys::take_write_lease(&file) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            other => other.map_err(CasError::io("F_SETLEASE", &path))?,
        }
        let stat = file.metadata().map_err(CasError::io("stat", &path))?;
        let is_as_made = (stat.uid(), stat.gid(), stat.nlink()) == (owner.0, owner.1, 1);
        if !is_as_made || stat.mode() & 0o7000 != 0 {
            return Ok(None);
        }
        // It may have room beyond its end: fallocate(2).
        if (stat.len(), stat.blocks()) != (0, 0) {
            file.set_len(0).map_err(CasError::io("truncation", &path))?;
        }
        if stat.mode() & 0o777 != BLANK_MODE {
            file.set_permissions(Permissions::from_mode(BLANK_MODE)).map_err(CasError::io("chmod", &path))?;
        }
        Ok(Some(Blank { file, path }))
    }

    /// Whether a staging file is blank and was kept, by this daemon or one before it.
    pub fn is_blank(&self, ws: u32, vnode: u64) -> bool {
        fs::symlink_metadata(self.staging_path(ws, vnode)).is_ok_and(|stat| {
            let mark = Ok(UNIX_EPOCH + MARK);
            stat.len() == 0
                && stat.mode() & 0o7777 == BLANK_MODE
                && stat.modified().map_err(drop) == mark
                && stat.accessed().map_err(drop) == mark
        })
    }
}

impl Blank {
    /// Keeps it as the staging file of another vnode, which is not there yet. Its times are to be set when it is.
    ///
    /// # Errors
    /// `Io`.
    pub fn name(self, cas: &Cas, ws: u32, vnode: u64) -> Result<(), CasError> {
        let to = cas.staging_path(ws, vnode);
        let mark = UNIX_EPOCH + MARK;
        self.file
            .set_times(FileTimes::new().set_accessed(mark).set_modified(mark))
            .map_err(CasError::io("utimensat", &self.path))?;
        fs::rename(&self.path, &to).map_err(CasError::io("rename", &to))
    }
}

impl Drop for Blank {
    fn drop(&mut self) {
        // Closing would do, but a child forked this very moment may hold a copy of the descriptor.
        let _gone_already_if_broken = sys::release_lease(&self.file);
    }
}
