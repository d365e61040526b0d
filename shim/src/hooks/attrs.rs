//! Modes, owners and sizes: chmod(2), chown, truncate and kin.

use super::{hook, on_path, unknown};
use crate::creds::{Creds, WRITE};
use crate::errno;
use crate::fds::{self, FdKind};
use crate::raw::{self, Errno};
use crate::real::real;
use crate::request::Request;
use crate::resolve::{Attr, Inside};
use crate::view;
use core::ffi::{c_char, c_int};
use libc::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, S_ISGID, S_ISUID, gid_t, mode_t, off64_t, uid_t};
use vrift_manifest::VnodeNo;
use vrift_protocol::Op;
use vrift_protocol::vnode_op::set;
use zerocopy::byteorder::little_endian::{U32, U64};

/// The vnode behind an fd with its attributes. `Gone`: its last name was removed, so there is nothing left to
/// record; the fd still works.
pub enum Held {
    NotOurs,
    Gone,
    Here(Attr),
}

pub fn held(fd: c_int) -> Result<Held, Errno> {
    let FdKind::View(vnode) = fds::identify(fd) else { return Ok(Held::NotOurs) };
    let attr = view::read(|reader| reader.slot(vnode).map(|slot| Attr::of(reader, slot)))?;
    Ok(attr.map_or(Held::Gone, Held::Here))
}

/// A request that sets attributes of `vnode`; `bits` of `vnode_op::set`.
pub fn setting(vnode: VnodeNo, bits: u32) -> Request<'static> {
    let mut request = Request::new(Op::SetAttr);
    request.body.vnode = U64::new(vnode.0);
    request.body.set = U32::new(bits);
    request
}

/// The file may have been unlinked between look-up and request: by path that is ESTALE, resolve again.
pub fn send_by_path(request: Request<'_>) -> Result<c_int, Errno> {
    match request.send() {
        Ok(_) => Ok(0),
        Err(libc::ENOENT) => Err(libc::ESTALE),
        Err(errno) => Err(errno),
    }
}

/// What an fd call over `held` does.
pub fn on_fd(
    fd: c_int,
    mut apply: impl FnMut(&Attr) -> Result<Request<'static>, Errno>,
    real: impl FnOnce() -> c_int,
) -> c_int {
    if !crate::init::in_view() {
        return real();
    }
    match held(fd) {
        Ok(Held::NotOurs) => real(),
        // What is left of it is the file being written, if this fd may write; a sealed blob is not touched.
        Ok(Held::Gone) if is_writable(fd) => real(),
        Ok(Held::Gone) => 0,
        Ok(Held::Here(attr)) => match apply(&attr).and_then(Request::send) {
            Ok(_) | Err(libc::ENOENT) => 0,
            Err(errno) => errno::fail(errno),
        },
        Err(errno) => errno::fail(errno),
    }
}

fn chmod_of(attr: &Attr, mode: mode_t) -> Result<Request<'static>, Errno> {
    let creds = Creds::effective();
    if !creds.is_root() && creds.uid() != attr.uid {
        return Err(libc::EPERM);
    }
    let mut mode = mode & 0o7777;
    if mode & S_ISGID != 0 && !creds.is_root() && !creds.in_group(attr.gid) {
        mode &= !S_ISGID;
    }
    let mut request = setting(attr.vnode, set::MODE);
    request.body.mode = U32::new(mode);
    Ok(request)
}

fn chmod_in(inside: &Inside, mode: mode_t) -> Result<c_int, Errno> {
    let attr = inside.existing()?;
    if attr.is_symlink() {
        return Err(libc::EOPNOTSUPP);
    }
    send_by_path(chmod_of(attr, mode)?)
}

hook! {
    fn chmod(path: *const c_char, mode: mode_t) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            on_path(AT_FDCWD, path, true, |inside| chmod_in(inside, mode), |_, path| {
                real!(chmod(path: *const c_char, mode: mode_t) -> c_int)
            })
        }
    }
}

hook! {
    fn lchmod(path: *const c_char, mode: mode_t) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            on_path(AT_FDCWD, path, false, |inside| chmod_in(inside, mode), |_, path| {
                real!(lchmod(path: *const c_char, mode: mode_t) -> c_int)
            })
        }
    }
}

hook! {
    fn fchmodat(dirfd: c_int, path: *const c_char, mode: mode_t, flags: c_int) -> c_int {
        if unknown(flags, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) {
            return errno::fail(libc::EINVAL);
        }
        // SAFETY: C's arguments.
        unsafe {
            on_path(dirfd, path, flags & AT_SYMLINK_NOFOLLOW == 0, |inside| chmod_in(inside, mode), |dirfd, path| {
                real!(fchmodat(dirfd: c_int, path: *const c_char, mode: mode_t, flags: c_int) -> c_int)
            })
        }
    }
}

hook! {
    fn fchmod(fd: c_int, mode: mode_t) -> c_int {
        if is_name_only(fd) {
            return errno::fail(libc::EBADF);
        }
        on_fd(fd, |attr| chmod_of(attr, mode), || real!(fchmod(fd: c_int, mode: mode_t) -> c_int))
    }
}

