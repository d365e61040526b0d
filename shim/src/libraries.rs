//! Shared libraries of the view. ld.so opens them by itself, before any hook, so a program that would find some
//! in folders of the view (LD_LIBRARY_PATH, run paths) is started with an LD_LIBRARY_PATH that names their
//! mirror folders, in which the libraries have got links. The start-up of this library in the new program puts
//! back the value that the program and its children are to see ([`restore`]).
//!
//! What remains: ld.so goes on to a run path itself when the mirror folders do not have a library, and DT_RPATH
//! is searched before LD_LIBRARY_PATH.

use crate::arena::{Arena, entries};
use crate::creds::{Creds, READ};
use crate::elsewhere::Elsewhere;
use crate::exec_prep::{Image, exec_link};
use crate::hooks::settled;
use crate::init;
use crate::raw::{self, Errno};
use crate::resolve::{Place, resolve_bytes};
use crate::run_path;
use crate::text::{PathText, Text, bytes_of, own_bytes_of, value_of};
use crate::view;
use core::ffi::c_char;
use libc::{AT_FDCWD, S_IFREG};
use vrift_manifest::{Content, VnodeNo};

/// The search path of ld.so(8).
const SEARCH_PATH: &str = "LD_LIBRARY_PATH";
/// Carries `LD_LIBRARY_PATH=value` as the new program is to see it; empty: not set.
const KEPT: &str = "VRIFT_LIBRARY_PATH";
/// Libraries that get links for one exec. What is beyond is not found, never found elsewhere.
const LIBRARIES_MAX: usize = 64;
/// Folders of the view that one exec adds from run paths.
const FOLDERS_MAX: usize = 16;

/// Folders of the view to be searched, each once.
struct Folders {
    list: [VnodeNo; FOLDERS_MAX],
    len: usize,
    libraries: usize,
}

impl Folders {
    const fn new() -> Folders {
        Folders { list: [VnodeNo(0); FOLDERS_MAX], len: 0, libraries: 0 }
    }

    fn as_slice(&self) -> &[VnodeNo] {
        self.list.get(..self.len).unwrap_or(&[])
    }

    fn add(&mut self, folder: VnodeNo) {
        if !self.as_slice().contains(&folder)
            && let Some(free) = self.list.get_mut(self.len)
        {
            *free = folder;
            self.len += 1;
        }
    }

    /// Adds the folders of the view that are in the run path of a file which lies in `origin`.
    #[inline(never)]
    fn add_run_path_of(&mut self, file: &PathText, origin: VnodeNo) {
        let mut run_path = PathText::new();
        run_path::read(file.as_c_str(), &mut run_path);
        for entry in run_path.as_bytes().split(|byte| *byte == b':').filter(|entry| !entry.is_empty()) {
            if let Some(folder) = run_path_folder(entry, origin) {
                self.add(folder);
            }
        }
    }
}

#[inline(never)]
fn run_path_folder(entry: &[u8], origin: VnodeNo) -> Option<VnodeNo> {
    folder_at(expanded(entry, origin)?.as_bytes())
}

/// An entry of a run path with `$ORIGIN` in place. None: it uses another variable.
fn expanded(entry: &[u8], origin: VnodeNo) -> Option<PathText> {
    let rest = entry.strip_prefix(b"$ORIGIN").or_else(|| entry.strip_prefix(b"${ORIGIN}"));
    let mut path = PathText::new();
    if rest.is_some() {
        view::path_of(origin, &mut path).ok()?;
    }
    path.push(rest.unwrap_or(entry));
    (!path.overflowed() && !path.as_bytes().contains(&b'$')).then_some(path)
}

/// The directory of the view at a path.
fn folder_at(path: &[u8]) -> Option<VnodeNo> {
    let mut elsewhere = Elsewhere::new();
    match resolve_bytes(AT_FDCWD, path, true, &Creds::effective(), &mut elsewhere).ok()? {
        Place::Inside(inside) => inside.target.filter(|attr| attr.is_dir()).map(|attr| attr.vnode),
        Place::Outside | Place::Elsewhere => None,
    }
}

fn is_library(name: &[u8]) -> bool {
    name.ends_with(b".so") || name.windows(4).any(|part| part == b".so.")
}

