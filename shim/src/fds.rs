//! Which vnode an fd stands for. The table is a cache: an entry counts only while the kernel's device and
//! inode of the fd are those that were seen with it, so nothing that happens to fds behind the shim's back
//! (raw closes, children that share memory) can make it lie. What it does not know, the fd's name in /proc tells.

use crate::hot::HOT;
use crate::init;
use crate::memory;
use crate::raw::{self, Errno};
use crate::text::{PathText, Text, parse_hex16};
use crate::view;
use core::ffi::{c_char, c_int};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use vrift_manifest::VnodeNo;
use vrift_protocol::names;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum FdKind {
    View(VnodeNo),
    Outside,
}

/// A directory that paths are relative to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum BaseKind {
    View(VnodeNo),
    Outside,
    /// Outside, and neither the view nor a directory above it: a name in it is outside too.
    Apart,
}

/// Fds with a place in the table; others are looked up each time.
const TABLE_LEN: usize = 16 * 1024;
/// In place of a vnode: the fd is not the view's.
const OUTSIDE: u64 = u64::MAX;

/// An entry that stays as it is is not written: a page that this process shares with its origin would be copied.
struct Entry {
    /// 0: unknown.
    vnode: AtomicU64,
    /// The kernel's inode of the fd; 0: not seen yet.
    inode: AtomicU64,
    /// The round of [`Few::round`] in which the kernel said that it is this directory; see [`identify_dir`].
    seen: AtomicU64,
}

impl Entry {
    const fn new() -> Entry {
        Entry { vnode: AtomicU64::new(0), inode: AtomicU64::new(0), seen: AtomicU64::new(0) }
    }

    fn vnode(&self) -> u64 {
        self.vnode.load(Ordering::Relaxed)
    }

    fn inode(&self) -> u64 {
        self.inode.load(Ordering::Relaxed)
    }

    /// What the fd is by now; no kernel's answer is remembered of it.
    fn set(&self, vnode: u64, inode: u64) {
        put(&self.seen, 0);
        put(&self.inode, inode);
        put(&self.vnode, vnode);
    }
}

fn put(to: &AtomicU64, value: u64) {
    if to.load(Ordering::Relaxed) != value {
        to.store(value, Ordering::Relaxed);
    }
}

/// The places of all but the first fds.
pub struct Table([Entry; TABLE_LEN]);

/// The first fds, which need no [`memory`].
const FEW: usize = 20;
pub struct Few {
    entries: [Entry; FEW],
    /// Raised when many fds are closed at a time.
    round: AtomicU64,
    /// Whether the table has an entry: else a page of it is not touched by who closes an fd without a place here.
    has_more: AtomicBool,
}

impl Few {
    pub const fn new() -> Few {
        Few {
            entries: [const { Entry::new() }; FEW],
            round: AtomicU64::new(1),
            has_more: AtomicBool::new(false),
        }
    }
}

fn entry(fd: c_int) -> Option<&'static Entry> {
    let fd = usize::try_from(fd).ok()?;
    HOT.fds.entries.get(fd).or_else(|| {
        let entry = memory::get().ok()?.fds.0.get(fd)?;
        HOT.fds.has_more.store(true, Ordering::Relaxed);
        Some(entry)
    })
}

/// None as well while nothing was remembered of an fd.
fn existing_entry(fd: c_int) -> Option<&'static Entry> {
    let fd = usize::try_from(fd).ok()?;
    HOT.fds.entries.get(fd).or_else(|| {
        let memory = memory::existing().filter(|_| HOT.fds.has_more.load(Ordering::Relaxed))?;
        memory.fds.0.get(fd)
    })
}

/// After an open in the view.
pub fn opened(fd: c_int, vnode: VnodeNo) {
    if is_unnamed(vnode) {
        return forget(fd);
    }
    if let Some(entry) = entry(fd) {
        entry.set(vnode.0, 0);
    }
}

/// After an open of what is surely not the view's.
pub fn opened_outside(fd: c_int) {
    if let Some(entry) = entry(fd) {
        entry.set(OUTSIDE, 0);
    }
}

/// An unnamed file becomes a vnode, perhaps in another process: its number is never remembered.
pub fn is_unnamed(vnode: VnodeNo) -> bool {
    vnode.0 & vrift_protocol::vnode_op::UNNAMED != 0
}

/// After a close, or an open outside.
pub fn forget(fd: c_int) {
    if let Some(entry) = existing_entry(fd)
        && entry.vnode() != 0
    {
        entry.set(0, entry.inode());
    }
}

/// Before many fds are closed.
pub fn doubt_all() {
    HOT.fds.round.fetch_add(1, Ordering::Relaxed);
}

/// After dup(2) and its kin.
pub fn copied(from: c_int, to: c_int) {
    if let (Some(from), Some(to)) = (existing_entry(from), existing_entry(to)) {
        to.set(from.vnode(), from.inode());
    }
}

/// What `fd` stands for; [`FdKind::Outside`] also for an fd that is not open.
pub fn identify(fd: c_int) -> FdKind {
    if !init::in_view() || fd < 0 {
        return FdKind::Outside;
    }
    match raw::fstat(fd) {
        Ok(stat) => identify_with(fd, &stat),
        Err(_) => FdKind::Outside,
    }
}

