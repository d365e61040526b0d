//! The page that a client has, too, and futex(2) on it.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use std::io;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;
use std::time::Duration;
use vrift_protocol::slot::{SLOT_LEN, Slot};

/// A slot in memory that a client has, too.
pub struct SharedSlot(NonNull<Slot>);

// SAFETY: the mapping lasts as long as the value, and all of a slot is atomics.
unsafe impl Send for SharedSlot {}
// SAFETY: as above.
unsafe impl Sync for SharedSlot {}

impl SharedSlot {
    /// A new one, and the fd by which the client maps it. Its length is sealed: a client that cut it would kill the
    /// daemon by SIGBUS.
    pub fn new() -> io::Result<(SharedSlot, OwnedFd)> {
        let fd = memfd_create(c"vrift-slot", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
        nix::unistd::ftruncate(&fd, SLOT_LEN as i64)?;
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(&fd, FcntlArg::F_ADD_SEALS(seals))?;
        let len = NonZeroUsize::new(SLOT_LEN).ok_or(Errno::EINVAL)?;
        // SAFETY: a new mapping, at an address of the kernel's choice.
        let at = unsafe {
            mmap(None, len, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED, &fd, 0)
        }?;
        Ok((SharedSlot(at.cast()), fd))
    }
}

impl Deref for SharedSlot {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        // SAFETY: SLOT_LEN bytes are mapped as long as the value lives, page-aligned and zero at first, which is a slot;
        // what the client writes are bits of atomics.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for SharedSlot {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's alone, and nobody borrows it any more.
        let _ = unsafe { munmap(self.0.cast(), SLOT_LEN) };
    }
}

/// Sleeps while the word, which other processes share, has this value: FUTEX_WAIT of futex(2). ETIMEDOUT after
/// `timeout`.
pub fn futex_wait(word: &AtomicU32, value: u32, timeout: Duration) -> Result<(), Errno> {
    let timeout = libc::timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    // SAFETY: the word and the time are valid during the call, and the kernel only reads them.
    let result =
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, value, &raw const timeout) };
    Errno::result(result).map(drop)
}

/// Wakes all who sleep on the word.
pub fn futex_wake(word: &AtomicU32) {
    // SAFETY: the word is valid during the call; the kernel does not even read it.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
}
