//! Extended attributes (xattr(7)): user.* of files and directories, trusted.* and security.* as ext4 grants them.
//! The index knows which vnodes have any; only those cost a request.

use super::{hook, on_path};
use crate::creds::{Creds, READ, WRITE};
use crate::errno;
use crate::fds::{self, FdKind};
use crate::raw::{self, Errno};
use crate::real::real;
use crate::request::Request;
use crate::resolve::Attr;
use crate::text::bytes_of;
use crate::view;
use core::cell::Cell;
use core::ffi::{c_char, c_int, c_void};
use libc::{AT_FDCWD, S_ISVTX, XATTR_CREATE, XATTR_REPLACE, size_t};
use vrift_protocol::Op;
use vrift_protocol::vnode_op::{XATTR_NAME_MAX, XATTRS_LEN_MAX};
use zerocopy::byteorder::little_endian::{U32, U64};

/// As the kernel's XATTR_SIZE_MAX.
const VALUE_MAX: usize = 65_536;

/// Whether the caller may read or write the attribute `name` of a file; xattr_permission() of the kernel.
fn may(attr: &Attr, name: &[u8], write: bool) -> Result<(), Errno> {
    if name.is_empty() || name.len() > XATTR_NAME_MAX {
        return Err(libc::ERANGE);
    }
    let creds = Creds::effective();
    if let Some(rest) = name.strip_prefix(b"user.") {
        if rest.is_empty() {
            return Err(libc::EINVAL);
        }
        if !matches!(attr.kind(), libc::S_IFREG | libc::S_IFDIR) {
            return Err(if write { libc::EPERM } else { libc::ENODATA });
        }
        if write && attr.is_dir() && attr.mode & S_ISVTX != 0 && !creds.is_root() && creds.uid() != attr.uid {
            return Err(libc::EPERM);
        }
        return if attr.may(&creds, if write { WRITE } else { READ }) { Ok(()) } else { Err(libc::EACCES) };
    }
    if name.starts_with(b"trusted.") {
        return match (creds.is_root(), write) {
            (true, _) => Ok(()),
            (false, true) => Err(libc::EPERM),
            (false, false) => Err(libc::ENODATA),
        };
    }
    if name.starts_with(b"security.") {
        return if write && !creds.is_root() { Err(libc::EPERM) } else { Ok(()) };
    }
    // No access control lists.
    let is_acl = matches!(name, b"system.posix_acl_access" | b"system.posix_acl_default");
    Err(if is_acl && !write { libc::ENODATA } else { libc::EOPNOTSUPP })
}

fn has_any(attr: &Attr) -> Result<bool, Errno> {
    let vnode = attr.vnode;
    view::read(|reader| reader.slot(vnode).is_some_and(|slot| reader.has_xattrs(slot)))
}

fn about<'a>(op: Op, attr: &Attr, name: &'a [u8]) -> Request<'a> {
    let mut request = Request::new(op);
    request.body.vnode = U64::new(attr.vnode.0);
    request.name = name;
    request
}

/// Hands bytes to the caller as getxattr and listxattr do: all, or their number when there is no room asked for.
///
/// # Safety
/// `to` is valid for `room` bytes.
unsafe fn hand_out(bytes: &[u8], to: *mut u8, room: size_t) -> Result<isize, Errno> {
    if room != 0 {
        if bytes.len() > room {
            return Err(libc::ERANGE);
        }
        // SAFETY: by contract.
        unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }
    Ok(bytes.len() as isize)
}

/// # Safety
/// `name` is null or a C string, `value` valid for `room` bytes.
unsafe fn get(attr: &Attr, name: *const c_char, value: *mut c_void, room: size_t) -> Result<isize, Errno> {
    // SAFETY: by contract.
    let name = unsafe { bytes_of(name) }.ok_or(libc::EFAULT)?;
    may(attr, name, false)?;
    if !has_any(attr)? {
        return Err(libc::ENODATA);
    }
    let mut bytes = [0u8; XATTRS_LEN_MAX];
    let len = about(Op::GetXattr, attr, name).send_for(&mut bytes)?;
    // SAFETY: by contract.
    unsafe { hand_out(&bytes[..len], value.cast(), room) }
}

/// # Safety
/// `list` is valid for `room` bytes.
unsafe fn list(attr: &Attr, list: *mut c_char, room: size_t) -> Result<isize, Errno> {
    if !has_any(attr)? {
        return Ok(0);
    }
    let mut bytes = [0u8; XATTRS_LEN_MAX];
    let len = about(Op::ListXattr, attr, b"").send_for(&mut bytes)?;
    let mut kept = 0;
    let is_root = Creds::effective().is_root();
    let mut at = 0;
    while at < len {
        let end = bytes[at..len].iter().position(|byte| *byte == 0).map_or(len, |end| at + end + 1);
        if is_root || !bytes[at..end].starts_with(b"trusted.") {
            bytes.copy_within(at..end, kept);
            kept += end - at;
        }
        at = end;
    }
    // SAFETY: by contract.
    unsafe { hand_out(&bytes[..kept], list.cast(), room) }
}

