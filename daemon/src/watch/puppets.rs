//! The real files and folders whose events stand for those of vnodes: `n/WS/VNODE` in the runtime folder, and in a
//! folder one entry for each name. Failures are let be: an event less, nothing else depends on it.

use crate::folders::Folders;
use crate::namespace::errno_of;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::sys::stat::{Mode, SFlag, mknod};
use nix::unistd::{mkdir, truncate};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use vrift_protocol::names;

/// Added to a puppet's name at every second move of its vnode: a rename is what sends IN_MOVE_SELF.
const TURNED: &str = ".1";
/// Where entries come from and go to that are in one watched directory only.
const ELSEWHERE: &str = "elsewhere";

/// The puppets of a workspace.
pub struct Puppets {
    dir: PathBuf,
    turned: HashSet<u64>,
}

/// n/WS
pub fn dir_of(folders: &Folders, workspace: u32) -> PathBuf {
    folders.in_runtime(names::WATCHES_DIR).join(format!("{workspace:08x}"))
}

impl Puppets {
    pub fn open(folders: &Folders, workspace: u32) -> Result<Puppets, Errno> {
        let dir = dir_of(folders, workspace);
        crate::folders::make_private(&dir.join(ELSEWHERE)).map_err(|error| errno_of(&error))?;
        Ok(Puppets { dir, turned: HashSet::new() })
    }

    /// The puppet of a vnode.
    pub fn own(&self, vnode: u64) -> PathBuf {
        let turned = if self.turned.contains(&vnode) { TURNED } else { "" };
        self.dir.join(format!("{vnode:016x}{turned}"))
    }

    /// A name in the puppet of a directory.
    pub fn entry(&self, dir: u64, name: &[u8]) -> PathBuf {
        self.own(dir).join(OsStr::from_bytes(name))
    }

    pub fn make(&self, vnode: u64, is_dir: bool) -> Result<(), Errno> {
        make(&self.own(vnode), is_dir)
    }

    pub fn make_entry(&self, dir: u64, name: &[u8], is_dir: bool) -> Result<(), Errno> {
        make(&self.entry(dir, name), is_dir)
    }

    pub fn remove_entry(&self, dir: u64, name: &[u8], is_dir: bool) {
        remove(&self.entry(dir, name), is_dir);
    }

    pub fn remove(&mut self, vnode: u64, is_dir: bool) {
        let path = self.own(vnode);
        if is_dir && fs::remove_dir(&path).is_err() {
            let _ = fs::remove_dir_all(&path);
        }
        if !is_dir {
            remove(&path, false);
        }
        self.turned.remove(&vnode);
    }

    /// Renames a vnode's puppet.
    pub fn turn(&mut self, vnode: u64) {
        let from = self.own(vnode);
        if !self.turned.remove(&vnode) {
            self.turned.insert(vnode);
        }
        rename(&from, &self.own(vnode));
    }

    /// An entry leaves for a directory that is not watched.
    pub fn move_out(&self, entry: &Path, is_dir: bool) {
        let to = self.dir.join(ELSEWHERE).join("x");
        rename(entry, &to);
        remove(&to, is_dir);
    }

    /// An entry comes from a directory that is not watched.
    pub fn move_in(&self, entry: &Path, is_dir: bool) {
        let from = self.dir.join(ELSEWHERE).join("x");
        if make(&from, is_dir).is_ok() {
            rename(&from, entry);
        }
    }

    /// Vnodes that have a puppet, and whether it is a folder: what a daemon before this one left.
    pub fn left_behind(&mut self) -> Vec<(u64, bool)> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.as_bytes();
            let plain = name.strip_suffix(TURNED.as_bytes());
            let Some(vnode) = crate::sealing::vnode_of_name(plain.unwrap_or(name)) else { continue };
            if plain.is_some() {
                self.turned.insert(vnode);
            }
            found.push((vnode, entry.file_type().is_ok_and(|kind| kind.is_dir())));
        }
        found
    }
}

fn make(path: &Path, is_dir: bool) -> Result<(), Errno> {
    let made = if is_dir {
        mkdir(path, Mode::S_IRWXU)
    } else {
        // Not open(2), which would send IN_OPEN and IN_CLOSE_WRITE.
        mknod(path, SFlag::S_IFREG, Mode::from_bits_truncate(0o600), 0)
    };
    match made {
        Err(Errno::EEXIST) => Ok(()),
        made => made,
    }
}

fn remove(path: &Path, is_dir: bool) {
    let _ = if is_dir { fs::remove_dir(path) } else { fs::remove_file(path) };
}

pub fn rename(from: &Path, to: &Path) {
    let _ = fs::rename(from, to);
}

pub fn exchange(one: &Path, two: &Path) {
    let _ = renameat2(AT_FDCWD, one, AT_FDCWD, two, RenameFlags::RENAME_EXCHANGE);
}

/// IN_ATTRIB.
pub fn touch(path: &Path) {
    let _ = fs::set_permissions(path, Permissions::from_mode(0o700));
}

/// IN_MODIFY.
pub fn modify(path: &Path) {
    let _ = truncate(path, 0);
}

/// IN_OPEN; dropping it sends IN_CLOSE_WRITE.
pub fn open_for_writing(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).open(path)
}
