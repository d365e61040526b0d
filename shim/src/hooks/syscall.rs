//! syscall(2): a path call by its number is the same call. What the table does not name goes to the kernel from an
//! assembly stub without a frame, as in the C library, so that a child which shares the stack can return.

use super::{CALLS_LISTED, listed, listed_call};
use super::{
    access, attrs, dir_read, exec, fd, ids, links, names, open, open2, other, paths, refused, rename,
    sockets, stat, sync, times, watches, xattrs,
};
use crate::errno;
use crate::fds::{self, FdKind};
use crate::raw;
use core::ffi::{c_char, c_int, c_long};
use libc::{AT_EMPTY_PATH, EFAULT, EINVAL, ERANGE, mode_t, size_t, timespec};

/// The numbers, with those that are newer than the libc crate.
#[expect(non_upper_case_globals, reason = "the names are C's")]
mod numbers {
    use core::ffi::c_long;
    pub use libc::*;
    pub const SYS_setxattrat: c_long = 463;
    pub const SYS_getxattrat: c_long = 464;
    pub const SYS_listxattrat: c_long = 465;
    pub const SYS_removexattrat: c_long = 466;
    pub const SYS_open_tree_attr: c_long = 467;
    pub const SYS_file_getattr: c_long = 468;
    pub const SYS_file_setattr: c_long = 469;
}

/// One bit for each number that [`by_number`] takes.
const BITS_LEN: usize = 512;
static BITS: [u64; BITS_LEN / 64] = bits();

const fn bits() -> [u64; BITS_LEN / 64] {
    let mut bits = [0; BITS_LEN / 64];
    let mut at = 0;
    while at < NUMBERS.len() {
        bits[NUMBERS[at] as usize / 64] |= 1 << (NUMBERS[at] % 64);
        at += 1;
    }
    bits
}

macro_rules! call {
    ($a:ident, $f:path, 0) => {
        $f()
    };
    ($a:ident, $f:path, 1) => {
        $f($a[0] as _)
    };
    ($a:ident, $f:path, 2) => {
        $f($a[0] as _, $a[1] as _)
    };
    ($a:ident, $f:path, 3) => {
        $f($a[0] as _, $a[1] as _, $a[2] as _)
    };
    ($a:ident, $f:path, 4) => {
        $f($a[0] as _, $a[1] as _, $a[2] as _, $a[3] as _)
    };
    ($a:ident, $f:path, 6) => {
        $f($a[0] as _, $a[1] as _, $a[2] as _, $a[3] as _, $a[4] as _, $a[5] as _)
    };
    ($a:ident, $f:path, 5) => {
        $f($a[0] as _, $a[1] as _, $a[2] as _, $a[3] as _, $a[4] as _)
    };
}

macro_rules! calls {
    ($($number:ident => $function:path, $count:tt;)*) => {
        const NUMBERS: [c_long; CALLS_LISTED] = [$(numbers::$number),*];
        $(listed_call!($number);)*

        /// The hook that a number stands for.
        unsafe fn by_number(number: c_long, args: &[usize; 6]) -> c_long {
            // SAFETY: the caller's own arguments, in the order in which the function has them too.
            unsafe {
                match number {
                    $(numbers::$number => call!(args, $function, $count) as c_long,)*
                    _ => as_is(number, args),
                }
            }
        }
    };
}

