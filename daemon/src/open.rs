//! Open for writing: the vnode gets a staging file, which the client opens, or gets an fd of.

use crate::clock::timespec;
use crate::daemon::cas_errno;
use crate::daemon::{Daemon, Spaces};
use crate::executing::is_executing;
use crate::namespace::errno_of;
use crate::record::{Change, Origin};
use crate::retry;
use crate::vnode_ops::{Answer, Attempt, Call, S_IFREG, native_flags};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, open as open_file};
use nix::sys::stat::{FileStat, Mode, SFlag, UtimensatFlags, fstat, futimens, lstat, mknod, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{geteuid, truncate};
use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use vrift_cas::{BlobHash, Quiet};
use vrift_manifest::types::{S_IFDIR, S_IFLNK, S_IFMT};
use vrift_manifest::{Attr, Content, VnodeNo};
use vrift_protocol::VnodeReply;

/// Sealed files up to this many bytes are copied on the event loop (some 100 us); longer ones by a worker.
const QUICK_COPY_LEN: u64 = 256 * 1024;

pub fn open(daemon: &Daemon, call: &Call) -> Attempt {
    let spaces = daemon.spaces();
    let flags = OFlag::from_bits_truncate(call.request.flags.get().cast_signed());
    let found = || -> Result<Option<VnodeNo>, Errno> {
        let index = &spaces.get(call.workspace)?.index;
        if call.name.is_empty() {
            return Ok(Some(call.vnode()));
        }
        match index.lookup(call.dir(), &call.name) {
            Some(_) if flags.contains(OFlag::O_CREAT | OFlag::O_EXCL) => Err(Errno::EEXIST),
            None if !flags.contains(OFlag::O_CREAT) => Err(Errno::ENOENT),
            found => Ok(found),
        }
    };
    match found() {
        Err(errno) => Attempt::Answered(Err(errno)),
        Ok(None) => Attempt::Answered(create(daemon, call, spaces)),
        Ok(Some(vnode)) => open_existing(daemon, call, spaces, vnode, flags),
    }
}

/// The answer to an open that was carried out before the daemon died.
pub fn open_again(daemon: &Daemon, call: &Call, done: retry::Answer) -> Attempt {
    let spaces = daemon.spaces();
    let flags = OFlag::from_bits_truncate(call.request.flags.get().cast_signed());
    // Truncating again is right only for what the first attempt had made or emptied itself; nobody has
    // written through an fd that was never received.
    let attempt = open_existing(daemon, call, spaces, VnodeNo(done.vnode), flags - OFlag::O_EXCL);
    match attempt {
        Attempt::Answered(Ok((mut reply, fd))) => {
            reply.created = u32::from(done.created).into();
            Attempt::Answered(Ok((reply, fd)))
        }
        other => other,
    }
}

fn create(daemon: &Daemon, call: &Call, mut spaces: Spaces<'_>) -> Answer {
    let workspace = spaces.get(call.workspace)?;
    if workspace.index.attr(call.dir()).is_none() {
        return Err(Errno::ENOENT);
    }
    let vnode = daemon.spares.ahead.choose(call.workspace, &workspace.index);
    // The file is there before its name is: a reader that finds the name can open it.
    let path = daemon.folders.staging(call.workspace, vnode.0);
    let make = || new_staging(daemon, call, vnode, &path);
    let (now_ns, fd) = match make() {
        Err(Errno::ENOSPC | Errno::EDQUOT) if daemon.spares.give_back(daemon) => make()?,
        made => made?,
    };
    let new = call.new_vnode(S_IFREG, Content::Staged, now_ns);
    crate::set_id::carry(&path, new.mode)?;
    let change = Change::Make { at: vnode, dir: call.dir(), name: &call.name, new, now_ns };
    match daemon.commit(&mut spaces, call.workspace, call.origin, &change) {
        Ok(_) => {
            daemon.watches.opened(call.workspace, vnode);
            Ok((VnodeReply { vnode: vnode.0.into(), created: 1.into(), ..VnodeReply::default() }, fd))
        }
        Err(errno) => {
            let _ = fs::remove_file(&path);
            Err(errno)
        }
    }
}

/// A staging file for a new vnode, when it was made in nanoseconds, and an fd if the client needs one.
fn new_staging(
    daemon: &Daemon,
    call: &Call,
    vnode: VnodeNo,
    path: &Path,
) -> Result<(i64, Option<OwnedFd>), Errno> {
    let mode = staging_mode(call.request.mode.get());
    let flags = native_flags(call.request.flags.get());
    Ok(match (daemon.spares.take(daemon, call.workspace, vnode, mode.bits()), call.by_name) {
        (Some(now_ns), true) => (now_ns, None),
        (Some(now_ns), false) => (now_ns, Some(open_file(path, flags, Mode::empty())?)),
        (None, true) => {
            make_file(path, mode)?;
            (modified_ns(&lstat(path)?), None)
        }
        (None, false) => {
            let fd = create_file(path, flags, mode)?;
            (modified_ns(&fstat(&fd)?), Some(fd))
        }
    })
}

fn modified_ns(stat: &FileStat) -> i64 {
    stat.st_mtime * 1_000_000_000 + stat.st_mtime_nsec
}

/// The vnode's own permissions, which it then has already when its last name goes, and the daemon's, without which it
/// could not be sealed. The folder lets nobody else in.
fn staging_mode(mode: u32) -> Mode {
    Mode::from_bits_truncate(mode & 0o777 | 0o600)
}

/// A new, empty staging file. One that is left from before the vnode number was decided is replaced.
fn create_file(path: &Path, flags: OFlag, mode: Mode) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlag::O_CREAT | OFlag::O_EXCL;
    match open_file(path, flags, mode) {
        Err(Errno::EEXIST) => {
            nix::unistd::unlink(path)?;
            open_file(path, flags, mode)
        }
        result => result,
    }
}

