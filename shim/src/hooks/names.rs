//! Calls that make and remove names: mkdir(2), rmdir, unlink, link, symlink, mknod and kin.

use super::{Routed, hook, on_name, route, route_name, settled, unknown};
use crate::creds::{Creds, SEARCH, WRITE};
use crate::elsewhere::Elsewhere;
use crate::errno;
use crate::fds::{self, FdKind};
use crate::proc_links;
use crate::raw::{self, Errno};
use crate::real::real;
use crate::request::Request;
use crate::resolve::{Attr, Inside};
use crate::text::{PATH_MAX, bytes_of};
use crate::umask;
use crate::view;
use core::ffi::{c_char, c_int};
use libc::{AT_EMPTY_PATH, AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, S_ISVTX, dev_t, mode_t};
use vrift_manifest::VnodeNo;
use vrift_protocol::Op;
use zerocopy::byteorder::little_endian::{U32, U64};

/// A request on (dir, name) that makes something new there, owned by the caller.
fn making<'a>(op: Op, inside: &'a Inside, mode: u32) -> Result<Request<'a>, Errno> {
    if inside.target.is_some() || !inside.is_plain() {
        return Err(libc::EEXIST);
    }
    let creds = Creds::effective();
    if !inside.parent.may(&creds, WRITE | SEARCH) {
        return Err(libc::EACCES);
    }
    let mut request = Request::new(op);
    request.body.dir = U64::new(inside.parent.vnode.0);
    request.body.mode = U32::new(mode);
    request.body.uid = U32::new(creds.uid());
    request.body.gid = U32::new(creds.gid());
    request.name = inside.name.as_bytes();
    Ok(request)
}

pub fn done(request: Request<'_>) -> Result<c_int, Errno> {
    request.send().map(|_| 0)
}

/// Whether the caller may take a name away from `parent`: write and search permission, and on a sticky
/// directory the ownership of either.
pub fn may_remove(creds: &Creds, parent: &Attr, target: &Attr) -> Result<(), Errno> {
    if !parent.may(creds, WRITE | SEARCH) {
        return Err(libc::EACCES);
    }
    if parent.mode & S_ISVTX != 0 && !creds.is_root() && ![target.uid, parent.uid].contains(&creds.uid()) {
        return Err(libc::EPERM);
    }
    Ok(())
}

fn mkdir_in(inside: &Inside, mode: mode_t) -> Result<c_int, Errno> {
    done(making(Op::Mkdir, inside, libc::S_IFDIR | mode & 0o1777 & !umask::current())?)
}

hook! {
    fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            on_name(AT_FDCWD, path, |inside| mkdir_in(inside, mode), |_, path| {
                real!(mkdir(path: *const c_char, mode: mode_t) -> c_int)
            })
        }
    }
}

hook! {
    fn mkdirat(dirfd: c_int, path: *const c_char, mode: mode_t) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            on_name(dirfd, path, |inside| mkdir_in(inside, mode), |dirfd, path| {
                real!(mkdirat(dirfd: c_int, path: *const c_char, mode: mode_t) -> c_int)
            })
        }
    }
}

fn mknod_in(inside: &Inside, mode: mode_t, device: dev_t) -> Result<c_int, Errno> {
    let kind = match mode & libc::S_IFMT {
        0 => libc::S_IFREG,
        kind => kind,
    };
    if inside.target.is_none() && inside.slash {
        return Err(libc::ENOENT);
    }
    let mode = kind | mode & 0o7777 & !umask::current();
    match kind {
        libc::S_IFREG => {
            let mut request = making(Op::Open, inside, mode)?;
            request.body.flags = U32::new((libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY) as u32);
            let (_, fd) = request.send()?;
            if let Some(fd) = fd {
                crate::raw::close(fd);
            }
            Ok(0)
        }
        libc::S_IFIFO | libc::S_IFSOCK => done(making(Op::Mknod, inside, mode)?),
        libc::S_IFCHR | libc::S_IFBLK if !Creds::effective().is_root() => Err(libc::EPERM),
        libc::S_IFCHR | libc::S_IFBLK => {
            let mut request = making(Op::Mknod, inside, mode)?;
            request.body.rdev = U32::new(device as u32);
            done(request)
        }
        _ => Err(libc::EINVAL),
    }
}

hook! {
    fn mknod(path: *const c_char, mode: mode_t, device: dev_t) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            on_name(AT_FDCWD, path, |inside| mknod_in(inside, mode, device), |_, path| {
                real!(mknod(path: *const c_char, mode: mode_t, device: dev_t) -> c_int)
            })
        }
    }
}