calls! {
    SYS_open => open::open, 3;
    SYS_openat => open::openat, 4;
    SYS_openat2 => open2::openat2, 4;
    SYS_creat => open::creat, 2;
    SYS_close => fd::close, 1;
    SYS_close_range => fd::close_range, 3;
    SYS_dup => fd::dup, 1;
    SYS_dup2 => fd::dup2, 2;
    SYS_dup3 => fd::dup3, 3;
    SYS_fcntl => fd::fcntl, 3;
    SYS_umask => fd::umask, 1;
    SYS_stat => stat::stat, 2;
    SYS_lstat => stat::lstat, 2;
    SYS_fstat => stat::fstat, 2;
    SYS_newfstatat => stat::fstatat, 4;
    SYS_statx => stat::statx, 5;
    SYS_access => access::access, 2;
    SYS_faccessat => faccessat, 3;
    SYS_faccessat2 => access::faccessat, 4;
    SYS_statfs => other::statfs, 2;
    SYS_getdents => getdents, 3;
    SYS_getdents64 => dir_read::getdents64, 3;
    SYS_readlink => links::readlink, 3;
    SYS_readlinkat => links::readlinkat, 4;
    SYS_symlink => names::symlink, 2;
    SYS_symlinkat => names::symlinkat, 3;
    SYS_link => names::link, 2;
    SYS_linkat => names::linkat, 5;
    SYS_unlink => names::unlink, 1;
    SYS_unlinkat => names::unlinkat, 3;
    SYS_rename => rename::rename, 2;
    SYS_renameat => rename::renameat, 4;
    SYS_renameat2 => rename::renameat2, 5;
    SYS_mkdir => names::mkdir, 2;
    SYS_mkdirat => names::mkdirat, 3;
    SYS_rmdir => names::rmdir, 1;
    SYS_mknod => names::mknod, 3;
    SYS_mknodat => names::mknodat, 4;
    SYS_chdir => paths::chdir, 1;
    SYS_fchdir => paths::fchdir, 1;
    SYS_getcwd => getcwd, 2;
    SYS_chroot => paths::chroot, 1;
    SYS_utime => times::utime, 2;
    SYS_utimes => times::utimes, 2;
    SYS_futimesat => times::futimesat, 3;
    SYS_utimensat => utimensat, 4;
    SYS_chmod => attrs::chmod, 2;
    SYS_fchmod => attrs::fchmod, 2;
    SYS_fchmodat => fchmodat, 3;
    SYS_fchmodat2 => fchmodat2, 4;
    SYS_chown => attrs::chown, 3;
    SYS_fchown => attrs::fchown, 3;
    SYS_lchown => attrs::lchown, 3;
    SYS_fchownat => attrs::fchownat, 5;
    SYS_truncate => attrs::truncate, 2;
    SYS_setxattr => xattrs::setxattr, 5;
    SYS_lsetxattr => xattrs::lsetxattr, 5;
    SYS_fsetxattr => xattrs::fsetxattr, 5;
    SYS_getxattr => xattrs::getxattr, 4;
    SYS_lgetxattr => xattrs::lgetxattr, 4;
    SYS_fgetxattr => xattrs::fgetxattr, 4;
    SYS_listxattr => xattrs::listxattr, 3;
    SYS_llistxattr => xattrs::llistxattr, 3;
    SYS_flistxattr => xattrs::flistxattr, 3;
    SYS_removexattr => xattrs::removexattr, 2;
    SYS_lremovexattr => xattrs::lremovexattr, 2;
    SYS_fremovexattr => xattrs::fremovexattr, 2;
    SYS_execve => exec::execve, 3;
    SYS_execveat => exec::execveat, 5;
    SYS_bind => sockets::bind, 3;
    SYS_connect => sockets::connect, 3;
    SYS_accept => sockets::accept, 3;
    SYS_accept4 => sockets::accept4, 4;
    SYS_getsockname => sockets::getsockname, 3;
    SYS_getpeername => sockets::getpeername, 3;
    SYS_sendto => sockets::sendto, 6;
    SYS_sendmsg => sockets::sendmsg, 3;
    SYS_sendmmsg => sockets::sendmmsg, 4;
    SYS_recvfrom => sockets::recvfrom, 6;
    SYS_recvmsg => sockets::recvmsg, 3;
    SYS_recvmmsg => sockets::recvmmsg, 5;
    SYS_inotify_add_watch => watches::inotify_add_watch, 3;
    SYS_fsync => sync::fsync, 1;
    SYS_fdatasync => sync::fdatasync, 1;
    SYS_syncfs => sync::syncfs, 1;
    SYS_sync => everything_synced, 0;
    SYS_setuid => setuid, 1;
    SYS_setreuid => setreuid, 2;
    SYS_setresuid => setresuid, 3;
    SYS_name_to_handle_at => refused::name_to_handle_at, 5;
    SYS_open_by_handle_at => refused::open_by_handle_at, 3;
    SYS_fanotify_mark => refused::fanotify_mark, 5;
    SYS_mount => refused::mount, 5;
    SYS_umount2 => refused::umount2, 2;
    SYS_pivot_root => refused::pivot_root, 2;
    SYS_swapon => refused::swapon, 2;
    SYS_swapoff => refused::swapoff, 1;
    SYS_acct => refused::acct, 1;
    SYS_quotactl => refused::quotactl, 4;
    SYS_open_tree => refused::open_tree, 3;
    SYS_move_mount => refused::move_mount, 5;
    SYS_fspick => refused::fspick, 3;
    SYS_mount_setattr => refused::mount_setattr, 5;
    SYS_io_uring_setup => refused::not_there, 0;
    SYS_setxattrat => refused::not_there, 0;
    SYS_getxattrat => refused::not_there, 0;
    SYS_listxattrat => refused::not_there, 0;
    SYS_removexattrat => refused::not_there, 0;
    SYS_open_tree_attr => refused::not_there, 0;
    SYS_file_getattr => refused::not_there, 0;
    SYS_file_setattr => refused::not_there, 0;
}