/// # Safety
/// `name` is null or a C string, `value` valid for `len` bytes.
unsafe fn set(
    attr: &Attr,
    name: *const c_char,
    value: *const c_void,
    len: size_t,
    flags: c_int,
) -> Result<isize, Errno> {
    if flags & !(XATTR_CREATE | XATTR_REPLACE) != 0 {
        return Err(libc::EINVAL);
    }
    // SAFETY: by contract.
    let name = unsafe { bytes_of(name) }.ok_or(libc::EFAULT)?;
    if name.is_empty() || name.len() > XATTR_NAME_MAX {
        return Err(libc::ERANGE);
    }
    if len > VALUE_MAX {
        return Err(libc::E2BIG);
    }
    may(attr, name, true)?;
    if len >= XATTRS_LEN_MAX {
        return Err(libc::ENOSPC);
    }
    let mut request = about(Op::SetXattr, attr, name);
    request.body.flags = U32::new(flags as u32);
    if len != 0 {
        // SAFETY: by contract.
        request.name2 = unsafe { core::slice::from_raw_parts(value.cast(), len) };
    }
    request.send().map(|_| 0)
}

/// # Safety
/// `name` is null or a C string.
unsafe fn remove(attr: &Attr, name: *const c_char) -> Result<isize, Errno> {
    // SAFETY: by contract.
    let name = unsafe { bytes_of(name) }.ok_or(libc::EFAULT)?;
    may(attr, name, true)?;
    if !has_any(attr)? {
        return Err(libc::ENODATA);
    }
    about(Op::RemoveXattr, attr, name).send().map(|_| 0)
}

/// Removed between look-up and request: resolve again.
fn again(result: Result<isize, Errno>) -> Result<isize, Errno> {
    result.map_err(|errno| if errno == libc::ENOENT { libc::ESTALE } else { errno })
}

macro_rules! path_hooks {
    ($($name:ident($follow:expr, $body:ident; $($arg:ident: $type:ty),*) -> $result:ty;)*) => {$(
        hook! {
            fn $name(path: *const c_char, $($arg: $type),*) -> $result {
                let answer = Cell::new(0);
                // SAFETY: C's arguments.
                let result = unsafe {
                    on_path(AT_FDCWD, path, $follow, |inside| {
                        answer.set(again($body(inside.existing()?, $($arg),*))?);
                        Ok(0)
                    }, |_, path| {
                        answer.set(real!($name(path: *const c_char, $($arg: $type),*) -> $result) as isize);
                        0
                    })
                };
                (if result < 0 { result as isize } else { answer.get() }) as $result
            }
        }
    )*};
}

path_hooks! {
    getxattr(true, get; name: *const c_char, value: *mut c_void, len: size_t) -> isize;
    lgetxattr(false, get; name: *const c_char, value: *mut c_void, len: size_t) -> isize;
    setxattr(true, set; name: *const c_char, value: *const c_void, len: size_t, flags: c_int) -> c_int;
    lsetxattr(false, set; name: *const c_char, value: *const c_void, len: size_t, flags: c_int) -> c_int;
    listxattr(true, list; names: *mut c_char, len: size_t) -> isize;
    llistxattr(false, list; names: *mut c_char, len: size_t) -> isize;
    removexattr(true, remove; name: *const c_char) -> c_int;
    lremovexattr(false, remove; name: *const c_char) -> c_int;
}

/// The view's file behind an fd. What lost its last name has no attributes, and takes none.
enum Behind {
    NotOurs,
    Here(Attr),
}

fn behind(fd: c_int) -> Result<Behind, Errno> {
    if !crate::init::in_view() {
        return Ok(Behind::NotOurs);
    }
    let FdKind::View(vnode) = fds::identify(fd) else { return Ok(Behind::NotOurs) };
    if raw::fcntl(fd, libc::F_GETFL, 0)? & libc::O_PATH != 0 {
        return Err(libc::EBADF);
    }
    let attr = view::read(|reader| reader.slot(vnode).map(|slot| Attr::of(reader, slot)))?;
    attr.map(Behind::Here).ok_or(libc::EOPNOTSUPP)
}

macro_rules! fd_hooks {
    ($($name:ident($body:ident; $($arg:ident: $type:ty),*) -> $result:ty;)*) => {$(
        hook! {
            fn $name(fd: c_int, $($arg: $type),*) -> $result {
                match behind(fd) {
                    Ok(Behind::NotOurs) => real!($name(fd: c_int, $($arg: $type),*) -> $result),
                    // SAFETY: C's arguments.
                    Ok(Behind::Here(attr)) => match unsafe { $body(&attr, $($arg),*) } {
                        Ok(answer) => answer as $result,
                        Err(errno) => errno::fail(errno) as $result,
                    },
                    Err(errno) => errno::fail(errno) as $result,
                }
            }
        }
    )*};
}

fd_hooks! {
    fgetxattr(get; name: *const c_char, value: *mut c_void, len: size_t) -> isize;
    fsetxattr(set; name: *const c_char, value: *const c_void, len: size_t, flags: c_int) -> c_int;
    flistxattr(list; names: *mut c_char, len: size_t) -> isize;
    fremovexattr(remove; name: *const c_char) -> c_int;
}