/// As [`create_file`], without opening it, which those who watch the vnode would see.
fn make_file(path: &Path, mode: Mode) -> Result<(), Errno> {
    let made = || mknod(path, SFlag::S_IFREG, mode, 0);
    match made() {
        Err(Errno::EEXIST) => {
            nix::unistd::unlink(path)?;
            made()
        }
        result => result,
    }
}

fn open_existing<'a>(
    daemon: &'a Daemon,
    call: &Call,
    mut spaces: Spaces<'a>,
    vnode: VnodeNo,
    flags: OFlag,
) -> Attempt {
    loop {
        let attr = match spaces.get(call.workspace).map(|workspace| workspace.index.attr(vnode)) {
            Err(errno) => return Attempt::Answered(Err(errno)),
            Ok(None) => return Attempt::Answered(Err(Errno::ENOENT)),
            Ok(Some(attr)) => attr,
        };
        if let Err(errno) = may_open(&attr, call) {
            return Attempt::Answered(Err(errno));
        }
        match stage(daemon, call, spaces, &attr, flags.contains(OFlag::O_TRUNC).then_some(0)) {
            Err(errno) => return Attempt::Answered(Err(errno)),
            Ok(Staging::NeedsWorker) => return Attempt::NeedsWorker,
            Ok(Staging::Changed(again)) => spaces = again,
            Ok(Staging::Ready(spaces)) => {
                let path = daemon.folders.staging(call.workspace, vnode.0);
                let native = native_flags(flags.bits().cast_unsigned());
                let fd =
                    if call.by_name { Ok(None) } else { open_file(&path, native, Mode::empty()).map(Some) };
                if fd.is_ok() {
                    daemon.watches.opened(call.workspace, vnode);
                }
                drop(spaces);
                let reply = VnodeReply { vnode: vnode.0.into(), ..VnodeReply::default() };
                return Attempt::Answered(fd.map(|fd| (reply, fd)));
            }
        }
    }
}