/// As [`identify`], for the directory that a path is relative to. Tools that walk trees give the same one for each name
/// in it, so the kernel is asked once: until the fd is closed, replaced or opened anew by a call of the C library.
pub fn identify_dir(fd: c_int) -> BaseKind {
    let round = HOT.fds.round.load(Ordering::Relaxed);
    if let Some(entry) = existing_entry(fd)
        && entry.seen.load(Ordering::Relaxed) == round
    {
        return match entry.vnode() {
            OUTSIDE => BaseKind::Apart,
            vnode => BaseKind::View(VnodeNo(vnode)),
        };
    }
    if !init::in_view() || fd < 0 {
        return BaseKind::Outside;
    }
    let Ok(stat) = raw::fstat(fd) else { return BaseKind::Outside };
    let FdKind::View(vnode) = identify_with(fd, &stat) else { return BaseKind::Outside };
    if stat.st_mode & libc::S_IFMT == libc::S_IFDIR {
        seen_in_round(fd, vnode.0, round);
    }
    BaseKind::View(vnode)
}

/// A child that shares memory has fds of its own: what it sees is not its parent's.
fn seen_in_round(fd: c_int, vnode: u64, round: u64) {
    if !crate::line::shares_memory()
        && let Some(entry) = existing_entry(fd)
        && entry.vnode() == vnode
    {
        entry.seen.store(round, Ordering::Relaxed);
    }
}

/// After [`identify_dir`] said that a directory is outside, and its name that it is [`BaseKind::Apart`].
pub fn is_apart(fd: c_int) {
    seen_in_round(fd, OUTSIDE, HOT.fds.round.load(Ordering::Relaxed));
}

/// As [`identify`], when the kernel's stat of the fd is known already.
pub fn identify_with(fd: c_int, stat: &libc::stat) -> FdKind {
    if !matches!(stat.st_mode & libc::S_IFMT, libc::S_IFREG | libc::S_IFDIR | libc::S_IFIFO | libc::S_IFLNK)
        // As long as the index is not mapped, a look at the fd's name is cheaper than the state folder's device.
        || view::is_mapped() && stat.st_dev != view::home_device()
    {
        return FdKind::Outside;
    }
    let cached = entry(fd);
    if let Some(entry) = cached {
        let (vnode, inode) = (entry.vnode(), entry.inode());
        if vnode != 0 && (inode == stat.st_ino || inode == 0) {
            put(&entry.inode, stat.st_ino);
            return if vnode == OUTSIDE { FdKind::Outside } else { FdKind::View(VnodeNo(vnode)) };
        }
    }
    let kind = from_name(fd).unwrap_or(FdKind::Outside);
    if let Some(entry) = cached
        && !matches!(kind, FdKind::View(vnode) if is_unnamed(vnode))
    {
        let vnode = match kind {
            FdKind::View(vnode) => vnode.0,
            FdKind::Outside => OUTSIDE,
        };
        put(&entry.inode, stat.st_ino);
        put(&entry.vnode, vnode);
    }
    kind
}

/// Whether an fd is a directory's, by the kernel: mirror folders are real ones.
pub fn is_dir(fd: c_int) -> bool {
    raw::fstat(fd).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFDIR)
}

/// Whether the kernel's file behind an fd, or a link to one in /proc, is a directory.
///
/// # Safety
/// `path` is a C string.
pub unsafe fn is_dir_at(dirfd: c_int, path: *const c_char) -> bool {
    // SAFETY: by contract.
    let path = unsafe { core::ffi::CStr::from_ptr(path) };
    match path.is_empty() {
        true => is_dir(dirfd),
        false => raw::stat(path).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFDIR),
    }
}

/// The kernel's name of an fd.
pub fn path_of<const N: usize>(fd: c_int, path: &mut Text<N>) -> Result<(), Errno> {
    let mut link: Text<32> = Text::from_parts(&[b"/proc/self/fd/"]);
    link.push_decimal(fd.max(0) as u64);
    raw::readlink_text(link.as_c_str(), path)
}

#[inline(never)]
fn from_name(fd: c_int) -> Result<FdKind, Errno> {
    let mut path = PathText::new();
    path_of(fd, &mut path)?;
    let path = path.as_bytes();
    let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
    Ok(vnode_of_real_path(path)?.map_or(FdKind::Outside, FdKind::View))
}

/// Whether a path has a folder of this name in it: others need no look at the index.
pub fn has_folder(path: &[u8], name: &str) -> bool {
    let is_it = |part: &[u8]| part == name.as_bytes();
    path.split(|byte| *byte == b'/').any(is_it)
}

/// The vnode that a real path below the state folder stands for: a mirror folder or an exec link in it, a
/// staging file, or a vnode's name of a sealed blob.
pub fn vnode_of_real_path(path: &[u8]) -> Result<Option<VnodeNo>, Errno> {
    if let Some(vnode) = mirror_vnode(path)? {
        return Ok(Some(vnode));
    }
    if has_folder(path, names::STAGING_DIR)
        && let Some(name) = view::below_workspace(names::STAGING_DIR, path)?
    {
        return Ok(parse_hex16(name).map(VnodeNo));
    }
    if has_folder(path, names::HOT_DIR)
        && let Some(name) = view::below_home(names::HOT_DIR, path)?
    {
        // HH/HASH.VNODE
        return Ok(name.get(3 + 64 + 1..).and_then(parse_hex16).map(VnodeNo));
    }
    Ok(None)
}

/// The vnode of a mirror folder, or of an exec link in one.
pub fn mirror_vnode(path: &[u8]) -> Result<Option<VnodeNo>, Errno> {
    if !has_folder(path, names::MIRROR_DIR) {
        return Ok(None);
    }
    let Some(rest) = view::below_workspace(names::MIRROR_DIR, path)? else { return Ok(None) };
    let Some(dir) = rest.get(..16).and_then(parse_hex16).map(VnodeNo) else { return Ok(None) };
    match rest.get(17..) {
        None => Ok(Some(dir)),
        Some(name) => view::read(|reader| {
            let slot = reader.lookup(reader.slot(dir)?, name)?;
            Some(reader.vnode(slot))
        }),
    }
}
