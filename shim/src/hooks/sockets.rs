//! Unix sockets with a path of the view: bind(2), connect, sendto and kin, and the calls that tell names.
//!
//! The name is a vnode; the real socket is in a folder of the runtime folder whose paths are short. What bind was
//! given is kept beside it, so that getsockname and its kin say the same words again, as the kernel does.

use super::{Routed, hook, route};
use crate::creds::{Creds, SEARCH, WRITE};
use crate::elsewhere::Elsewhere;
use crate::errno;
use crate::init;
use crate::raw::{self, Errno};
use crate::real::real;
use crate::request::Request;
use crate::resolve::Inside;
use crate::text::{PathText, Text};
use crate::view;
use core::ffi::{c_int, c_uint, c_void};
use libc::{
    AF_UNIX, AT_FDCWD, S_IFSOCK, mmsghdr, msghdr, size_t, sockaddr, sockaddr_un, socklen_t, timespec,
};
use vrift_manifest::VnodeNo;
use vrift_protocol::{Op, names};
use zerocopy::byteorder::little_endian::{U32, U64};

/// Bytes of a sockaddr_un before its path.
const PATH_AT: usize = 2;
/// Room for a path in a sockaddr_un.
const SUN_PATH_LEN: usize = 108;
/// Room for any address, as sockaddr_storage.
const ADDRESS_LEN: usize = 128;

/// Messages that one recvmmsg(2) takes at most: UIO_MAXIOV.
const MESSAGES_MAX: usize = 1024;

/// The path of a Unix address; None for other families, abstract names and no name.
///
/// # Safety
/// `address` is null or valid for `len` bytes.
unsafe fn path_of(address: *const sockaddr, len: socklen_t) -> Option<Text<{ SUN_PATH_LEN + 2 }>> {
    let len = (len as usize).min(PATH_AT + SUN_PATH_LEN);
    if address.is_null() || len <= PATH_AT || !init::in_view() {
        return None;
    }
    // SAFETY: by contract; the family is within `len`.
    let bytes = unsafe { core::slice::from_raw_parts(address.cast::<u8>(), len) };
    if u16::from_ne_bytes([bytes[0], bytes[1]]) != AF_UNIX as u16 {
        return None;
    }
    let path = &bytes[PATH_AT..];
    let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
    (end != 0).then(|| Text::from_parts(&[&path[..end]]))
}

/// RUNTIME/../../s/: the workspace's folder is two below the daemon's.
fn real_prefix() -> PathText {
    let runtime = init::settings().runtime.as_bytes();
    let mut parts = runtime.rsplitn(3, |byte| *byte == b'/');
    let (_, _, root) = (parts.next(), parts.next(), parts.next().unwrap_or(b""));
    PathText::from_parts(&[root, b"/", names::SOCKETS_DIR.as_bytes(), b"/"])
}

/// The address of a vnode's real socket, and its length.
fn real_address(vnode: VnodeNo) -> Result<(sockaddr_un, socklen_t), Errno> {
    let mut path: Text<SUN_PATH_LEN> = Text::from_parts(&[real_prefix().as_bytes()]);
    path.push_hex(u64::from(view::workspace()?));
    path.push(b"-");
    path.push_hex(vnode.0);
    if path.overflowed() {
        init::complain(&[b"the path of the runtime folder is too long for sockets: set XDG_RUNTIME_DIR"]);
        return Err(libc::ENAMETOOLONG);
    }
    let mut address = sockaddr_un { sun_family: AF_UNIX as u16, sun_path: [0; SUN_PATH_LEN] };
    for (to, from) in address.sun_path.iter_mut().zip(path.as_bytes()) {
        *to = *from as i8;
    }
    Ok((address, (PATH_AT + path.as_bytes().len() + 1) as socklen_t))
}