fn may_open(attr: &Attr, call: &Call) -> Result<(), Errno> {
    match attr.mode & S_IFMT {
        S_IFDIR => Err(Errno::EISDIR),
        S_IFREG => {
            // Something appeared under the name meanwhile, and the client has not checked whether it may
            // write it: it resolves again.
            let unchecked = !call.name.is_empty() && attr.mode & 0o200 == 0 && !geteuid().is_root();
            if unchecked { Err(Errno::EAGAIN) } else { Ok(()) }
        }
        S_IFLNK => Err(Errno::EAGAIN),
        _ => Err(if call.name.is_empty() { Errno::ENXIO } else { Errno::EAGAIN }),
    }
}

/// How far [`stage`] came.
enum Staging<'a> {
    /// The vnode has a staging file, which nobody is sealing.
    Ready(Spaces<'a>),
    /// The lock was given up on the way: look again.
    Changed(Spaces<'a>),
    NeedsWorker,
}

/// Gives a sealed vnode a staging file: a copy of its bytes, of which only the first `keep` matter.
fn stage<'a>(
    daemon: &'a Daemon,
    call: &Call,
    mut spaces: Spaces<'a>,
    attr: &Attr,
    keep: Option<u64>,
) -> Result<Staging<'a>, Errno> {
    let key = (call.workspace, attr.vnode.0);
    let hash = match attr.content {
        Content::Staged if !spaces.sealing.contains(&key) => return Ok(Staging::Ready(spaces)),
        Content::Staged if !call.may_wait => return Ok(Staging::NeedsWorker),
        Content::Staged => return Ok(Staging::Changed(daemon.wait_for_seal(spaces, key))),
        Content::Sealed(hash) => hash,
        Content::None => return Err(Errno::EINVAL),
    };
    if attr.mode & 0o111 != 0 {
        if !call.may_wait {
            return Ok(Staging::NeedsWorker);
        }
        drop(spaces);
        if is_executing(daemon, attr.vnode, &BlobHash(hash)) {
            return Err(Errno::ETXTBSY);
        }
        spaces = daemon.spaces();
        if spaces.get(call.workspace)?.index.attr(attr.vnode).is_none_or(|now| now.content != attr.content) {
            return Ok(Staging::Changed(spaces));
        }
    }
    let open_before = crate::in_place::somebody(daemon, attr.vnode, &hash)?;
    if open_before && crate::in_place::is_only_user(&spaces, key, &hash) {
        if attr.size > QUICK_COPY_LEN && !call.may_wait {
            return Ok(Staging::NeedsWorker);
        }
        if crate::in_place::write(daemon, call.workspace, attr, &hash, keep)? {
            let path = daemon.folders.staging(call.workspace, attr.vnode.0);
            become_staged(daemon, call, &mut spaces, attr, &path, keep == Some(0))?;
            return Ok(Staging::Ready(spaces));
        }
    }
    let path = daemon.folders.staging(call.workspace, attr.vnode.0);
    if keep == Some(0) {
        make_file(&path, staging_mode(attr.mode))?;
        keep_atime(&path, attr)?;
    } else if !call.may_wait {
        if attr.size > QUICK_COPY_LEN {
            return Ok(Staging::NeedsWorker);
        }
        match copy_up(daemon, call.workspace, attr.vnode.0, &hash, attr) {
            // To make room may take a while.
            Err(Errno::ENOSPC) => return Ok(Staging::NeedsWorker),
            copied => copied?,
        }
    } else {
        drop(spaces);
        let beside = daemon.unique_staging();
        let mut copied = copy_up(daemon, call.workspace, beside, &hash, attr);
        if copied == Err(Errno::ENOSPC) {
            daemon.forget_unreferenced();
            copied = copy_up(daemon, call.workspace, beside, &hash, attr);
        }
        let beside = daemon.folders.staging(call.workspace, beside);
        spaces = daemon.spaces();
        let now = spaces.get(call.workspace)?.index.attr(attr.vnode);
        if now.is_none_or(|now| now.content != attr.content) {
            let _ = fs::remove_file(&beside);
            return Ok(Staging::Changed(spaces));
        }
        match copied {
            Ok(()) => fs::rename(&beside, &path).map_err(|error| errno_of(&error))?,
            // Without space for a copy, the sealed file itself can be written if the store has its bytes.
            Err(Errno::ENOSPC)
                if crate::in_place::is_only_user(&spaces, key, &hash)
                    && crate::in_place::write(daemon, call.workspace, attr, &hash, keep)? =>
            {
                become_staged(daemon, call, &mut spaces, attr, &path, false)?;
                return Ok(Staging::Ready(spaces));
            }
            Err(errno) => return Err(errno),
        }
    }
    // Who opens the sealed file from here on waits, and then finds that it is staged.
    let quiet = crate::in_place::quiet(daemon, attr.vnode, &hash)?;
    if matches!(quiet, Quiet::Somebody) && !open_before && crate::in_place::is_only_user(&spaces, key, &hash)
    {
        let _ = fs::remove_file(&path);
        return Ok(Staging::Changed(spaces));
    }
    become_staged(daemon, call, &mut spaces, attr, &path, keep == Some(0))?;
    drop(quiet);
    Ok(Staging::Ready(spaces))
}

