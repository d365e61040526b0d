//! Where the kernel needs something real: mirror folders, blobs in the hot tier, links for exec.

use crate::daemon::{Daemon, cas_errno};
use crate::namespace::errno_of;
use crate::seal::SealOutcome;
use crate::vnode_ops::{Answer, Call};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::geteuid;
use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use vrift_cas::{BlobHash, vnode_name};
use vrift_manifest::types::{S_IFDIR, S_IFMT};
use vrift_manifest::{Attr, Content, VnodeNo};
use vrift_protocol::VnodeReply;

/// A real folder for a virtual directory, and an `O_PATH` fd of it; for a symlink, a real one in the staging
/// folder, for those who open the link itself.
pub fn mirror(daemon: &Daemon, call: &Call) -> Answer {
    let vnode = call.vnode();
    // Under the lock, so that an rmdir cannot come between the check and the mkdir.
    let spaces = daemon.spaces();
    if let Some(target) = spaces.get(call.workspace)?.index.target(vnode) {
        let path = daemon.folders.staging(call.workspace, vnode.0);
        return match std::os::unix::fs::symlink(OsStr::from_bytes(&target), path) {
            Err(error) if errno_of(&error) != Errno::EEXIST => Err(errno_of(&error)),
            _ => Ok((VnodeReply { vnode: vnode.0.into(), ..VnodeReply::default() }, None)),
        };
    }
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
        // Search for everybody, behind folders that let nobody in: a program that gave up root's rights enters it
        // by an fd of it.
        Ok(()) if geteuid().is_root() => {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o711))
                .map_err(|error| errno_of(&error))?;
        }
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(errno) => return Err(errno),
    }
    Ok(path)
}

/// Makes a sealed vnode's bytes available in the hot tier, under the vnode's own name. ENOENT: it is not sealed
/// (any more). On a full disk the answer carries the bytes in memory: reading needs no space.
pub fn materialise(daemon: &Daemon, call: &Call) -> Answer {
    let attr = daemon.spaces().get(call.workspace)?.index.attr(call.vnode()).ok_or(Errno::ENOENT)?;
    let Content::Sealed(hash) = attr.content else { return Err(Errno::ENOENT) };
    let hash = BlobHash(hash);
    let reply = VnodeReply { vnode: attr.vnode.0.into(), ..VnodeReply::default() };
    let named = daemon.cas.materialise(&hash).map_err(|error| (cas_errno(&error), error.to_string()));
    let named = named.and_then(|blob| name_for(daemon, &blob, &attr));
    match named {
        Ok(()) => Ok((reply, None)),
        Err((Errno::ENOSPC | Errno::EDQUOT, _)) => Ok((reply, Some(in_memory(daemon, &hash)?))),
        Err((errno, error)) => {
            tracing::error!(vnode = attr.vnode.0, error, "sealed bytes cannot be had");
            Err(errno)
        }
    }
}

/// Makes hot/HH/HASH.VNODE, by which the vnode's bytes are opened. One that is there stays: somebody may have it open.
fn name_for(daemon: &Daemon, blob: &Path, attr: &Attr) -> Result<(), (Errno, String)> {
    let own = vnode_name(blob, attr.vnode.0);
    if fs::symlink_metadata(&own).is_ok_and(|stat| stat.len() == attr.size) {
        return Ok(());
    }
    let is_shared = fs::symlink_metadata(blob).is_ok_and(|stat| stat.nlink() > 1);
    if is_shared && attr.size <= vrift_cas::OWN_FILE_MAX {
        let copied = daemon.cas.copy_for(blob, attr.vnode.0);
        return copied.map_err(|error| (cas_errno(&error), error.to_string()));
    }
    link_over(daemon, blob, &own).map_err(|error| (errno_of(&error), error.to_string()))
}

/// A read-only fd of a blob's bytes in anonymous memory.
fn in_memory(daemon: &Daemon, hash: &BlobHash) -> Result<OwnedFd, Errno> {
    let memory = nix::sys::memfd::memfd_create("vrift-blob", nix::sys::memfd::MFdFlags::MFD_CLOEXEC)?;
    let file = fs::File::from(memory);
    let mut sink = vrift_cas::SparseWriter::new(&file);
    daemon.store.read_blob(hash, &mut sink).map_err(|error| {
        tracing::error!(%error, "sealed bytes cannot be had");
        Errno::EIO
    })?;
    sink.finish().map_err(|error| errno_of(&error))?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    open(path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
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
    let mut spaces = daemon.spaces();
    let folder = mirror_folder(daemon, spaces.get(call.workspace)?, call.dir())?;
    let link = folder.join(OsStr::from_bytes(name));
    link_over(daemon, &blob, &link).map_err(|error| errno_of(&error))?;
    spaces.executables.linked(link, vnode);
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
        vrift_cas::copy_sparse(&fs::File::open(blob)?, &fs::File::create_new(&beside)?)?;
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o555))?;
    }
    fs::rename(&beside, link).inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })
}