hook! {
    fn mknodat(dirfd: c_int, path: *const c_char, mode: mode_t, device: dev_t) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            on_name(dirfd, path, |inside| mknod_in(inside, mode, device), |dirfd, path| {
                real!(mknodat(dirfd: c_int, path: *const c_char, mode: mode_t, device: dev_t) -> c_int)
            })
        }
    }
}

hook! {
    /// glibc's form of mknod before 2.33.
    fn __xmknod(version: c_int, path: *const c_char, mode: mode_t, device: *mut dev_t) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            on_name(AT_FDCWD, path, |inside| mknod_in(inside, mode, *device), |_, path| {
                real!(__xmknod(version: c_int, path: *const c_char, mode: mode_t, device: *mut dev_t) -> c_int)
            })
        }
    }
}

hook! {
    /// glibc's form of mknodat before 2.33.
    fn __xmknodat(version: c_int, dirfd: c_int, path: *const c_char, mode: mode_t, device: *mut dev_t) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            on_name(dirfd, path, |inside| mknod_in(inside, mode, *device), |dirfd, path| {
                real!(__xmknodat(version: c_int, dirfd: c_int, path: *const c_char, mode: mode_t, device: *mut dev_t) -> c_int)
            })
        }
    }
}

hook! {
    fn mkfifo(path: *const c_char, mode: mode_t) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            on_name(AT_FDCWD, path, |inside| mknod_in(inside, libc::S_IFIFO | mode & 0o7777, 0), |_, path| {
                real!(mkfifo(path: *const c_char, mode: mode_t) -> c_int)
            })
        }
    }
}

hook! {
    fn mkfifoat(dirfd: c_int, path: *const c_char, mode: mode_t) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            on_name(dirfd, path, |inside| mknod_in(inside, libc::S_IFIFO | mode & 0o7777, 0), |dirfd, path| {
                real!(mkfifoat(dirfd: c_int, path: *const c_char, mode: mode_t) -> c_int)
            })
        }
    }
}

fn removing<'a>(op: Op, inside: &'a Inside) -> Result<Request<'a>, Errno> {
    let mut request = Request::new(op);
    request.body.dir = U64::new(inside.parent.vnode.0);
    request.name = inside.name.as_bytes();
    Ok(request)
}

fn unlink_in(inside: &Inside) -> Result<c_int, Errno> {
    if !inside.is_plain() {
        return Err(libc::EISDIR);
    }
    let target = inside.existing()?;
    may_remove(&Creds::effective(), &inside.parent, target)?;
    if target.is_dir() {
        return Err(libc::EISDIR);
    }
    done(removing(Op::Unlink, inside)?)
}

fn rmdir_in(inside: &Inside) -> Result<c_int, Errno> {
    match inside.name.as_bytes() {
        b"" => return Err(libc::EBUSY),
        b"." => return Err(libc::EINVAL),
        b".." => return Err(libc::ENOTEMPTY),
        _ => {}
    }
    let target = inside.existing()?;
    may_remove(&Creds::effective(), &inside.parent, target)?;
    if !target.is_dir() {
        return Err(libc::ENOTDIR);
    }
    done(removing(Op::Rmdir, inside)?)
}

hook! {
    fn unlink(path: *const c_char) -> c_int {
        // SAFETY: C's argument.
        unsafe { on_name(AT_FDCWD, path, unlink_in, |_, path| real!(unlink(path: *const c_char) -> c_int)) }
    }
}

hook! {
    fn rmdir(path: *const c_char) -> c_int {
        // SAFETY: C's argument.
        unsafe { on_name(AT_FDCWD, path, rmdir_in, |_, path| real!(rmdir(path: *const c_char) -> c_int)) }
    }
}

hook! {
    fn unlinkat(dirfd: c_int, path: *const c_char, flags: c_int) -> c_int {
        if unknown(flags, AT_REMOVEDIR) {
            return errno::fail(libc::EINVAL);
        }
        let remove = if flags & AT_REMOVEDIR != 0 { rmdir_in } else { unlink_in };
        // SAFETY: C's arguments.
        unsafe {
            on_name(dirfd, path, remove, |dirfd, path| {
                real!(unlinkat(dirfd: c_int, path: *const c_char, flags: c_int) -> c_int)
            })
        }
    }
}

hook! {
    fn remove(path: *const c_char) -> c_int {
        let remove = |inside: &Inside| match inside.target {
            Some(target) if target.is_dir() => rmdir_in(inside),
            _ => unlink_in(inside),
        };
        // SAFETY: C's argument.
        unsafe { on_name(AT_FDCWD, path, remove, |_, path| real!(remove(path: *const c_char) -> c_int)) }
    }
}

