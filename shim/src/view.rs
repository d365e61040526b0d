//! The mapped index of this process's workspace, and the real paths that stand for its vnodes.

use crate::memory;
use crate::raw::{self, Errno};
use crate::text::{PATH_MAX, PathText, Text, hex};
use crate::{handle, init, roll};
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use vrift_manifest::sys::Window;
use vrift_manifest::{Reader, VnodeNo};
use vrift_protocol::frame::RECONNECT_TIMEOUT_MS;
use vrift_protocol::{counters, names};

/// Generations of the index that one process may map: each at least half as large again in some table or
/// cleared of dead names; a process that outlives more gets EIO rather than unbounded mappings.
const GENERATIONS_MAX: usize = 1024;

/// What does not change over generations. The longest part is the last: what is used of it is in one page.
#[repr(C)]
struct Fixed {
    workspace: Text<16>,
    /// Device of the state folder; 0: not asked yet.
    home_device: AtomicU64,
    counters: Window,
    line: roll::Line,
    home: PathText,
}

struct Slot(UnsafeCell<MaybeUninit<Reader>>);
// SAFETY: a slot is written once under LOCK before its pointer is published.
unsafe impl Sync for Slot {}
struct FixedCell(UnsafeCell<MaybeUninit<Fixed>>);
// SAFETY: as above.
unsafe impl Sync for FixedCell {}

/// The mapped generations of the index, and what they have in common.
#[repr(C)]
pub struct Generations {
    /// In the page of what most processes need.
    first: Slot,
    fixed: FixedCell,
    more: [Slot; GENERATIONS_MAX - 1],
}

impl Generations {
    fn slot(&self, number: usize) -> Option<&Slot> {
        match number {
            0 => Some(&self.first),
            _ => self.more.get(number - 1),
        }
    }
}

static CURRENT: AtomicPtr<Reader> = AtomicPtr::new(core::ptr::null_mut());
static USED: AtomicUsize = AtomicUsize::new(0);
static LOCK: AtomicUsize = AtomicUsize::new(0);

/// The current generation of the index.
pub fn index() -> Result<&'static Reader, Errno> {
    let current = CURRENT.load(Ordering::Acquire);
    // SAFETY: published readers stay for the life of the process.
    if let Some(reader) = unsafe { current.as_ref() }
        && !reader.is_retired()
    {
        return Ok(reader);
    }
    remap()
}

/// Whether this process has looked at the index.
pub fn is_mapped() -> bool {
    !CURRENT.load(Ordering::Acquire).is_null()
}

/// Runs `look` on one consistent state of the index, over daemon restarts and growth.
pub fn read<T>(mut look: impl FnMut(&Reader) -> T) -> Result<T, Errno> {
    let mut deadline_ns = 0;
    loop {
        if let Some(result) = index()?.read(&mut look) {
            return Ok(result);
        }
        // The writer lost its processor, or died inside a write: then a new generation will come.
        let now_ns = raw::now_ns();
        if deadline_ns == 0 {
            deadline_ns = now_ns + RECONNECT_TIMEOUT_MS as i64 * 1_000_000;
        } else if now_ns > deadline_ns {
            init::complain(&[
                b"the daemon is gone and the index is not consistent: see 'vrift daemon status'",
            ]);
            return Err(libc::EIO);
        }
        raw::sched_yield();
        raw::sleep_us(100);
    }
}

#[cold]
fn remap() -> Result<&'static Reader, Errno> {
    let me = crate::errno::thread_id();
    while let Err(owner) = LOCK.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed) {
        if owner == me {
            // A signal handler in the middle of this function: the old generation still answers.
            // SAFETY: published readers stay for the life of the process.
            return unsafe { CURRENT.load(Ordering::Acquire).as_ref() }.ok_or(libc::EIO);
        }
        raw::sched_yield();
    }
    let result = map_current();
    LOCK.store(0, Ordering::Release);
    result
}

