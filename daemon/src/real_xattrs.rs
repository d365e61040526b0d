//! Extended attributes of real files and directories, those of users (`user.*`): taken in with a file's content or when a
//! directory is new or changed, and written with them. They
//! are in no base table: what a take-in finds is added to what the workspace has.

use crate::base::Row;
use crate::daemon::Daemon;
use crate::namespace::errno_of;
use crate::record::Change;
use crate::take_in::{TakeIn, find};
use crate::walk::Reading;
use nix::errno::Errno;
use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use vrift_manifest::VnodeNo;
use vrift_protocol::vnode_op::XATTRS_LEN_MAX;
use xattr::FileExt;

const USERS: &[u8] = b"user.";

/// A name and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// What a file has. What does not fit a vnode's room, and what its file system cannot tell, is left out.
pub fn read(file: &File) -> Vec<Pair> {
    those_of_users(file.list_xattr().into_iter().flatten(), &|name| file.get_xattr(name).ok().flatten())
}

/// As [`read`], of the directory `name` in `parent`; nothing when only hashes are wanted.
pub fn read_dir(reading: Reading, parent: &OwnedFd, name: &CStr) -> Vec<Pair> {
    if matches!(reading, Reading::HashOnly) {
        return Vec::new();
    }
    let mut path = format!("/proc/self/fd/{}/", parent.as_raw_fd()).into_bytes();
    path.extend_from_slice(name.to_bytes());
    let path = OsStr::from_bytes(&path);
    those_of_users(xattr::list(path).into_iter().flatten(), &|name| xattr::get(path, name).ok().flatten())
}

fn those_of_users(
    names: impl Iterator<Item = OsString>,
    value_of: &dyn Fn(&OsStr) -> Option<Vec<u8>>,
) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let mut room = XATTRS_LEN_MAX;
    for name in names.filter(|name| name.as_bytes().starts_with(USERS)) {
        let Some(value) = value_of(&name) else { continue };
        let len = name.len() + 1 + value.len();
        match room.checked_sub(len) {
            Some(left) => {
                room = left;
                pairs.push((name.into_vec(), value));
            }
            None => tracing::warn!(?name, len, "an extended attribute is too long to be taken in"),
        }
    }
    pairs
}

/// What the real file has now, for the vnode at a row's path.
pub fn follow(take_in: &mut TakeIn<'_>, row: &Row) -> Result<(), Errno> {
    if row.xattrs.is_empty() {
        return Ok(());
    }
    let (daemon, now_ns) = (take_in.daemon, take_in.now_ns);
    let mut held = take_in.hold();
    let Some(vnode) = find(held.workspace()?, &row.path) else { return Ok(()) };
    for (name, value) in &row.xattrs {
        let has = held.workspace()?.xattrs.of(vnode).cloned().unwrap_or_default();
        let others = has.iter().filter(|(other, _)| *other != name);
        let len: usize = others.map(|(name, value)| name.len() + 1 + value.len()).sum();
        let fits = len + name.len() + 1 + value.len() <= XATTRS_LEN_MAX;
        if fits && has.get(name) != Some(value) {
            held.apply(daemon, &Change::SetXattr { vnode, name, value: Some(value), ctime_ns: now_ns })?;
        }
    }
    Ok(())
}

/// Follows a directory of which nothing but the change time moved on, and whether it did: a row for it is in the next table.
pub fn moved_on(take_in: &mut TakeIn<'_>, old: &Row, new: &Row) -> Result<bool, Errno> {
    let is_it = new.is_dir() && old.ctime_ns != new.ctime_ns && !new.xattrs.is_empty();
    if is_it {
        take_in.keep(new)?;
    }
    Ok(is_it)
}

/// Gives a file what a vnode has. A file system without extended attributes gets none, as by cp(1).
pub fn write(daemon: &Daemon, id: u32, vnode: VnodeNo, to: &File) -> Result<(), Errno> {
    let has = daemon.spaces().get(id)?.xattrs.of(vnode).cloned().unwrap_or_default();
    for (name, value) in has.iter().filter(|(name, _)| name.starts_with(USERS)) {
        match to.set_xattr(OsStr::from_bytes(name), value).map_err(|error| errno_of(&error)) {
            Err(Errno::EOPNOTSUPP) => return Ok(()),
            result => result?,
        }
    }
    Ok(())
}
