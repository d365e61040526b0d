//! The real files behind vnodes: opening bytes, asking for what is not there yet, and current attributes.

use crate::raw::{self, Errno};
use crate::request::Request;
use crate::resolve::Attr;
use crate::text::PathText;
use crate::view;
use core::ffi::c_int;
use vrift_manifest::types::{S_IFDIR, S_IFLNK, S_IFMT};
use vrift_manifest::{Content, VnodeNo};
use vrift_protocol::Op;
use vrift_protocol::vnode_op::{REMOVED_LEN, XATTRS_LEN_MAX};
use zerocopy::byteorder::little_endian::{U32, U64};

/// Pause before a file that the daemon holds for a moment is opened again.
const LEASE_PAUSE_US: i64 = 200;

/// Has the daemon make the real folder of a virtual directory.
pub fn mirror(vnode: VnodeNo) -> Result<(), Errno> {
    let mut request = Request::new(Op::Mirror);
    request.body.vnode = U64::new(vnode.0);
    close_passed(request.send()?.1);
    Ok(())
}

/// Has the daemon put a sealed file's bytes into the hot tier. Where there is no room for them it gives an fd
/// of the bytes in memory instead.
fn materialise(vnode: VnodeNo, cloexec: bool) -> Result<Option<c_int>, Errno> {
    let mut request = Request::new(Op::Materialise);
    request.body.vnode = U64::new(vnode.0);
    request.cloexec = cloexec;
    match request.send() {
        Ok((_, fd)) => Ok(fd),
        // It is not sealed any more, or not there.
        Err(libc::ENOENT) => Err(libc::ESTALE),
        Err(errno) => Err(errno),
    }
}

/// Has the daemon open the real thing of a vnode for a process that may not look into the state folder any more:
/// it was root and became another user.
/// `name`: empty, or something in the vnode's mirror folder, or with vnode 0 what
/// [`crate::handle::opened_by_daemon`] says.
pub fn open_by_daemon(vnode: VnodeNo, name: &[u8], flags: c_int) -> Result<c_int, Errno> {
    let mut request = Request::new(Op::OpenReal);
    request.name = name;
    request.body.vnode = U64::new(vnode.0);
    request.body.flags = U32::new(flags as u32);
    request.cloexec = flags & libc::O_CLOEXEC != 0;
    request.send()?.1.ok_or(libc::EIO)
}

/// A fifo or device node from an fd of the node itself: the open may wait, which the daemon cannot.
fn open_from_node(node: c_int, flags: c_int) -> Result<c_int, Errno> {
    if flags & libc::O_PATH != 0 {
        return Ok(node);
    }
    let opened = raw::open(raw::name_of_fd(node).as_c_str(), flags);
    raw::close(node);
    opened
}

/// Flags of an open for writing that its staging file is opened with. The program sees them by fcntl(F_GETFL).
const STAGING_FLAGS: c_int = libc::O_ACCMODE
    | libc::O_APPEND
    | libc::O_NONBLOCK
    | libc::O_SYNC
    | libc::O_DSYNC
    | libc::O_DIRECT
    | libc::O_NOATIME
    | libc::O_NOFOLLOW
    | libc::O_CLOEXEC;

/// Opens for writing: the daemon sees to the staging file, this process opens it. ESTALE: resolve again.
pub fn open_for_writing(mut request: Request<'_>, flags: c_int) -> Result<(VnodeNo, c_int), Errno> {
    request.by_name = true;
    request.need_fd()?;
    let (reply, _) = request.send().map_err(gone)?;
    let vnode = VnodeNo(reply.vnode.get());
    let truncate = if reply.created.get() == 0 { flags & libc::O_TRUNC } else { 0 };
    let mut path = PathText::new();
    view::staging_path_into(vnode, &mut path)?;
    match raw::open(path.as_c_str(), flags & STAGING_FLAGS | truncate) {
        Ok(fd) => {
            still_there(vnode, fd)?;
            Ok((vnode, fd))
        }
        Err(errno @ (libc::EMFILE | libc::ENFILE | libc::ENOSPC | libc::EDQUOT)) => Err(errno),
        // Sealed before it was opened, or out of this user's reach.
        Err(_) => {
            let mut again = Request::new(Op::Open);
            again.body.vnode = U64::new(vnode.0);
            again.body.flags =
                U32::new((flags & !(libc::O_CREAT | libc::O_EXCL | libc::O_TRUNC) | truncate) as u32);
            again.cloexec = flags & libc::O_CLOEXEC != 0;
            match again.send_for_fd() {
                Ok((_, fd)) => Ok((vnode, fd)),
                Err(libc::ENOENT) => Err(libc::ESTALE),
                Err(errno) => Err(gone(errno)),
            }
        }
    }
}

