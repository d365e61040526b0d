//! fts(3): glibc's walks the real tree from inside itself, so in a view the walk is ours, on both sides of the border.
//!
//! It never changes the working directory, as if FTS_NOCHDIR were given: fts_accpath is the path from where the
//! process is, which is all that the manual lets a program rely on. Each entry has a path of its own, which
//! stays as it is for as long as the entry. What lies deeper than PATH_MAX is FTS_NS or FTS_DNR with
//! ENAMETOOLONG.

use super::dir_read::readdir64;
use super::dirs::{closedir, opendir};
use super::hook;
use crate::errno;
use crate::fts_entry::*;
use crate::heap::{self, List};
use crate::init;
use crate::raw::Errno;
use crate::real::real;
use crate::text::bytes_of;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::null_mut;
use libc::{DT_DIR, DT_UNKNOWN, size_t};

const FTS_COMFOLLOW: c_int = 0x0001;
const FTS_LOGICAL: c_int = 0x0002;
const FTS_NOCHDIR: c_int = 0x0004;
const FTS_NOSTAT: c_int = 0x0008;
const FTS_SEEDOT: c_int = 0x0020;
const FTS_XDEV: c_int = 0x0040;
const FTS_OPTIONMASK: c_int = 0x00ff;
/// The children that are there have names only.
const FTS_NAMEONLY: c_int = 0x0100;
/// Nothing more can be read.
const FTS_STOP: c_int = 0x0200;

type Compare = Option<unsafe extern "C" fn(*mut *const Entry, *mut *const Entry) -> c_int>;

/// FTS of <fts.h>.
#[repr(C)]
pub struct Fts {
    fts_cur: *mut Entry,
    fts_child: *mut Entry,
    fts_array: *mut *mut Entry,
    fts_dev: libc::dev_t,
    fts_path: *mut c_char,
    fts_rfd: c_int,
    fts_pathlen: c_int,
    fts_nitems: c_int,
    fts_compar: Compare,
    fts_options: c_int,
}

/// What children are listed for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// fts_children with FTS_NAMEONLY
    Names,
    /// fts_children
    Children,
    /// Going down
    Read,
}

/// Entries made so far; freed unless they are handed over.
struct Made(List<*mut Entry>);

impl Made {
    /// Sorts and links them; the first, or null.
    fn link(mut self, compare: Compare) -> *mut Entry {
        let entries = &mut self.0;
        if let Some(compare) = compare
            && entries.len() > 1
        {
            let (start, count): (*mut c_void, size_t) = (entries.as_mut_ptr().cast(), entries.len());
            let size: size_t = size_of::<*mut Entry>();
            let compare = compare as *const c_void;
            real!(qsort(start: *mut c_void, count: size_t, size: size_t, compare: *const c_void) -> ());
        }
        let mut next = null_mut();
        while let Some(entry) = entries.pop() {
            // SAFETY: an entry of ours.
            unsafe { (*entry).fts_link = next };
            next = entry;
        }
        next
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        while let Some(entry) = self.0.pop() {
            // SAFETY: made by us and seen by nobody; not linked yet.
            unsafe { heap::release(entry) };
        }
    }
}

impl Fts {
    fn has(&self, option: c_int) -> bool {
        self.fts_options & option != 0
    }

    /// Lists the current directory. Null: there is nothing, or it cannot be read; then, when going down, the directory's
    /// own entry says which.
    ///
    /// # Safety
    /// `fts_cur` is an entry.
    unsafe fn build(&mut self, purpose: Purpose) -> *mut Entry {
        let current = self.fts_cur;
        // SAFETY: by contract.
        unsafe {
            let dir = opendir((*current).fts_accpath);
            if dir.is_null() {
                if purpose == Purpose::Read {
                    ((*current).fts_info, (*current).fts_errno) = (FTS_DNR, errno::get());
                }
                return null_mut();
            }
            let made = self.list(dir, current, purpose);
            closedir(dir);
            match made {
                Ok(made) => {
                    let first = made.link(self.fts_compar);
                    if first.is_null() && purpose == Purpose::Read {
                        (*current).fts_info = FTS_DP;
                    }
                    first
                }
                Err(errno) => {
                    ((*current).fts_info, (*current).fts_errno) = (FTS_ERR, errno);
                    self.fts_options |= FTS_STOP;
                    errno::set(errno);
                    null_mut()
                }
            }
        }
    }

