//! Directory streams of the view: a listing in memory, laid out as the kernel's records, and the object that
//! stands for it as C's DIR.
//!
//! A listing is one consistent state of the directory, taken at the first read after opening or rewinding.
//! What is removed later may still be returned, what is made later is not, as POSIX allows; a position
//! (d_off, telldir) is the offset in bytes of the record behind it and means something for that listing only.

use crate::content;
use crate::fds;
use crate::heap::{self, List};
use crate::init;
use crate::raw::{self, Errno};
use crate::resolve::Attr;
use crate::text::PathText;
use crate::view;
use core::ffi::c_int;
use core::mem::offset_of;
use libc::{DIR, dirent64};
use vrift_manifest::types::S_IFMT;
use vrift_manifest::{ROOT, Reader, VnodeNo};

/// What an object of ours begins with. glibc's begins with an fd and a lock, two small numbers.
const MAGIC: u64 = 0x5652_4654_5f44_4952;

const INODE_AT: usize = offset_of!(dirent64, d_ino);
const NEXT_AT: usize = offset_of!(dirent64, d_off);
const LEN_AT: usize = offset_of!(dirent64, d_reclen);
const KIND_AT: usize = offset_of!(dirent64, d_type);
const NAME_AT: usize = offset_of!(dirent64, d_name);
const NAME_MAX: usize = 255;
/// Callers copy whole structs, beyond the record's own length.
const BEYOND: usize = size_of::<dirent64>();
/// A record whose name has up to twelve bytes, which most have.
const USUAL_LEN: usize = 32;
/// The most that an index can hold, with room to spare: a loop that wants more has gone wrong.
const LISTING_MAX: usize = 1 << 34;

/// The entries of one directory.
pub struct Listing {
    /// Records, then [`BEYOND`] bytes.
    bytes: List<u8>,
    len: usize,
}

/// One record of a listing.
pub struct Record {
    pub at: usize,
    /// Where the next one starts.
    pub end: usize,
}

impl Listing {
    pub const fn new() -> Listing {
        Listing { bytes: List::new(), len: 0 }
    }

    /// Lists a directory as it is now. A directory that was removed has no entries, not even `.` and `..`.
    pub fn take(&mut self, dir: VnodeNo) -> Result<(), Errno> {
        let above_root = if dir == ROOT { inode_above_view() } else { 0 };
        let count = view::read(|reader| reader.slot(dir).map_or(0, |slot| reader.child_count(slot)))?;
        let mut room =
            (count as usize + 4).saturating_mul(USUAL_LEN).max(self.bytes.len().saturating_sub(BEYOND));
        while room < LISTING_MAX {
            self.len = 0;
            self.bytes.resize(room + BEYOND, 0)?;
            let to = self.bytes.get_mut(..room).unwrap_or(&mut []);
            if let Some(len) = view::read(|reader| fill(reader, dir, above_root, to))? {
                self.len = len;
                return Ok(());
            }
            room *= 2;
        }
        Err(libc::ENOMEM)
    }

    fn u16_at(&self, at: usize) -> usize {
        match self.bytes.get(at..at + 2) {
            Some(&[low, high]) => usize::from(u16::from_ne_bytes([low, high])),
            _ => 0,
        }
    }

    /// The record at `at`, which is one's start or the end of the listing.
    pub fn record(&self, at: usize) -> Option<Record> {
        let end = at.checked_add(self.u16_at(at + LEN_AT))?;
        (at < end && end <= self.len).then_some(Record { at, end })
    }

    /// The first start of a record that is not before `position`, or the end: positions come from the caller.
    pub fn boundary(&self, position: usize) -> usize {
        let mut at = 0;
        while at < position {
            match self.record(at) {
                Some(record) => at = record.end,
                None => break,
            }
        }
        at
    }

    pub fn bytes_of(&self, record: &Record) -> &[u8] {
        self.bytes.get(record.at..record.end).unwrap_or(&[])
    }

    /// The record as C sees it.
    fn pointer(&mut self, record: &Record) -> *mut dirent64 {
        match self.bytes.get_mut(record.at..) {
            Some(bytes) => bytes.as_mut_ptr().cast(),
            None => core::ptr::null_mut(),
        }
    }
}

/// Writes all records; None: they do not fit.
fn fill(reader: &Reader, dir: VnodeNo, above_root: u64, to: &mut [u8]) -> Option<usize> {
    let Some(slot) = reader.slot(dir) else { return Some(0) };
    let parent = reader.naming_dentry(slot).map_or(above_root, |(parent, _)| reader.vnode(parent).0);
    let mut at = put(to, 0, dir.0, libc::DT_DIR, b".")?;
    at = put(to, at, parent, libc::DT_DIR, b"..")?;
    let mut name = [0u8; NAME_MAX];
    let mut dentry = reader.first_child(slot);
    // Bounded also on a state that is not consistent: each record takes room.
    while dentry != 0 {
        let len = reader.name(dentry, &mut name);
        let child = reader.child(dentry);
        let kind = ((reader.mode(child) & S_IFMT) >> 12) as u8;
        at = put(to, at, reader.vnode(child).0, kind, name.get(..len)?)?;
        dentry = reader.next_child(dentry);
    }
    Some(at)
}

