//! open(2), openat, creat and their fortified forms.

use super::{Routed, hook, route, settled};
use crate::content;
use crate::creds::{Creds, READ, SEARCH, WRITE};
use crate::elsewhere::Elsewhere;
use crate::errno;
use crate::fds;
use crate::init;
use crate::outside;
use crate::proc_links;
use crate::raw::Errno;
use crate::real::real;
use crate::request::Request;
use crate::resolve::{Attr, Inside};
use crate::text::bytes_of;
use crate::umask;
use crate::view;
use core::ffi::{c_char, c_int};
use libc::{AT_FDCWD, O_ACCMODE, O_CLOEXEC, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_PATH, O_RDONLY};
use libc::{O_RDWR, O_TMPFILE, O_TRUNC, O_WRONLY, mode_t};
use vrift_manifest::VnodeNo;
use vrift_protocol::{Op, counters};
use zerocopy::byteorder::little_endian::{U32, U64};

/// What an open came to.
pub enum Opened {
    View(c_int),
    /// Not in the view: go on with (dirfd, path).
    Real(c_int, *const c_char),
}

/// open(2) inside the view.
///
/// # Safety
/// `path` is null or a C string; `elsewhere` outlives the use of the result.
pub unsafe fn open_at(
    dirfd: c_int,
    path: *const c_char,
    flags: c_int,
    mode: mode_t,
    elsewhere: &mut Elsewhere,
) -> Result<Opened, Errno> {
    let follow = flags & O_NOFOLLOW == 0 && flags & (O_CREAT | O_EXCL) != O_CREAT | O_EXCL;
    settled(|| {
        // SAFETY: by contract.
        match unsafe { route(dirfd, path, follow, elsewhere) }? {
            Routed::View(inside) => open_inside(&inside, flags, mode).map(Opened::View),
            Routed::Real(dirfd, path) => {
                // SAFETY: a C string, by contract or `elsewhere`.
                let name = unsafe { bytes_of(path) }.unwrap_or(b"");
                if follow && writes(flags) && init::in_view() && proc_links::is_sealed(name)? {
                    return Err(libc::EACCES);
                }
                if flags & O_PATH != 0
                    && init::in_view()
                    && let Some(vnode) = proc_links::vnode(name)
                {
                    content::before_path_fd_of_removed(vnode);
                }
                Ok(Opened::Real(dirfd, path))
            }
        }
    })
}

fn writes(flags: c_int) -> bool {
    flags & O_ACCMODE != O_RDONLY || flags & O_TRUNC != 0
}

fn open_inside(inside: &Inside, flags: c_int, mode: mode_t) -> Result<c_int, Errno> {
    // Said before the name is looked up: open_last_lookups in fs/namei.c.
    if flags & (O_CREAT | O_PATH) == O_CREAT && inside.slash && inside.is_plain() {
        return Err(libc::EISDIR);
    }
    let (fd, vnode) = match &inside.target {
        Some(attr) if flags & (O_TMPFILE | O_CREAT) == O_TMPFILE && attr.is_dir() && flags & O_PATH == 0 => {
            unnamed(attr, flags, mode)?
        }
        Some(attr) => (open_existing(inside, attr, flags)?, attr.vnode),
        None => create(inside, flags, mode)?,
    };
    fds::opened(fd, vnode);
    view::count(counters::OPENS);
    Ok(fd)
}

fn open_existing(inside: &Inside, attr: &Attr, flags: c_int) -> Result<c_int, Errno> {
    let writes = writes(flags);
    if flags & O_CREAT != 0 && flags & O_EXCL != 0 {
        return Err(libc::EEXIST);
    }
    if attr.is_symlink() && flags & O_PATH != 0 && flags & O_DIRECTORY == 0 {
        return content::open_readable(attr, flags);
    }
    if attr.is_symlink() {
        return Err(if flags & O_DIRECTORY != 0 && flags & O_PATH == 0 {
            libc::ENOTDIR
        } else {
            libc::ELOOP
        });
    }
    if !attr.is_dir() && (inside.slash || flags & O_DIRECTORY != 0) {
        return Err(libc::ENOTDIR);
    }
    if flags & O_PATH != 0 {
        return content::open_readable(attr, flags);
    }
    if flags & O_TMPFILE == O_TMPFILE {
        return Err(if flags & O_CREAT != 0 || flags & O_ACCMODE == O_RDONLY {
            libc::EINVAL
        } else {
            libc::EISDIR
        });
    }
    if attr.is_dir() && (writes || flags & O_CREAT != 0) {
        return Err(libc::EISDIR);
    }
    let mut want = match flags & O_ACCMODE {
        O_RDONLY => READ,
        O_WRONLY => WRITE,
        O_RDWR => READ | WRITE,
        _ => return Err(libc::EINVAL),
    };
    if writes {
        want |= WRITE;
    }
    let creds = Creds::effective();
    if !attr.may(&creds, want) {
        return Err(libc::EACCES);
    }
    if flags & libc::O_NOATIME != 0 && !creds.is_root() && creds.uid() != attr.uid {
        return Err(libc::EPERM);
    }
    match attr.kind() {
        libc::S_IFREG if writes => {
            let mut request = Request::new(Op::Open);
            request.body.vnode = U64::new(attr.vnode.0);
            request.body.flags = U32::new((flags & !(O_CREAT | O_EXCL)) as u32);
            match content::open_for_writing(request, flags) {
                Ok((_, fd)) => Ok(fd),
                // Unlinked meanwhile: the name stands for something else now, or for nothing.
                Err(libc::ENOENT) => Err(libc::ESTALE),
                Err(errno) => Err(errno),
            }
        }
        libc::S_IFREG | libc::S_IFDIR | libc::S_IFIFO | libc::S_IFCHR | libc::S_IFBLK => {
            content::open_readable(attr, flags)
        }
        _ => Err(libc::ENXIO),
    }
}