    /// # Safety
    /// `dir` is an open stream, of the directory `current`.
    unsafe fn list(&self, dir: *mut libc::DIR, current: *mut Entry, purpose: Purpose) -> Result<Made, Errno> {
        let mut made = Made(List::new());
        let before = errno::get();
        loop {
            errno::set(0);
            // SAFETY: by contract; an entry's name is a C string.
            unsafe {
                let found = readdir64(dir);
                if found.is_null() {
                    break;
                }
                let name = CStr::from_ptr((&raw const (*found).d_name).cast()).to_bytes();
                if matches!(name, b"." | b"..") && !self.has(FTS_SEEDOT) {
                    continue;
                }
                made.0.reserve(1)?;
                let level = (*current).fts_level.saturating_add(1);
                let entry = make(Some(path_of(current)), name, current, level)?;
                made.0.push(entry)?;
                (*entry).fts_ino = (*found).d_ino;
                let is_known = !matches!((*found).d_type, DT_DIR | DT_UNKNOWN);
                (*entry).fts_info = match purpose {
                    Purpose::Names => FTS_NSOK,
                    _ if self.has(FTS_NOSTAT) && !self.has(FTS_LOGICAL) && is_known => FTS_NSOK,
                    _ => look(entry, self.has(FTS_LOGICAL)),
                };
            }
        }
        match errno::get() {
            0 => {
                errno::set(before);
                Ok(made)
            }
            errno => Err(errno),
        }
    }

    /// The next entry of the walk, in the order of the manual page.
    ///
    /// # Safety
    /// The structure and its entries are as fts_open and this function left them, but for what fts_set and the
    /// caller's own two fields may change.
    unsafe fn read(&mut self) -> *mut Entry {
        let mut at = self.fts_cur;
        if at.is_null() || self.has(FTS_STOP) {
            return null_mut();
        }
        // SAFETY: by contract.
        unsafe {
            let instruction = core::mem::replace(&mut (*at).fts_instr, FTS_NOINSTR);
            if instruction == FTS_AGAIN {
                (*at).fts_info = look(at, self.has(FTS_LOGICAL));
                return at;
            }
            if instruction == FTS_FOLLOW && matches!((*at).fts_info, FTS_SL | FTS_SLNONE) {
                (*at).fts_info = look(at, true);
                return at;
            }
            if (*at).fts_info == FTS_D {
                let skipped = instruction == FTS_SKIP;
                return self.enter(at, skipped || self.has(FTS_XDEV) && (*at).fts_dev != self.fts_dev);
            }
            loop {
                let (next, parent) = ((*at).fts_link, (*at).fts_parent);
                heap::release(at);
                if next.is_null() {
                    return self.go_up(parent);
                }
                at = next;
                if (*at).fts_level == ROOT_LEVEL {
                    return self.start_on(at);
                }
                if (*at).fts_instr != FTS_SKIP {
                    return self.stop_at(at);
                }
            }
        }
    }

    /// Goes down into the directory `at`, or past it.
    ///
    /// # Safety
    /// As [`Fts::read`].
    unsafe fn enter(&mut self, at: *mut Entry, past: bool) -> *mut Entry {
        // SAFETY: by contract.
        unsafe {
            if past || self.has(FTS_NAMEONLY) {
                self.drop_children();
            }
            if past {
                (*at).fts_info = FTS_DP;
                return at;
            }
            let mut child = core::mem::replace(&mut self.fts_child, null_mut());
            if child.is_null() {
                child = self.build(Purpose::Read);
            }
            if child.is_null() {
                return if self.has(FTS_STOP) { null_mut() } else { at };
            }
            // The caller may have told us to skip some of those that fts_children showed.
            while !child.is_null() && (*child).fts_instr == FTS_SKIP {
                let next = (*child).fts_link;
                heap::release(child);
                child = next;
            }
            if child.is_null() {
                (*at).fts_info = FTS_DP;
                return at;
            }
            self.stop_at(child)
        }
    }

