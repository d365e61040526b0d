//! Requests of the preload library: one namespace operation each.

use crate::clock::timespec;
use crate::connection::{Connection, Greeting};
use crate::daemon::{Daemon, Spaces};
use crate::kill_points;
use crate::namespace::{Applied, Workspace, errno_of};
use crate::record::{Change, Origin};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag};
use nix::sys::stat::{Mode, SFlag, UtimensatFlags, mknod, utimensat};
use nix::sys::time::TimeSpec;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use vrift_manifest::types::{S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT};
use vrift_manifest::{Content, NewVnode, SetAttr, Unlinked, VnodeNo};
use vrift_protocol::frame::{FLAG_BY_NAME, FLAG_RETRY};
use vrift_protocol::vnode_op::set;
use vrift_protocol::{FrameHeader, Op, VnodeReply, VnodeRequest};

pub const S_IFREG: u32 = 0o100000;
pub const S_IFIFO: u32 = 0o010000;
pub const S_IFSOCK: u32 = 0o140000;

/// What a request is answered with.
pub type Answer = Result<(VnodeReply, Option<OwnedFd>), Errno>;

/// A request that was read and found well-formed.
pub struct Call {
    pub workspace: u32,
    pub origin: Origin,
    pub is_retry: bool,
    /// The client will open what the call gives it an fd of otherwise.
    pub by_name: bool,
    pub op: Op,
    pub request: VnodeRequest,
    pub name: Vec<u8>,
    pub name2: Vec<u8>,
    /// On a worker: may take its time.
    pub may_wait: bool,
}

/// How a quick attempt ended.
pub enum Attempt {
    Answered(Answer),
    /// A reply with bytes.
    Bytes(Result<Vec<u8>, Errno>),
    /// It would hold up other clients: do it again on a worker.
    NeedsWorker,
}

/// Answers one request, here or on a worker.
pub fn serve(
    daemon: &Arc<Daemon>,
    connection: &Arc<Connection>,
    greeting: Greeting,
    header: FrameHeader,
    op: Op,
    body: &[u8],
) {
    if op == Op::Slot {
        return connection.reply(&header, crate::slots::open(daemon, connection, greeting));
    }
    let Some(mut call) = Call::read(daemon, connection, greeting, &header, op, body) else {
        return connection.reply(&header, Err(Errno::EBADMSG));
    };
    kill_points::pass(|| format!("received {op:?}"));
    let attempt = run(daemon, &call);
    if !matches!(attempt, Attempt::NeedsWorker) {
        kill_points::pass(|| format!("answer {op:?}"));
    }
    match attempt {
        Attempt::Answered(answer) => connection.reply(&header, answer),
        Attempt::Bytes(bytes) => connection.reply_data(&header, bytes),
        Attempt::NeedsWorker => {
            call.may_wait = true;
            let (worker, client) = (Arc::clone(daemon), Arc::clone(connection));
            daemon.workers.submit(Box::new(move || {
                let answer = match run(&worker, &call) {
                    Attempt::Answered(answer) => answer,
                    Attempt::Bytes(_) | Attempt::NeedsWorker => Err(Errno::EIO),
                };
                kill_points::pass(|| format!("answer {op:?}"));
                client.reply(&header, answer);
            }));
        }
    }
}

/// Answers one request to the end, on a thread that serves nobody else. Of answers that bring more than a vnode it
/// says EPROTO.
pub fn carry_out(daemon: &Daemon, mut call: Call) -> Result<VnodeReply, Errno> {
    let op = call.op;
    kill_points::pass(|| format!("received {op:?}"));
    let mut attempt = run(daemon, &call);
    if matches!(attempt, Attempt::NeedsWorker) {
        call.may_wait = true;
        attempt = run(daemon, &call);
    }
    kill_points::pass(|| format!("answer {op:?}"));
    match attempt {
        Attempt::Answered(Ok((reply, None))) => Ok(reply),
        Attempt::Answered(Err(errno)) => Err(errno),
        Attempt::Answered(Ok((_, Some(_)))) | Attempt::Bytes(_) | Attempt::NeedsWorker => Err(Errno::EPROTO),
    }
}

