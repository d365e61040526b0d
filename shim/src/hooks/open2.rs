//! openat2(2), which glibc has no function for. Its restrictions are kept by walking the path here first: every
//! symlink is put in place, so that what is opened in the end has none.

use super::links::readlinkat;
use super::open::{Opened, open_at};
use crate::elsewhere::Elsewhere;
use crate::errno;
use crate::fds;
use crate::proc_links;
use crate::raw::{self, Errno};
use crate::resolve::{Place, resolve};
use crate::text::{PathText, bytes_of};
use core::ffi::{c_char, c_int, c_long};
use libc::{O_CLOEXEC, O_CREAT, O_DIRECTORY, O_NOFOLLOW, O_PATH, O_TMPFILE};

/// struct open_how of linux/openat2.h.
#[repr(C)]
#[derive(Clone, Copy)]
struct How {
    flags: u64,
    mode: u64,
    resolve: u64,
}

const RESOLVE_NO_XDEV: u64 = 0x01;
const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
const RESOLVE_NO_SYMLINKS: u64 = 0x04;
const RESOLVE_BENEATH: u64 = 0x08;
const RESOLVE_IN_ROOT: u64 = 0x10;
const RESOLVE_CACHED: u64 = 0x20;
const RESOLVE_KNOWN: u64 = 0x3f;
/// VALID_OPEN_FLAGS of linux/fcntl.h.
const FLAGS_KNOWN: u64 = 0o37_777_703;
const SYMLINKS_MAX: u32 = 40;

/// What the caller's struct says, by the kernel's checks.
///
/// # Safety
/// `how` is null or valid for `len` bytes.
unsafe fn how_of(how: *const u8, len: usize) -> Result<How, Errno> {
    const PAGE: usize = 4096;
    match len {
        0..24 => return Err(libc::EINVAL),
        _ if len > PAGE => return Err(libc::E2BIG),
        _ if how.is_null() => return Err(libc::EFAULT),
        _ => {}
    }
    // SAFETY: by contract.
    let (given, rest) =
        unsafe { (how.cast::<How>().read_unaligned(), core::slice::from_raw_parts(how.add(24), len - 24)) };
    if rest.iter().any(|byte| *byte != 0) {
        return Err(libc::E2BIG);
    }
    let has = |flag: c_int| given.flags & flag as u64 == flag as u64;
    let makes = has(O_CREAT) || has(O_TMPFILE);
    let path_only = (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) as u64;
    let invalid = given.flags & !FLAGS_KNOWN != 0
        || given.resolve & !RESOLVE_KNOWN != 0
        || given.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT) == RESOLVE_BENEATH | RESOLVE_IN_ROOT
        || given.mode & !0o7777 != 0
        || given.mode != 0 && !makes
        || has(O_PATH) && given.flags & !path_only != 0;
    if invalid { Err(libc::EINVAL) } else { Ok(given) }
}

/// openat2(2) by its number.
///
/// # Safety
/// As the system call's arguments.
pub unsafe fn openat2(dirfd: c_int, path: *const c_char, how: *const u8, len: usize) -> c_long {
    // SAFETY: by contract.
    match unsafe { open(dirfd, path, how, len) } {
        Ok(fd) => fd.into(),
        Err(errno) => errno::fail(errno).into(),
    }
}

/// # Safety
/// As [`openat2`].
unsafe fn open(dirfd: c_int, path: *const c_char, how: *const u8, len: usize) -> Result<c_int, Errno> {
    // SAFETY: by contract.
    let given = unsafe { how_of(how, len) }?;
    let (flags, mode) = (given.flags as c_int, given.mode as u32);
    let mut elsewhere = Elsewhere::new();
    let scoped = given.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT) != 0;
    // SAFETY: a C string.
    let start = unsafe { resolve(dirfd, c".".as_ptr(), true, &mut elsewhere) };
    // SAFETY: by contract.
    let end = unsafe { resolve(dirfd, path, flags & O_NOFOLLOW == 0, &mut elsewhere) };
    if matches!(end, Ok(Place::Outside)) && !(scoped && matches!(start, Ok(Place::Inside(_)))) {
        let args = [dirfd as usize, path as usize, how as usize, len, 0, 0];
        // SAFETY: by contract.
        let fd = unsafe { raw::syscall(libc::SYS_openat2, args) }? as c_int;
        fds::forget(fd);
        return Ok(fd);
    }
    // SAFETY: by contract.
    let name = unsafe { bytes_of(path) }.unwrap_or(b"");
    if given.resolve & (RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS) != 0 && proc_links::vnode(name).is_some()
    {
        return Err(libc::ELOOP);
    }
    if given.resolve & RESOLVE_CACHED != 0 {
        // It may always say so, and the caller comes again without it.
        return Err(libc::EAGAIN);
    }
    let mut walked = PathText::new();
    let path = if given.resolve & !(RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV) != 0 {
        // SAFETY: by contract.
        let bytes = unsafe { bytes_of(path) }.ok_or(libc::EFAULT)?;
        walk(dirfd, bytes, &given, &mut walked)?;
        walked.as_ptr()
    } else {
        path
    };
    // SAFETY: by contract, or a text of our own.
    match unsafe { open_at(dirfd, path, flags, mode, &mut elsewhere) }? {
        Opened::View(fd) => Ok(fd),
        Opened::Real(..) if given.resolve & RESOLVE_NO_XDEV != 0 => Err(libc::EXDEV),
        Opened::Real(dirfd, path) => {
            // SAFETY: a C string, as open_at gave it.
            let fd = raw::openat(dirfd, unsafe { core::ffi::CStr::from_ptr(path) }, flags, mode)?;
            fds::forget(fd);
            Ok(fd)
        }
    }
}