/// Makes the name and binds the socket to what stands for it.
fn bind_in(fd: c_int, inside: &Inside, given: &[u8]) -> Result<(), Errno> {
    if inside.target.is_some() || !inside.is_plain() {
        return Err(libc::EADDRINUSE);
    }
    if inside.slash {
        return Err(libc::ENOENT);
    }
    let creds = Creds::effective();
    if !inside.parent.may(&creds, WRITE | SEARCH) {
        return Err(libc::EACCES);
    }
    let mut own = [0u8; ADDRESS_LEN];
    if raw::socket_name(fd, false, &mut own)? > PATH_AT {
        return Err(libc::EINVAL);
    }
    let mode = raw::fstat(fd)?.st_mode & 0o777 & !crate::umask::current();
    let mut request = Request::new(Op::Mknod);
    request.body.dir = U64::new(inside.parent.vnode.0);
    request.body.mode = U32::new(S_IFSOCK | mode);
    request.body.uid = U32::new(creds.uid());
    request.body.gid = U32::new(creds.gid());
    request.name = inside.name.as_bytes();
    request.name2 = given;
    let (made, _) =
        request.send().map_err(|errno| if errno == libc::EEXIST { libc::EADDRINUSE } else { errno })?;
    let bound = real_address(VnodeNo(made.vnode.get())).and_then(|(address, len)| {
        let at = (&raw const address).cast::<sockaddr>();
        match real!(bind(fd: c_int, at: *const sockaddr, len: socklen_t) -> c_int) {
            // Who may connect is decided by the vnode's mode.
            0 => raw::chmod(real_path(&address), 0o700),
            _ => Err(errno::get()),
        }
    });
    if bound.is_err() {
        let mut request = Request::new(Op::Unlink);
        request.body.dir = U64::new(inside.parent.vnode.0);
        request.name = inside.name.as_bytes();
        // The reason why it was not bound is what counts.
        let _ = request.send();
    }
    bound
}

fn real_path(address: &sockaddr_un) -> &core::ffi::CStr {
    // SAFETY: made by `real_address`, which leaves room for the NUL.
    unsafe { core::ffi::CStr::from_ptr(address.sun_path.as_ptr()) }
}

/// What a call that takes an address goes on with.
enum Target {
    /// The address as it was given.
    Given,
    /// The real socket of a vnode, or a path outside to which the view led.
    Real(sockaddr_un, socklen_t),
}

/// Where a connect or send to an address goes.
///
/// # Safety
/// `address` is null or valid for `len` bytes.
unsafe fn target_of(address: *const sockaddr, len: socklen_t) -> Result<Target, Errno> {
    // SAFETY: by contract.
    let Some(path) = (unsafe { path_of(address, len) }) else { return Ok(Target::Given) };
    let mut elsewhere = Elsewhere::new();
    // SAFETY: a C string of our own.
    match unsafe { route(AT_FDCWD, path.as_ptr(), true, &mut elsewhere) }? {
        Routed::View(inside) => {
            let attr = inside.existing()?;
            if !attr.may(&Creds::effective(), WRITE) {
                return Err(libc::EACCES);
            }
            if attr.kind() != S_IFSOCK {
                return Err(libc::ECONNREFUSED);
            }
            let (address, len) = real_address(attr.vnode)?;
            Ok(Target::Real(address, len))
        }
        Routed::Real(_, to) if to == path.as_ptr() => Ok(Target::Given),
        Routed::Real(..) => {
            if elsewhere.as_bytes().len() >= SUN_PATH_LEN {
                return Err(libc::ENAMETOOLONG);
            }
            let mut address = sockaddr_un { sun_family: AF_UNIX as u16, sun_path: [0; SUN_PATH_LEN] };
            for (to, from) in address.sun_path.iter_mut().zip(elsewhere.as_bytes()) {
                *to = *from as i8;
            }
            Ok(Target::Real(address, size_of::<sockaddr_un>() as socklen_t))
        }
    }
}

/// Runs `call` with the address to use. A socket vnode without a real socket is one that nobody listens at.
///
/// # Safety
/// `address` is null or valid for `len` bytes.
unsafe fn towards(
    address: *const sockaddr,
    len: socklen_t,
    call: impl FnOnce(*const sockaddr, socklen_t) -> isize,
) -> isize {
    // SAFETY: by contract.
    match unsafe { target_of(address, len) } {
        Ok(Target::Given) => call(address, len),
        Ok(Target::Real(real, len)) => {
            let result = call((&raw const real).cast(), len);
            if result < 0 && errno::get() == libc::ENOENT {
                errno::set(libc::ECONNREFUSED);
            }
            result
        }
        Err(errno) => errno::fail(errno) as isize,
    }
}