fn run(daemon: &Daemon, call: &Call) -> Attempt {
    let vnode_only = |result: Result<VnodeNo, Errno>| {
        let reply = |vnode: VnodeNo| VnodeReply { vnode: vnode.0.into(), ..VnodeReply::default() };
        Attempt::Answered(result.map(|vnode| (reply(vnode), None)))
    };
    // Bound first: the lock must be free again when the body takes it.
    let done = if call.is_retry { daemon.spaces().answers.find(call.origin) } else { None };
    if let Some(done) = done {
        if call.op == Op::Open {
            return crate::open::open_again(daemon, call, done);
        }
        return vnode_only(Ok(VnodeNo(done.vnode)));
    }
    let heavy = matches!(call.op, Op::Materialise | Op::ExecLink | Op::OpenReal | Op::Sync);
    if heavy && !call.may_wait {
        return Attempt::NeedsWorker;
    }
    match call.op {
        Op::Open => crate::open::open(daemon, call),
        Op::Unnamed => Attempt::Answered(crate::unnamed::make(daemon, call)),
        Op::Link if crate::unnamed::is_unnamed(call.vnode().0) => {
            vnode_only(crate::unnamed::link(daemon, call))
        }
        Op::SetAttr => set_attr(daemon, call),
        Op::SetXattr | Op::RemoveXattr => vnode_only(crate::xattrs::write(daemon, call)),
        Op::GetXattr | Op::ListXattr => Attempt::Bytes(crate::xattrs::read(daemon, call)),
        Op::Watch => crate::watch::watch(daemon, call),
        Op::Materialise => Attempt::Answered(crate::real_things::materialise(daemon, call)),
        Op::ExecLink => vnode_only(crate::real_things::exec_link(daemon, call)),
        Op::OpenReal => Attempt::Answered(crate::open_real::open_real(daemon, call)),
        Op::Mirror => Attempt::Answered(crate::real_things::mirror(daemon, call)),
        Op::Sync => vnode_only(crate::flush::sync_vnode(daemon, call)),
        Op::OwnCall => vnode_only(crate::run::note_own_call(daemon, call.workspace, &call.name, &call.name2)),
        Op::Removed => Attempt::Bytes(crate::removed::tell(daemon, call)),
        Op::Mkdir => vnode_only(make(daemon, call, S_IFDIR)),
        Op::Symlink => vnode_only(make(daemon, call, S_IFLNK)),
        Op::Mknod => vnode_only(make(daemon, call, call.request.mode.get() & S_IFMT)),
        Op::Link | Op::Unlink | Op::Rmdir | Op::Rename => vnode_only(change_names(daemon, call)),
        Op::Hello | Op::Slot | Op::Admin | Op::State | Op::Service => Attempt::Answered(Err(Errno::EPROTO)),
    }
}

impl Call {
    /// `None`: the body has not the layout of one.
    pub fn read(
        daemon: &Daemon,
        connection: &Connection,
        greeting: Greeting,
        header: &FrameHeader,
        op: Op,
        body: &[u8],
    ) -> Option<Call> {
        let Ok((request, name, name2)) = VnodeRequest::parse(body) else {
            daemon.stats.malformed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            return None;
        };
        Some(Call {
            workspace: greeting.workspace,
            origin: connection.origin(header.request_id.get()),
            is_retry: header.flags.get() & FLAG_RETRY != 0,
            by_name: header.flags.get() & FLAG_BY_NAME != 0,
            op,
            request,
            name: name.to_vec(),
            name2: name2.to_vec(),
            may_wait: false,
        })
    }

    pub fn dir(&self) -> VnodeNo {
        VnodeNo(self.request.dir.get())
    }
    pub fn vnode(&self) -> VnodeNo {
        VnodeNo(self.request.vnode.get())
    }

    /// Attributes of the vnode to be made, all its times now.
    pub fn new_vnode(&self, kind: u32, content: Content, now_ns: i64) -> NewVnode<'_> {
        NewVnode {
            // A symlink has no permissions of its own.
            mode: kind | if kind == S_IFLNK { 0o777 } else { self.request.mode.get() & 0o7777 },
            uid: self.request.uid.get(),
            gid: self.request.gid.get(),
            rdev: if matches!(kind, S_IFCHR | S_IFBLK) { self.request.rdev.get() } else { 0 },
            size: 0,
            atime_ns: now_ns,
            mtime_ns: now_ns,
            ctime_ns: now_ns,
            content,
            target: if kind == S_IFLNK { &self.name2 } else { &[] },
        }
    }
}