/// # Safety
/// As the system call's arguments.
unsafe fn as_is(number: c_long, args: &[usize; 6]) -> c_long {
    // SAFETY: by contract.
    match unsafe { raw::syscall(number, *args) } {
        Ok(value) => value as c_long,
        Err(errno) => errno::fail(errno).into(),
    }
}

/// The system call gives 0.
unsafe fn everything_synced() -> c_int {
    // SAFETY: sync(2) takes nothing.
    unsafe { sync::sync() };
    0
}

/// The system call is of this thread alone, the C library's function of the process.
unsafe fn setuid(uid: usize) -> c_long {
    ids::take_hold();
    // SAFETY: takes no pointers.
    unsafe { as_is(libc::SYS_setuid, &[uid, 0, 0, 0, 0, 0]) }
}

/// As above.
unsafe fn setreuid(real: usize, uid: usize) -> c_long {
    ids::take_hold();
    // SAFETY: takes no pointers.
    unsafe { as_is(libc::SYS_setreuid, &[real, uid, 0, 0, 0, 0]) }
}

/// As above.
unsafe fn setresuid(real: usize, uid: usize, saved: usize) -> c_long {
    ids::take_hold();
    // SAFETY: takes no pointers.
    unsafe { as_is(libc::SYS_setresuid, &[real, uid, saved, 0, 0, 0]) }
}

/// The system call has no flags.
///
/// # Safety
/// `path` is null or a C string.
unsafe fn faccessat(dirfd: c_int, path: *const c_char, want: c_int) -> c_int {
    // SAFETY: by contract.
    unsafe { access::faccessat(dirfd, path, want, 0) }
}

/// As above.
///
/// # Safety
/// `path` is null or a C string.
unsafe fn fchmodat(dirfd: c_int, path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: by contract.
    unsafe { attrs::fchmodat(dirfd, path, mode, 0) }
}

/// # Safety
/// `path` is null or a C string.
unsafe fn fchmodat2(dirfd: c_int, path: *const c_char, mode: mode_t, flags: c_int) -> c_int {
    // SAFETY: by contract.
    let is_empty = unsafe { crate::text::bytes_of(path) }.is_some_and(<[u8]>::is_empty);
    if flags & AT_EMPTY_PATH != 0
        && is_empty
        && let FdKind::View(_) = fds::identify(dirfd)
    {
        // SAFETY: fchmod(2) takes any fd.
        return unsafe { attrs::fchmod(dirfd, mode) };
    }
    // SAFETY: by contract.
    unsafe { attrs::fchmodat(dirfd, path, mode, flags) }
}

/// A null path means the fd.
///
/// # Safety
/// As utimensat(2)'s arguments.
unsafe fn utimensat(dirfd: c_int, path: *const c_char, to: *const timespec, flags: c_int) -> c_int {
    // SAFETY: by contract.
    unsafe {
        match path.is_null() {
            true if dirfd == libc::AT_FDCWD => errno::fail(EFAULT),
            true if flags != 0 => errno::fail(EINVAL),
            true => times::futimens(dirfd, to),
            false => times::utimensat(dirfd, path, to, flags),
        }
    }
}

