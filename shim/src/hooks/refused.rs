//! Calls that are refused on paths of the view, where they would change or name the real tree: mounts, swap, accounting,
//! file handles, fanotify(7). Outside they are the kernel's; most of them are for root alone.

use super::{Routed, hook, route};
use crate::elsewhere::Elsewhere;
use crate::errno;
use crate::fds::{self, FdKind};
use crate::raw::{self, Errno};
use core::ffi::{c_char, c_int, c_uint, c_ulong, c_void};
use libc::{AT_FDCWD, AT_SYMLINK_NOFOLLOW, size_t};

/// The way of a call with up to two paths: `refusal` when one is the view's, else the call with what they go on as.
///
/// # Safety
/// As the system call's; paths are null or C strings.
unsafe fn unless_view<const N: usize>(
    refusal: Errno,
    paths: [(c_int, *const c_char, bool); N],
    call: impl FnOnce([(c_int, *const c_char); N]) -> raw::Result<usize>,
) -> c_int {
    let mut elsewhere = [const { Elsewhere::new() }; N];
    let mut onward = [(AT_FDCWD, core::ptr::null()); N];
    for (((dirfd, path, follow), text), to) in paths.into_iter().zip(&mut elsewhere).zip(&mut onward) {
        if path.is_null() {
            *to = (dirfd, path);
            continue;
        }
        // SAFETY: by contract.
        match unsafe { route(dirfd, path, follow, text) } {
            Ok(Routed::View(inside)) => {
                return errno::fail(inside.existing().err().unwrap_or(refusal));
            }
            Ok(Routed::Real(dirfd, path)) => *to = (dirfd, path),
            Err(errno) => return errno::fail(errno),
        }
    }
    match call(onward) {
        Ok(value) => value as c_int,
        Err(errno) => errno::fail(errno),
    }
}

macro_rules! raw_call {
    ($number:ident $(, $arg:expr)*) => {{
        let given = [$($arg as usize),*];
        let mut args = [0usize; 6];
        args[..given.len()].copy_from_slice(&given);
        #[allow(unused_unsafe, reason = "used inside and outside of unsafe blocks")]
        // SAFETY: the caller's own arguments, passed on.
        let result = unsafe { raw::syscall(libc::$number, args) };
        result
    }};
}

hook! {
    /// The source is a path only where something that is there already is put elsewhere.
    fn mount(source: *const c_char, target: *const c_char, kind: *const c_char, flags: c_ulong, data: *const c_void) -> c_int {
        let is_path = flags & (libc::MS_BIND | libc::MS_MOVE) != 0;
        let looked_at = if is_path { source } else { core::ptr::null() };
        // SAFETY: C's arguments.
        unsafe {
            unless_view(libc::EPERM, [(AT_FDCWD, looked_at, true), (AT_FDCWD, target, true)], |[from, target]| {
                let source = if is_path { from.1 } else { source };
                raw_call!(SYS_mount, source, target.1, kind, flags, data)
            })
        }
    }
}

hook! {
    fn umount2(target: *const c_char, flags: c_int) -> c_int {
        // SAFETY: C's arguments.
        unsafe { unless_view(libc::EINVAL, [(AT_FDCWD, target, true)], |[target]| raw_call!(SYS_umount2, target.1, flags)) }
    }
}

hook! {
    fn umount(target: *const c_char) -> c_int {
        // SAFETY: C's arguments.
        unsafe { umount2(target, 0) }
    }
}

hook! {
    fn pivot_root(new: *const c_char, old: *const c_char) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            unless_view(libc::EPERM, [(AT_FDCWD, new, true), (AT_FDCWD, old, true)], |[new, old]| {
                raw_call!(SYS_pivot_root, new.1, old.1)
            })
        }
    }
}

hook! {
    fn swapon(path: *const c_char, flags: c_int) -> c_int {
        // SAFETY: C's arguments.
        unsafe { unless_view(libc::EPERM, [(AT_FDCWD, path, true)], |[path]| raw_call!(SYS_swapon, path.1, flags)) }
    }
}

hook! {
    fn swapoff(path: *const c_char) -> c_int {
        // SAFETY: C's arguments.
        unsafe { unless_view(libc::EINVAL, [(AT_FDCWD, path, true)], |[path]| raw_call!(SYS_swapoff, path.1)) }
    }
}

