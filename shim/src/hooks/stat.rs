//! stat(2), lstat, fstat, fstatat, statx(2) and glibc's older `__xstat` forms.

use super::{Routed, hook, route, settled};
use crate::content;
use crate::elsewhere::Elsewhere;
use crate::errno;
use crate::fds::{self, FdKind};
use crate::init;
use crate::raw::{self, Errno};
use crate::real::real;
use crate::resolve::Attr;
use crate::text::bytes_of;
use crate::view;
use core::ffi::{c_char, c_int, c_uint};
use libc::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, stat as Stat, statx as Statx};
use vrift_manifest::VnodeNo;

const NS_PER_S: i64 = 1_000_000_000;
/// What fstatat(2) and statx(2) accept.
const FLAGS_KNOWN: c_int =
    AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT | libc::AT_STATX_SYNC_TYPE;

/// Fills C's struct from a vnode's attributes.
pub fn fill(attr: &Attr) -> Stat {
    // SAFETY: all fields are integers, for which zero is a value.
    let mut to: Stat = unsafe { core::mem::zeroed() };
    to.st_dev = view::device();
    to.st_ino = attr.vnode.0;
    to.st_nlink = u64::from(attr.nlink);
    to.st_mode = attr.mode;
    to.st_uid = attr.uid;
    to.st_gid = attr.gid;
    to.st_rdev = u64::from(attr.rdev);
    to.st_size = attr.size as i64;
    to.st_blksize = 4096;
    to.st_blocks = attr.blocks as i64;
    let [atime, mtime, ctime] = attr.times_ns;
    (to.st_atime, to.st_atime_nsec) = (atime.div_euclid(NS_PER_S), atime.rem_euclid(NS_PER_S));
    (to.st_mtime, to.st_mtime_nsec) = (mtime.div_euclid(NS_PER_S), mtime.rem_euclid(NS_PER_S));
    (to.st_ctime, to.st_ctime_nsec) = (ctime.div_euclid(NS_PER_S), ctime.rem_euclid(NS_PER_S));
    to
}

/// Attributes of an open fd; None when it is not the view's.
pub fn of_fd(fd: c_int) -> Result<Option<Attr>, Errno> {
    if !init::in_view() {
        return Ok(None);
    }
    let Ok(stat) = raw::fstat(fd) else { return Ok(None) };
    let FdKind::View(vnode) = fds::identify_with(fd, &stat) else { return Ok(None) };
    of_vnode(vnode, &stat, || raw::fstat(fd)).map(Some)
}

/// Attributes of a vnode behind an fd whose kernel stat is `stat`, and may be had anew: of a vnode that lost its last
/// name, the kernel still has size and times.
fn of_vnode(
    vnode: VnodeNo,
    stat: &libc::stat,
    again: impl FnOnce() -> Result<libc::stat, Errno>,
) -> Result<Attr, Errno> {
    let attr = view::read(|reader| reader.slot(vnode).map(|slot| Attr::of(reader, slot)))?;
    Ok(match attr {
        Some(mut attr) => {
            if attr.content == vrift_manifest::Content::Staged {
                content::overlay(&mut attr, stat);
            }
            attr
        }
        None if stat.st_mode & libc::S_IFMT == libc::S_IFDIR => {
            let mut attr = nameless(vnode, stat, 0o755);
            content::as_removed(&mut attr);
            attr
        }
        // A staging file that lost its name still takes a mode; a sealed blob's own mode says nothing.
        None if stat.st_nlink == 0 || fds::is_unnamed(vnode) => nameless(vnode, stat, stat.st_mode & 0o7777),
        None => {
            let mut attr = nameless(vnode, stat, 0o644);
            if content::as_removed(&mut attr) {
                return Ok(attr);
            }
            // A staging file whose name the daemon had yet to remove, which it has done now.
            match again()? {
                stat if stat.st_nlink == 0 => nameless(vnode, &stat, stat.st_mode & 0o7777),
                _ => attr,
            }
        }
    })
}

fn nameless(vnode: VnodeNo, stat: &libc::stat, permissions: u32) -> Attr {
    let mut attr = Attr {
        vnode,
        mode: stat.st_mode & libc::S_IFMT | permissions,
        nlink: 0,
        uid: stat.st_uid,
        gid: stat.st_gid,
        rdev: 0,
        size: 0,
        blocks: 0,
        times_ns: [0; 3],
        content: vrift_manifest::Content::Staged,
    };
    content::overlay(&mut attr, stat);
    attr
}

/// Attributes by path, when it is in the view.
enum Found {
    View(Attr),
    Real(c_int, *const c_char),
}