/// Gives the libraries of a folder their links, and looks for run paths in them.
fn link_folder(folder: VnodeNo, folders: &mut Folders) -> Result<(), Errno> {
    let mut numbers = [0u32; LIBRARIES_MAX];
    let count = view::read(|reader| {
        let mut count = 0;
        let Some(slot) = reader.slot(folder) else { return 0 };
        let mut number = reader.first_child(slot);
        for _ in 0..reader.child_count(slot) {
            let mut name = [0; 256];
            let len = reader.name(number, &mut name);
            if is_library(name.get(..len).unwrap_or(b""))
                && let Some(free) = numbers.get_mut(count)
            {
                *free = number;
                count += 1;
            }
            number = reader.next_child(number);
        }
        count
    })?;
    let mut path = PathText::new();
    view::mirror_path_into(folder, &mut path)?;
    if raw::stat(path.as_c_str()).is_err() {
        crate::content::mirror(folder)?;
    }
    for number in numbers.iter().take(count) {
        if folders.libraries == LIBRARIES_MAX {
            break;
        }
        // The entry may be another one by now: what it is called is looked up again.
        let mut name = [0; 256];
        let len = view::read(|reader| reader.name(*number, &mut name))?;
        let name = name.get(..len).unwrap_or(b"");
        folders.libraries += 1;
        link(folder, name, folders)?;
    }
    Ok(())
}

/// Links one library of a folder under its name there, which may be a symlink's.
fn link(folder: VnodeNo, name: &[u8], folders: &mut Folders) -> Result<(), Errno> {
    match settled(|| linked_from(folder, name)) {
        Ok(Some(origin)) => {
            let mut path = PathText::new();
            link_path(folder, name, &mut path)?;
            folders.add_run_path_of(&path, origin);
            Ok(())
        }
        // Still being written, or gone: the program that needs it will say so.
        Ok(None) | Err(libc::ETXTBSY | libc::ESTALE | libc::ENOENT | libc::EACCES | libc::ELOOP) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Makes the link unless it is there; the folder of the file itself. None: not a library of the view.
#[inline(never)]
fn linked_from(folder: VnodeNo, name: &[u8]) -> Result<Option<VnodeNo>, Errno> {
    let (mut path, mut elsewhere) = (PathText::new(), Elsewhere::new());
    view::path_of(folder, &mut path)?;
    path.push(b"/");
    path.push(name);
    let creds = Creds::effective();
    let Place::Inside(inside) = resolve_bytes(AT_FDCWD, path.as_bytes(), true, &creds, &mut elsewhere)?
    else {
        return Ok(None);
    };
    match inside.target {
        Some(attr) if attr.kind() == S_IFREG && attr.may(&creds, READ) => {
            if !is_linked(folder, name, &attr.content)? {
                exec_link(folder, attr.vnode, name)?;
            }
            Ok(Some(inside.parent.vnode))
        }
        _ => Ok(None),
    }
}

fn link_path(folder: VnodeNo, name: &[u8], path: &mut PathText) -> Result<(), Errno> {
    view::mirror_path_into(folder, path)?;
    path.push(b"/");
    path.push(name);
    Ok(())
}

/// Whether the link is there already and has the right bytes.
fn is_linked(folder: VnodeNo, name: &[u8], content: &Content) -> Result<bool, Errno> {
    let Content::Sealed(hash) = content else { return Ok(false) };
    let mut path = PathText::new();
    link_path(folder, name, &mut path)?;
    let Ok(link) = raw::stat(path.as_c_str()) else { return Ok(false) };
    view::blob_path_into(hash, &mut path)?;
    Ok(raw::stat(path.as_c_str()).is_ok_and(|blob| blob.st_ino == link.st_ino))
}

/// `envp`, or a copy of it with which ld.so finds the libraries of the view for `image`.
///
/// # Safety
/// `envp` is null or a null-terminated array of C strings; `arena` outlives the use of the result.
pub unsafe fn carrying_libraries(
    image: &Image,
    envp: *const *const c_char,
    arena: &Arena,
) -> Result<*const *const c_char, Errno> {
    if !init::in_view() {
        return Ok(envp);
    }
    if image.is_helper {
        // SAFETY: by contract.
        return unsafe { crate::envp::passive(envp, arena) };
    }
    // SAFETY: by contract.
    let given = unsafe { entries(envp) }.find_map(|entry| {
        // SAFETY: an entry of the array.
        value_of(unsafe { bytes_of(entry) }?, SEARCH_PATH)
    });
    if given.is_none() && image.folder.is_none() {
        return Ok(envp);
    }
    let mut folders = Folders::new();
    for entry in given.into_iter().flat_map(parts) {
        if let Some(folder) = searched_folder(entry, image.folder) {
            folders.add(folder);
        }
    }
    let from_search_path = folders.len;
    if let Some(origin) = image.folder {
        folders.add_run_path_of(&image.path, origin);
    }
    let mut done = 0;
    while let Some(folder) = folders.as_slice().get(done).copied() {
        link_folder(folder, &mut folders)?;
        done += 1;
    }
    if folders.len == 0 {
        return Ok(envp);
    }
    let added = folders.as_slice().get(from_search_path..).unwrap_or(&[]);
    // SAFETY: by contract.
    let mut copy = arena.pointers(unsafe { entries(envp) }.count() + 2)?;
    copy.push(search_path(given, image.folder, added, arena)?);
    let kept: &[&[u8]] = &[KEPT.as_bytes(), b"=", SEARCH_PATH.as_bytes(), b"=", given.unwrap_or(b"")];
    copy.push(arena.string(if given.is_some() { kept } else { &kept[..2] })?);
    // SAFETY: by contract.
    for entry in unsafe { entries(envp) } {
        // SAFETY: an entry of the array.
        let text = unsafe { bytes_of(entry) }.unwrap_or(b"");
        if value_of(text, SEARCH_PATH).is_none() && value_of(text, KEPT).is_none() {
            copy.push(entry);
        }
    }
    Ok(copy.finish())
}

fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| matches!(byte, b':' | b';'))
}