/// EAGAIN: something appeared under the name meanwhile.
fn gone(errno: Errno) -> Errno {
    match errno {
        libc::EAGAIN => libc::ESTALE,
        errno => errno,
    }
}

fn close_passed(fd: Option<c_int>) {
    if let Some(fd) = fd {
        raw::close(fd);
    }
}

/// Opens a vnode without writing to it. ESTALE: what was found is no longer there, resolve again.
pub fn open_readable(attr: &Attr, flags: c_int) -> Result<c_int, Errno> {
    const NOT_FOR_REAL: c_int = libc::O_CREAT | libc::O_EXCL;
    let mut path = PathText::new();
    match (attr.mode & S_IFMT, attr.content) {
        (S_IFDIR | S_IFLNK, _) => {
            // Both have a real one that the daemon makes on demand.
            let is_link = attr.mode & S_IFMT == S_IFLNK;
            if is_link && flags & libc::O_PATH == 0 {
                return Err(libc::ELOOP);
            }
            let flags = if is_link {
                view::staging_path_into(attr.vnode, &mut path)?;
                flags | libc::O_NOFOLLOW
            } else {
                view::mirror_path_into(attr.vnode, &mut path)?;
                flags & !NOT_FOR_REAL
            };
            match raw::open(path.as_c_str(), flags) {
                Err(libc::ENOENT) => {
                    mirror(attr.vnode)?;
                    raw::open(path.as_c_str(), flags)
                }
                Err(libc::EACCES) => open_by_daemon(attr.vnode, b"", flags),
                result => result,
            }
        }
        (_, Content::Sealed(hash)) => {
            view::hot_path_into(&hash, attr.vnode, &mut path)?;
            let flags = flags & !NOT_FOR_REAL;
            let opened = match raw::open(path.as_c_str(), flags) {
                // The blob's owner is the daemon's user, whatever the vnode's is.
                Err(libc::EPERM) => raw::open(path.as_c_str(), flags & !libc::O_NOATIME),
                opened => opened,
            };
            let fd = match opened {
                Err(libc::ENOENT) => match materialise(attr.vnode, flags & libc::O_CLOEXEC != 0)? {
                    Some(fd) => return Ok(fd),
                    None => raw::open(path.as_c_str(), flags)
                        .map_err(|errno| if errno == libc::ENOENT { libc::ESTALE } else { errno }),
                },
                Err(libc::EACCES) => open_by_daemon(attr.vnode, b"", flags),
                // With O_NONBLOCK: the daemon is about to give it to a writer.
                Err(libc::EWOULDBLOCK) => {
                    raw::sleep_us(LEASE_PAUSE_US);
                    Err(libc::ESTALE)
                }
                result => result,
            }?;
            // Opened just before somebody began to write it: it must be the file that is written.
            let is_sealed = view::read(|reader| {
                reader.slot(attr.vnode).is_some_and(|slot| reader.content(slot) == Content::Sealed(hash))
            });
            if is_sealed == Ok(true) {
                return Ok(fd);
            }
            raw::close(fd);
            Err(is_sealed.err().unwrap_or(libc::ESTALE))
        }
        // Staged files, fifos and other nodes have a real one in the staging folder.
        (_, Content::Staged | Content::None) => {
            view::staging_path_into(attr.vnode, &mut path)?;
            let is_file = attr.kind() == libc::S_IFREG;
            if is_file && flags & libc::O_PATH != 0 {
                // The daemon cannot see such an fd, and must not use the file for another vnode: it gives it out itself.
                return open_by_daemon(attr.vnode, b"", flags);
            }
            let fd = match raw::open(path.as_c_str(), flags & !NOT_FOR_REAL) {
                Err(libc::ENOENT) => Err(libc::ESTALE),
                Err(libc::EACCES) if is_file => open_by_daemon(attr.vnode, b"", flags),
                Err(libc::EACCES) => {
                    open_from_node(open_by_daemon(attr.vnode, b"", flags)?, flags & !NOT_FOR_REAL)
                }
                result => result,
            }?;
            if is_file {
                still_there(attr.vnode, fd)?;
            }
            Ok(fd)
        }
    }
}

