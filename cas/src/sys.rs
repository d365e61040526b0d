//! The system calls that neither std nor nix offers safely: leases, reflinks, the lease signal.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Linux's `F_SETLEASE` and `F_GETLEASE` (asm-generic/fcntl.h, F_LINUX_SPECIFIC_BASE + 0 and 1).
const F_SETLEASE: libc::c_int = 1024;
const F_GETLEASE: libc::c_int = 1025;

/// Takes a read lease on `file`, which must be open read-only.
///
/// # Errors
/// `WouldBlock` (EAGAIN) while anyone has the file open for writing or mapped shared and writable.
pub(crate) fn take_read_lease(file: &File) -> io::Result<()> {
    fcntl(file, F_SETLEASE, libc::F_RDLCK).map(drop)
}

/// Takes a write lease on `file`, which must be open read-only.
///
/// # Errors
/// `WouldBlock` (EAGAIN) while anyone else has the file open or mapped.
pub(crate) fn take_write_lease(file: &File) -> io::Result<()> {
    fcntl(file, F_SETLEASE, libc::F_WRLCK).map(drop)
}

/// Gives a lease back; writers that wait in open(2) go on.
pub(crate) fn release_lease(file: &File) -> io::Result<()> {
    fcntl(file, F_SETLEASE, libc::F_UNLCK).map(drop)
}

/// True as long as we hold the read lease and nobody waits to write.
pub(crate) fn holds_read_lease(file: &File) -> bool {
    fcntl(file, F_GETLEASE, 0).is_ok_and(|state| state == libc::F_RDLCK)
}

/// Clears O_NONBLOCK, which some opens need so as not to wait for a lease, and clients must not see.
pub(crate) fn clear_nonblock(file: &File) -> io::Result<()> {
    let flags = fcntl(file, libc::F_GETFL, 0)?;
    fcntl(file, libc::F_SETFL, flags & !libc::O_NONBLOCK).map(drop)
}

/// Asks ext4 to give each folder that is made in `folder` a group of inodes of its own, as it does at the top of a file
/// system (FS_TOPDIR_FL, ioctl_iflags(2)). Elsewhere it is refused, or means nothing.
pub(crate) fn spread_folders_in(folder: &File) -> io::Result<()> {
    const FS_TOPDIR_FL: libc::c_int = 0x0002_0000;
    // The kernel reads and writes an int, whatever the number of the ioctl says.
    let mut flags: libc::c_int = 0;
    // SAFETY: FS_IOC_GETFLAGS writes an int to `flags`, which outlives the call.
    let rc = unsafe { libc::ioctl(folder.as_raw_fd(), libc::FS_IOC_GETFLAGS, &raw mut flags) };
    if rc < 0 {
        return Err(io::Error::last_os_error());
    }
    flags |= FS_TOPDIR_FL;
    // SAFETY: FS_IOC_SETFLAGS reads an int from `flags`.
    let rc = unsafe { libc::ioctl(folder.as_raw_fd(), libc::FS_IOC_SETFLAGS, &raw const flags) };
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn fcntl(file: &File, command: libc::c_int, argument: libc::c_int) -> io::Result<libc::c_int> {
    // SAFETY: the four commands used here take or return an int; `file` keeps the descriptor open.
    let rc = unsafe { libc::fcntl(file.as_raw_fd(), command, argument) };
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(rc) }
}

/// Makes `to` share the extents of `from` (ioctl FICLONE). Fails where the file system cannot.
pub(crate) fn reflink(from: &File, to: &File) -> io::Result<()> {
    // SAFETY: FICLONE takes the source descriptor as its argument and touches no memory of ours.
    let rc = unsafe { libc::ioctl(to.as_raw_fd(), libc::FICLONE, from.as_raw_fd()) };
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Makes SIGIO harmless: the kernel sends it to a lease holder when a writer comes, and its default is to end the
/// process. A handler that someone else installed is left alone.
pub(crate) fn ignore_lease_signal() -> io::Result<()> {
    let mut old = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null new action only asks; `old` is valid for the one sigaction that the kernel writes.
    let rc = unsafe { libc::sigaction(libc::SIGIO, std::ptr::null(), old.as_mut_ptr()) };
    if rc < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: sigaction succeeded, so it has filled `old`; all-zero was valid before, too.
    let old = unsafe { old.assume_init() };
    if old.sa_sigaction != libc::SIG_DFL {
        return Ok(());
    }
    // SAFETY: SIG_IGN runs no code of ours, so there is nothing that could be async-signal-unsafe.
    let previous = unsafe { libc::signal(libc::SIGIO, libc::SIG_IGN) };
    if previous == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
}
