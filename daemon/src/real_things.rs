//! Where the kernel needs something real: mirror folders, blobs in the hot tier, links for exec.

use crate::daemon::{Daemon, cas_errno};
use crate::namespace::errno_of;
use crate::sealing::SealOutcome;
use crate::vnode_ops::{Answer, Call};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use vrift_cas::BlobHash;
use vrift_manifest::types::{S_IFDIR, S_IFMT};
use vrift_manifest::{Content, VnodeNo};
use vrift_protocol::VnodeReply;

/// A real folder for a virtual directory, and an `O_PATH` fd of it.
pub fn mirror(daemon: &Daemon, call: &Call) -> Answer {
    let vnode = call.vnode();
    // Under the lock, so that an rmdir cannot come between the check and the mkdir.
    let spaces = daemon.spaces();
    let path = mirror_folder(daemon, spaces.get(call.workspace)?, vnode)?;
    let fd = open(&path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    drop(spaces);
    Ok((VnodeReply { vnode: vnode.0.into(), ..VnodeReply::default() }, Some(fd)))
}

/// Makes the mirror folder of a directory.
pub fn mirror_folder(
    daemon: &Daemon,
    workspace: &crate::namespace::Workspace,
    vnode: VnodeNo,
) -> Result<PathBuf, Errno> {
    let attr = workspace.index.attr(vnode).ok_or(Errno::ENOENT)?;
    if attr.mode & S_IFMT != S_IFDIR {
        return Err(Errno::ENOTDIR);
    }
    let path = daemon.folders.mirror(workspace.id, vnode.0);
    match nix::unistd::mkdir(&path, Mode::from_bits_truncate(0o700)) {
        Err(Errno::ENOENT) => {
            crate::folders::make_private(&path).map_err(|error| errno_of(&error))?;
        }
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(errno) => return Err(errno),
    }
    Ok(path)
}

/// Makes a sealed vnode's bytes available in the hot tier. ENOENT: it is not sealed (any more).
pub fn materialise(daemon: &Daemon, call: &Call) -> Result<VnodeNo, Errno> {
    let attr = daemon.spaces().get(call.workspace)?.index.attr(call.vnode()).ok_or(Errno::ENOENT)?;
    let Content::Sealed(hash) = attr.content else { return Err(Errno::ENOENT) };
    daemon.cas.materialise(&BlobHash(hash)).map_err(|error| {
        tracing::error!(vnode = attr.vnode.0, %error, "sealed bytes cannot be had");
        cas_errno(&error)
    })?;
    Ok(attr.vnode)
}

/// `mirror/WS/DIR/NAME` becomes a hard link to the vnode's sealed bytes.
pub fn exec_link(daemon: &Daemon, call: &Call) -> Result<VnodeNo, Errno> {
    let (vnode, name) = (call.vnode(), &call.name[..]);
    if name.is_empty() || matches!(name, b"." | b"..") || name.iter().any(|byte| matches!(byte, b'/' | 0)) {
        return Err(Errno::EINVAL);
    }
    let hash = loop {
        let attr = daemon.spaces().get(call.workspace)?.index.attr(vnode).ok_or(Errno::ENOENT)?;
        match attr.content {
            Content::Sealed(hash) => break hash,
            Content::None => return Err(Errno::EACCES),
            Content::Staged => match daemon.seal(call.workspace, vnode)? {
                SealOutcome::Sealed | SealOutcome::Gone => {}
                SealOutcome::Busy => return Err(Errno::ETXTBSY),
            },
        }
    };
    let blob = daemon.cas.materialise(&BlobHash(hash)).map_err(|error| cas_errno(&error))?;
    let spaces = daemon.spaces();
    let folder = mirror_folder(daemon, spaces.get(call.workspace)?, call.dir())?;
    link_over(daemon, &blob, &folder.join(OsStr::from_bytes(name))).map_err(|error| errno_of(&error))?;
    drop(spaces);
    Ok(vnode)
}

fn link_over(daemon: &Daemon, blob: &Path, link: &Path) -> std::io::Result<()> {
    let is_linked = |stat: fs::Metadata| {
        fs::symlink_metadata(blob).is_ok_and(|blob| (blob.dev(), blob.ino()) == (stat.dev(), stat.ino()))
    };
    if fs::symlink_metadata(link).is_ok_and(is_linked) {
        return Ok(());
    }
    let beside = daemon.unique_in_tmp();
    if let Err(error) = fs::hard_link(blob, &beside) {
        if errno_of(&error) != Errno::EMLINK {
            return Err(error);
        }
        fs::copy(blob, &beside)?;
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o555))?;
    }
    fs::rename(&beside, link).inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })
}