/// The folder of the view that an entry of LD_LIBRARY_PATH stands for. An empty one is the working directory.
#[inline(never)]
fn searched_folder(entry: &[u8], origin: Option<VnodeNo>) -> Option<VnodeNo> {
    let entry = if entry.is_empty() { b"." } else { entry };
    match origin {
        Some(origin) if entry.contains(&b'$') => folder_at(expanded(entry, origin)?.as_bytes()),
        _ => folder_at(entry),
    }
}

/// `LD_LIBRARY_PATH=` the entries of `given`, those of the view by their mirror folders, and those of `added`.
#[inline(never)]
fn search_path(
    given: Option<&[u8]>,
    origin: Option<VnodeNo>,
    added: &[VnodeNo],
    arena: &Arena,
) -> Result<*const c_char, Errno> {
    let mut value: Text<{ 2 * 4096 }> = Text::from_parts(&[SEARCH_PATH.as_bytes()]);
    let mut separator: &[u8] = b"=";
    let mut mirror = PathText::new();
    for entry in given.into_iter().flat_map(parts) {
        value.push(core::mem::replace(&mut separator, b":"));
        match searched_folder(entry, origin) {
            Some(folder) => {
                view::mirror_path_into(folder, &mut mirror)?;
                value.push(mirror.as_bytes());
            }
            None => value.push(entry),
        }
    }
    for folder in added {
        value.push(core::mem::replace(&mut separator, b":"));
        view::mirror_path_into(*folder, &mut mirror)?;
        value.push(mirror.as_bytes());
    }
    if value.overflowed() { Err(libc::E2BIG) } else { arena.string(&[value.as_bytes()]) }
}

/// Puts the LD_LIBRARY_PATH that this program is to see into its environment. The variable that carries it holds
/// the whole entry, so that only pointers change.
///
/// # Safety
/// `envp` is null or the process's environment at its start, which nobody else changes now.
pub unsafe fn restore(envp: *mut *mut c_char) {
    // SAFETY: by contract.
    let find = |name: &str| unsafe { position(envp, name) };
    let Some((kept_at, kept)) = find(KEPT) else { return };
    let value_start = KEPT.len() + 1;
    if let Some((at, _)) = find(SEARCH_PATH) {
        // SAFETY: both are entries of the array; the kept string has the value after its name.
        unsafe {
            if *kept.add(value_start) != 0 {
                *envp.add(at) = kept.add(value_start);
            } else {
                remove(envp, at);
            }
        }
    }
    let kept_at = find(KEPT).map_or(kept_at, |(at, _)| at);
    // SAFETY: an entry of the array.
    unsafe { remove(envp, kept_at) };
}

/// # Safety
/// As [`restore`].
unsafe fn position(envp: *mut *mut c_char, name: &str) -> Option<(usize, *mut c_char)> {
    // SAFETY: by contract.
    unsafe { entries(envp.cast_const().cast()) }.enumerate().find_map(|(at, entry)| {
        // SAFETY: an entry of the array.
        value_of(unsafe { own_bytes_of(entry) }?, name).map(|_| (at, entry.cast_mut()))
    })
}

/// # Safety
/// `at` is an entry of the null-terminated array.
unsafe fn remove(envp: *mut *mut c_char, at: usize) {
    // SAFETY: up to the terminating null, which is moved too.
    unsafe {
        let mut to = envp.add(at);
        while !(*to).is_null() {
            *to = *to.add(1);
            to = to.add(1);
        }
    }
}

/// Before the loader searches for a library by its name alone: its link must be there when the folder is the view's.
pub fn link_searched(name: &[u8]) {
    if !init::in_view() || name.is_empty() {
        return;
    }
    let mut folders = Folders::new();
    let search_path = crate::envp::get(SEARCH_PATH).unwrap_or(b"");
    for entry in search_path.split(|byte| matches!(byte, b':' | b';')).filter(|entry| !entry.is_empty()) {
        if let Some(folder) = folder_at(entry) {
            // What cannot be linked is not found by the loader, which says so.
            let _ = link(folder, name, &mut folders);
        }
    }
}
