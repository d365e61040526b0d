//! Paths outside the view that lead into it by a symlink or by /proc: the kernel would go to the real tree.
//!
//! Which real directory a path's folder is, is asked of the kernel once for each folder and process; folders that
//! do not lead into the view, and those that do not exist, are remembered. The last component is not looked at:
//! a symlink outside whose own target is a file of the view is the kernel's (`docs/limits.md`).

use crate::fds;
use crate::hot::HOT;
use crate::init;
use crate::memory;
use crate::raw::{self, Errno};
use crate::text::{PATH_MAX, PathText, Text, below, is_normal};
use core::ffi::CStr;
use core::sync::atomic::{AtomicU64, Ordering};
use vrift_manifest::VnodeNo;
use vrift_protocol::system_folders;

/// Folders remembered; a compiler looks into some twenty.
const REMEMBERED: usize = 512;
pub struct CleanFolders([AtomicU64; REMEMBERED]);

/// The first few, which need no [`memory`]; 0: none.
const FEW: usize = 16;
pub struct Few([AtomicU64; FEW]);

impl Few {
    pub const fn new() -> Few {
        Few([const { AtomicU64::new(0) }; FEW])
    }
}

/// Whether a path is that of a file in a folder of the system, in which only root makes names: what is opened by it is no
/// file of the view's.
pub fn is_of_system(path: &[u8]) -> bool {
    let folder = path.iter().rposition(|byte| *byte == b'/').map_or(&b""[..], |slash| &path[..slash]);
    system_folders::is_outside(init::settings().system, folder) && system_folders::has_plain_files(folder)
}

/// Where an absolute path outside really leads.
pub enum Leads {
    Outside,
    /// Into the view: `rest` from this directory.
    At(VnodeNo),
    /// Into the view: the absolute path `rest`.
    View,
}

/// The folder of an absolute path, up to the slash before its last name.
fn folder_of(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    let cut = path[..end].iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    &path[..cut]
}

/// Whether [`look`] would say that an absolute path is outside, as far as that is known already.
pub fn is_known(path: &[u8]) -> bool {
    let folder = folder_of(path);
    folder.is_empty() || !path.starts_with(b"/proc/") && is_clean(folder)
}

/// Looks at the folders of an absolute path; `rest` is written when it leads into the view.
#[inline(never)]
pub fn look(path: &[u8], rest: &mut PathText) -> Leads {
    let is_proc = path.starts_with(b"/proc/");
    let folder = folder_of(path);
    let mut cut = folder.len();
    while cut > 0 {
        let dir = &path[..cut];
        // What is in /proc itself is no link to a directory, and what has names of numbers is looked at.
        if dir == b"/proc" && cut == folder.len() {
            return Leads::Outside;
        }
        if !is_proc && (is_clean(dir) || is_plain(dir)) {
            remember(folder);
            return Leads::Outside;
        }
        match asked(dir, &path[cut..], folder, rest) {
            Some(leads) => return leads,
            None => cut = dir.iter().rposition(|byte| *byte == b'/').unwrap_or(0),
        }
    }
    Leads::Outside
}

/// Whether a folder and those on the way to it, by their names, are neither the view nor in it, nor the mirror's.
fn is_apart_by_name(dir: &[u8]) -> bool {
    let view = init::settings().view.as_bytes();
    let mut normal: Text<SHORT> = Text::new();
    for part in dir.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => continue,
            b".." => {
                let end = normal.as_bytes().iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                normal.truncate(end);
            }
            _ => {
                normal.push(b"/");
                normal.push(part);
            }
        }
        if below(normal.as_bytes(), view).is_some() {
            return false;
        }
    }
    !normal.overflowed() && !fds::has_folder(dir, vrift_protocol::names::MIRROR_DIR)
}

/// Whether a folder is there, if the kernel meets no symlink on the way to it, or to where that ends: then it leads where its
/// names say. None: not known by this.
fn found_without_symlinks(dir: &CStr) -> Option<bool> {
    match raw::open_plain_dir(dir) {
        Ok(fd) => {
            raw::close(fd);
            Some(true)
        }
        Err(libc::ENOENT | libc::ENOTDIR) => Some(false),
        Err(_) => None,
    }
}

/// Whether no symlink is on the way to a folder, as far as the kernel says so.
#[cold]
pub fn is_without_symlinks(dir: &[u8]) -> bool {
    let name = PathText::from_parts(&[dir]);
    !name.overflowed() && found_without_symlinks(name.as_c_str()).is_some()
}

/// Most paths are shorter: their texts share a page of the stack with what is there anyway.
const SHORT: usize = 256;

/// Where the kernel says that a folder on the way to `folder` is. None: it is not there.
fn asked(dir: &[u8], after: &[u8], folder: &[u8], rest: &mut PathText) -> Option<Leads> {
    let leads = if dir.len() < SHORT {
        asked_within::<SHORT>(dir, after, folder, rest)
    } else {
        Err(libc::ENAMETOOLONG)
    };
    leads.or_else(|_| asked_within::<PATH_MAX>(dir, after, folder, rest)).unwrap_or(Some(Leads::Outside))
}