/// mkdir, symlink, mknod of all but regular files.
fn make(daemon: &Daemon, call: &Call, kind: u32) -> Result<VnodeNo, Errno> {
    if kind == S_IFLNK && call.name2.is_empty() {
        return Err(Errno::ENOENT);
    }
    if !matches!(kind, S_IFDIR | S_IFLNK | S_IFIFO | S_IFSOCK | S_IFCHR | S_IFBLK) {
        return Err(Errno::EPERM);
    }
    let mut spaces = daemon.spaces();
    let workspace = spaces.get(call.workspace)?;
    let now_ns = daemon.clock.now_ns();
    let new = call.new_vnode(kind, Content::None, now_ns);
    let at = daemon.next_vnode(workspace);
    let change = Change::Make { at, dir: call.dir(), name: &call.name, new, now_ns };
    expect(workspace, &change)?;
    match kind {
        S_IFIFO | S_IFCHR | S_IFBLK => {
            let path = daemon.folders.staging(call.workspace, at.0);
            make_node(&path, kind, call.request.rdev.get())?;
        }
        S_IFSOCK => crate::sockets::name(daemon, call.workspace, at, &call.name2)?,
        _ => {}
    }
    let made = daemon.commit(&mut spaces, call.workspace, call.origin, &change);
    if made.is_err() {
        remove_real(daemon, call.workspace, at);
    }
    made.map(|_| at)
}

/// The real fifo or device node of a vnode. Who may open it is decided in the view: its own mode lets everybody,
/// the folder it is in nobody but the daemon's user. EPERM: device nodes are for a daemon that is root.
pub fn make_node(path: &Path, kind: u32, device: u32) -> Result<(), Errno> {
    let everybody = Mode::from_bits_truncate(0o666);
    mknod(path, SFlag::from_bits_truncate(kind), everybody, device.into())?;
    // The umask took some of it.
    fs::set_permissions(path, fs::Permissions::from_mode(0o666)).map_err(|error| errno_of(&error))
}

/// The errors that are common in builds, found before anything is written to the journal. What is not
/// found here is found when the change is applied, and found again at replay.
pub fn expect(workspace: &Workspace, change: &Change<'_>) -> Result<(), Errno> {
    let index = &workspace.index;
    let is_dir = |vnode| index.attr(vnode).is_some_and(|attr| attr.mode & S_IFMT == S_IFDIR);
    match *change {
        Change::Make { dir, name, .. } | Change::Link { dir, name, .. } => {
            match (index.attr(dir), index.lookup(dir, name)) {
                (None, _) => Err(Errno::ENOENT),
                (_, Some(_)) => Err(Errno::EEXIST),
                _ => Ok(()),
            }
        }
        Change::Unlink { dir, name, .. } => match index.lookup(dir, name) {
            None => Err(Errno::ENOENT),
            Some(vnode) if is_dir(vnode) => Err(Errno::EISDIR),
            Some(_) => Ok(()),
        },
        Change::Rmdir { dir, name, .. } => {
            let vnode = index.lookup(dir, name).ok_or(Errno::ENOENT)?;
            let mut is_empty = true;
            index.children(vnode, &mut |_, _| is_empty = false);
            if is_empty { Ok(()) } else { Err(Errno::ENOTEMPTY) }
        }
        Change::Rename { dir, name, .. } => index.lookup(dir, name).map(drop).ok_or(Errno::ENOENT),
        Change::SetAttr { vnode, .. } | Change::SetContent { vnode, .. } | Change::SetXattr { vnode, .. } => {
            index.attr(vnode).map(drop).ok_or(Errno::ENOENT)
        }
    }
}