hook! {
    fn bind(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int {
        // SAFETY: C's arguments.
        let path = unsafe { path_of(address, len) };
        if let Some(path) = path
            && raw::socket_domain(fd) == Ok(AF_UNIX)
        {
            let mut elsewhere = Elsewhere::new();
            // SAFETY: a C string of our own.
            let bound = match unsafe { route(AT_FDCWD, path.as_ptr(), false, &mut elsewhere) } {
                Ok(Routed::View(inside)) => bind_in(fd, &inside, path.as_bytes()),
                Ok(Routed::Real(..)) => return real!(bind(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int),
                Err(errno) => Err(errno),
            };
            return errno::status(bound);
        }
        real!(bind(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int)
    }
}

hook! {
    fn connect(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            towards(address, len, |address, len| {
                real!(connect(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int) as isize
            }) as c_int
        }
    }
}

hook! {
    fn sendto(fd: c_int, bytes: *const c_void, count: size_t, flags: c_int, address: *const sockaddr, len: socklen_t) -> isize {
        // SAFETY: C's arguments.
        unsafe {
            towards(address, len, |address, len| {
                real!(sendto(fd: c_int, bytes: *const c_void, count: size_t, flags: c_int, address: *const sockaddr, len: socklen_t) -> isize)
            })
        }
    }
}

hook! {
    fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> isize {
        // SAFETY: C's argument.
        let Some(given) = (unsafe { message.as_ref() }).filter(|given| !given.msg_name.is_null()) else {
            return real!(sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> isize);
        };
        // SAFETY: C's arguments.
        unsafe {
            towards(given.msg_name.cast(), given.msg_namelen, |address, len| {
                let mut to = *given;
                (to.msg_name, to.msg_namelen) = (address.cast_mut().cast(), len);
                let message = &raw const to;
                real!(sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> isize)
            })
        }
    }
}

hook! {
    /// With names of the view among them, the messages go one by one.
    fn sendmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int {
        // SAFETY: C's argument: `count` messages.
        let named = !messages.is_null() && (0..count as usize).any(|at| unsafe {
            let header = &(*messages.add(at)).msg_hdr;
            path_of(header.msg_name.cast(), header.msg_namelen).is_some()
        });
        if !named {
            return real!(sendmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int);
        }
        for at in 0..count as usize {
            // SAFETY: as above.
            let message = unsafe { &mut *messages.add(at) };
            // SAFETY: a message of the caller's.
            let sent = unsafe { sendmsg(fd, &message.msg_hdr, flags) };
            if sent < 0 {
                return if at == 0 { -1 } else { at as c_int };
            }
            message.msg_len = sent as c_uint;
        }
        count as c_int
    }
}

/// An address as the kernel gave it, in the words that its owner gave to bind; the length that the kernel would
/// have told.
fn told(address: &mut [u8; ADDRESS_LEN], len: usize) -> usize {
    if len <= PATH_AT || u16::from_ne_bytes([address[0], address[1]]) != AF_UNIX as u16 {
        return len;
    }
    let path = &address[PATH_AT..len.min(ADDRESS_LEN)];
    let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
    if !path[..end].starts_with(real_prefix().as_bytes()) {
        return len;
    }
    let link: Text<{ SUN_PATH_LEN + 8 }> =
        Text::from_parts(&[&path[..end], names::GIVEN_NAME_SUFFIX.as_bytes()]);
    let mut given = [0u8; SUN_PATH_LEN];
    match raw::readlink(link.as_c_str(), &mut given) {
        Ok(given_len) => {
            address[PATH_AT..].fill(0);
            address[PATH_AT..PATH_AT + given_len].copy_from_slice(&given[..given_len]);
            // The kernel counts the NUL, for which it has room of its own.
            PATH_AT + given_len + 1
        }
        Err(_) => len,
    }
}

/// Runs a call that tells an address, with room of our own for it, and hands the translated one on.
///
/// # Safety
/// As for getsockname(2).
unsafe fn telling(
    to: *mut sockaddr,
    to_len: *mut socklen_t,
    call: impl FnOnce(*mut sockaddr, *mut socklen_t) -> isize,
) -> isize {
    // SAFETY: by contract.
    if !init::in_view() || to.is_null() || to_len.is_null() || unsafe { *to_len } > i32::MAX as socklen_t {
        return call(to, to_len);
    }
    let mut address = [0u8; ADDRESS_LEN];
    let mut len = ADDRESS_LEN as socklen_t;
    let result = call(address.as_mut_ptr().cast(), &mut len);
    if result >= 0 {
        let len = told(&mut address, len as usize);
        // SAFETY: by contract, `to` has room for `*to_len` bytes.
        unsafe {
            let fits = len.min(*to_len as usize).min(ADDRESS_LEN);
            to.cast::<u8>().copy_from_nonoverlapping(address.as_ptr(), fits);
            *to_len = len as socklen_t;
        }
    }
    result
}

macro_rules! name_hooks {
    ($($name:ident($($after:ident: $type:ty)?);)*) => {$(
        hook! {
            fn $name(fd: c_int, to: *mut sockaddr, len: *mut socklen_t $(, $after: $type)?) -> c_int {
                // SAFETY: C's arguments.
                unsafe {
                    telling(to, len, |to, len| {
                        real!($name(fd: c_int, to: *mut sockaddr, len: *mut socklen_t $(, $after: $type)?) -> c_int) as isize
                    }) as c_int
                }
            }
        }
    )*};
}

name_hooks! {
    getsockname();
    getpeername();
    accept();
    accept4(flags: c_int);
}

hook! {
    fn recvfrom(fd: c_int, bytes: *mut c_void, count: size_t, flags: c_int, from: *mut sockaddr, len: *mut socklen_t) -> isize {
        // SAFETY: C's arguments.
        unsafe {
            telling(from, len, |from, len| {
                real!(recvfrom(fd: c_int, bytes: *mut c_void, count: size_t, flags: c_int, from: *mut sockaddr, len: *mut socklen_t) -> isize)
            })
        }
    }
}

hook! {
    fn __recvfrom_chk(fd: c_int, bytes: *mut c_void, count: size_t, room: size_t, flags: c_int, from: *mut sockaddr, len: *mut socklen_t) -> isize {
        // SAFETY: C's arguments.
        unsafe {
            telling(from, len, |from, len| {
                real!(__recvfrom_chk(fd: c_int, bytes: *mut c_void, count: size_t, room: size_t, flags: c_int, from: *mut sockaddr, len: *mut socklen_t) -> isize)
            })
        }
    }
}

hook! {
    fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> isize {
        // SAFETY: C's argument.
        let Some(given) = (unsafe { message.as_mut() }).filter(|given| !given.msg_name.is_null()) else {
            return real!(recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> isize);
        };
        let name = given.msg_name;
        let (to, to_len) = (name.cast(), &raw mut given.msg_namelen);
        let header = &raw mut *given;
        // SAFETY: C's arguments; the header has its own name back before it is looked at again.
        unsafe {
            telling(to, to_len, |to, len| {
                let room = *to_len;
                ((*header).msg_name, (*header).msg_namelen) = (to.cast(), *len);
                let message = header;
                let result = real!(recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> isize);
                *len = (*header).msg_namelen;
                (*header).msg_name = name;
                if to.cast() != name {
                    (*header).msg_namelen = room;
                }
                result
            })
        }
    }
}

hook! {
    fn recvmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int, timeout: *mut timespec) -> c_int {
        let mut room = [0 as socklen_t; MESSAGES_MAX];
        if init::in_view() && !messages.is_null() {
            for (at, room) in room.iter_mut().enumerate().take(count as usize) {
                // SAFETY: C's argument: `count` messages.
                *room = unsafe { (*messages.add(at)).msg_hdr.msg_namelen };
            }
        }
        let got = real!(recvmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int, timeout: *mut timespec) -> c_int);
        for (at, room) in room.iter().enumerate().take(usize::try_from(got).unwrap_or(0)) {
            // SAFETY: C's argument: the kernel filled `got` messages.
            let header = unsafe { &mut (*messages.add(at)).msg_hdr };
            let len = header.msg_namelen as usize;
            if header.msg_name.is_null() || len > (*room as usize).min(ADDRESS_LEN) {
                continue;
            }
            let mut address = [0u8; ADDRESS_LEN];
            // SAFETY: the caller's buffer has the name's bytes, and room for `room`.
            unsafe {
                address.as_mut_ptr().copy_from_nonoverlapping(header.msg_name.cast(), len);
                let new = told(&mut address, len);
                let fits = new.min(*room as usize).min(ADDRESS_LEN);
                header.msg_name.cast::<u8>().copy_from_nonoverlapping(address.as_ptr(), fits);
                header.msg_namelen = new as socklen_t;
            }
        }
        got
    }
}