    /// # Safety
    /// As [`Fts::read`].
    unsafe fn stop_at(&mut self, at: *mut Entry) -> *mut Entry {
        // SAFETY: by contract.
        unsafe {
            if (*at).fts_instr == FTS_FOLLOW {
                (*at).fts_info = look(at, true);
                (*at).fts_instr = FTS_NOINSTR;
            }
        }
        self.fts_cur = at;
        at
    }

    /// # Safety
    /// As [`Fts::read`].
    unsafe fn start_on(&mut self, at: *mut Entry) -> *mut Entry {
        // SAFETY: by contract.
        unsafe {
            shorten_name(at);
            self.fts_dev = (*at).fts_dev;
        }
        self.fts_cur = at;
        at
    }

    /// # Safety
    /// As [`Fts::read`]; `parent` is what the last entry of a list was in.
    unsafe fn go_up(&mut self, parent: *mut Entry) -> *mut Entry {
        // SAFETY: by contract.
        unsafe {
            if (*parent).fts_level == ROOT_PARENT_LEVEL {
                heap::release(parent);
                self.fts_cur = null_mut();
                errno::set(0);
                return null_mut();
            }
            (*parent).fts_info = if (*parent).fts_errno != 0 { FTS_ERR } else { FTS_DP };
        }
        self.fts_cur = parent;
        parent
    }

    fn drop_children(&mut self) {
        // SAFETY: the list that fts_children gave; it may be used until now.
        unsafe { free_list(core::mem::replace(&mut self.fts_child, null_mut())) };
        self.fts_options &= !FTS_NAMEONLY;
    }
}

/// # Safety
/// fts_open's arguments.
unsafe fn open(paths: *const *const c_char, options: c_int, compare: Compare) -> Result<*mut Fts, Errno> {
    if options & !FTS_OPTIONMASK != 0 {
        return Err(libc::EINVAL);
    }
    let logical = if options & FTS_LOGICAL != 0 { FTS_NOCHDIR } else { 0 };
    let follow = options & (FTS_LOGICAL | FTS_COMFOLLOW) != 0;
    let top = make(None, b"", null_mut(), ROOT_PARENT_LEVEL)?;
    let mut owner = Made(List::new());
    owner.0.push(top).inspect_err(|_| {
        // SAFETY: nobody else has it.
        unsafe { heap::release(top) }
    })?;
    let mut roots = Made(List::new());
    // SAFETY: by contract.
    for path in unsafe { crate::arena::entries(paths) } {
        // SAFETY: by contract; the entries are our own.
        unsafe {
            let path = bytes_of(path).filter(|path| !path.is_empty()).ok_or(libc::ENOENT)?;
            roots.0.reserve(1)?;
            let entry = make(None, path, top, ROOT_LEVEL)?;
            roots.0.push(entry)?;
            (*entry).fts_info = match look(entry, follow) {
                FTS_DOT => FTS_D,
                info => info,
            };
        }
    }
    // The walk begins behind an entry that stands before the first.
    let before = make(None, b"", top, ROOT_LEVEL)?;
    let fts = heap::allocate(size_of::<Fts>()).inspect_err(|_| {
        // SAFETY: nobody else has it.
        unsafe { heap::release(before) }
    })?;
    let _ = owner.0.pop();
    // SAFETY: entries of our own, and new memory of this size.
    unsafe {
        (*before).fts_info = FTS_INIT;
        (*before).fts_link = roots.link(compare);
        fts.cast::<Fts>().write(Fts {
            fts_cur: before,
            fts_child: null_mut(),
            fts_array: null_mut(),
            fts_dev: 0,
            fts_path: null_mut(),
            fts_rfd: -1,
            fts_pathlen: 0,
            fts_nitems: 0,
            fts_compar: compare,
            fts_options: options | logical,
        });
    }
    Ok(fts.cast())
}

