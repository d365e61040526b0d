//! The working directory as a vnode. The kernel's is a mirror folder while it is in the view; in a shell
//! that was put into the view by `vrift env` it may also be the real directory at the view path.

use crate::fds;
use crate::init;
use crate::line;
use crate::raw::{self, Errno};
use crate::resolve::{Place, resolve_bytes};
use crate::text::{PathText, below};
use core::sync::atomic::{AtomicU64, Ordering};
use vrift_manifest::{ROOT, VnodeNo};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Cwd {
    View(VnodeNo),
    Outside,
    /// Outside, and not above the view.
    Apart,
}

const UNKNOWN: u64 = 0;
const OUTSIDE: u64 = u64::MAX;
const APART: u64 = u64::MAX - 1;
static CACHE: AtomicU64 = AtomicU64::new(UNKNOWN);

/// Where relative paths start.
pub fn current() -> Result<Cwd, Errno> {
    match CACHE.load(Ordering::Relaxed) {
        UNKNOWN => {}
        OUTSIDE => return Ok(Cwd::Outside),
        APART => return Ok(Cwd::Apart),
        vnode => return Ok(Cwd::View(VnodeNo(vnode))),
    }
    let cwd = ask()?;
    remember(cwd);
    Ok(cwd)
}

/// After a chdir that worked.
pub fn remember(cwd: Cwd) {
    // A vfork child has a working directory of its own but its parent's memory.
    let value = match cwd {
        _ if line::shares_memory() => UNKNOWN,
        Cwd::View(vnode) => vnode.0,
        Cwd::Outside => OUTSIDE,
        Cwd::Apart => APART,
    };
    CACHE.store(value, Ordering::Relaxed);
}

pub fn forget() {
    CACHE.store(UNKNOWN, Ordering::Relaxed);
}

/// The kernel's own answer.
pub fn kernel(path: &mut PathText) -> Result<(), Errno> {
    path.fill(raw::getcwd)
}

#[inline(never)]
fn ask() -> Result<Cwd, Errno> {
    let mut path = PathText::new();
    if let Err(errno) = kernel(&mut path) {
        // Removed: its mirror folder's old name is still to be had.
        return match path.fill(|to| raw::readlink(c"/proc/self/cwd", to)) {
            Ok(()) => removed(&path),
            Err(_) => Err(errno),
        };
    }
    if !path.as_bytes().starts_with(b"/") {
        return Ok(Cwd::Outside);
    }
    if let Some(vnode) = fds::mirror_vnode(path.as_bytes())? {
        return Ok(Cwd::View(vnode));
    }
    match below(path.as_bytes(), init::settings().view.as_bytes()) {
        None => Ok(Cwd::Outside),
        Some(b"") => Ok(Cwd::View(ROOT)),
        Some(_) => by_real_path(path.as_bytes()),
    }
}

/// In the real directory below the view path.
#[inline(never)]
fn by_real_path(path: &[u8]) -> Result<Cwd, Errno> {
    let mut elsewhere = PathText::new();
    let creds = crate::creds::Creds::effective();
    match resolve_bytes(libc::AT_FDCWD, path, true, &creds, &mut elsewhere)? {
        Place::Inside(inside) => Ok(Cwd::View(inside.existing()?.vnode)),
        _ => Ok(Cwd::Outside),
    }
}

fn removed(path: &PathText) -> Result<Cwd, Errno> {
    let path = path.as_bytes();
    let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
    Ok(fds::mirror_vnode(path)?.map_or(Cwd::Outside, Cwd::View))
}

/// Makes the directory `vnode` the working directory.
pub fn enter(vnode: VnodeNo) -> Result<(), Errno> {
    crate::content::enter(vnode)?;
    remember(Cwd::View(vnode));
    Ok(())
}