/// # Safety
/// As [`route`].
unsafe fn find(
    dirfd: c_int,
    path: *const c_char,
    flags: c_int,
    elsewhere: &mut Elsewhere,
) -> Result<Found, Errno> {
    settled(|| {
        // SAFETY: by contract.
        match unsafe { route(dirfd, path, flags & AT_SYMLINK_NOFOLLOW == 0, elsewhere) }? {
            Routed::View(inside) => {
                let mut attr = *inside.existing()?;
                content::refresh(&mut attr)?;
                Ok(Found::View(attr))
            }
            Routed::Real(dirfd, path) => Ok(Found::Real(dirfd, path)),
        }
    })
}

/// Whether the call means the fd itself: an empty path with AT_EMPTY_PATH.
///
/// # Safety
/// `path` is null or a C string.
unsafe fn means_fd(path: *const c_char, flags: c_int) -> bool {
    // SAFETY: by contract.
    flags & AT_EMPTY_PATH != 0 && unsafe { bytes_of(path) }.is_none_or(<[u8]>::is_empty)
}

/// The working directory itself, which may have been removed: the kernel still has it then.
fn of_cwd() -> Result<Option<Attr>, Errno> {
    if !init::in_view() {
        return Ok(None);
    }
    match crate::cwd::current()? {
        crate::cwd::Cwd::Outside | crate::cwd::Cwd::Apart => Ok(None),
        crate::cwd::Cwd::View(vnode) => of_vnode(vnode, &raw::stat(c".")?, || raw::stat(c".")).map(Some),
    }
}

/// The attributes that AT_EMPTY_PATH asks for; AT_FDCWD means the working directory.
pub fn of_empty(dirfd: c_int) -> Result<Option<Attr>, Errno> {
    if dirfd != AT_FDCWD {
        return of_fd(dirfd);
    }
    of_cwd()
}

/// The body of every call that fills a struct stat; None: go on with the call behind the hook.
///
/// # Safety
/// `path` is null or a C string; `to` is valid for a write.
unsafe fn stat_into(
    dirfd: c_int,
    path: *const c_char,
    flags: c_int,
    to: *mut Stat,
    elsewhere: &mut Elsewhere,
) -> Result<Option<(c_int, *const c_char)>, Errno> {
    if flags & !FLAGS_KNOWN != 0 && init::in_view() {
        return Err(libc::EINVAL);
    }
    // SAFETY: by contract.
    let found = unsafe {
        if dirfd == AT_FDCWD && bytes_of(path) == Some(b".") {
            match of_cwd()? {
                Some(attr) => Found::View(attr),
                None => Found::Real(dirfd, path),
            }
        } else if means_fd(path, flags) {
            match of_empty(dirfd)? {
                Some(attr) => Found::View(attr),
                None => Found::Real(dirfd, path),
            }
        } else {
            find(dirfd, path, flags, elsewhere)?
        }
    };
    match found {
        Found::View(_) if to.is_null() => Err(libc::EFAULT),
        Found::View(attr) => {
            // SAFETY: by contract.
            unsafe { to.write(fill(&attr)) };
            Ok(None)
        }
        Found::Real(dirfd, path) => Ok(Some((dirfd, path))),
    }
}

/// fstat(2): the kernel's answer, into the program's own struct, stands unless the fd is the view's.
///
/// # Safety
/// `to` is C's argument.
unsafe fn fstat_into(fd: c_int, to: *mut Stat) -> Result<(), Errno> {
    raw::fstat_to(fd, to)?;
    // SAFETY: the kernel has just written it.
    let stat = unsafe { to.read() };
    if let FdKind::View(vnode) = fds::identify_with(fd, &stat) {
        let attr = of_vnode(vnode, &stat, || raw::fstat(fd))?;
        // SAFETY: as above.
        unsafe { to.write(fill(&attr)) };
    }
    Ok(())
}

/// Versions of struct stat that are the kernel's: `_STAT_VER_KERNEL` and `_STAT_VER_LINUX` of x86-64.
fn is_version(version: c_int) -> bool {
    matches!(version, 0 | 1)
}

/// A hook with the shape (path, buf) or (fd, path, buf, flags) over [`stat_into`].
macro_rules! stat_hooks {
    ($($name:ident($($before:ident: $type:ty),*; $dirfd:expr, $flags:expr $(; $after:ident: $after_type:ty)?);)*) => {$(
        hook! {
            fn $name($($before: $type,)* path: *const c_char, to: *mut Stat $(, $after: $after_type)?) -> c_int {
                let mut elsewhere = Elsewhere::new();
                // SAFETY: C's arguments.
                match unsafe { stat_into($dirfd, path, $flags, to, &mut elsewhere) } {
                    Ok(None) => 0,
                    Ok(Some((dirfd, path))) if dirfd == AT_FDCWD && $dirfd == AT_FDCWD => {
                        real!($name($($before: $type,)* path: *const c_char, to: *mut Stat $(, $after: $after_type)?) -> c_int)
                    }
                    Ok(Some((dirfd, path))) => {
                        let flags: c_int = $flags;
                        real!(fstatat(dirfd: c_int, path: *const c_char, to: *mut Stat, flags: c_int) -> c_int)
                    }
                    Err(errno) => errno::fail(errno),
                }
            }
        }
    )*};
}