/// Takes a path apart by the rules of `resolve`; what is left in `done` has no symlinks.
fn walk(dirfd: c_int, path: &[u8], how: &How, done: &mut PathText) -> Result<(), Errno> {
    let beneath = how.resolve & RESOLVE_BENEATH != 0;
    let in_root = how.resolve & RESOLVE_IN_ROOT != 0;
    let mut todo = PathText::from_parts(&[path]);
    let mut links = 0;
    loop {
        if todo.overflowed() || done.overflowed() {
            return Err(libc::ENAMETOOLONG);
        }
        if todo.as_bytes().first() == Some(&b'/') {
            if beneath {
                return Err(libc::EXDEV);
            }
            done.clear();
            if !in_root {
                done.push(b"/");
            }
        }
        let start = todo.as_bytes().iter().take_while(|byte| **byte == b'/').count();
        let rest = todo.as_bytes().get(start..).unwrap_or(&[]);
        if rest.is_empty() {
            break;
        }
        let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let mut next = PathText::from_parts(&[after.strip_prefix(b"/").unwrap_or(after)]);
        match name {
            b"." => {}
            b".." => up(done, beneath, in_root)?,
            _ => {
                let parent_len = done.as_bytes().len();
                if !matches!(done.as_bytes(), [] | [.., b'/']) {
                    done.push(b"/");
                }
                done.push(name);
                let kept = after.is_empty() && how.flags & O_NOFOLLOW as u64 != 0;
                if !kept && let Some(target) = link_target(dirfd, done, after.is_empty())? {
                    links += 1;
                    if how.resolve & RESOLVE_NO_SYMLINKS != 0 || links > SYMLINKS_MAX {
                        return Err(libc::ELOOP);
                    }
                    done.truncate(parent_len);
                    next = PathText::from_parts(&[
                        target.as_bytes(),
                        if after.is_empty() { b"" } else { b"/" },
                        after,
                    ]);
                }
                if after == b"/" {
                    done.push(b"/");
                }
            }
        }
        todo = next;
    }
    if done.is_empty() {
        done.push(b".");
    }
    Ok(())
}

/// `..`: one component less; above the start it is an error, or nothing, or one more `..`.
fn up(done: &mut PathText, beneath: bool, in_root: bool) -> Result<(), Errno> {
    let text = done.as_bytes();
    let trimmed = text.strip_suffix(b"/").unwrap_or(text);
    if trimmed.is_empty() || trimmed == b".." || trimmed.ends_with(b"/..") {
        if beneath {
            return Err(libc::EXDEV);
        }
        if !in_root && text != b"/" {
            done.push(if trimmed.is_empty() { b".." } else { b"/.." });
        }
        return Ok(());
    }
    let cut = trimmed.iter().rposition(|byte| *byte == b'/');
    let len = match cut {
        Some(0) => 1,
        Some(slash) => slash,
        None => 0,
    };
    done.truncate(len);
    Ok(())
}

/// Where a symlink leads; None: it is none, or nothing is there and it is the last component.
fn link_target(dirfd: c_int, path: &PathText, is_last: bool) -> Result<Option<PathText>, Errno> {
    let mut target = PathText::new();
    let filled = target.fill(|to| {
        let saved = errno::get();
        // SAFETY: a C string and a buffer of our own.
        let len = unsafe { readlinkat(dirfd, path.as_ptr(), to.as_mut_ptr().cast(), to.len()) };
        let failed = errno::get();
        errno::set(saved);
        usize::try_from(len).map_err(|_| failed)
    });
    match filled {
        Ok(()) => Ok(Some(target)),
        Err(libc::EINVAL) => Ok(None),
        Err(libc::ENOENT) if is_last => Ok(None),
        Err(errno) => Err(errno),
    }
}