fn map_current() -> Result<&'static Reader, Errno> {
    let mut deadline_ns = 0;
    let mut may_wait = || {
        let now_ns = raw::now_ns();
        if deadline_ns == 0 {
            deadline_ns = now_ns + RECONNECT_TIMEOUT_MS as i64 * 1_000_000;
        }
        now_ns < deadline_ns
    };
    loop {
        // SAFETY: published readers stay for the life of the process.
        if let Some(reader) = unsafe { CURRENT.load(Ordering::Acquire).as_ref() }
            && !reader.is_retired()
        {
            return Ok(reader);
        }
        match map_file() {
            Ok(reader) if !reader.is_retired() => return publish(reader),
            Ok(_) | Err(libc::ENOENT) if may_wait() => raw::sleep_us(1_000),
            Ok(_) => {
                init::complain(&[b"the index is retired and no other came: see 'vrift daemon status'"]);
                return Err(libc::EIO);
            }
            Err(errno) => {
                let runtime = init::settings().runtime.as_bytes();
                init::complain(&[b"no usable index in ", runtime, b": start again with 'vrift run'"]);
                return Err(if errno == libc::EMFILE { errno } else { libc::EIO });
            }
        }
    }
}

fn map_file() -> Result<Reader, Errno> {
    let (base, len) = map_path(names::INDEX_FILE, libc::O_RDONLY, libc::PROT_READ, None)?;
    // SAFETY: a shared read-only mapping of this length, which is never unmapped.
    Reader::new(unsafe { Window::new(base, len) }).map_err(|_| libc::EIO)
}

fn map_path(name: &str, flags: i32, protection: i32, len: Option<usize>) -> Result<(*mut u8, usize), Errno> {
    let flags = flags | libc::O_CLOEXEC;
    let opened = match open_in_runtime::<256>(name, flags) {
        Err(libc::ENAMETOOLONG) => open_in_runtime::<PATH_MAX>(name, flags),
        opened => opened,
    };
    let fd = match opened {
        Err(libc::EACCES) => handle::opened_by_daemon(name, flags)?,
        opened => opened?,
    };
    let mapped = match len {
        Some(len) => Ok(len),
        None => raw::fstat(fd).map(|stat| stat.st_size as usize),
    }
    .and_then(|len| raw::map_file(fd, len, protection).map(|base| (base, len)));
    raw::close(fd);
    mapped
}

/// With room for so long a path: most are short, and the stack's pages are not touched in vain.
#[inline(never)]
fn open_in_runtime<const LEN: usize>(name: &str, flags: i32) -> Result<i32, Errno> {
    let path: Text<LEN> = Text::from_parts(&[init::settings().runtime.as_bytes(), b"/", name.as_bytes()]);
    if path.overflowed() { Err(libc::ENAMETOOLONG) } else { raw::open(path.as_c_str(), flags) }
}

/// Called under LOCK.
fn publish(reader: Reader) -> Result<&'static Reader, Errno> {
    let used = USED.load(Ordering::Relaxed);
    let generations = &memory::get()?.generations;
    let slot = generations.slot(used).ok_or(libc::EIO)?;
    if used == 0 {
        set_fixed(&reader, &generations.fixed)?;
    }
    // SAFETY: slot `used` is not published yet and LOCK is held; afterwards it is only read.
    let reader = unsafe { (*slot.0.get()).write(reader) };
    USED.store(used + 1, Ordering::Relaxed);
    CURRENT.store(reader, Ordering::Release);
    Ok(reader)
}

fn set_fixed(reader: &Reader, fixed: &FixedCell) -> Result<(), Errno> {
    // SAFETY: nothing is published yet and LOCK is held; zeros are an empty text.
    let home = unsafe { &mut (*(*fixed.0.get()).as_mut_ptr()).home };
    if !home.fill_len(reader.home_len(), |to| reader.home(to).is_some()) {
        return Err(libc::EIO);
    }
    let mut workspace = Text::new();
    let mut digits = [0u8; 8];
    hex(&reader.workspace().to_be_bytes(), &mut digits);
    workspace.push(&digits);
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let len = vrift_protocol::roll::FILE_LEN;
    // Behind the page the file may end: nothing is read or written there before the page says that it does not.
    let (base, len) = map_path(names::COUNTERS_FILE, libc::O_RDWR, protection, Some(len))?;
    // SAFETY: a shared writable mapping of this length, which is never unmapped.
    let counters = unsafe { Window::new(base, len) };
    counters.add_u64(counters::PROCESSES, 1);
    let line = roll::Line::begin(&counters);
    // SAFETY: as above; `home_device` begins as zero.
    unsafe {
        let fixed = (*fixed.0.get()).as_mut_ptr();
        (&raw mut (*fixed).workspace).write(workspace);
        (&raw mut (*fixed).counters).write(counters);
        (&raw mut (*fixed).line).write(line);
    }
    Ok(())
}

