//! Writing below one real directory: every component is opened without following symlinks, so that nothing
//! outside it can be reached, and every file appears under its name complete.

use crate::base::{Held, Row, row_of};
use crate::clock::timespec;
use crate::daemon::{Daemon, cas_errno};
use crate::namespace::errno_of;
use crate::tree::Node;
use crate::walk::os;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open, openat, readlinkat, renameat};
use nix::sys::stat::{
    FchmodatFlags, Mode, UtimensatFlags, fchmod, fchmodat, fstat, fstatat, futimens, mkdirat, utimensat,
};
use nix::unistd::{
    Gid, LinkatFlags, Uid, UnlinkatFlags, fchown, fchownat, geteuid, linkat, symlinkat, unlinkat,
};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::sync::atomic::{AtomicU64, Ordering};
use vrift_cas::BlobHash;
use vrift_manifest::Content;
use vrift_manifest::types::{S_IFDIR, S_IFLNK, S_IFMT};

const S_IFREG: u32 = 0o100000;

/// How names of files that are not complete begin.
pub const BESIDE: &str = ".vrift-export-";

pub struct RealTree {
    root: OwnedFd,
    unique: AtomicU64,
}

fn dir_flags() -> OFlag {
    OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC
}

fn permissions(mode: u32) -> Mode {
    Mode::from_bits_truncate(mode & 0o7777)
}

/// Owner only matters, and can only be set, as root.
fn own(fd: BorrowedFd<'_>, row: &Row) -> Result<(), Errno> {
    if geteuid().is_root() {
        fchown(fd, Some(Uid::from_raw(row.uid)), Some(Gid::from_raw(row.gid)))?;
    }
    Ok(())
}

impl RealTree {
    /// The directory itself may be reached over symlinks; it is made if `create`.
    pub fn open(dir: &[u8], create: bool) -> Result<RealTree, Errno> {
        if create {
            std::fs::create_dir_all(os(dir)).map_err(|error| errno_of(&error))?;
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(RealTree { root: open(os(dir), flags, Mode::empty())?, unique: AtomicU64::new(0) })
    }

    /// The directory that holds `path`, and the last name.
    fn parent<'p>(&self, path: &'p [u8]) -> Result<(OwnedFd, &'p [u8]), Errno> {
        let mut names = path.split(|byte| *byte == b'/');
        let last = names.next_back().filter(|name| !name.is_empty()).ok_or(Errno::EINVAL)?;
        let mut at = self.root.try_clone().map_err(|_| Errno::EMFILE)?;
        for name in names {
            at = openat(&at, os(name), dir_flags(), Mode::empty())?;
        }
        Ok((at, last))
    }

    /// What is at `path` now; file content is not read.
    pub fn look(&self, path: &[u8]) -> Result<Option<Row>, Errno> {
        let (dir, name) = match self.parent(path) {
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(None),
            result => result?,
        };
        let stat = match fstatat(&dir, os(name), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => return Ok(None),
            result => result?,
        };
        let held = match stat.st_mode & S_IFMT {
            S_IFLNK => Held::Target(readlinkat(&dir, os(name))?.into_vec()),
            S_IFREG => Held::Hash([0; 32]),
            _ => Held::Nothing,
        };
        Ok(Some(row_of(path.to_vec(), &stat, held)))
    }

    /// What a row of [`RealTree::look`] holds, its bytes hashed.
    pub fn content(&self, row: &Row) -> Result<Held, Errno> {
        if !matches!(row.held, Held::Hash(_)) {
            return Ok(row.held.clone());
        }
        let (dir, name) = self.parent(&row.path)?;
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = File::from(openat(&dir, os(name), flags, Mode::empty())?);
        let (hash, _) = vrift_cas::hash_file(&file, 0).map_err(|error| errno_of(&error))?;
        Ok(Held::Hash(hash.0))
    }

    /// As [`RealTree::look`] for the directory itself.
    pub fn look_at_root(&self) -> Result<Row, Errno> {
        Ok(row_of(Vec::new(), &fstat(&self.root)?, Held::Nothing))
    }

    /// Gives what is at a row's path, or the directory itself, its permissions, owner and time.
    pub fn set_attrs(&self, row: &Row) -> Result<(), Errno> {
        let (dir, name) = match row.path.is_empty() {
            true => (self.root.try_clone().map_err(|_| Errno::EMFILE)?, &b"."[..]),
            false => self.parent(&row.path)?,
        };
        if geteuid().is_root() {
            let (uid, gid) = (Uid::from_raw(row.uid), Gid::from_raw(row.gid));
            fchownat(&dir, os(name), Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)?;
        }
        if row.mode & S_IFMT != S_IFLNK {
            fchmodat(&dir, os(name), permissions(row.mode), FchmodatFlags::FollowSymlink)?;
        }
        let time = timespec(row.mtime_ns);
        utimensat(&dir, os(name), &time, &time, UtimensatFlags::NoFollowSymlink)
    }

    pub fn remove(&self, path: &[u8], is_dir: bool) -> Result<(), Errno> {
        let (dir, name) = self.parent(path)?;
        unlinkat(&dir, os(name), if is_dir { UnlinkatFlags::RemoveDir } else { UnlinkatFlags::NoRemoveDir })
    }

