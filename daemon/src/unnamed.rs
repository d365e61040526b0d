//! Files without a name (O_TMPFILE): staging files under a number that is no vnode's, until linkat(2) names them.
//! Nothing of them is in the journal before that: they end with their last writer.

use crate::daemon::{Daemon, cas_errno};
use crate::record::Change;
use crate::vnode_ops::{Answer, Call, S_IFREG, expect, native_flags};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{Gid, Uid, fchown};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use vrift_cas::MAY_BE_HELD;
use vrift_manifest::types::{S_IFDIR, S_IFMT};
use vrift_manifest::{Content, NewVnode, VnodeNo};
use vrift_protocol::VnodeReply;
use vrift_protocol::vnode_op::{UNNAMED, UNNAMED_FOR_GOOD};

/// Whether a staging number is that of an unnamed file.
pub fn is_unnamed(number: u64) -> bool {
    number & UNNAMED != 0 && number < crate::daemon::TEMPORARY_STAGING
}

/// A new file without a name. Its mode is the real file's until it has a vnode.
pub fn make(daemon: &Daemon, call: &Call) -> Answer {
    let spaces = daemon.spaces();
    let attr = spaces.get(call.workspace)?.index.attr(call.dir()).ok_or(Errno::ENOENT)?;
    if attr.mode & S_IFMT != S_IFDIR {
        return Err(Errno::ENOTDIR);
    }
    let given = OFlag::from_bits_truncate(call.request.flags.get().cast_signed());
    let kind = if given.contains(OFlag::O_EXCL) { UNNAMED | UNNAMED_FOR_GOOD } else { UNNAMED };
    let flags = native_flags(call.request.flags.get()) | OFlag::O_CREAT | OFlag::O_EXCL;
    let (number, fd) = loop {
        let number = kind | daemon.next_unique();
        let path = daemon.folders.staging(call.workspace, number);
        match open(&path, flags, Mode::from_bits_truncate(0o600)) {
            // One of a daemon before this one that is still open.
            Err(Errno::EEXIST) => {}
            result => break (number, result?),
        }
    };
    // Another group than the daemon's may be refused: then the file has the daemon's.
    let _ = fchown(&fd, None, Some(Gid::from_raw(call.request.gid.get())));
    if Uid::effective().is_root() {
        fchown(&fd, Some(Uid::from_raw(call.request.uid.get())), None)?;
    }
    fchmod(&fd, Mode::from_bits_truncate(call.request.mode.get() & 0o7777))?;
    Ok((VnodeReply { vnode: number.into(), ..VnodeReply::default() }, Some(fd)))
}

/// Gives an unnamed file its first name, and thereby a vnode.
pub fn link(daemon: &Daemon, call: &Call) -> Result<VnodeNo, Errno> {
    let number = call.vnode().0;
    if number & UNNAMED_FOR_GOOD != 0 {
        return Err(Errno::ENOENT);
    }
    let mut spaces = daemon.spaces();
    let workspace = spaces.get(call.workspace)?;
    let from = daemon.folders.staging(call.workspace, number);
    let stat = fs::symlink_metadata(&from).map_err(|error| crate::namespace::errno_of(&error))?;
    let ns = |seconds: i64, ns: i64| seconds.saturating_mul(1_000_000_000).saturating_add(ns);
    let now_ns = daemon.clock.now_ns();
    let new = NewVnode {
        mode: S_IFREG | stat.mode() & 0o7777,
        uid: stat.uid(),
        gid: stat.gid(),
        rdev: 0,
        size: stat.len(),
        atime_ns: ns(stat.atime(), stat.atime_nsec()),
        mtime_ns: ns(stat.mtime(), stat.mtime_nsec()),
        ctime_ns: now_ns,
        content: Content::Staged,
        target: &[],
    };
    let at = daemon.next_vnode(workspace);
    let change = Change::Make { at, dir: call.dir(), name: &call.name, new, now_ns };
    expect(workspace, &change)?;
    let to = daemon.folders.staging(call.workspace, at.0);
    // The rename, not a link: what the client's fd is called in /proc goes with it.
    note_origin(&to, number)
        .and_then(|()| fs::rename(&from, &to))
        .map_err(|error| crate::namespace::errno_of(&error))?;
    let named = daemon.commit(&mut spaces, call.workspace, call.origin, &change);
    match named {
        Ok(_) => become_private(&to),
        Err(_) => drop(fs::rename(&to, &from)),
    }
    let _ = fs::remove_file(origin_of(&to));
    named.map(|_| at)
}

/// As other staging files: the daemon's alone, with the set-ID bits that the kernel may take away.
fn become_private(staging: &Path) {
    let Ok(stat) = fs::symlink_metadata(staging) else { return };
    let _ = fs::set_permissions(staging, fs::Permissions::from_mode(0o600 | MAY_BE_HELD));
    let _ = crate::set_id::carry(staging, stat.mode());
}

/// The symlink whose target is the number that a staging file had before it got a name. It is there for as long as a
/// daemon that follows would have to finish or undo the naming.
fn origin_of(staging: &Path) -> PathBuf {
    staging.with_extension("unnamed")
}

fn note_origin(staging: &Path, number: u64) -> std::io::Result<()> {
    let origin = origin_of(staging);
    let _ = fs::remove_file(&origin);
    std::os::unix::fs::symlink(format!("{number:016x}"), origin)
}

/// Finishes or undoes what a daemon before this one was naming when it died.
///
/// # Errors
/// The staging folder cannot be read, or a file in it not renamed.
pub fn settle(staging_dir: &Path, is_vnode: &dyn Fn(VnodeNo) -> bool) -> std::io::Result<()> {
    for entry in fs::read_dir(staging_dir)? {
        let origin = entry?.path();
        if origin.extension().is_none_or(|extension| extension != "unnamed") {
            continue;
        }
        let staging = origin.with_extension("");
        let name = staging.file_name().unwrap_or_default();
        match crate::sealing::vnode_of_name(name.as_bytes()) {
            Some(vnode) if is_vnode(VnodeNo(vnode)) => become_private(&staging),
            _ => match fs::rename(&staging, staging_dir.join(fs::read_link(&origin)?)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            },
        }
        fs::remove_file(&origin)?;
    }
    Ok(())
}

/// Removes an unnamed file that nobody can write any more.
pub fn end(daemon: &Daemon, workspace: u32, number: u64) -> Result<(), Errno> {
    // The lock: nobody names it meanwhile.
    let _spaces = daemon.spaces();
    if !daemon.cas.has_writer(workspace, number).map_err(|error| cas_errno(&error))? {
        daemon.cas.remove_staging(workspace, number).map_err(|error| cas_errno(&error))?;
    }
    Ok(())
}
