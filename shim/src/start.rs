//! Where the walk over a path starts: most often its directory is known; else the path is joined, normalised, or its folders
//! outside are looked at.

use crate::cwd::{self, Cwd};
use crate::fds::{self, BaseKind};
use crate::init;
use crate::outside::{self, Leads};
use crate::raw::Errno;
use crate::text::{PathText, below, is_normal, normalise};
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

pub fn joined_start(dirfd: c_int, path: &[u8], joined: &mut PathText) -> Result<Start, Errno> {
    let view = init::settings().view.as_bytes();
    if path.first() != Some(&b'/') {
        return from_outside(dirfd, path, joined, view);
    }
    if !is_normal(path) {
        normalise(path, joined);
        if below(joined.as_bytes(), view).is_some() {
            return Ok(Start::Joined);
        }
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
    let known = if dirfd == libc::AT_FDCWD { cwd::kernel(&mut base) } else { fds::path_of(dirfd, &mut base) };
    if known.is_err() {
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
    base.push(b"/");
    base.push(path);
    if base.overflowed() {
        return Ok(Start::Outside);
    }
    normalise(base.as_bytes(), joined);
    if below(joined.as_bytes(), view).is_some() {
        return Ok(Start::Joined);
    }
    Ok(match outside::look(base.as_bytes(), joined) {
        Leads::Outside => Start::Outside,
        Leads::At(vnode) => Start::AtJoined(vnode),
        Leads::View => Start::Joined,
    })
}