macro_rules! fts_hooks {
    ($($open:ident $read:ident $children:ident $set:ident $close:ident;)*) => {$(
        hook! {
            fn $open(paths: *const *const c_char, options: c_int, compare: Compare) -> *mut Fts {
                if !init::in_view() {
                    return real!($open(paths: *const *const c_char, options: c_int, compare: Compare) -> *mut Fts);
                }
                // SAFETY: C's arguments.
                unsafe { open(paths, options, compare) }.unwrap_or_else(|errno| {
                    errno::set(errno);
                    null_mut()
                })
            }
        }

        hook! {
            fn $read(fts: *mut Fts) -> *mut Entry {
                if !init::in_view() {
                    return real!($read(fts: *mut Fts) -> *mut Entry);
                }
                // SAFETY: in a view, all that fts_open returned is ours.
                unsafe { (*fts).read() }
            }
        }

        hook! {
            fn $children(fts: *mut Fts, instruction: c_int) -> *mut Entry {
                if !init::in_view() {
                    return real!($children(fts: *mut Fts, instruction: c_int) -> *mut Entry);
                }
                // SAFETY: in a view, all that fts_open returned is ours.
                unsafe { children(&mut *fts, instruction) }
            }
        }

        hook! {
            fn $set(fts: *mut Fts, entry: *mut Entry, instruction: c_int) -> c_int {
                if !init::in_view() {
                    return real!($set(fts: *mut Fts, entry: *mut Entry, instruction: c_int) -> c_int);
                }
                match u16::try_from(instruction) {
                    Ok(instruction @ 0..=FTS_SKIP) => {
                        // SAFETY: C's argument, an entry of ours.
                        unsafe { (*entry).fts_instr = instruction };
                        0
                    }
                    _ => {
                        errno::set(libc::EINVAL);
                        1
                    }
                }
            }
        }

        hook! {
            fn $close(fts: *mut Fts) -> c_int {
                if !init::in_view() {
                    return real!($close(fts: *mut Fts) -> c_int);
                }
                // SAFETY: in a view, all that fts_open returned is ours; nobody uses it any more.
                unsafe { close(fts) };
                0
            }
        }
    )*};
}

/// # Safety
/// As [`Fts::read`].
unsafe fn children(fts: &mut Fts, instruction: c_int) -> *mut Entry {
    if !matches!(instruction, 0 | FTS_NAMEONLY) {
        errno::set(libc::EINVAL);
        return null_mut();
    }
    errno::set(0);
    let current = fts.fts_cur;
    if current.is_null() || fts.has(FTS_STOP) {
        return null_mut();
    }
    // SAFETY: by contract.
    unsafe {
        match (*current).fts_info {
            FTS_INIT => return (*current).fts_link,
            FTS_D => {}
            _ => return null_mut(),
        }
        fts.drop_children();
        let purpose = match instruction {
            FTS_NAMEONLY => Purpose::Names,
            _ => Purpose::Children,
        };
        fts.fts_child = fts.build(purpose);
        fts.fts_options |= instruction;
        fts.fts_child
    }
}

/// # Safety
/// As [`Fts::read`]; frees all.
unsafe fn close(fts: *mut Fts) {
    // SAFETY: by contract: what is left are the lists that the current entry and its parents begin.
    unsafe {
        (*fts).drop_children();
        let mut at = (*fts).fts_cur;
        while !at.is_null() {
            let parent = (*at).fts_parent;
            free_list(at);
            at = parent;
        }
        heap::release(fts);
    }
}

fts_hooks! {
    fts_open fts_read fts_children fts_set fts_close;
    fts64_open fts64_read fts64_children fts64_set fts64_close;
}