/// A call over two paths. `view` when both are the view's, EXDEV across its border, else `real`. `exists`: the kernel
/// looks the first up before it looks at the second at all.
///
/// # Safety
/// The paths are null or C strings.
pub unsafe fn on_two_paths(
    one: (c_int, *const c_char, bool),
    two: (c_int, *const c_char),
    exists: bool,
    mut view: impl FnMut(&Inside, &Inside) -> Result<c_int, Errno>,
    real: impl FnOnce(c_int, *const c_char, c_int, *const c_char) -> c_int,
) -> c_int {
    let (mut elsewhere, mut elsewhere2) = (Elsewhere::new(), Elsewhere::new());
    let mut beyond = None;
    let result = settled(|| {
        // SAFETY: by contract.
        let given = unsafe { [bytes_of(one.1), bytes_of(two.1)] };
        // The one that can be read may be the view's: the call must not go on with it.
        let bad = |path: Option<&[u8]>| match path {
            _ if !crate::init::in_view() => None,
            None => Some(libc::EFAULT),
            Some(b"") => Some(libc::ENOENT),
            Some(_) => None,
        };
        if let Some(errno) = bad(given[0]) {
            return Err(errno);
        }
        // SAFETY: by contract.
        let first = unsafe {
            if exists {
                route(one.0, one.1, one.2, &mut elsewhere)
            } else {
                route_name(one.0, one.1, &mut elsewhere)
            }
        };
        if let (true, Ok(Routed::View(inside))) = (exists, &first) {
            inside.existing()?;
        }
        let second = match bad(given[1]) {
            Some(errno) => Err(errno),
            // SAFETY: by contract.
            None => unsafe { route_name(two.0, two.1, &mut elsewhere2) },
        };
        let first = match (first, &second) {
            (Ok(first), _) => first,
            // The file system is asked for a name after both directories were found.
            (Err(libc::ENAMETOOLONG), Err(errno)) if !exists && given[0].is_some_and(ends_too_long) => {
                return Err(*errno);
            }
            (Err(errno), _) => return Err(errno),
        };
        if let Err(errno) = &second {
            let is_there = match &first {
                Routed::View(inside) => inside.target.is_some(),
                // SAFETY: a C string, not null by the check above.
                Routed::Real(dirfd, path) => unsafe { reachable(*dirfd, *path) }?,
            };
            let first_counts = exists || *errno == libc::ENAMETOOLONG && given[1].is_some_and(ends_too_long);
            if first_counts && !is_there {
                return Err(libc::ENOENT);
            }
        }
        match (first, second?) {
            (Routed::View(one), Routed::View(two)) => view(&one, &two),
            (Routed::Real(dirfd, path), Routed::Real(dirfd2, path2)) => {
                beyond = Some((dirfd, path, dirfd2, path2));
                Ok(0)
            }
            (Routed::View(inside), Routed::Real(dirfd, path)) => {
                // SAFETY: a C string, not null by the check above.
                unsafe { reachable(dirfd, path) }?;
                Err(if inside.target.is_none() { libc::ENOENT } else { libc::EXDEV })
            }
            (Routed::Real(dirfd, path), Routed::View(_)) => {
                // SAFETY: as above.
                let there = unsafe { reachable(dirfd, path) }?;
                Err(if there { libc::EXDEV } else { libc::ENOENT })
            }
        }
    });
    match (result, beyond) {
        (_, Some((dirfd, path, dirfd2, path2))) => real(dirfd, path, dirfd2, path2),
        (Ok(value), None) => value,
        (Err(errno), None) => errno::fail(errno),
    }
}

/// Whether the path itself is no longer than allowed, but its last component is.
fn ends_too_long(path: &[u8]) -> bool {
    let last = path.rsplit(|byte| *byte == b'/').find(|part| !part.is_empty());
    path.len() < PATH_MAX && last.is_some_and(|last| last.len() > 255)
}