/// O_TMPFILE: a file without a name in the directory `dir`.
fn unnamed(dir: &Attr, flags: c_int, mode: mode_t) -> Result<(c_int, VnodeNo), Errno> {
    if flags & O_ACCMODE == O_RDONLY {
        return Err(libc::EINVAL);
    }
    let creds = Creds::effective();
    if !dir.may(&creds, WRITE | SEARCH) {
        return Err(libc::EACCES);
    }
    let mut request = Request::new(Op::Unnamed);
    request.body.dir = U64::new(dir.vnode.0);
    request.body.flags = U32::new(flags as u32);
    request.body.mode = U32::new(mode & 0o7777 & !umask::current());
    request.body.uid = U32::new(creds.uid());
    request.body.gid = U32::new(if dir.mode & libc::S_ISGID != 0 { dir.gid } else { creds.gid() });
    request.cloexec = flags & O_CLOEXEC != 0;
    let (reply, fd) = request.send_for_fd()?;
    Ok((fd, VnodeNo(reply.vnode.get())))
}

fn create(inside: &Inside, flags: c_int, mode: mode_t) -> Result<(c_int, VnodeNo), Errno> {
    if flags & O_CREAT == 0 {
        return Err(libc::ENOENT);
    }
    if inside.slash {
        return Err(libc::EISDIR);
    }
    let creds = Creds::effective();
    if !inside.parent.may(&creds, WRITE | SEARCH) {
        return Err(libc::EACCES);
    }
    let mut request = Request::new(Op::Open);
    request.body.dir = U64::new(inside.parent.vnode.0);
    request.body.flags = U32::new(flags as u32);
    request.body.mode = U32::new(libc::S_IFREG | mode & 0o7777 & !umask::current());
    request.body.uid = U32::new(creds.uid());
    request.body.gid = U32::new(creds.gid());
    request.name = inside.name.as_bytes();
    content::open_for_writing(request, flags).map(|(vnode, fd)| (fd, vnode))
}

/// The whole of an open call; `real` is the call behind the hook.
///
/// # Safety
/// `path` is null or a C string.
pub unsafe fn open_or(
    dirfd: c_int,
    path: *const c_char,
    flags: c_int,
    mode: mode_t,
    real: impl FnOnce(c_int, *const c_char) -> c_int,
) -> c_int {
    let mut elsewhere = Elsewhere::new();
    // SAFETY: by contract.
    match unsafe { open_at(dirfd, path, flags, mode, &mut elsewhere) } {
        Ok(Opened::View(fd)) => fd,
        Ok(Opened::Real(dirfd, path)) => {
            let fd = real(dirfd, path);
            // SAFETY: a C string, by contract or `elsewhere`.
            match init::in_view() && unsafe { bytes_of(path) }.is_some_and(outside::is_of_system) {
                true => fds::opened_outside(fd),
                false => fds::forget(fd),
            }
            fd
        }
        Err(errno) => errno::fail(errno),
    }
}

macro_rules! open_hooks {
    ($($name:ident($($mode:ident: $type:ty)?);)*) => {$(
        hook! {
            fn $name(path: *const c_char, flags: c_int $(, $mode: $type)?) -> c_int {
                #[allow(unused_mut, unused_assignments, reason = "the fortified forms have no mode")]
                let mut given: mode_t = 0;
                $(given = $mode;)?
                // SAFETY: C's arguments.
                unsafe {
                    open_or(AT_FDCWD, path, flags, given, |_, path| {
                        real!($name(path: *const c_char, flags: c_int $(, $mode: $type)?) -> c_int)
                    })
                }
            }
        }
    )*};
}

// C's `...` of open() is one argument, which the x86-64 ABI passes in the same register.
open_hooks! {
    open(mode: mode_t);
    open64(mode: mode_t);
    __open_2();
    __open64_2();
}

macro_rules! openat_hooks {
    ($($name:ident($($mode:ident: $type:ty)?);)*) => {$(
        hook! {
            fn $name(dirfd: c_int, path: *const c_char, flags: c_int $(, $mode: $type)?) -> c_int {
                #[allow(unused_mut, unused_assignments, reason = "the fortified forms have no mode")]
                let mut given: mode_t = 0;
                $(given = $mode;)?
                // SAFETY: C's arguments.
                unsafe {
                    open_or(dirfd, path, flags, given, |dirfd, path| {
                        real!($name(dirfd: c_int, path: *const c_char, flags: c_int $(, $mode: $type)?) -> c_int)
                    })
                }
            }
        }
    )*};
}

openat_hooks! {
    openat(mode: mode_t);
    openat64(mode: mode_t);
    __openat_2();
    __openat64_2();
}

macro_rules! creat_hooks {
    ($($name:ident)*) => {$(
        hook! {
            fn $name(path: *const c_char, mode: mode_t) -> c_int {
                // SAFETY: C's arguments.
                unsafe {
                    open_or(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode, |_, path| {
                        real!($name(path: *const c_char, mode: mode_t) -> c_int)
                    })
                }
            }
        }
    )*};
}

creat_hooks! { creat creat64 }