/// A writable copy of sealed bytes as the staging file `number`, with the vnode's times: it was not
/// written yet.
fn copy_up(daemon: &Daemon, workspace: u32, number: u64, hash: &[u8; 32], attr: &Attr) -> Result<(), Errno> {
    let staged = daemon.cas.stage_copy(workspace, number, &BlobHash(*hash));
    staged.map_err(|error| cas_errno(&error))?;
    let path = daemon.folders.staging(workspace, number);
    let file = open_file(&path, OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW, Mode::empty())?;
    futimens(&file, &timespec(attr.atime_ns), &timespec(attr.mtime_ns))
}

/// Emptied is not read. The time of the last change is the kernel's affair from here on.
pub fn keep_atime(path: &Path, attr: &Attr) -> Result<(), Errno> {
    utimensat(
        AT_FDCWD,
        path,
        &timespec(attr.atime_ns),
        &TimeSpec::UTIME_OMIT,
        UtimensatFlags::NoFollowSymlink,
    )
}

fn become_staged(
    daemon: &Daemon,
    call: &Call,
    spaces: &mut Spaces<'_>,
    attr: &Attr,
    path: &Path,
    emptied: bool,
) -> Result<(), Errno> {
    let now_ns = if emptied { daemon.clock.now_ns() } else { 0 };
    crate::set_id::carry(path, attr.mode)?;
    let change = Change::SetContent {
        vnode: attr.vnode,
        content: Content::Staged,
        size: if emptied { 0 } else { attr.size },
        blocks: if emptied { 0 } else { attr.blocks },
        mtime_ns: if emptied { now_ns } else { attr.mtime_ns },
        ctime_ns: if emptied { now_ns } else { attr.ctime_ns },
    };
    // Not the client's change but the daemon's preparation for it: a retry must do what comes after it.
    daemon.commit(spaces, call.workspace, Origin::default(), &change).map(drop).inspect_err(|_| {
        let _ = fs::remove_file(path);
    })
}

/// truncate(2): stages the vnode and sets its length. None: a worker has to do it.
pub fn stage_for_size<'a>(
    daemon: &'a Daemon,
    call: &Call,
    mut spaces: Spaces<'a>,
) -> Result<Option<Spaces<'a>>, Errno> {
    let size = call.request.size.get();
    let len = i64::try_from(size).map_err(|_| Errno::EFBIG)?;
    loop {
        let attr = spaces.get(call.workspace)?.index.attr(call.vnode()).ok_or(Errno::ENOENT)?;
        match attr.mode & S_IFMT {
            S_IFDIR => return Err(Errno::EISDIR),
            S_IFREG => {}
            _ => return Err(Errno::EINVAL),
        }
        match stage(daemon, call, spaces, &attr, (size == 0).then_some(0))? {
            Staging::NeedsWorker => return Ok(None),
            Staging::Changed(again) => spaces = again,
            Staging::Ready(ready) => {
                let path = daemon.folders.staging(call.workspace, call.vnode().0);
                // Not by an fd: those who watch the vnode would see it opened.
                truncate(&path, len)?;
                return Ok(Some(ready));
            }
        }
    }
}