/// The kernel's word on a path outside before the border of the view counts: whether something is there, or why
/// it cannot be looked at.
///
/// # Safety
/// `path` is a C string.
unsafe fn reachable(dirfd: c_int, path: *const c_char) -> Result<bool, Errno> {
    // SAFETY: by contract.
    match crate::raw::lstat_at(dirfd, unsafe { core::ffi::CStr::from_ptr(path) }) {
        Ok(_) => Ok(true),
        Err(libc::ENOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn link_in(from: &Inside, to: &Inside) -> Result<c_int, Errno> {
    let source = from.existing()?;
    if to.target.is_none() && to.slash {
        return Err(libc::ENOENT);
    }
    let mut request = making(Op::Link, to, 0)?;
    if source.is_dir() {
        return Err(libc::EPERM);
    }
    request.body.vnode = U64::new(source.vnode.0);
    done(request)
}

hook! {
    fn link(old: *const c_char, new: *const c_char) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            on_two_paths((AT_FDCWD, old, false), (AT_FDCWD, new), true, link_in, |_, old, _, new| {
                real!(link(old: *const c_char, new: *const c_char) -> c_int)
            })
        }
    }
}

/// The file of the view that linkat(2) is to name by an fd: with AT_EMPTY_PATH `dirfd`, with AT_SYMLINK_FOLLOW one
/// that has a name in /proc.
///
/// # Safety
/// `old` is null or a C string.
unsafe fn fd_to_link(dirfd: c_int, old: *const c_char, flags: c_int) -> Result<Option<VnodeNo>, Errno> {
    if !crate::init::in_view() {
        return Ok(None);
    }
    // SAFETY: by contract.
    match unsafe { bytes_of(old) } {
        Some(b"") if flags & AT_EMPTY_PATH != 0 && dirfd >= 0 => match fds::identify(dirfd) {
            FdKind::View(_) if !raw::may_link_fds() => Err(libc::ENOENT),
            FdKind::View(vnode) => Ok(Some(vnode)),
            FdKind::Outside => Ok(None),
        },
        Some(path) if flags & AT_SYMLINK_FOLLOW != 0 => Ok(proc_links::vnode(path)),
        _ => Ok(None),
    }
}

/// A name for the file behind an fd.
fn link_fd(vnode: VnodeNo, to: &Inside) -> Result<c_int, Errno> {
    if to.target.is_none() && to.slash {
        return Err(libc::ENOENT);
    }
    let mut request = making(Op::Link, to, 0)?;
    if !fds::is_unnamed(vnode) {
        let attr = view::read(|reader| reader.slot(vnode).map(|slot| Attr::of(reader, slot)))?;
        if attr.ok_or(libc::ENOENT)?.is_dir() {
            return Err(libc::EPERM);
        }
    }
    request.body.vnode = U64::new(vnode.0);
    done(request)
}

hook! {
    fn linkat(dirfd: c_int, old: *const c_char, dirfd2: c_int, new: *const c_char, flags: c_int) -> c_int {
        if unknown(flags, AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) {
            return errno::fail(libc::EINVAL);
        }
        // SAFETY: C's arguments.
        match unsafe { fd_to_link(dirfd, old, flags) } {
            // SAFETY: C's arguments.
            Ok(Some(vnode)) => return unsafe {
                let link = |to: &Inside| match link_fd(vnode, to) {
                    // A directory that is gone is a directory still.
                    Err(libc::ENOENT) if !to.slash && fds::is_dir_at(dirfd, old) => Err(libc::EPERM),
                    result => result,
                };
                on_name(dirfd2, new, link, |_, _| errno::fail(libc::EXDEV))
            },
            Ok(None) => {}
            Err(errno) => return errno::fail(errno),
        }
        let follow = flags & AT_SYMLINK_FOLLOW != 0;
        // SAFETY: C's arguments.
        unsafe {
            on_two_paths((dirfd, old, follow), (dirfd2, new), true, link_in, |dirfd, old, dirfd2, new| {
                real!(linkat(dirfd: c_int, old: *const c_char, dirfd2: c_int, new: *const c_char, flags: c_int) -> c_int)
            })
        }
    }
}

/// # Safety
/// `target` is null or a C string.
unsafe fn symlink_in(target: *const c_char, inside: &Inside) -> Result<c_int, Errno> {
    // SAFETY: by contract.
    let target = unsafe { bytes_of(target) }.ok_or(libc::EFAULT)?;
    match target.len() {
        0 => return Err(libc::ENOENT),
        len if len >= PATH_MAX => return Err(libc::ENAMETOOLONG),
        _ => {}
    }
    if inside.target.is_none() && inside.slash {
        return Err(libc::ENOENT);
    }
    let mut request = making(Op::Symlink, inside, libc::S_IFLNK | 0o777)?;
    request.name2 = target;
    done(request)
}

hook! {
    fn symlink(target: *const c_char, path: *const c_char) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            on_name(AT_FDCWD, path, |inside| symlink_in(target, inside), |_, path| {
                real!(symlink(target: *const c_char, path: *const c_char) -> c_int)
            })
        }
    }
}

hook! {
    fn symlinkat(target: *const c_char, dirfd: c_int, path: *const c_char) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            on_name(dirfd, path, |inside| symlink_in(target, inside), |dirfd, path| {
                real!(symlinkat(target: *const c_char, dirfd: c_int, path: *const c_char) -> c_int)
            })
        }
    }
}