/// Calls `with` for the counters of a process that may never look at the index.
pub fn with_counters<T>(with: impl FnOnce(&Window) -> T) -> Result<T, Errno> {
    let len = counters::COUNTERS_LEN;
    let fd = open_in_runtime::<256>(names::COUNTERS_FILE, libc::O_RDWR | libc::O_CLOEXEC)?;
    let mapped = raw::map_file(fd, len, libc::PROT_READ | libc::PROT_WRITE);
    raw::close(fd);
    let base = mapped?;
    // SAFETY: a shared writable mapping of this length until the end of this function.
    let result = with(&unsafe { Window::new(base, len) });
    // SAFETY: nobody else knows of it.
    unsafe { raw::unmap(base, len) };
    Ok(result)
}

fn fixed() -> Result<&'static Fixed, Errno> {
    index()?;
    // SAFETY: written before the first index was published.
    Ok(unsafe { (*memory::get()?.generations.fixed.0.get()).assume_init_ref() })
}

/// This process's line in the roll, if it has looked at the index; maps nothing.
pub fn line() -> Option<(&'static Window, &'static roll::Line)> {
    let memory = memory::existing().filter(|_| is_mapped())?;
    // SAFETY: written before the first index was published.
    let fixed = unsafe { (*memory.generations.fixed.0.get()).assume_init_ref() };
    Some((&fixed.counters, &fixed.line))
}

/// Adds one to a counter of `vrift_protocol::counters`.
pub fn count(counter: usize) {
    if let Ok(fixed) = fixed() {
        fixed.counters.add_u64(counter, 1);
    }
}

/// Raises a counter of `vrift_protocol::counters` that keeps the largest value.
#[cold]
pub fn raise(counter: usize, value: u64) {
    if let Ok(fixed) = fixed() {
        fixed.counters.raise_u64(counter, value);
    }
}

/// The workspace's number.
pub fn workspace() -> Result<u32, Errno> {
    index().map(Reader::workspace)
}

/// st_dev of everything in the view: a major number that the kernel gives to nobody.
pub fn device() -> u64 {
    const MAJOR: u32 = 3950;
    libc::makedev(MAJOR, workspace().unwrap_or(0))
}

/// Device of the state folder: only fds on it can be the view's.
pub fn home_device() -> u64 {
    let Ok(fixed) = fixed() else { return 0 };
    match fixed.home_device.load(Ordering::Relaxed) {
        0 => {
            let device = match raw::stat(fixed.home.as_c_str()) {
                Err(libc::EACCES) => handle::opened_by_daemon("home", libc::O_PATH | libc::O_CLOEXEC)
                    .and_then(|fd| raw::fstat(fd).inspect(|_| raw::close(fd))),
                stat => stat,
            };
            let device = device.map_or(0, |stat| stat.st_dev);
            fixed.home_device.store(device, Ordering::Relaxed);
            device
        }
        device => device,
    }
}

/// HOME/DIR/, into a text of the caller's: a text is too large to be handed around on the way of every call.
fn under_home(dir: &str, path: &mut PathText) -> Result<(), Errno> {
    path.clear();
    path.push(fixed()?.home.as_bytes());
    path.push(b"/");
    path.push(dir.as_bytes());
    path.push(b"/");
    Ok(())
}

fn under_workspace(dir: &str, path: &mut PathText) -> Result<(), Errno> {
    under_home(dir, path)?;
    path.push(fixed()?.workspace.as_bytes());
    path.push(b"/");
    Ok(())
}

