//! System calls of the shim's own, by instruction: they cannot come back through a hook, touch no
//! errno and need no symbol. Each returns the kernel's value or the errno.

use crate::sample;
use crate::text::Text;
use core::arch::asm;
use core::ffi::{CStr, c_int};
use core::sync::atomic::AtomicU32;

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
compile_error!("the preload library is written for x86-64 Linux");

/// A positive errno.
pub type Errno = c_int;
pub type Result<T> = core::result::Result<T, Errno>;

/// One system call.
///
/// # Safety
/// As the system call's: pointers among the arguments are valid for what it does with them.
#[inline(always)]
pub unsafe fn syscall(number: libc::c_long, args: [usize; 6]) -> Result<usize> {
    if sample::is_on() {
        // SAFETY: by contract.
        return unsafe { sample::through_libc(number, args) };
    }
    // SAFETY: by contract.
    let result = unsafe { by_instruction(number, args) };
    if (-4095..0).contains(&result) { Err(-result as Errno) } else { Ok(result as usize) }
}

/// One system call by this library's own instruction, always; the kernel's result.
///
/// # Safety
/// As [`syscall`].
#[inline(always)]
pub unsafe fn by_instruction(number: libc::c_long, args: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the x86-64 Linux ABI: rcx and r11 are clobbered; memory effects are the caller's contract.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
            in("r10") args[3], in("r8") args[4], in("r9") args[5],
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    result
}

macro_rules! call {
    ($name:ident $(, $arg:expr)*) => {{
        let given = [$($arg as usize),*];
        let mut args = [0usize; 6];
        args[..given.len()].copy_from_slice(&given);
        // SAFETY: pointers among the arguments come from references or from the wrapper's own contract.
        unsafe { syscall(libc::$name, args) }
    }};
}

pub fn openat(dirfd: c_int, path: &CStr, flags: c_int, mode: u32) -> Result<c_int> {
    call!(SYS_openat, dirfd, path.as_ptr(), flags, mode).map(|fd| fd as c_int)
}

pub fn open(path: &CStr, flags: c_int) -> Result<c_int> {
    openat(libc::AT_FDCWD, path, flags, 0)
}

/// openat2(2) of a directory, without symlinks on the way: ELOOP where there is one, ENOSYS before Linux 5.6.
pub fn open_plain_dir(path: &CStr) -> Result<c_int> {
    const RESOLVE_NO_SYMLINKS: u64 = 4;
    // flags, mode, resolve of `struct open_how`
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    let how = [flags as u64, 0, RESOLVE_NO_SYMLINKS];
    call!(SYS_openat2, libc::AT_FDCWD, path.as_ptr(), how.as_ptr(), size_of_val(&how)).map(|fd| fd as c_int)
}

pub fn close(fd: c_int) {
    let _ = call!(SYS_close, fd);
}

pub fn fstat(fd: c_int) -> Result<libc::stat> {
    let mut stat = zeroed_stat();
    call!(SYS_fstat, fd, &mut stat as *mut libc::stat)?;
    Ok(stat)
}

/// fstat(2) into memory of the program; EFAULT when it cannot be written.
pub fn fstat_to(fd: c_int, to: *mut libc::stat) -> Result<()> {
    call!(SYS_fstat, fd, to).map(drop)
}

/// eventfd(2): an fd that costs little.
pub fn event_fd() -> Result<c_int> {
    call!(SYS_eventfd2, 0, libc::EFD_CLOEXEC).map(|fd| fd as c_int)
}

pub fn stat(path: &CStr) -> Result<libc::stat> {
    let mut stat = zeroed_stat();
    call!(SYS_stat, path.as_ptr(), &mut stat as *mut libc::stat)?;
    Ok(stat)
}

/// fstatat(2) of the name itself, not of what a symlink leads to.
pub fn lstat_at(dirfd: c_int, path: &CStr) -> Result<libc::stat> {
    let mut stat = zeroed_stat();
    let to = &mut stat as *mut libc::stat;
    call!(SYS_newfstatat, dirfd, path.as_ptr(), to, libc::AT_SYMLINK_NOFOLLOW)?;
    Ok(stat)
}