/// The system call gives the length with the NUL.
///
/// # Safety
/// `to` is valid for `len` bytes.
unsafe fn getcwd(to: *mut c_char, len: size_t) -> c_long {
    if to.is_null() {
        return errno::fail(EFAULT).into();
    }
    // SAFETY: by contract.
    let filled = unsafe { paths::getcwd(to, len) };
    if filled.is_null() {
        if errno::get() == EINVAL {
            errno::set(ERANGE);
        }
        return -1;
    }
    // SAFETY: getcwd has ended it with a NUL.
    unsafe { core::ffi::CStr::from_ptr(to) }.to_bytes_with_nul().len() as c_long
}

/// getdents(2) in its older form: the type stands in the record's last byte, the name one byte further ahead.
///
/// # Safety
/// `to` is valid for `len` bytes.
unsafe fn getdents(fd: c_int, to: *mut u8, len: size_t) -> c_long {
    const RECORD_LEN_AT: usize = 16;
    const TYPE_AT: usize = 18;
    let FdKind::View(_) = fds::identify(fd) else {
        // SAFETY: by contract.
        return unsafe { as_is(libc::SYS_getdents, &[fd as usize, to as usize, len, 0, 0, 0]) };
    };
    // SAFETY: by contract.
    let read = unsafe { dir_read::getdents64(fd, to.cast(), len) };
    let Ok(used) = usize::try_from(read) else { return -1 };
    // SAFETY: getdents64 has filled so many bytes.
    let mut records = unsafe { core::slice::from_raw_parts_mut(to, used) };
    while let Some(bytes) = records.get(RECORD_LEN_AT..TYPE_AT) {
        let record_len = usize::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
        if record_len <= TYPE_AT || record_len > records.len() {
            break;
        }
        let (record, rest) = records.split_at_mut(record_len);
        let kind = record[TYPE_AT];
        record.copy_within(TYPE_AT + 1.., TYPE_AT);
        record[record_len - 1] = kind;
        records = rest;
    }
    read as c_long
}

/// A number that [`BITS`] has.
unsafe extern "C" fn dispatch(
    number: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    let args = [a, b, c, d, e, f];
    // SAFETY: the caller's own arguments.
    unsafe { if crate::init::in_view() { by_number(number, &args) } else { as_is(number, &args) } }
}

extern "C" fn failed(result: c_long) -> c_long {
    errno::fail(-result as c_int).into()
}

listed!(syscall);

/// C's `...` is up to six integers or pointers: five in registers behind the number, the sixth above the return
/// address, which is where a function of seven arguments has them too.
#[unsafe(naked)]
#[unsafe(no_mangle)]
#[allow(clippy::missing_safety_doc, reason = "the C prototype's contract, see the manual page")]
pub unsafe extern "C" fn syscall() -> c_long {
    core::arch::naked_asm!(
        ".cfi_startproc",
        "cmp rdi, {len}",
        "jae 2f",
        "lea rax, [rip + {bits}]",
        "bt qword ptr [rax], rdi",
        "jc {dispatch}",
        "2:",
        // In a process of the sample the C library's instruction makes the call.
        "mov rax, [rip + {gate}]",
        "test rax, rax",
        "jnz 4f",
        "mov rax, rdi",
        "mov rdi, rsi",
        "mov rsi, rdx",
        "mov rdx, rcx",
        "mov r10, r8",
        "mov r8, r9",
        "mov r9, [rsp + 8]",
        "syscall",
        "cmp rax, -4095",
        "jae 3f",
        "ret",
        "3:",
        "mov rdi, rax",
        "jmp {failed}",
        "4:",
        "jmp rax",
        ".cfi_endproc",
        len = const BITS_LEN,
        bits = sym BITS,
        dispatch = sym dispatch,
        failed = sym failed,
        gate = sym crate::sample::GATE,
    )
}