fn change_names(daemon: &Daemon, call: &Call) -> Result<VnodeNo, Errno> {
    let mut spaces = daemon.spaces();
    let workspace = spaces.get(call.workspace)?;
    let now_ns = daemon.clock.now_ns();
    let (dir, name, name2) = (call.dir(), &call.name[..], &call.name2[..]);
    let change = match call.op {
        Op::Link => Change::Link { vnode: call.vnode(), dir, name, now_ns },
        Op::Unlink => Change::Unlink { dir, name, now_ns },
        Op::Rmdir => Change::Rmdir { dir, name, now_ns },
        _ => {
            let (dir2, flags) = (VnodeNo(call.request.dir2.get()), call.request.flags.get());
            Change::Rename { dir, name, dir2, name2, flags, now_ns }
        }
    };
    expect(workspace, &change)?;
    // What may lose its last name by this.
    let loses = match call.op {
        Op::Unlink | Op::Rmdir => workspace.index.lookup(dir, name),
        Op::Rename => workspace.index.lookup(VnodeNo(call.request.dir2.get()), name2),
        _ => None,
    };
    let loses =
        loses.and_then(|vnode| workspace.index.attr(vnode)).filter(|attr| attr.content != Content::Staged);
    let applied = daemon.commit(&mut spaces, call.workspace, call.origin, &change)?;
    if let Some(attr) = loses
        && spaces.get(call.workspace)?.index.attr(attr.vnode).is_none()
    {
        daemon.removed.note(call.workspace, &attr, now_ns);
    }
    tidy(daemon, call.workspace, &applied);
    match &applied {
        Applied::Unlinked(unlinked) => drop_unstored(daemon, &spaces, unlinked),
        Applied::Renamed(renamed) => {
            renamed.replaced.iter().for_each(|unlinked| drop_unstored(daemon, &spaces, unlinked));
        }
        _ => {}
    }
    Ok(match applied {
        Applied::Vnode(vnode) | Applied::RemovedDir(vnode) => vnode,
        Applied::Unlinked(unlinked) => unlinked.vnode,
        Applied::Renamed(renamed) => renamed.moved,
        Applied::Done => VnodeNo(0),
    })
}

/// A large file that was sealed, and removed before the store had it, gives its space back at once: on a full disk
/// that is what rm is for. Smaller ones wait for the store's garbage collection, as finding out that nothing
/// else has the same bytes means a look at every vnode.
fn drop_unstored(daemon: &Daemon, spaces: &Spaces<'_>, unlinked: &Unlinked) {
    const WORTHWHILE_BYTES: u64 = 1 << 20;
    let Content::Sealed(hash) = unlinked.content else { return };
    let blob = vrift_cas::BlobHash(hash);
    if unlinked.last
        && daemon.cas.unstored_len(&blob).is_some_and(|len_bytes| len_bytes >= WORTHWHILE_BYTES)
        && spaces.rooting == 0
        && !spaces.workspaces.values().any(|workspace| workspace.index.find_sealed(&hash).is_some())
    {
        daemon.cas.forget_unstored(&blob);
    }
}

/// Removes the real file of a fifo, a socket or a device node.
fn remove_real(daemon: &Daemon, workspace: u32, vnode: VnodeNo) {
    let _ = fs::remove_file(daemon.folders.staging(workspace, vnode.0));
    crate::sockets::remove(daemon, workspace, vnode);
}

/// Removes the real things of vnodes that are gone. Open fds keep what they have, as on any file system.
pub fn tidy(daemon: &Daemon, workspace: u32, applied: &Applied) {
    let file = |unlinked: &Unlinked| match unlinked.content {
        Content::Staged if unlinked.last => {
            let path = daemon.folders.staging(workspace, unlinked.vnode.0);
            // Who has it open asks the file itself for these from now on. Most have them from the start.
            let real = fs::symlink_metadata(&path);
            let (owner, mode) = ((unlinked.uid, unlinked.gid), unlinked.mode & 0o7777);
            let is_other = |owner| real.as_ref().is_ok_and(|real| (real.uid(), real.gid()) != owner);
            if is_other(owner) && nix::unistd::geteuid().is_root() {
                let _gone_already = std::os::unix::fs::chown(&path, Some(owner.0), Some(owner.1));
            }
            if real.as_ref().is_ok_and(|real| real.mode() & 0o7777 != mode) {
                let _gone_already = fs::set_permissions(&path, fs::Permissions::from_mode(mode));
            }
            let may_stay = |real: fs::Metadata| {
                real.mode() & 0o7000 == 0 && {
                    daemon.spares.leave(daemon, workspace, unlinked.vnode, real.len())
                }
            };
            if !real.is_ok_and(may_stay) {
                let _ = fs::remove_file(&path);
            }
        }
        Content::None if unlinked.last => remove_real(daemon, workspace, unlinked.vnode),
        // Another name is left, or the bytes are the store's.
        _ => {}
    };
    let dir = |vnode: VnodeNo| {
        let mirror = daemon.folders.mirror(workspace, vnode.0);
        if let Err(error) = fs::remove_dir(&mirror)
            && error.kind() == std::io::ErrorKind::DirectoryNotEmpty
        {
            let _ = fs::remove_dir_all(&mirror);
        }
    };
    match applied {
        Applied::Unlinked(unlinked) => file(unlinked),
        Applied::RemovedDir(vnode) => dir(*vnode),
        Applied::Renamed(renamed) => {
            renamed.replaced.iter().for_each(file);
            renamed.replaced_dir.iter().copied().for_each(dir);
        }
        Applied::Vnode(_) | Applied::Done => {}
    }
}