fn zeroed_stat() -> libc::stat {
    // SAFETY: all fields are integers, for which zero is a value.
    unsafe { core::mem::zeroed() }
}

pub fn readlink(path: &CStr, to: &mut [u8]) -> Result<usize> {
    call!(SYS_readlink, path.as_ptr(), to.as_mut_ptr(), to.len())
}

/// readlink(2) into a text; what has no room is cut off.
pub fn readlink_text<const N: usize>(path: &CStr, to: &mut Text<N>) -> Result<()> {
    let write = |to: *mut u8, len: usize| call!(SYS_readlink, path.as_ptr(), to, len);
    // SAFETY: the kernel has written as many bytes as it says.
    unsafe { to.fill_raw(write) }
}

/// The kernel's working directory.
pub fn getcwd<const N: usize>(to: &mut Text<N>) -> Result<()> {
    // The NUL is counted.
    let write = |to: *mut u8, len: usize| call!(SYS_getcwd, to, len).map(|len| len - 1);
    // SAFETY: as above.
    unsafe { to.fill_raw(write) }
}

pub fn chdir(path: &CStr) -> Result<()> {
    call!(SYS_chdir, path.as_ptr()).map(drop)
}

pub fn pread(fd: c_int, to: &mut [u8], offset: u64) -> Result<usize> {
    call!(SYS_pread64, fd, to.as_mut_ptr(), to.len(), offset)
}

/// Whether a file has an extended attribute.
pub fn has_xattr(fd: c_int, name: &CStr) -> bool {
    call!(SYS_fgetxattr, fd, name.as_ptr(), 0, 0usize).is_ok()
}

pub fn read(fd: c_int, to: &mut [u8]) -> Result<usize> {
    call!(SYS_read, fd, to.as_mut_ptr(), to.len())
}

pub fn write(fd: c_int, bytes: &[u8]) {
    let _ = call!(SYS_write, fd, bytes.as_ptr(), bytes.len());
}

pub fn fcntl(fd: c_int, command: c_int, argument: usize) -> Result<c_int> {
    call!(SYS_fcntl, fd, command, argument).map(|value| value as c_int)
}

pub fn getpid() -> c_int {
    call!(SYS_getpid).map_or(0, |pid| pid as c_int)
}
pub fn geteuid() -> u32 {
    call!(SYS_geteuid).map_or(0, |id| id as u32)
}
pub fn getegid() -> u32 {
    call!(SYS_getegid).map_or(0, |id| id as u32)
}
/// Real ids, for access(2).
pub fn getuid() -> u32 {
    call!(SYS_getuid).map_or(0, |id| id as u32)
}
pub fn getgid() -> u32 {
    call!(SYS_getgid).map_or(0, |id| id as u32)
}

/// Supplementary groups; their number.
pub fn getgroups(to: &mut [u32]) -> Result<usize> {
    call!(SYS_getgroups, to.len(), to.as_mut_ptr())
}

/// The size up to which this process may let a file grow, in bytes; u64::MAX: any.
pub fn file_size_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    let _ = call!(SYS_prlimit64, 0, libc::RLIMIT_FSIZE, 0, &mut limit as *mut libc::rlimit);
    limit.rlim_cur
}

/// Sends the calling thread a signal.
pub fn raise(signal: c_int) {
    if let Ok(thread) = call!(SYS_gettid) {
        let _ = call!(SYS_tgkill, getpid(), thread, signal);
    }
}

/// Sets the umask; what it was.
pub fn umask(mask: u32) -> u32 {
    call!(SYS_umask, mask).unwrap_or(0) as u32
}

pub fn random_u64() -> u64 {
    let mut bytes = [0u8; 8];
    match call!(SYS_getrandom, bytes.as_mut_ptr(), 8usize, 0) {
        Ok(8) => u64::from_ne_bytes(bytes),
        _ => (getpid() as u64) << 32 ^ now_ns() as u64,
    }
}