/// After a staging file was opened by its name: one whose vnode was removed before may be another vnode's by now.
fn still_there(vnode: VnodeNo, fd: c_int) -> Result<(), Errno> {
    let is_there = view::read(|reader| reader.slot(vnode).is_some());
    if is_there == Ok(true) {
        return Ok(());
    }
    raw::close(fd);
    Err(is_there.err().unwrap_or(libc::ESTALE))
}

/// A staged file's size and times are those of its staging file, which is being written. ESTALE: it was
/// sealed or removed meanwhile, resolve again.
pub fn refresh(attr: &mut Attr) -> Result<(), Errno> {
    if attr.content != Content::Staged {
        return Ok(());
    }
    let mut path = PathText::new();
    view::staging_path_into(attr.vnode, &mut path)?;
    match raw::stat(path.as_c_str()) {
        Ok(stat) => {
            overlay(attr, &stat);
            let is_there = view::read(|reader| reader.slot(attr.vnode).is_some())?;
            if is_there { Ok(()) } else { Err(libc::ESTALE) }
        }
        Err(libc::ENOENT) => Err(libc::ESTALE),
        Err(libc::EACCES) => {
            let fd = open_by_daemon(attr.vnode, b"", libc::O_PATH)?;
            let stat = raw::fstat(fd);
            raw::close(fd);
            overlay(attr, &stat?);
            Ok(())
        }
        Err(errno) => Err(errno),
    }
}

/// Enters the real folder of a virtual directory.
pub fn enter(vnode: VnodeNo) -> Result<(), Errno> {
    let mut path = PathText::new();
    view::mirror_path_into(vnode, &mut path)?;
    match raw::chdir(path.as_c_str()) {
        Err(libc::ENOENT) => {
            mirror(vnode)?;
            raw::chdir(path.as_c_str())
        }
        Err(libc::EACCES) => {
            let fd = open_by_daemon(vnode, b"", libc::O_PATH)?;
            let entered = raw::fchdir(fd);
            raw::close(fd);
            entered
        }
        result => result,
    }
}

/// Takes size, blocks and times from the file that holds a staged vnode's bytes.
pub fn overlay(attr: &mut Attr, stat: &libc::stat) {
    let ns = |seconds: i64, ns: i64| seconds.saturating_mul(1_000_000_000).saturating_add(ns);
    // The kernel takes set-ID bits away from the staging file, which carries the vnode's.
    const SET_ID: u32 = libc::S_ISUID | libc::S_ISGID;
    attr.mode &= !SET_ID | stat.st_mode & SET_ID;
    attr.size = stat.st_size as u64;
    attr.blocks = stat.st_blocks as u64;
    let [_, modified_before, mut changed] = attr.times_ns;
    let modified = ns(stat.st_mtime, stat.st_mtime_nsec);
    if modified != modified_before {
        // Written since it was staged: staging alone moves the change time of the staging file, but not the vnode's.
        changed = changed.max(ns(stat.st_ctime, stat.st_ctime_nsec));
    }
    attr.times_ns = [ns(stat.st_atime, stat.st_atime_nsec), modified, changed];
}

/// Before the link in /proc of a file that lost its last name is opened with O_PATH, which the daemon cannot see: it
/// removes the real file now, if it has not yet.
pub fn before_path_fd_of_removed(vnode: VnodeNo) {
    let mut request = Request::new(Op::Removed);
    request.body.vnode = U64::new(vnode.0);
    let _only_its_effect = request.send_for(&mut [0; XATTRS_LEN_MAX]);
}

/// What the daemon knows of a vnode that lost its last name; false: nothing, and `attr` stays as it is.
pub fn as_removed(attr: &mut Attr) -> bool {
    let mut request = Request::new(Op::Removed);
    request.body.vnode = U64::new(attr.vnode.0);
    let mut bytes = [0; XATTRS_LEN_MAX];
    if request.send_for(&mut bytes) != Ok(REMOVED_LEN) {
        return false;
    }
    let (numbers, times) = bytes[..REMOVED_LEN].split_at(16);
    let number = |at: usize| {
        numbers
            .get(at * 4..)
            .and_then(|rest| rest.first_chunk())
            .map_or(0, |bytes| u32::from_le_bytes(*bytes))
    };
    let time = |at: usize| {
        times.get(at * 8..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| i64::from_le_bytes(*bytes))
    };
    (attr.mode, attr.uid, attr.gid) = (number(0), number(1), number(2));
    attr.times_ns = [time(0), time(1), time(2)];
    true
}