/// Times, mode, owner and size.
fn set_attr(daemon: &Daemon, call: &Call) -> Attempt {
    let bits = call.request.set.get();
    let vnode = call.vnode();
    let mut spaces = daemon.spaces();
    if bits & set::SIZE != 0 {
        spaces = match crate::open::stage_for_size(daemon, call, spaces) {
            Ok(Some(spaces)) => spaces,
            Ok(None) => return Attempt::NeedsWorker,
            Err(errno) => return Attempt::Answered(Err(errno)),
        };
    }
    Attempt::Answered(
        set_attr_now(daemon, call, &mut spaces)
            .map(|()| (VnodeReply { vnode: vnode.0.into(), ..VnodeReply::default() }, None)),
    )
}

fn set_attr_now(daemon: &Daemon, call: &Call, spaces: &mut Spaces<'_>) -> Result<(), Errno> {
    let (bits, request) = (call.request.set.get(), &call.request);
    let attr = spaces.get(call.workspace)?.index.attr(call.vnode()).ok_or(Errno::ENOENT)?;
    let now_ns = daemon.clock.now_ns();
    let time = |given: u32, now: u32, value: i64| match () {
        () if bits & now != 0 => Some(now_ns),
        () if bits & given != 0 => Some(value),
        () => None,
    };
    let atime_ns = time(set::ATIME, set::ATIME_NOW, request.atime_ns.get());
    let mtime_ns = time(set::MTIME, set::MTIME_NOW, request.mtime_ns.get());
    if attr.content == Content::Staged && (atime_ns.is_some() || mtime_ns.is_some()) {
        // The staging file has the times as long as the vnode is staged.
        let stamp = |time: Option<i64>| time.map_or(TimeSpec::UTIME_OMIT, timespec);
        let path = daemon.folders.staging(call.workspace, call.vnode().0);
        let flags = UtimensatFlags::NoFollowSymlink;
        utimensat(AT_FDCWD, &path, &stamp(atime_ns), &stamp(mtime_ns), flags)?;
    }
    let attrs = SetAttr {
        mode: (bits & set::MODE != 0).then(|| request.mode.get() & 0o7777),
        uid: (bits & set::UID != 0).then(|| request.uid.get()),
        gid: (bits & set::GID != 0).then(|| request.gid.get()),
        size: None,
        atime_ns,
        mtime_ns,
        ctime_ns: Some(now_ns),
    };
    if let (Content::Staged, Some(mode)) = (attr.content, attrs.mode) {
        crate::set_id::carry(&daemon.folders.staging(call.workspace, call.vnode().0), mode)?;
    }
    let change = Change::SetAttr { vnode: call.vnode(), set: attrs };
    daemon.commit(spaces, call.workspace, call.origin, &change).map(drop)
}

/// Flags of a client's open that its staging file is opened with. The client sees them by fcntl(F_GETFL), so none is
/// added that it would see.
pub fn native_flags(flags: u32) -> OFlag {
    let keep = OFlag::O_ACCMODE
        | OFlag::O_APPEND
        | OFlag::O_TRUNC
        | OFlag::O_NONBLOCK
        | OFlag::O_SYNC
        | OFlag::O_DSYNC
        | OFlag::O_DIRECT
        | OFlag::O_NOATIME
        | OFlag::O_NOFOLLOW;
    OFlag::from_bits_truncate(flags.cast_signed()) & keep | OFlag::O_CLOEXEC
}