/// -1 leaves an id as it is. A change of owner or group takes set-user-ID and set-group-ID away.
fn chown_of(attr: &Attr, uid: uid_t, gid: gid_t) -> Result<Request<'static>, Errno> {
    const KEEP: u32 = u32::MAX;
    let creds = Creds::effective();
    if !creds.is_root() {
        let owner_stays = uid == KEEP || uid == attr.uid;
        let group_ok = gid == KEEP || gid == attr.gid || creds.in_group(gid);
        if creds.uid() != attr.uid || !owner_stays || !group_ok {
            return Err(libc::EPERM);
        }
    }
    let mut bits = 0;
    if uid != KEEP {
        bits |= set::UID;
    }
    if gid != KEEP {
        bits |= set::GID;
    }
    let cleared = if attr.mode & 0o010 != 0 { S_ISUID | S_ISGID } else { S_ISUID };
    if !attr.is_dir() && attr.mode & cleared != 0 {
        bits |= set::MODE;
    }
    let mut request = setting(attr.vnode, bits);
    request.body.uid = U32::new(uid);
    request.body.gid = U32::new(gid);
    request.body.mode = U32::new(attr.mode & 0o7777 & !cleared);
    Ok(request)
}

fn chown_in(inside: &Inside, uid: uid_t, gid: gid_t) -> Result<c_int, Errno> {
    send_by_path(chown_of(inside.existing()?, uid, gid)?)
}

hook! {
    fn chown(path: *const c_char, uid: uid_t, gid: gid_t) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            on_path(AT_FDCWD, path, true, |inside| chown_in(inside, uid, gid), |_, path| {
                real!(chown(path: *const c_char, uid: uid_t, gid: gid_t) -> c_int)
            })
        }
    }
}

hook! {
    fn lchown(path: *const c_char, uid: uid_t, gid: gid_t) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            on_path(AT_FDCWD, path, false, |inside| chown_in(inside, uid, gid), |_, path| {
                real!(lchown(path: *const c_char, uid: uid_t, gid: gid_t) -> c_int)
            })
        }
    }
}

hook! {
    fn fchownat(dirfd: c_int, path: *const c_char, uid: uid_t, gid: gid_t, flags: c_int) -> c_int {
        if unknown(flags, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) {
            return errno::fail(libc::EINVAL);
        }
        // SAFETY: C's arguments.
        if flags & AT_EMPTY_PATH != 0 && unsafe { crate::text::bytes_of(path) }.is_some_and(<[u8]>::is_empty) {
            return on_fd(dirfd, |attr| chown_of(attr, uid, gid), || {
                real!(fchownat(dirfd: c_int, path: *const c_char, uid: uid_t, gid: gid_t, flags: c_int) -> c_int)
            });
        }
        // SAFETY: C's arguments.
        unsafe {
            on_path(dirfd, path, flags & AT_SYMLINK_NOFOLLOW == 0, |inside| chown_in(inside, uid, gid), |dirfd, path| {
                real!(fchownat(dirfd: c_int, path: *const c_char, uid: uid_t, gid: gid_t, flags: c_int) -> c_int)
            })
        }
    }
}

hook! {
    fn fchown(fd: c_int, uid: uid_t, gid: gid_t) -> c_int {
        if is_name_only(fd) {
            return errno::fail(libc::EBADF);
        }
        on_fd(fd, |attr| chown_of(attr, uid, gid), || real!(fchown(fd: c_int, uid: uid_t, gid: gid_t) -> c_int))
    }
}

fn truncate_in(inside: &Inside, len: off64_t) -> Result<c_int, Errno> {
    let size = u64::try_from(len).map_err(|_| libc::EINVAL)?;
    let attr = inside.existing()?;
    if attr.is_dir() {
        return Err(libc::EISDIR);
    }
    if attr.kind() != libc::S_IFREG {
        return Err(libc::EINVAL);
    }
    if !attr.may(&Creds::effective(), WRITE) {
        return Err(libc::EACCES);
    }
    if size > raw::file_size_limit() {
        let mut now = *attr;
        crate::content::refresh(&mut now)?;
        if size > now.size {
            raw::raise(libc::SIGXFSZ);
            return Err(libc::EFBIG);
        }
    }
    let mut request = setting(attr.vnode, set::SIZE);
    request.body.size = U64::new(size);
    send_by_path(request)
}

macro_rules! truncate_hooks {
    ($($name:ident)*) => {$(
        hook! {
            fn $name(path: *const c_char, len: off64_t) -> c_int {
                // Said before the path is looked at: do_sys_truncate in fs/open.c.
                if len < 0 {
                    return errno::fail(libc::EINVAL);
                }
                // SAFETY: C's arguments.
                unsafe {
                    on_path(AT_FDCWD, path, true, |inside| truncate_in(inside, len), |_, path| {
                        real!($name(path: *const c_char, len: off64_t) -> c_int)
                    })
                }
            }
        }
    )*};
}

truncate_hooks! { truncate truncate64 }

/// Whether an fd in the view was opened with O_PATH: it stands for a name, and calls that change a file refuse it.
pub fn is_name_only(fd: c_int) -> bool {
    crate::init::in_view() && raw::fcntl(fd, libc::F_GETFL, 0).is_ok_and(|flags| flags & libc::O_PATH != 0)
}

/// Whether an fd may write: what fcntl(F_GETFL) says.
pub fn is_writable(fd: c_int) -> bool {
    raw::fcntl(fd, libc::F_GETFL, 0).is_ok_and(|flags| flags & libc::O_ACCMODE != libc::O_RDONLY)
}