/// Monotonic time in ns.
pub fn now_ns() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let _ = call!(SYS_clock_gettime, libc::CLOCK_MONOTONIC, &mut time as *mut libc::timespec);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

pub fn sleep_us(us: i64) {
    let time = libc::timespec { tv_sec: us / 1_000_000, tv_nsec: us % 1_000_000 * 1_000 };
    let _ = call!(SYS_nanosleep, &time as *const libc::timespec, 0);
}

pub fn sched_yield() {
    let _ = call!(SYS_sched_yield);
}

/// A private, zeroed, anonymous mapping.
pub fn map_anonymous(len: usize) -> Result<*mut u8> {
    const FLAGS: c_int = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    call!(SYS_mmap, 0, len, libc::PROT_READ | libc::PROT_WRITE, FLAGS, -1isize, 0).map(|at| at as *mut u8)
}

/// A shared mapping of a file.
pub fn map_file(fd: c_int, len: usize, protection: c_int) -> Result<*mut u8> {
    call!(SYS_mmap, 0, len, protection, libc::MAP_SHARED, fd, 0).map(|at| at as *mut u8)
}

/// # Safety
/// Nobody uses the mapping any more.
pub unsafe fn unmap(at: *mut u8, len: usize) {
    let _ = call!(SYS_munmap, at, len);
}

/// Makes a mapping read as zeros in children made by fork(2), but not in those that share memory.
pub fn wipe_on_fork(at: *mut u8, len: usize) -> Result<()> {
    const MADV_WIPEONFORK: c_int = 18;
    call!(SYS_madvise, at, len, MADV_WIPEONFORK).map(drop)
}

/// Keeps a mapping from children made by fork(2).
pub fn not_in_children(at: *mut u8, len: usize) -> Result<()> {
    call!(SYS_madvise, at, len, libc::MADV_DONTFORK).map(drop)
}

/// Sleeps while the word, which other processes share, has this value: FUTEX_WAIT. ETIMEDOUT after `timeout_ns`.
pub fn futex_wait(word: &AtomicU32, value: u32, timeout_ns: i64) -> Result<()> {
    let timeout = libc::timespec { tv_sec: timeout_ns / 1_000_000_000, tv_nsec: timeout_ns % 1_000_000_000 };
    call!(SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, value, &raw const timeout).map(drop)
}

/// Wakes who sleeps on the word.
pub fn futex_wake(word: &AtomicU32) {
    let _ = call!(SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1);
}

/// Whether the other side of a socket has hung up.
pub fn has_hung_up(fd: c_int) -> bool {
    let mut byte = 0u8;
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    let left = call!(SYS_recvfrom, fd, &raw mut byte, 1, flags, 0, 0);
    !matches!(left, Ok(1..) | Err(libc::EAGAIN | libc::EINTR))
}

pub fn socket_seqpacket() -> Result<c_int> {
    call!(SYS_socket, libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0).map(|fd| fd as c_int)
}

/// How long a socket's calls wait before they fail with EAGAIN.
pub fn set_socket_timeouts(fd: c_int, ms: u64) -> Result<()> {
    let time = libc::timeval { tv_sec: (ms / 1_000) as i64, tv_usec: (ms % 1_000 * 1_000) as i64 };
    for option in [libc::SO_RCVTIMEO, libc::SO_SNDTIMEO] {
        let at = &time as *const libc::timeval;
        call!(SYS_setsockopt, fd, libc::SOL_SOCKET, option, at, size_of::<libc::timeval>())?;
    }
    Ok(())
}

pub fn connect(fd: c_int, address: &libc::sockaddr_un) -> Result<()> {
    call!(SYS_connect, fd, address as *const libc::sockaddr_un, size_of::<libc::sockaddr_un>()).map(drop)
}

/// The name of a socket, or of its peer: how many bytes of the address the kernel has.
pub fn socket_name(fd: c_int, of_peer: bool, to: &mut [u8]) -> Result<usize> {
    let mut len = to.len() as libc::socklen_t;
    let at = &mut len as *mut libc::socklen_t;
    if of_peer {
        call!(SYS_getpeername, fd, to.as_mut_ptr(), at)?;
    } else {
        call!(SYS_getsockname, fd, to.as_mut_ptr(), at)?;
    }
    Ok(len as usize)
}

