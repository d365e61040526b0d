//! One entry of an fts(3) walk: C's public struct, in one block of memory with its attributes and its path.

use crate::errno;
use crate::heap;
use crate::hooks::stat::{lstat, stat};
use crate::raw::Errno;
use core::ffi::{CStr, c_char, c_int, c_long, c_short, c_ushort, c_void};
use core::mem::offset_of;
use core::ptr::null_mut;
use libc::stat as Stat;

pub const FTS_D: c_ushort = 1;
pub const FTS_DC: c_ushort = 2;
pub const FTS_DEFAULT: c_ushort = 3;
pub const FTS_DNR: c_ushort = 4;
pub const FTS_DOT: c_ushort = 5;
pub const FTS_DP: c_ushort = 6;
pub const FTS_ERR: c_ushort = 7;
pub const FTS_F: c_ushort = 8;
pub const FTS_INIT: c_ushort = 9;
pub const FTS_NS: c_ushort = 10;
pub const FTS_NSOK: c_ushort = 11;
pub const FTS_SL: c_ushort = 12;
pub const FTS_SLNONE: c_ushort = 13;

pub const FTS_AGAIN: c_ushort = 1;
pub const FTS_FOLLOW: c_ushort = 2;
pub const FTS_NOINSTR: c_ushort = 3;
pub const FTS_SKIP: c_ushort = 4;

pub const ROOT_PARENT_LEVEL: c_short = -1;
pub const ROOT_LEVEL: c_short = 0;

/// FTSENT of <fts.h>; with 64-bit offsets everywhere, FTSENT64 is the same.
#[repr(C)]
pub struct Entry {
    pub fts_cycle: *mut Entry,
    pub fts_parent: *mut Entry,
    pub fts_link: *mut Entry,
    pub fts_number: c_long,
    pub fts_pointer: *mut c_void,
    pub fts_accpath: *mut c_char,
    pub fts_path: *mut c_char,
    pub fts_errno: c_int,
    pub fts_symfd: c_int,
    pub fts_pathlen: c_ushort,
    pub fts_namelen: c_ushort,
    pub fts_ino: libc::ino_t,
    pub fts_dev: libc::dev_t,
    pub fts_nlink: libc::nlink_t,
    pub fts_level: c_short,
    pub fts_info: c_ushort,
    pub fts_flags: c_ushort,
    pub fts_instr: c_ushort,
    pub fts_statp: *mut Stat,
    pub fts_name: [c_char; 1],
}

const NAME_AT: usize = offset_of!(Entry, fts_name);

/// An entry `name` whose path is `above`, a slash unless that ends in one, and `name`. `above` is None for the
/// paths that a walk starts with.
pub fn make(
    above: Option<&[u8]>,
    name: &[u8],
    parent: *mut Entry,
    level: c_short,
) -> Result<*mut Entry, Errno> {
    let slash: &[u8] = match above {
        None | Some([.., b'/']) => b"",
        Some(_) => b"/",
    };
    let parts = [above.unwrap_or(b""), slash, name];
    let path_len: usize = parts.iter().map(|part| part.len()).sum();
    let path_len_field = c_ushort::try_from(path_len).map_err(|_| libc::ENAMETOOLONG)?;
    let stat_at = (NAME_AT + name.len() + 1).max(size_of::<Entry>()).next_multiple_of(align_of::<Stat>());
    let path_at = stat_at + size_of::<Stat>();
    let block = heap::allocate(path_at + path_len + 1)?;
    // SAFETY: the parts lie behind one another in the new block, which is aligned for all of them; a zeroed
    // entry and a zeroed struct stat are valid.
    unsafe {
        block.write_bytes(0, path_at);
        block.add(NAME_AT).copy_from_nonoverlapping(name.as_ptr(), name.len());
        let mut at = block.add(path_at);
        for part in parts {
            at.copy_from_nonoverlapping(part.as_ptr(), part.len());
            at = at.add(part.len());
        }
        at.write(0);
        let entry = block.cast::<Entry>();
        let path = block.add(path_at).cast();
        ((*entry).fts_path, (*entry).fts_accpath) = (path, path);
        (*entry).fts_statp = block.add(stat_at).cast();
        (*entry).fts_parent = parent;
        (*entry).fts_level = level;
        (*entry).fts_pathlen = path_len_field;
        (*entry).fts_namelen = name.len() as c_ushort;
        (*entry).fts_instr = FTS_NOINSTR;
        (*entry).fts_info = FTS_NSOK;
        Ok(entry)
    }
}