stat_hooks! {
    stat(; AT_FDCWD, 0);
    stat64(; AT_FDCWD, 0);
    lstat(; AT_FDCWD, AT_SYMLINK_NOFOLLOW);
    lstat64(; AT_FDCWD, AT_SYMLINK_NOFOLLOW);
    __xstat(version: c_int; AT_FDCWD, 0);
    __xstat64(version: c_int; AT_FDCWD, 0);
    __lxstat(version: c_int; AT_FDCWD, AT_SYMLINK_NOFOLLOW);
    __lxstat64(version: c_int; AT_FDCWD, AT_SYMLINK_NOFOLLOW);
    fstatat(dirfd: c_int; dirfd, flags; flags: c_int);
    fstatat64(dirfd: c_int; dirfd, flags; flags: c_int);
    __fxstatat(version: c_int, dirfd: c_int; dirfd, flags; flags: c_int);
    __fxstatat64(version: c_int, dirfd: c_int; dirfd, flags; flags: c_int);
}

macro_rules! fstat_hooks {
    ($($name:ident($($before:ident: $type:ty),*);)*) => {$(
        hook! {
            fn $name($($before: $type,)* fd: c_int, to: *mut Stat) -> c_int {
                let is_plain = true $(&& is_version($before))*;
                if !init::in_view() || !is_plain {
                    return real!($name($($before: $type,)* fd: c_int, to: *mut Stat) -> c_int);
                }
                // SAFETY: C's argument.
                match unsafe { fstat_into(fd, to) } {
                    Ok(()) => 0,
                    Err(errno) => errno::fail(errno),
                }
            }
        }
    )*};
}

fstat_hooks! {
    fstat();
    fstat64();
    __fxstat(version: c_int);
    __fxstat64(version: c_int);
}

hook! {
    /// statx(2): everything a struct stat has; no birth time, no attributes.
    fn statx(dirfd: c_int, path: *const c_char, flags: c_int, mask: c_uint, to: *mut Statx) -> c_int {
        let mut elsewhere = Elsewhere::new();
        if path.is_null() && flags & AT_EMPTY_PATH == 0 && init::in_view() {
            return errno::fail(libc::EFAULT);
        }
        // SAFETY: all fields are integers, for which zero is a value.
        let mut stat: Stat = unsafe { core::mem::zeroed() };
        // SAFETY: C's arguments.
        match unsafe { stat_into(dirfd, path, flags, &mut stat, &mut elsewhere) } {
            Ok(None) if to.is_null() => errno::fail(libc::EFAULT),
            Ok(None) => {
                // SAFETY: C's argument.
                unsafe { to.write(to_statx(&stat)) };
                0
            }
            Ok(Some((dirfd, path))) => {
                real!(statx(dirfd: c_int, path: *const c_char, flags: c_int, mask: c_uint, to: *mut Statx) -> c_int)
            }
            Err(errno) => errno::fail(errno),
        }
    }
}

fn to_statx(stat: &Stat) -> Statx {
    // SAFETY: all fields are integers, for which zero is a value.
    let mut to: Statx = unsafe { core::mem::zeroed() };
    to.stx_mask = libc::STATX_BASIC_STATS;
    to.stx_blksize = stat.st_blksize as u32;
    to.stx_nlink = stat.st_nlink as u32;
    to.stx_uid = stat.st_uid;
    to.stx_gid = stat.st_gid;
    to.stx_mode = stat.st_mode as u16;
    to.stx_ino = stat.st_ino;
    to.stx_size = stat.st_size as u64;
    to.stx_blocks = stat.st_blocks as u64;
    to.stx_dev_major = libc::major(stat.st_dev);
    to.stx_dev_minor = libc::minor(stat.st_dev);
    to.stx_rdev_major = libc::major(stat.st_rdev);
    to.stx_rdev_minor = libc::minor(stat.st_rdev);
    for (to, seconds, ns) in [
        (&mut to.stx_atime, stat.st_atime, stat.st_atime_nsec),
        (&mut to.stx_mtime, stat.st_mtime, stat.st_mtime_nsec),
        (&mut to.stx_ctime, stat.st_ctime, stat.st_ctime_nsec),
    ] {
        (to.tv_sec, to.tv_nsec) = (seconds, ns as u32);
    }
    to
}