/// The address family of a socket.
pub fn socket_domain(fd: c_int) -> Result<c_int> {
    let (mut domain, mut len): (c_int, libc::socklen_t) = (0, 4);
    let (to, to_len) = (&mut domain as *mut c_int, &mut len as *mut libc::socklen_t);
    call!(SYS_getsockopt, fd, libc::SOL_SOCKET, libc::SO_DOMAIN, to, to_len)?;
    Ok(domain)
}

/// Whether linkat(2) with AT_EMPTY_PATH lets this process name an fd that it opened itself (since Linux 6.10) or
/// any (CAP_DAC_READ_SEARCH): the kernel decides that before it finds that the new name, `/`, exists.
pub fn may_link_fds() -> bool {
    let Ok(fd) = open(c"/", libc::O_PATH | libc::O_CLOEXEC) else { return false };
    let result = call!(SYS_linkat, fd, c"".as_ptr(), libc::AT_FDCWD, c"/".as_ptr(), libc::AT_EMPTY_PATH);
    close(fd);
    result == Err(libc::EEXIST)
}

pub fn chmod(path: &CStr, mode: u32) -> Result<()> {
    call!(SYS_chmod, path.as_ptr(), mode).map(drop)
}

/// # Safety
/// The message's pointers are valid for sendmsg(2).
pub unsafe fn sendmsg(fd: c_int, message: &libc::msghdr) -> Result<usize> {
    call!(SYS_sendmsg, fd, message as *const libc::msghdr, libc::MSG_NOSIGNAL)
}

/// # Safety
/// The message's pointers are valid for recvmsg(2).
pub unsafe fn recvmsg(fd: c_int, message: &mut libc::msghdr, flags: c_int) -> Result<usize> {
    call!(SYS_recvmsg, fd, message as *mut libc::msghdr, flags)
}

pub fn fchdir(fd: c_int) -> Result<()> {
    call!(SYS_fchdir, fd).map(drop)
}

pub fn lseek(fd: c_int, offset: i64, whence: c_int) -> Result<u64> {
    call!(SYS_lseek, fd, offset, whence).map(|at| at as u64)
}

/// Whether the caller may execute a file, by its effective ids. Kernels before 5.8 cannot say: then it may.
pub fn may_execute(path: &CStr) -> Result<()> {
    match call!(SYS_faccessat2, libc::AT_FDCWD, path.as_ptr(), libc::X_OK, libc::AT_EACCESS) {
        Ok(_) | Err(libc::ENOSYS) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Whether the calling thread has told the kernel of its robust list, as the C library does for each process
/// and thread that it starts. A child of vfork(2) or of a bare clone(2) has none.
pub fn has_robust_list() -> bool {
    let (mut head, mut len) = (0usize, 0usize);
    call!(SYS_get_robust_list, 0, &mut head as *mut usize, &mut len as *mut usize).is_ok() && head != 0
}

/// Whether this thread has a signal blocked.
pub fn is_blocked(signal: c_int) -> bool {
    const SET_LEN: usize = 8;
    let mut set = 0u64;
    let asked = call!(SYS_rt_sigprocmask, 0, 0, &mut set as *mut u64, SET_LEN);
    asked.is_err() || set & 1 << (signal - 1) != 0
}

/// The path under which the kernel has what an fd of this process is of.
pub fn name_of_fd(fd: c_int) -> Text<32> {
    let mut name = Text::from_parts(&[b"/proc/self/fd/"]);
    name.push_decimal(fd.max(0) as u64);
    name
}

/// Whether eight bytes at `at` can be read. Asked with a change of the signal mask that is no valid one: the
/// kernel reads the set, then refuses to apply it.
pub fn can_read(at: usize) -> bool {
    const NO_SUCH_CHANGE: c_int = -1;
    call!(SYS_rt_sigprocmask, NO_SUCH_CHANGE, at, 0, 8usize) != Err(libc::EFAULT)
}