/// Frees a list of entries.
///
/// # Safety
/// `first` is null or an entry that nobody uses any more, and so are those it is linked to.
pub unsafe fn free_list(first: *mut Entry) {
    let mut at = first;
    while !at.is_null() {
        // SAFETY: by contract.
        unsafe {
            let next = (*at).fts_link;
            heap::release(at);
            at = next;
        }
    }
}

/// # Safety
/// `entry` is one of [`make`]'s.
pub unsafe fn path_of<'a>(entry: *mut Entry) -> &'a [u8] {
    // SAFETY: by contract; the path lies in the entry's block.
    unsafe { CStr::from_ptr((*entry).fts_path) }.to_bytes()
}

/// # Safety
/// `entry` is one of [`make`]'s.
unsafe fn is_dot(entry: *mut Entry) -> bool {
    // SAFETY: by contract; the name is ended by a NUL.
    let name = unsafe { CStr::from_ptr((&raw const (*entry).fts_name).cast()) };
    matches!(name.to_bytes(), b"." | b"..")
}

/// Of the paths that a walk starts with, the name is what follows the last slash, once their turn has come.
///
/// # Safety
/// `entry` is one of [`make`]'s.
pub unsafe fn shorten_name(entry: *mut Entry) {
    // SAFETY: by contract; the tail moves to the front of the same string.
    unsafe {
        let start = entry.cast::<u8>().add(NAME_AT);
        let name = CStr::from_ptr(start.cast()).to_bytes();
        let len = name.len();
        if let Some(slash) = name.iter().rposition(|byte| *byte == b'/')
            && len > 1
        {
            let rest = len - slash - 1;
            start.copy_from(start.add(slash + 1), rest + 1);
            (*entry).fts_namelen = rest as c_ushort;
        }
    }
}

/// Reads the entry's attributes; what it is.
///
/// # Safety
/// `entry` is one of [`make`]'s, and its parents up to the root's are alive.
pub unsafe fn look(entry: *mut Entry, follow: bool) -> c_ushort {
    // SAFETY: by contract: path and struct are the entry's own.
    unsafe {
        let (path, to) = ((*entry).fts_accpath, (*entry).fts_statp);
        let before = errno::get();
        if (if follow { stat(path, to) } else { lstat(path, to) }) != 0 {
            let errno = errno::get();
            let dangling = follow && lstat(path, to) == 0;
            errno::set(before);
            if dangling {
                return FTS_SLNONE;
            }
            (*entry).fts_errno = errno;
            to.write_bytes(0, 1);
            return FTS_NS;
        }
        (*entry).fts_dev = (*to).st_dev;
        (*entry).fts_ino = (*to).st_ino;
        (*entry).fts_nlink = (*to).st_nlink;
        match (*to).st_mode & libc::S_IFMT {
            libc::S_IFDIR if is_dot(entry) => FTS_DOT,
            libc::S_IFDIR => match ancestor_like(entry) {
                ancestor if ancestor.is_null() => FTS_D,
                ancestor => {
                    (*entry).fts_cycle = ancestor;
                    FTS_DC
                }
            },
            libc::S_IFLNK => FTS_SL,
            libc::S_IFREG => FTS_F,
            _ => FTS_DEFAULT,
        }
    }
}

/// The directory above that is the same as `entry`, if there is one.
///
/// # Safety
/// As [`look`].
unsafe fn ancestor_like(entry: *mut Entry) -> *mut Entry {
    // SAFETY: by contract.
    unsafe {
        let mut at = (*entry).fts_parent;
        while !at.is_null() && (*at).fts_level >= ROOT_LEVEL {
            if ((*at).fts_ino, (*at).fts_dev) == ((*entry).fts_ino, (*entry).fts_dev) {
                return at;
            }
            at = (*at).fts_parent;
        }
    }
    null_mut()
}
