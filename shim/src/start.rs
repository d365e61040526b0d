//! Where the walk over a path starts: most often its directory is known; else the path is joined, normalised, or its folders
//! outside are looked at.

use crate::cwd::{self, Cwd};
use crate::fds::{self, BaseKind};
use crate::init;
use crate::outside::{self, Leads};
use crate::raw::Errno;
use crate::text::{PathText, below, is_normal};
use core::ffi::c_int;
use vrift_manifest::VnodeNo;

/// Where a walk starts.
pub enum Start {
    Outside,
    At(VnodeNo),
    /// An absolute path that is in the view, with this much of the view path to skip.
    View {
        skip: usize,
    },
    /// What `joined` says, from this directory.
    AtJoined(VnodeNo),
    /// Relative to a directory outside, or not in normal form, and in the view when joined and normalised.
    Joined,
}

/// Where most walks start. None: [`joined_start`] knows.
pub fn plain_start(dirfd: c_int, path: &[u8]) -> Result<Option<Start>, Errno> {
    if path.first() == Some(&b'/') {
        if let Some(rest) = below(path, init::settings().view.as_bytes()) {
            return Ok(Some(Start::View { skip: path.len() - rest.len() }));
        }
        return Ok((is_normal(path) && outside::is_known(path)).then_some(Start::Outside));
    }
    if path.is_empty() {
        return Ok(Some(Start::Outside));
    }
    let base = if dirfd == libc::AT_FDCWD {
        match cwd::current()? {
            Cwd::View(vnode) => BaseKind::View(vnode),
            Cwd::Outside => BaseKind::Outside,
            Cwd::Apart => BaseKind::Apart,
        }
    } else {
        fds::identify_dir(dirfd)
    };
    match base {
        BaseKind::View(vnode) => Ok(Some(Start::At(vnode))),
        BaseKind::Apart if path != b".." && !path.contains(&b'/') => Ok(Some(Start::Outside)),
        BaseKind::Apart | BaseKind::Outside => Ok(None),
    }
}

/// Whether an absolute path leads to the view, whose first `known` bytes are the kernel's own name of a folder. Then `joined` is
/// the view's path and what comes after it as it is: in the view `..` after a symlink is the parent of its target. Outside
/// it is so, too, so where `..` comes after a name that is not known, the kernel is asked whether there is a symlink.
pub fn reaches_view(path: &[u8], mut known: usize, joined: &mut PathText) -> bool {
    let view = init::settings().view.as_bytes();
    joined.clear();
    let (mut after, mut is_sure) = (0, true);
    for part in path.split(|byte| *byte == b'/') {
        after += part.len() + 1;
        match part {
            b"" | b"." => continue,
            b".." => {
                is_sure &= joined.as_bytes().len() <= known;
                let end = joined.as_bytes().iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                joined.truncate(end);
                known = known.min(end);
            }
            _ => {
                joined.push(b"/");
                joined.push(part);
            }
        }
        if joined.as_bytes() == view {
            if !is_sure && !outside::is_without_symlinks(path.get(..after - 1).unwrap_or(path)) {
                return false;
            }
            if let Some(rest) = path.get(after..) {
                joined.push(b"/");
                joined.push(rest);
            }
            return !joined.overflowed();
        }
    }
    false
}

pub fn joined_start(dirfd: c_int, path: &[u8], joined: &mut PathText) -> Result<Start, Errno> {
    let view = init::settings().view.as_bytes();
    if path.first() != Some(&b'/') {
        return from_outside(dirfd, path, joined, view);
    }
    if !is_normal(path) && reaches_view(path, 0, joined) {
        return Ok(Start::Joined);
    }
    Ok(match outside::look(path, joined) {
        Leads::Outside => Start::Outside,
        Leads::At(vnode) => Start::AtJoined(vnode),
        Leads::View => Start::Joined,
    })
}

/// From outside, a relative path gets into the view only through an ancestor of it, or by `..`.
#[inline(never)]
fn from_outside(dirfd: c_int, path: &[u8], joined: &mut PathText, view: &[u8]) -> Result<Start, Errno> {
    let mut base = PathText::new();
    let asked = if dirfd == libc::AT_FDCWD { cwd::kernel(&mut base) } else { fds::path_of(dirfd, &mut base) };
    if asked.is_err() {
        return Ok(Start::Outside);
    }
    if below(view, base.as_bytes()).is_none() {
        match dirfd {
            libc::AT_FDCWD => cwd::remember(Cwd::Apart),
            _ => fds::is_apart(dirfd),
        }
        if path != b".." && !path.contains(&b'/') {
            return Ok(Start::Outside);
        }
    }
    let known = base.as_bytes().len();
    base.push(b"/");
    base.push(path);
    if base.overflowed() {
        return Ok(Start::Outside);
    }
    if reaches_view(base.as_bytes(), known, joined) {
        return Ok(Start::Joined);
    }
    Ok(match outside::look(base.as_bytes(), joined) {
        Leads::Outside => Start::Outside,
        Leads::At(vnode) => Start::AtJoined(vnode),
        Leads::View => Start::Joined,
    })
}