/// As [`asked`], with room for so long a path.
#[inline(never)]
fn asked_within<const LEN: usize>(
    dir: &[u8],
    after: &[u8],
    folder: &[u8],
    rest: &mut PathText,
) -> Result<Option<Leads>, Errno> {
    let is_proc = dir == b"/proc" || dir.starts_with(b"/proc/");
    let mut name: Text<LEN> = Text::from_parts(&[dir]);
    if !is_proc
        && is_apart_by_name(dir)
        && let Some(is_there) = found_without_symlinks(name.as_c_str())
    {
        if is_there && is_normal(dir) {
            remember_plain(dir);
        }
        if is_there {
            remember(dir);
        }
        remember(folder);
        return Ok(Some(Leads::Outside));
    }
    Ok(match raw::open(name.as_c_str(), libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC) {
        Ok(fd) => {
            let known = fds::path_of(fd, &mut name);
            raw::close(fd);
            if known.is_err() {
                return Ok(Some(Leads::Outside));
            }
            // Perhaps cut off.
            if name.as_bytes().len() + 1 == LEN {
                return Err(libc::ENAMETOOLONG);
            }
            let leads = judge(name.as_bytes(), after, rest);
            if name.as_bytes() == dir && !is_proc {
                remember_plain(dir);
            }
            if !is_proc && matches!(leads, Leads::Outside) {
                remember(dir);
                remember(folder);
            }
            Some(leads)
        }
        // It may be there in the view though not in the real tree: as what a symlink means, or further up.
        Err(libc::ENOENT | libc::ENOTDIR) => {
            let is_link = raw::readlink(name.as_c_str(), &mut [0; 1]).is_ok();
            (is_link && dangles_into_view(dir, after, rest)).then_some(Leads::View)
        }
        Err(_) => Some(Leads::Outside),
    })
}

/// Whether there is no symlink on the way to `dir`, so that it is where its name says: one system call when that is
/// known of the folder that it is in. False as well if finding out would take more than the other way.
fn is_plain(dir: &[u8]) -> bool {
    const ASKED_MAX: usize = 2;
    let mut parts = dir.split(|byte| *byte == b'/').skip(1);
    if !dir.starts_with(b"/") || parts.any(|part| matches!(part, b"" | b"." | b"..")) {
        return false;
    }
    let mut known = dir.len();
    for _ in 0..=ASKED_MAX {
        if known == 0 || is_known_plain(&dir[..known]) {
            return find_plain(dir, known);
        }
        known = dir[..known].iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    }
    false
}

/// As [`is_plain`], from the part of `dir` that is known to be.
#[inline(never)]
fn find_plain(dir: &[u8], mut known: usize) -> bool {
    while known < dir.len() {
        let rest = &dir[known + 1..];
        let end = known + 1 + rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
        let name: Text<SHORT> = Text::from_parts(&[&dir[..end]]);
        if name.overflowed() {
            return false;
        }
        // EINVAL: it is there, and no symlink.
        if raw::readlink(name.as_c_str(), &mut [0; 1]) != Err(libc::EINVAL) {
            return false;
        }
        remember_plain(&dir[..end]);
        known = end;
    }
    !matches!(fds::mirror_vnode(dir), Ok(Some(_)) | Err(_))
}

/// Whether `dir` is a symlink whose target is in the view by its text; then `rest` is where the path leads.
#[inline(never)]
fn dangles_into_view(dir: &[u8], after: &[u8], rest: &mut PathText) -> bool {
    let name = PathText::from_parts(&[dir]);
    let mut target = PathText::new();
    if raw::readlink_text(name.as_c_str(), &mut target).is_err() {
        return false;
    }
    let parent = dir.iter().rposition(|byte| *byte == b'/').map_or(dir, |slash| &dir[..slash + 1]);
    let base: &[u8] = if target.as_bytes().starts_with(b"/") { b"" } else { parent };
    crate::start::reaches_view(PathText::from_parts(&[base, target.as_bytes(), after]).as_bytes(), 0, rest)
}

fn judge(real: &[u8], after: &[u8], rest: &mut PathText) -> Leads {
    rest.clear();
    if below(real, init::settings().view.as_bytes()).is_some() {
        rest.push(real);
        rest.push(after);
        return if rest.overflowed() { Leads::Outside } else { Leads::View };
    }
    if let Ok(Some(vnode)) = fds::mirror_vnode(real) {
        rest.push(after);
        return Leads::At(vnode);
    }
    Leads::Outside
}

/// FNV-1a, never 0.
fn hash(dir: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    dir.iter().fold(0xcbf2_9ce4_8422_2325, step) | 1
}

fn is_clean(dir: &[u8]) -> bool {
    system_folders::is_outside(init::settings().system, dir) || is_remembered(hash(dir))
}

fn is_known_plain(dir: &[u8]) -> bool {
    is_remembered(hash(dir) ^ PLAIN)
}

/// Makes of a folder's hash what says that there is no symlink on the way to it.
const PLAIN: u64 = 0x5851_f42d_4c95_7f2c;

fn is_remembered(hash: u64) -> bool {
    match place_in(&HOT.folders.0, hash).map(|few| few.load(Ordering::Relaxed)) {
        // The next one that belongs there is put there.
        Some(0) => false,
        Some(few) if few == hash => true,
        _ => memory::existing()
            .and_then(|memory| place_in(&memory.clean.0, hash))
            .is_some_and(|place| place.load(Ordering::Relaxed) == hash),
    }
}

fn place_in(places: &'static [AtomicU64], hash: u64) -> Option<&'static AtomicU64> {
    places.get((hash >> 32) as usize % places.len())
}

fn remember(dir: &[u8]) {
    if system_folders::is_outside(init::settings().system, dir) {
        return;
    }
    remember_hash(hash(dir));
}

fn remember_plain(dir: &[u8]) {
    remember_hash(hash(dir) ^ PLAIN);
}

fn remember_hash(hash: u64) {
    // The table is used when a second folder comes for a place among the few.
    if let Some(few) = place_in(&HOT.folders.0, hash)
        && few.load(Ordering::Relaxed) == 0
        && few.compare_exchange(0, hash, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    {
        return;
    }
    if let Some(place) = memory::get().ok().and_then(|memory| place_in(&memory.clean.0, hash)) {
        place.store(hash, Ordering::Relaxed);
    }
}
