//! Opens what a client would open itself, had it not given up the rights to do so: a program that was started as
//! root and became another user cannot look into the state folder any more.

use crate::daemon::Daemon;
use crate::real_things::{materialise, mirror};
use crate::vnode_ops::{Answer, Call};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use vrift_cas::{BlobHash, vnode_name};
use vrift_manifest::Content;
use vrift_manifest::types::{S_IFDIR, S_IFLNK, S_IFMT};
use vrift_protocol::{VnodeReply, names};

const KEPT: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_NONBLOCK).union(OFlag::O_DIRECT);

/// ESTALE: what the client found is no longer there. Fifos and device nodes are opened with `O_PATH` alone: an open
/// of theirs may wait, and the client can go on from such an fd.
pub fn open_real(daemon: &Daemon, call: &Call) -> Answer {
    let vnode = call.vnode();
    let flags = OFlag::from_bits_truncate(call.request.flags.get().cast_signed()) & KEPT;
    if vnode.0 == 0 {
        let runtime = daemon.folders.workspace_runtime(call.workspace);
        let fd = match std::str::from_utf8(&call.name) {
            Ok(names::INDEX_FILE) => opened(&runtime.join(names::INDEX_FILE), OFlag::O_RDONLY),
            Ok(names::COUNTERS_FILE) => opened(&runtime.join(names::COUNTERS_FILE), OFlag::O_RDWR),
            Ok("home") => opened(&daemon.folders.home, OFlag::O_PATH),
            _ => Err(Errno::EINVAL),
        };
        return reply(call, fd);
    }
    if !call.name.is_empty() {
        let link = daemon.folders.mirror(call.workspace, vnode.0).join(OsStr::from_bytes(&call.name));
        let is_one = !call.name.contains(&b'/') && !matches!(&call.name[..], b"." | b"..");
        return reply(call, if is_one { opened(&link, OFlag::O_PATH) } else { Err(Errno::EINVAL) });
    }
    let spaces = daemon.spaces();
    let attr = spaces.get(call.workspace)?.index.attr(vnode).ok_or(Errno::ESTALE)?;
    if attr.content == Content::Staged && flags.contains(OFlag::O_PATH) {
        daemon.spares.hold(call.workspace, vnode);
    }
    drop(spaces);
    let staging = || daemon.folders.staging(call.workspace, vnode.0);
    let fd = match (attr.mode & S_IFMT, attr.content) {
        (S_IFDIR, _) => {
            mirror(daemon, call)?;
            opened(&daemon.folders.mirror(call.workspace, vnode.0), flags)
        }
        (S_IFLNK, _) => {
            mirror(daemon, call)?;
            opened(&staging(), OFlag::O_PATH)
        }
        (_, Content::Sealed(hash)) => {
            if let (_, Some(in_memory)) = materialise(daemon, call)? {
                return reply(call, Ok(in_memory));
            }
            let blob = daemon.cas.hot_path(&BlobHash(hash));
            opened(&vnode_name(&blob, vnode.0), flags)
        }
        (_, Content::Staged) => opened(&staging(), flags),
        (_, Content::None) => opened(&staging(), OFlag::O_PATH),
    };
    reply(call, fd)
}

fn reply(call: &Call, fd: Result<OwnedFd, Errno>) -> Answer {
    match fd {
        Ok(fd) => Ok((VnodeReply { vnode: call.vnode().0.into(), ..VnodeReply::default() }, Some(fd))),
        Err(Errno::ENOENT) => Err(Errno::ESTALE),
        Err(errno) => Err(errno),
    }
}

fn opened(path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
    open(path, flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW, Mode::empty())
}
