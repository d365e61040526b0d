//! Extended attributes of real files, those of users (`user.*`): taken in with a file's content, and written with it. They
//! are in no base table: what a take-in finds is added to what the workspace has.

use crate::base::Row;
use crate::daemon::Daemon;
use crate::namespace::errno_of;
use crate::record::Change;
use crate::take_in::{TakeIn, find};
use nix::errno::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use vrift_manifest::VnodeNo;
use vrift_protocol::vnode_op::XATTRS_LEN_MAX;
use xattr::FileExt;

const USERS: &[u8] = b"user.";

/// A name and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// What a file has. What does not fit a vnode's room, and what its file system cannot tell, is left out.
pub fn read(file: &File) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let mut room = XATTRS_LEN_MAX;
    for name in file.list_xattr().into_iter().flatten().filter(|name| name.as_bytes().starts_with(USERS)) {
        let Ok(Some(value)) = file.get_xattr(&name) else { continue };
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