    /// Removes what an export that was killed has left in a directory; none other is under way in this workspace.
    pub fn remove_left_over(&self, dir: &[u8]) {
        let Ok((at, _)) = self.parent(&[dir, b"/x"].concat()).or_else(|_| self.parent(b"x")) else { return };
        let Ok(mut entries) = at.try_clone().map_err(|_| Errno::EMFILE).and_then(Dir::from_fd) else {
            return;
        };
        let own = format!("{BESIDE}{}-", std::process::id());
        for entry in entries.iter().flatten() {
            let name = entry.file_name().to_bytes();
            if name.starts_with(BESIDE.as_bytes()) && !name.starts_with(own.as_bytes()) {
                let _ = unlinkat(&at, os(name), UnlinkatFlags::NoRemoveDir);
            }
        }
    }

    /// A further name for a file that was just written.
    pub fn link(&self, first: &[u8], path: &[u8]) -> Result<(), Errno> {
        let (from, from_name) = self.parent(first)?;
        self.replace(path, |dir, beside| linkat(&from, os(from_name), dir, beside, LinkatFlags::empty()))
    }

    /// Makes something under a name beside, then renames it over `path`.
    fn replace(
        &self,
        path: &[u8],
        make: impl FnOnce(BorrowedFd<'_>, &str) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let (dir, name) = self.parent(path)?;
        let number = self.unique.fetch_add(1, Ordering::Relaxed);
        let beside = format!("{BESIDE}{}-{number}", std::process::id());
        let made = make(dir.as_fd(), &beside).and_then(|()| {
            match renameat(&dir, beside.as_str(), &dir, os(name)) {
                // An empty directory gives way to what is no directory.
                Err(Errno::EISDIR) => {
                    unlinkat(&dir, os(name), UnlinkatFlags::RemoveDir)?;
                    renameat(&dir, beside.as_str(), &dir, os(name))
                }
                result => result,
            }
        });
        if made.is_err() {
            let _ = unlinkat(&dir, beside.as_str(), UnlinkatFlags::NoRemoveDir);
        }
        made
    }

    /// Writes what a workspace has at a path.
    pub fn write(&self, daemon: &Daemon, id: u32, node: &Node) -> Result<(), Errno> {
        let row = &node.row;
        match row.mode & S_IFMT {
            S_IFDIR => {
                let dir = File::from(self.make_dir(row)?);
                crate::real_xattrs::write(daemon, id, node.attr.vnode, &dir)?;
                fchmod(&dir, permissions(row.mode))
            }
            S_IFREG => self.replace(&row.path, |dir, beside| write_file(daemon, id, node, dir, beside)),
            S_IFLNK => self.replace(&row.path, |dir, beside| {
                let Held::Target(target) = &row.held else { return Err(Errno::EINVAL) };
                symlinkat(os(target), dir, beside)?;
                let time = timespec(row.mtime_ns);
                utimensat(dir, beside, &time, &time, UtimensatFlags::NoFollowSymlink)
            }),
            _ => Err(Errno::EOPNOTSUPP),
        }
    }

    /// For its owner alone until it has all that it is to have.
    fn make_dir(&self, row: &Row) -> Result<OwnedFd, Errno> {
        let (parent, name) = self.parent(&row.path)?;
        match mkdirat(&parent, os(name), Mode::from_bits_truncate(0o700)) {
            Err(Errno::EEXIST) => {
                let there = fstatat(&parent, os(name), AtFlags::AT_SYMLINK_NOFOLLOW)?;
                if there.st_mode & S_IFMT != S_IFDIR {
                    unlinkat(&parent, os(name), UnlinkatFlags::NoRemoveDir)?;
                    mkdirat(&parent, os(name), Mode::from_bits_truncate(0o700))?;
                }
            }
            result => result?,
        }
        let dir = openat(&parent, os(name), dir_flags(), Mode::empty())?;
        own(dir.as_fd(), row)?;
        Ok(dir)
    }

    /// Once everything in the directory is written.
    pub fn set_dir_time(&self, row: &Row) -> Result<(), Errno> {
        let (parent, name) = self.parent(&row.path)?;
        let time = timespec(row.mtime_ns);
        utimensat(&parent, os(name), &time, &time, UtimensatFlags::NoFollowSymlink)
    }
}

fn write_file(daemon: &Daemon, id: u32, node: &Node, dir: BorrowedFd<'_>, beside: &str) -> Result<(), Errno> {
    let from = match node.attr.content {
        Content::Sealed(hash) => daemon.cas.open_blob(&BlobHash(hash)).map_err(|error| cas_errno(&error))?,
        // Still being written: what it holds now.
        Content::Staged => {
            let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
            File::from(openat(
                AT_FDCWD,
                &daemon.folders.staging(id, node.attr.vnode.0),
                flags,
                Mode::empty(),
            )?)
        }
        Content::None => return Err(Errno::EINVAL),
    };
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let to = File::from(openat(dir, beside, flags, Mode::from_bits_truncate(0o600))?);
    vrift_cas::copy_sparse(&from, &to).map_err(|error| errno_of(&error))?;
    crate::real_xattrs::write(daemon, id, node.attr.vnode, &to)?;
    own(to.as_fd(), &node.row)?;
    fchmod(&to, permissions(node.row.mode))?;
    let time = timespec(node.row.mtime_ns);
    futimens(&to, &time, &time)
}
