//! What a process holds on to before it becomes another user: an `O_PATH` fd of a folder with the daemon's socket,
//! inside one that lets its new user in no more. By it the process, its children and what they execute still connect,
//! also to a daemon that was started anew, and the daemon opens the rest for them. Only root becomes another user, and
//! only root's daemon takes such clients.

use crate::line;
use crate::raw::{self, Errno};
use crate::text::Text;
use core::cell::UnsafeCell;
use core::ffi::c_int;
use core::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use vrift_protocol::names;

/// fd + 1; 0: none is held.
static FD: AtomicI32 = AtomicI32::new(0);
/// Inode of the folder: whether the fd is still ours.
static INODE: AtomicU64 = AtomicU64::new(0);
struct Digits(UnsafeCell<Text<16>>);
// SAFETY: written before FD says that there is a handle, by the one thread whose exchange of FD succeeded.
unsafe impl Sync for Digits {}
static DIGITS: Digits = Digits(UnsafeCell::new(Text::new()));
/// In FD while DIGITS is being written.
const BUSY: c_int = -1;

/// Takes hold of the folder, unless that was done before. Not in a child that shares its parent's memory but not
/// its fds: the parent would take the fd for its own.
pub fn take() {
    if fd().is_some() || line::shares_memory() {
        return;
    }
    let Ok(path) = line::daemon_path(names::DOOR_DIR) else { return };
    let Ok(low) = raw::open(path.as_c_str(), libc::O_PATH | libc::O_CLOEXEC) else { return };
    let fd = line::out_of_the_way(low);
    if !keep(fd) {
        raw::close(fd);
    }
}

/// What an exec handed on: the variable's value.
pub fn inherit(value: &[u8]) {
    let number = value.iter().try_fold(0, |number: c_int, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        number.checked_mul(10)?.checked_add(digit as c_int)
    });
    if let Some(fd) = number {
        keep(fd);
    }
}

fn keep(fd: c_int) -> bool {
    let Ok(stat) = raw::fstat(fd) else { return false };
    let is_folder = stat.st_mode & libc::S_IFMT == libc::S_IFDIR;
    let is_first = FD.compare_exchange(0, BUSY, Ordering::Acquire, Ordering::Relaxed).is_ok();
    if !is_folder || !is_first {
        if is_first {
            FD.store(0, Ordering::Release);
        }
        return false;
    }
    // SAFETY: FD is BUSY: this thread alone writes, and nobody reads.
    let digits = unsafe { &mut *DIGITS.0.get() };
    digits.clear();
    digits.push_decimal(fd as u64);
    INODE.store(stat.st_ino, Ordering::Relaxed);
    FD.store(fd + 1, Ordering::Release);
    true
}

/// The fd, if one is held.
pub fn fd() -> Option<c_int> {
    let fd = FD.load(Ordering::Acquire) - 1;
    (fd >= 0).then_some(fd)
}

/// Before `fd` is replaced by something else: the handle moves away.
pub fn give_way(at: c_int) {
    if fd() != Some(at) {
        return;
    }
    let Ok(other) = raw::fcntl(at, libc::F_DUPFD_CLOEXEC, 10) else { return };
    FD.store(0, Ordering::Release);
    if !keep(other) {
        raw::close(other);
    }
}

/// Whether what this process executes will need the handle. Rights that it may have kept as another user do not
/// outlast an exec.
pub fn is_needed() -> bool {
    fd().is_some_and(|fd| raw::fstat(fd).is_ok_and(|folder| folder.st_uid != raw::geteuid()))
}

/// The name by which the socket in the held folder is connected to.
pub fn socket() -> Option<Text<40>> {
    let fd = fd()?;
    let is_ours = raw::fstat(fd).is_ok_and(|stat| stat.st_ino == INODE.load(Ordering::Relaxed));
    is_ours.then(|| Text::from_parts(&[raw::name_of_fd(fd).as_bytes(), b"/", names::SOCKET_FILE.as_bytes()]))
}

/// The value of `VRIFT_SOCKET_FD` for a program that is about to be executed; empty: it needs none. The fd
/// is then one that it inherits.
pub fn to_hand_on() -> &'static [u8] {
    match fd() {
        Some(fd) if is_needed() && raw::fcntl(fd, libc::F_SETFD, 0).is_ok() => {
            // SAFETY: FD says that it is written, and it is not written again while that fd is held.
            unsafe { &*DIGITS.0.get() }.as_bytes()
        }
        _ => b"",
    }
}

/// The index, the counters (by their `names`) or the state folder ("home"), opened by the daemon.
pub fn opened_by_daemon(name: &str, flags: c_int) -> Result<c_int, Errno> {
    if fd().is_some() {
        crate::content::open_by_daemon(vrift_manifest::VnodeNo(0), name.as_bytes(), flags)
    } else {
        Err(libc::EACCES)
    }
}
