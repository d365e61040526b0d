//! The working directory as a vnode. The kernel's is a mirror folder while it is in the view; in a shell
//! that was put into the view by `vrift env` it may also be the real directory at the view path.

use crate::elsewhere::Elsewhere;
use crate::fds;
use crate::hot::HOT;
use crate::init;
use crate::line;
use crate::raw::{self, Errno};
use crate::resolve::{Place, resolve_bytes};
use crate::text::{PATH_MAX, PathText, Text, below};
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

/// The directory's vnode, or one of the above.
pub struct Cache(AtomicU64);

impl Cache {
    pub const fn new() -> Cache {
        Cache(AtomicU64::new(UNKNOWN))
    }
}

/// Where relative paths start.
pub fn current() -> Result<Cwd, Errno> {
    match HOT.cwd.0.load(Ordering::Relaxed) {
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
    HOT.cwd.0.store(value, Ordering::Relaxed);
}

pub fn forget() {
    HOT.cwd.0.store(UNKNOWN, Ordering::Relaxed);
}

/// The kernel's own answer.
pub fn kernel(path: &mut PathText) -> Result<(), Errno> {
    raw::getcwd(path)
}

fn ask() -> Result<Cwd, Errno> {
    // Most are short, and the stack's pages are not touched in vain.
    match ask_within::<256>() {
        Err(libc::ERANGE) => ask_within::<PATH_MAX>(),
        answer => answer,
    }
}

/// As [`ask`]; ERANGE: it has no room for the path.
#[inline(never)]
fn ask_within<const LEN: usize>() -> Result<Cwd, Errno> {
    let mut path: Text<LEN> = Text::new();
    match raw::getcwd(&mut path) {
        Ok(()) => {}
        Err(libc::ERANGE) => return Err(libc::ERANGE),
        Err(errno) => return removed().unwrap_or(Err(errno)),
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
    let mut elsewhere = Elsewhere::new();
    let creds = crate::creds::Creds::effective();
    match resolve_bytes(libc::AT_FDCWD, path, true, &creds, &mut elsewhere)? {
        Place::Inside(inside) => Ok(Cwd::View(inside.existing()?.vnode)),
        _ => Ok(Cwd::Outside),
    }
}

/// Of a directory that was removed the mirror folder's old name is still to be had.
#[inline(never)]
fn removed() -> Option<Result<Cwd, Errno>> {
    let mut path = PathText::new();
    raw::readlink_text(c"/proc/self/cwd", &mut path).ok()?;
    let path = path.as_bytes();
    let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
    Some(fds::mirror_vnode(path).map(|vnode| vnode.map_or(Cwd::Outside, Cwd::View)))
}

/// Makes the directory `vnode` the working directory.
pub fn enter(vnode: VnodeNo) -> Result<(), Errno> {
    crate::content::enter(vnode)?;
    remember(Cwd::View(vnode));
    Ok(())
}