/// Writes one record at `at`; where the next one goes.
fn put(to: &mut [u8], at: usize, inode: u64, kind: u8, name: &[u8]) -> Option<usize> {
    let len = (NAME_AT + name.len() + 1).next_multiple_of(8);
    let record = to.get_mut(at..at + len)?;
    record.fill(0);
    record.get_mut(INODE_AT..INODE_AT + 8)?.copy_from_slice(&inode.to_ne_bytes());
    record.get_mut(NEXT_AT..NEXT_AT + 8)?.copy_from_slice(&((at + len) as u64).to_ne_bytes());
    record.get_mut(LEN_AT..LEN_AT + 2)?.copy_from_slice(&(len as u16).to_ne_bytes());
    *record.get_mut(KIND_AT)? = kind;
    record.get_mut(NAME_AT..NAME_AT + name.len())?.copy_from_slice(name);
    Some(at + len)
}

/// What `..` of the view's root is.
fn inode_above_view() -> u64 {
    let view = init::settings().view.as_bytes();
    let end = view.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    let above: PathText = PathText::from_parts(&[view.get(..end.max(1)).unwrap_or(b"/")]);
    raw::stat(above.as_c_str()).map_or(ROOT.0, |stat| stat.st_ino)
}

/// What opendir(3) returns for a directory of the view.
#[repr(C)]
pub struct Stream {
    magic: u64,
    dir: VnodeNo,
    /// -1: nobody asked for one yet.
    fd: c_int,
    /// Its fd was given and is one of O_PATH, which opens but does not read.
    path_only: bool,
    /// The listing is of this opening or rewinding.
    listed: bool,
    /// Offset of the next record; not checked before the listing is there.
    at: usize,
    listing: Listing,
}

impl Stream {
    /// A stream in the caller's allocator; it owns `fd` if that is not -1.
    pub fn open(dir: VnodeNo, fd: c_int) -> Result<*mut DIR, Errno> {
        let path_only = fd >= 0 && raw::fcntl(fd, libc::F_GETFL, 0)? & libc::O_PATH != 0;
        let stream = heap::allocate(size_of::<Stream>())?.cast::<Stream>();
        let listing = Listing::new();
        let new = Stream { magic: MAGIC, dir, fd, path_only, listed: false, at: 0, listing };
        // SAFETY: new memory of this size.
        unsafe { stream.write(new) };
        Ok(stream.cast())
    }

    /// Our object behind C's pointer; None: it is the C library's.
    ///
    /// # Safety
    /// `dir` is null or an open stream of either kind, used by no other thread meanwhile.
    pub unsafe fn of<'a>(dir: *mut DIR) -> Option<&'a mut Stream> {
        // SAFETY: both kinds are readable and aligned for their first eight bytes.
        if !init::in_view() || dir.is_null() || unsafe { dir.cast::<u64>().read() } != MAGIC {
            return None;
        }
        // SAFETY: the magic is that of our objects alone, and the caller has no other reference.
        Some(unsafe { &mut *dir.cast::<Stream>() })
    }

    /// The next record, valid until the stream is listed anew or closed; None at the end.
    pub fn next(&mut self) -> Result<Option<*mut dirent64>, Errno> {
        if self.path_only {
            return Err(libc::EBADF);
        }
        if !self.listed {
            self.listing.take(self.dir)?;
            self.listed = true;
            self.at = self.listing.boundary(self.at);
        }
        let Some(record) = self.listing.record(self.at) else { return Ok(None) };
        self.at = record.end;
        Ok(Some(self.listing.pointer(&record)))
    }

    pub fn tell(&self) -> i64 {
        self.at as i64
    }

    /// Goes to a position; to 0 as rewinddir(3), which shows the directory as it is by then.
    pub fn seek(&mut self, position: i64) {
        let position = usize::try_from(position).unwrap_or(0);
        self.listed &= position != 0;
        self.at = if self.listed { self.listing.boundary(position) } else { position };
    }

    /// The stream's fd, opened when it is first asked for.
    pub fn fd(&mut self) -> Result<c_int, Errno> {
        const FLAGS: c_int = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC | libc::O_NONBLOCK;
        if self.fd < 0 {
            let dir = self.dir;
            let attr = view::read(|reader| reader.slot(dir).map(|slot| Attr::of(reader, slot)))?;
            let fd = content::open_readable(&attr.ok_or(libc::ENOENT)?, FLAGS)?;
            fds::opened(fd, dir);
            self.fd = fd;
        }
        Ok(self.fd)
    }

    /// Takes the object apart; the fd that it had, or -1.
    ///
    /// # Safety
    /// `dir` is one of our objects, and nobody uses it any more.
    pub unsafe fn close(dir: *mut DIR) -> c_int {
        let stream = dir.cast::<Stream>();
        // SAFETY: by contract; the memory is from the same allocator, and the listing is read out before.
        unsafe {
            (*stream).magic = 0;
            let fd = (*stream).fd;
            core::ptr::drop_in_place(stream);
            heap::release(stream);
            fd
        }
    }
}

/// Opens the directory `attr` for reading its entries, as opendir(3) checks it.
pub fn open_checked(attr: &Attr) -> Result<*mut DIR, Errno> {
    if !attr.is_dir() {
        return Err(libc::ENOTDIR);
    }
    if !attr.may(&crate::creds::Creds::effective(), crate::creds::READ) {
        return Err(libc::EACCES);
    }
    // The stream gets its fd when somebody asks for it; that there is a number for one is said now, as by the kernel.
    match raw::event_fd() {
        Ok(fd) => raw::close(fd),
        Err(errno @ (libc::EMFILE | libc::ENFILE)) => return Err(errno),
        Err(_) => {}
    }
    Stream::open(attr.vnode, -1)
}
