//! Writing a sealed file that somebody has open: its inode becomes the staging file, so that they see what is written
//! and their locks go on to exclude.

use crate::clock::timespec;
use crate::daemon::{Daemon, Spaces, cas_errno};
use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::unistd::truncate;
use vrift_cas::{BlobHash, CasError, Quiet};
use vrift_manifest::{Attr, VnodeNo};

/// Whether anyone has the vnode's sealed file open; if not, keeps others from opening it.
pub fn quiet(daemon: &Daemon, vnode: VnodeNo, hash: &[u8; 32]) -> Result<Quiet, Errno> {
    daemon.cas.quiet(&BlobHash(*hash), vnode.0).map_err(|error| cas_errno(&error))
}

/// Whether anyone has the vnode's sealed file open.
pub fn somebody(daemon: &Daemon, vnode: VnodeNo, hash: &[u8; 32]) -> Result<bool, Errno> {
    Ok(matches!(quiet(daemon, vnode, hash)?, Quiet::Somebody))
}

/// Whether no other workspace has a vnode of this number with these bytes: they would have one name for them.
pub fn is_only_user(spaces: &Spaces<'_>, (workspace, vnode): (u32, u64), hash: &[u8; 32]) -> bool {
    let same = |hash_of: Option<[u8; 32]>| hash_of.as_ref() == Some(hash);
    !spaces.workspaces.values().any(|other| other.id != workspace && same(other.sealed_hash(VnodeNo(vnode))))
}

/// Makes the inode the staging file, with the vnode's times, cut to nothing if only the first `keep` bytes of none
/// matter. False: it has other names, too, or the store has no space for its bytes, which must be there before they
/// are written over. Those who have it open then go on reading what they opened.
pub fn write(
    daemon: &Daemon,
    workspace: u32,
    attr: &Attr,
    hash: &[u8; 32],
    keep: Option<u64>,
) -> Result<bool, Errno> {
    match daemon.cas.unseal_in_place(workspace, attr.vnode.0, &BlobHash(*hash)) {
        Ok(true) => {}
        Ok(false) | Err(CasError::NoSpace { .. }) => return Ok(false),
        Err(error) => return Err(cas_errno(&error)),
    }
    let path = daemon.folders.staging(workspace, attr.vnode.0);
    if keep == Some(0) {
        truncate(&path, 0)?;
        crate::open::keep_atime(&path, attr)?;
    } else {
        let (atime, mtime) = (timespec(attr.atime_ns), timespec(attr.mtime_ns));
        utimensat(AT_FDCWD, &path, &atime, &mtime, UtimensatFlags::NoFollowSymlink)?;
    }
    Ok(true)
}
