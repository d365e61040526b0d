//! readdir(3) in its four forms, and getdents64.
//!
//! getdents64 has no stream: its position is the kernel's offset of the mirror folder's fd, so it is shared by
//! all copies of the fd, lseek(2) works on it and it survives exec. Between two calls the listing is kept in
//! a small table. One that has been pushed out of there, or that another process began, is taken anew and
//! gone on with at the same offset: then what was made or removed meanwhile may shift what follows.

use super::hook;
use crate::errno;
use crate::fds::{self, FdKind};
use crate::init;
use crate::raw::{self, Errno};
use crate::real::real;
use crate::stream::{Listing, Stream};
use core::cell::UnsafeCell;
use core::ffi::{c_char, c_int, c_void};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, Ordering};
use libc::{DIR, dirent64, size_t, ssize_t};
use vrift_manifest::VnodeNo;

macro_rules! readdir_hooks {
    ($($name:ident)*) => {$(
        hook! {
            fn $name(dir: *mut DIR) -> *mut dirent64 {
                // SAFETY: C's argument.
                let Some(stream) = (unsafe { Stream::of(dir) }) else {
                    return real!($name(dir: *mut DIR) -> *mut dirent64);
                };
                match stream.next() {
                    Ok(Some(entry)) => entry,
                    Ok(None) => null_mut(),
                    Err(errno) => {
                        errno::set(errno);
                        null_mut()
                    }
                }
            }
        }
    )*};
}

readdir_hooks! { readdir readdir64 }

macro_rules! readdir_r_hooks {
    ($($name:ident)*) => {$(
        hook! {
            /// Returns the error instead of setting errno.
            fn $name(dir: *mut DIR, to: *mut dirent64, result: *mut *mut dirent64) -> c_int {
                // SAFETY: C's argument.
                let Some(stream) = (unsafe { Stream::of(dir) }) else {
                    return real!($name(dir: *mut DIR, to: *mut dirent64, result: *mut *mut dirent64) -> c_int);
                };
                let (entry, errno) = match stream.next() {
                    Ok(Some(entry)) => (entry, 0),
                    Ok(None) => (null_mut(), 0),
                    Err(errno) => (null_mut(), errno),
                };
                // SAFETY: C's arguments; no record is longer than the struct.
                unsafe {
                    if entry.is_null() {
                        *result = null_mut();
                    } else {
                        let len = usize::from((*entry).d_reclen);
                        to.cast::<u8>().copy_from_nonoverlapping(entry.cast(), len);
                        *result = to;
                    }
                }
                errno
            }
        }
    )*};
}

readdir_r_hooks! { readdir_r readdir64_r }

/// Directories that are being read by getdents64 at the same time, as a rule: one.
const KEPT: usize = 4;

struct Kept {
    fd: c_int,
    /// VnodeNo(0): nothing is kept here.
    dir: VnodeNo,
    listing: Listing,
}

struct Table {
    kept: [Kept; KEPT],
    /// Who is pushed out next.
    next: usize,
}

struct Shared {
    busy: AtomicBool,
    table: UnsafeCell<Table>,
}
// SAFETY: only who has set `busy` looks at the table.
unsafe impl Sync for Shared {}

static SHARED: Shared = Shared {
    busy: AtomicBool::new(false),
    table: UnsafeCell::new(Table {
        kept: [const { Kept { fd: -1, dir: VnodeNo(0), listing: Listing::new() } }; KEPT],
        next: 0,
    }),
};

impl Table {
    fn place(&mut self, fd: c_int, dir: VnodeNo) -> Option<&mut Kept> {
        let which = match self.kept.iter().position(|kept| kept.fd == fd && kept.dir == dir) {
            Some(which) => which,
            None => {
                self.next = (self.next + 1) % KEPT;
                self.next
            }
        };
        self.kept.get_mut(which)
    }
}

