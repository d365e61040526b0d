//! Reading files, and opening what is read.

use super::dirs::Part;
use super::found::{join, skip};
use super::{Opened, Reading, S_IFREG, Walk};
use crate::base::{Held, Row, row_of};
use crate::clock::system_now_ns;
use crate::ignored;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fstat};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use vrift_cas::CasError;
use vrift_manifest::types::S_IFMT;

/// A file that changes while it is read is read this often.
const READS_MAX: usize = 3;
/// Kernels without fine-grained file times cannot tell two writes within a tick (at most 10 ms) apart.
const TICK_NS: i64 = 20_000_000;

impl Walk<'_> {
    pub(super) fn read_file(&self, dir: &Opened, name: &CStr, part: &mut Part<'_>) {
        let Part { found, seen, .. } = part;
        let path = join(&dir.path, name.to_bytes());
        for _ in 0..READS_MAX {
            let file = match open_file(&dir.fd, name) {
                Ok(fd) => File::from(fd),
                Err(Errno::ENOENT) => return,
                Err(errno) => return skip(found, path, format!("cannot be read: {}", errno.desc())),
            };
            let stat = match fstat(&file) {
                Ok(stat) if stat.st_mode & S_IFMT == S_IFREG => stat,
                _ => continue,
            };
            let read = match self.plan.reading {
                Reading::Ingest => self.daemon.cas.ingest(&file, stat.st_size.cast_unsigned()),
                Reading::HashOnly => hash_only(&file, stat.st_size.cast_unsigned()),
            };
            let read = match read {
                Ok(read) => read,
                Err(CasError::SourceChanged { .. }) => continue,
                Err(error @ (CasError::NoSpace { .. } | CasError::Store(_))) => {
                    found.failed = Some(error);
                    return;
                }
                Err(error) => return skip(found, path, format!("cannot be read: {error}")),
            };
            let xattrs = match self.plan.reading {
                Reading::Ingest => crate::real_xattrs::read(&file),
                Reading::HashOnly => Vec::new(),
            };
            let facts = |stat: &FileStat| {
                (stat.st_size, stat.st_mtime, stat.st_mtime_nsec, stat.st_ctime, stat.st_ctime_nsec)
            };
            if fstat(&file).is_ok_and(|after| facts(&after) == facts(&stat)) {
                if read.new {
                    found.new_files += 1;
                    found.new_bytes += read.len_bytes;
                } else {
                    found.duplicates += 1;
                }
                let mut row = Row { xattrs, ..row_of(path, &stat, Held::Hash(read.hash.0)) };
                if row.ctime_ns > system_now_ns() - TICK_NS {
                    row.ctime_ns = 0;
                }
                *seen = (seen.0 + 1, seen.1 + row.size);
                found.rows.push(row);
                return;
            }
        }
        skip(found, path, format!("kept changing while it was read ({READS_MAX} times)"));
    }
}

/// The text of a file of rules, as far as it is of use; None: it is no file that can be read, and says nothing.
pub(super) fn rules_text(dir: &OwnedFd, name: &[u8]) -> Option<Vec<u8>> {
    let fd = open_file(dir, &CString::new(name).ok()?).ok()?;
    if fstat(&fd).ok()?.st_mode & S_IFMT != S_IFREG {
        return None;
    }
    let mut text = Vec::new();
    File::from(fd).take(ignored::RULES_LEN_MAX).read_to_end(&mut text).ok()?;
    Some(text)
}

fn hash_only(file: &File, len_bytes: u64) -> Result<vrift_cas::Ingested, CasError> {
    match vrift_cas::hash_file(file, 0) {
        Ok((hash, _)) => Ok(vrift_cas::Ingested { hash, len_bytes, new: false }),
        Err(source) => Err(CasError::Io { what: "reading", path: "a file".into(), source }),
    }
}

/// Opens for reading without leaving an access time, where that is permitted.
fn open_quietly(at: Option<&OwnedFd>, name: &CStr, flags: OFlag) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let open = |flags| match at {
        Some(dir) => openat(dir.as_fd(), name, flags, Mode::empty()),
        None => nix::fcntl::open(name, flags, Mode::empty()),
    };
    match open(flags | OFlag::O_NOATIME) {
        Err(Errno::EPERM) => open(flags),
        result => result,
    }
}

pub(super) fn open_dir(at: Option<&OwnedFd>, name: &CStr) -> Result<OwnedFd, Errno> {
    open_quietly(at, name, OFlag::O_DIRECTORY)
}

/// Never waits for a writer, should the file have become a fifo.
fn open_file(at: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    open_quietly(Some(at), name, OFlag::O_NONBLOCK)
}