hook! {
    fn acct(path: *const c_char) -> c_int {
        // SAFETY: C's arguments.
        unsafe { unless_view(libc::EPERM, [(AT_FDCWD, path, true)], |[path]| raw_call!(SYS_acct, path.1)) }
    }
}

hook! {
    fn quotactl(command: c_int, device: *const c_char, id: c_int, to: *mut c_char) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            unless_view(libc::ENOTBLK, [(AT_FDCWD, device, true)], |[device]| {
                raw_call!(SYS_quotactl, command, device.1, id, to)
            })
        }
    }
}

hook! {
    fn open_tree(dirfd: c_int, path: *const c_char, flags: c_uint) -> c_int {
        let follow = flags & AT_SYMLINK_NOFOLLOW as c_uint == 0;
        // SAFETY: C's arguments.
        unsafe {
            unless_view(libc::EPERM, [(dirfd, path, follow)], |[(dirfd, path)]| {
                raw_call!(SYS_open_tree, dirfd, path, flags)
            })
        }
    }
}

hook! {
    fn move_mount(from: c_int, path: *const c_char, to: c_int, target: *const c_char, flags: c_uint) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            unless_view(libc::EPERM, [(from, path, true), (to, target, true)], |[from, to]| {
                raw_call!(SYS_move_mount, from.0, from.1, to.0, to.1, flags)
            })
        }
    }
}

hook! {
    fn fspick(dirfd: c_int, path: *const c_char, flags: c_uint) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            unless_view(libc::EPERM, [(dirfd, path, true)], |[(dirfd, path)]| raw_call!(SYS_fspick, dirfd, path, flags))
        }
    }
}

hook! {
    fn mount_setattr(dirfd: c_int, path: *const c_char, flags: c_uint, to: *mut c_void, len: size_t) -> c_int {
        let follow = flags & AT_SYMLINK_NOFOLLOW as c_uint == 0;
        // SAFETY: C's arguments.
        unsafe {
            unless_view(libc::EPERM, [(dirfd, path, follow)], |[(dirfd, path)]| {
                raw_call!(SYS_mount_setattr, dirfd, path, flags, to, len)
            })
        }
    }
}

hook! {
    fn fanotify_mark(fd: c_int, flags: c_uint, mask: u64, dirfd: c_int, path: *const c_char) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            unless_view(libc::EOPNOTSUPP, [(dirfd, path, true)], |[(dirfd, path)]| {
                raw_call!(SYS_fanotify_mark, fd, flags, mask, dirfd, path)
            })
        }
    }
}

hook! {
    /// A handle would name what happens to hold the bytes now: as on file systems that cannot be exported.
    fn name_to_handle_at(dirfd: c_int, path: *const c_char, handle: *mut c_void, mount: *mut c_int, flags: c_int) -> c_int {
        if let (FdKind::View(_), true) = (fds::identify(dirfd), flags & libc::AT_EMPTY_PATH != 0) {
            return errno::fail(libc::EOPNOTSUPP);
        }
        // SAFETY: C's arguments.
        unsafe {
            unless_view(libc::EOPNOTSUPP, [(dirfd, path, flags & libc::AT_SYMLINK_FOLLOW != 0)], |[(dirfd, path)]| {
                raw_call!(SYS_name_to_handle_at, dirfd, path, handle, mount, flags)
            })
        }
    }
}

hook! {
    fn open_by_handle_at(mount: c_int, handle: *mut c_void, flags: c_int) -> c_int {
        if let FdKind::View(_) = fds::identify(mount) {
            return errno::fail(libc::EOPNOTSUPP);
        }
        match raw_call!(SYS_open_by_handle_at, mount, handle, flags) {
            Ok(fd) => {
                fds::forget(fd as c_int);
                fd as c_int
            }
            Err(errno) => errno::fail(errno),
        }
    }
}

/// io_uring_setup(2) and calls newer than this library, by number: the kernel, which knows no view, would open what a
/// ring is told to open. As with a kernel that lacks the call, callers go on with ordinary ones.
pub fn not_there() -> c_int {
    errno::fail(libc::ENOSYS)
}