/// Copies the whole records from `at` on that fit; where the next ones start.
fn copy_out(listing: &Listing, mut at: usize, to: &mut [u8]) -> Result<(usize, usize), Errno> {
    at = listing.boundary(at);
    let mut len = 0;
    while let Some(record) = listing.record(at) {
        let bytes = listing.bytes_of(&record);
        match to.get_mut(len..len + bytes.len()) {
            Some(room) => room.copy_from_slice(bytes),
            None if len == 0 => return Err(libc::EINVAL),
            None => break,
        }
        len += bytes.len();
        at = record.end;
    }
    Ok((len, at))
}

/// getdents64(2) on an fd; None: it is not the view's.
pub fn entries_of(fd: c_int, to: &mut [u8]) -> Option<Result<usize, Errno>> {
    if !init::in_view() {
        return None;
    }
    let stat = raw::fstat(fd).ok()?;
    let FdKind::View(dir) = fds::identify_with(fd, &stat) else { return None };
    if stat.st_mode & libc::S_IFMT != libc::S_IFDIR {
        return Some(Err(libc::ENOTDIR));
    }
    Some(read_on(fd, dir, to))
}

fn read_on(fd: c_int, dir: VnodeNo, to: &mut [u8]) -> Result<usize, Errno> {
    if !crate::view::read(|reader| reader.slot(dir).is_some())? {
        return Err(libc::ENOENT);
    }
    // An fd of O_PATH says EBADF here, as it does to getdents64.
    let at = raw::lseek(fd, 0, libc::SEEK_CUR)? as usize;
    // Nobody waits for the table: its owner may be the thread that this signal handler interrupted, or one
    // that does not exist in this child of fork(2).
    let free = SHARED.busy.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok();
    let result = if free {
        // SAFETY: `busy` is ours.
        let table = unsafe { &mut *SHARED.table.get() };
        let result = from_table(table, fd, dir, at, to);
        SHARED.busy.store(false, Ordering::Release);
        result
    } else {
        let mut listing = Listing::new();
        listing.take(dir).and_then(|()| copy_out(&listing, at, to))
    };
    let (len, end) = result?;
    if end != at {
        raw::lseek(fd, end as i64, libc::SEEK_SET)?;
    }
    Ok(len)
}

fn from_table(
    table: &mut Table,
    fd: c_int,
    dir: VnodeNo,
    at: usize,
    to: &mut [u8],
) -> Result<(usize, usize), Errno> {
    let kept = table.place(fd, dir).ok_or(libc::EIO)?;
    if at == 0 || kept.fd != fd || kept.dir != dir {
        kept.dir = VnodeNo(0);
        kept.listing.take(dir)?;
        (kept.fd, kept.dir) = (fd, dir);
    }
    let (len, end) = copy_out(&kept.listing, at, to)?;
    if len == 0 {
        // The end was seen: nobody comes back for the rest.
        (kept.fd, kept.dir, kept.listing) = (-1, VnodeNo(0), Listing::new());
    }
    Ok((len, end))
}

hook! {
    fn getdents64(fd: c_int, to: *mut c_void, len: size_t) -> ssize_t {
        let entries = if to.is_null() || len > isize::MAX as usize {
            None
        } else {
            // SAFETY: C's arguments.
            entries_of(fd, unsafe { core::slice::from_raw_parts_mut(to.cast(), len) })
        };
        match entries {
            Some(Ok(read)) => read as ssize_t,
            Some(Err(errno)) => errno::fail(errno) as ssize_t,
            None => real!(getdents64(fd: c_int, to: *mut c_void, len: size_t) -> ssize_t),
        }
    }
}

macro_rules! getdirentries_hooks {
    ($($name:ident)*) => {$(
        hook! {
            /// getdents64 that says where it began.
            fn $name(fd: c_int, to: *mut c_char, len: size_t, position: *mut i64) -> ssize_t {
                let at = match raw::lseek(fd, 0, libc::SEEK_CUR) {
                    Ok(at) => at as i64,
                    Err(errno) => return errno::fail(errno) as ssize_t,
                };
                // SAFETY: C's arguments.
                let read = unsafe { getdents64(fd, to.cast(), len) };
                if read >= 0 && !position.is_null() {
                    // SAFETY: C's argument.
                    unsafe { position.write(at) };
                }
                read
            }
        }
    )*};
}

getdirentries_hooks! { getdirentries getdirentries64 }