/// HOME/hot/HH/HASH: the blob under its own name.
pub fn blob_path_into(hash: &[u8; 32], path: &mut PathText) -> Result<(), Errno> {
    let mut digits = [0u8; 64];
    hex(hash, &mut digits);
    under_home(names::HOT_DIR, path)?;
    path.push(&digits[..2]);
    path.push(b"/");
    path.push(&digits);
    Ok(())
}

/// HOME/hot/HH/HASH.VNODE: a vnode's own name of its sealed bytes, so that an fd of them names the vnode.
pub fn hot_path_into(hash: &[u8; 32], vnode: VnodeNo, path: &mut PathText) -> Result<(), Errno> {
    blob_path_into(hash, path)?;
    path.push(b".");
    path.push_hex16(vnode.0);
    Ok(())
}

/// HOME/staging/WS/VNODE
pub fn staging_path_into(vnode: VnodeNo, path: &mut PathText) -> Result<(), Errno> {
    under_workspace(names::STAGING_DIR, path)?;
    path.push_hex16(vnode.0);
    Ok(())
}

/// HOME/mirror/WS/VNODE
pub fn mirror_path_into(vnode: VnodeNo, path: &mut PathText) -> Result<(), Errno> {
    under_workspace(names::MIRROR_DIR, path)?;
    path.push_hex16(vnode.0);
    Ok(())
}

/// A path by value, for calls that are rare.
fn made(fill: impl FnOnce(&mut PathText) -> Result<(), Errno>) -> Result<PathText, Errno> {
    let mut path = PathText::new();
    fill(&mut path)?;
    Ok(path)
}

pub fn mirror_path(vnode: VnodeNo) -> Result<PathText, Errno> {
    made(|path| mirror_path_into(vnode, path))
}

/// What comes behind HOME/DIR/WS/ in a path.
pub fn below_workspace<'a>(dir: &str, path: &'a [u8]) -> Result<Option<&'a [u8]>, Errno> {
    let workspace = fixed()?.workspace.as_bytes();
    let rest = below_home(dir, path)?;
    Ok(rest.and_then(|rest| rest.strip_prefix(workspace)).and_then(|rest| rest.strip_prefix(b"/")))
}

/// What comes behind HOME/DIR/ in a path.
pub fn below_home<'a>(dir: &str, path: &'a [u8]) -> Result<Option<&'a [u8]>, Errno> {
    let rest = path.strip_prefix(fixed()?.home.as_bytes()).and_then(|rest| rest.strip_prefix(b"/"));
    Ok(rest.and_then(|rest| rest.strip_prefix(dir.as_bytes())).and_then(|rest| rest.strip_prefix(b"/")))
}

/// HOME/staging/WS/
pub fn staging_prefix() -> Result<PathText, Errno> {
    made(|path| under_workspace(names::STAGING_DIR, path))
}

/// HOME/hot/
pub fn hot_prefix() -> Result<PathText, Errno> {
    made(|path| under_home(names::HOT_DIR, path))
}

/// The view path of a vnode, from its names.
pub fn path_of(vnode: VnodeNo, path: &mut PathText) -> Result<(), Errno> {
    read(|reader| {
        let mut slot = reader.slot(vnode).ok_or(libc::ENOENT)?;
        let mut at = 4096usize;
        let mut bytes = [0u8; 4096];
        let mut name = [0u8; 256];
        while let Some((parent, dentry)) = reader.naming_dentry(slot) {
            let len = reader.name(dentry, &mut name);
            at = at.checked_sub(len + 1).ok_or(libc::ENAMETOOLONG)?;
            bytes[at] = b'/';
            bytes[at + 1..at + 1 + len].copy_from_slice(&name[..len]);
            slot = parent;
        }
        if slot != vrift_manifest::ROOT.slot() {
            return Err(libc::ENOENT);
        }
        path.clear();
        path.push(init::settings().view.as_bytes());
        path.push(&bytes[at..]);
        if path.overflowed() { Err(libc::ENAMETOOLONG) } else { Ok(()) }
    })?
}
