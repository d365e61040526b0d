//! rename(2), renameat and renameat2.

use super::names::{done, may_remove, on_two_paths};
use super::{hook, unknown};
use crate::creds::{Creds, SEARCH, WRITE};
use crate::errno;
use crate::raw::Errno;
use crate::real::real;
use crate::request::Request;
use crate::resolve::{Attr, Inside};
use crate::view;
use core::ffi::{c_char, c_int, c_uint};
use libc::AT_FDCWD;
use vrift_manifest::{ROOT, VnodeNo};
use vrift_protocol::Op;
use zerocopy::byteorder::little_endian::{U32, U64};

fn rename_in(from: &Inside, to: &Inside, flags: c_uint) -> Result<c_int, Errno> {
    // In the kernel's order (do_renameat2 in fs/namei.c), which decides what a call with two faults says.
    if !from.is_plain() {
        return Err(libc::EBUSY);
    }
    if !to.is_plain() {
        return Err(if flags & libc::RENAME_NOREPLACE != 0 { libc::EEXIST } else { libc::EBUSY });
    }
    let source = from.target.as_ref().ok_or(libc::ENOENT)?;
    if flags & libc::RENAME_NOREPLACE != 0 && to.target.is_some() {
        return Err(libc::EEXIST);
    }
    if flags & libc::RENAME_EXCHANGE != 0 {
        to.existing()?;
    }
    if !source.is_dir() && (from.slash || to.slash && flags & libc::RENAME_EXCHANGE == 0) {
        return Err(libc::ENOTDIR);
    }
    let creds = Creds::effective();
    may_remove(&creds, &from.parent, source)?;
    match &to.target {
        Some(target) => may_remove(&creds, &to.parent, target)?,
        None if !to.parent.may(&creds, WRITE | SEARCH) => return Err(libc::EACCES),
        None => {}
    }
    if source.is_dir() && from.parent.vnode != to.parent.vnode && !source.may(&creds, WRITE) {
        return Err(why_not_moved(from, to, source, flags));
    }
    let mut request = Request::new(Op::Rename);
    request.body.dir = U64::new(from.parent.vnode.0);
    request.body.dir2 = U64::new(to.parent.vnode.0);
    request.body.flags = U32::new(flags);
    request.name = from.name.as_bytes();
    request.name2 = to.name.as_bytes();
    done(request)
}

/// A directory's `..` changes when it gets another parent, which needs permission; what is said before that.
#[cold]
fn why_not_moved(from: &Inside, to: &Inside, source: &Attr, flags: c_uint) -> Errno {
    let is_within = |dir: &Attr, ancestor: VnodeNo| {
        view::read(|reader| {
            let mut slot = reader.slot(dir.vnode)?;
            while reader.vnode(slot) != ancestor {
                (slot, _) = reader.naming_dentry(slot).filter(|_| reader.vnode(slot) != ROOT)?;
            }
            Some(())
        })
        .is_ok_and(|found| found.is_some())
    };
    let exchanges = flags & libc::RENAME_EXCHANGE != 0;
    match &to.target {
        _ if is_within(&to.parent, source.vnode) => libc::EINVAL,
        Some(target) if !exchanges && is_within(&from.parent, target.vnode) => libc::ENOTEMPTY,
        Some(target) if !exchanges && !target.is_dir() => libc::ENOTDIR,
        _ => libc::EACCES,
    }
}

hook! {
    fn rename(old: *const c_char, new: *const c_char) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            on_two_paths((AT_FDCWD, old, false), (AT_FDCWD, new), false, |from, to| rename_in(from, to, 0), |_, old, _, new| {
                real!(rename(old: *const c_char, new: *const c_char) -> c_int)
            })
        }
    }
}

hook! {
    fn renameat(dirfd: c_int, old: *const c_char, dirfd2: c_int, new: *const c_char) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            on_two_paths((dirfd, old, false), (dirfd2, new), false, |from, to| rename_in(from, to, 0), |dirfd, old, dirfd2, new| {
                real!(renameat(dirfd: c_int, old: *const c_char, dirfd2: c_int, new: *const c_char) -> c_int)
            })
        }
    }
}

hook! {
    fn renameat2(dirfd: c_int, old: *const c_char, dirfd2: c_int, new: *const c_char, flags: c_uint) -> c_int {
        const EXCLUSIVE: c_uint = libc::RENAME_NOREPLACE | libc::RENAME_WHITEOUT;
        let known = (EXCLUSIVE | libc::RENAME_EXCHANGE) as c_int;
        let both = flags & libc::RENAME_EXCHANGE != 0 && flags & EXCLUSIVE != 0;
        if unknown(flags as c_int, known) || both {
            return errno::fail(libc::EINVAL);
        }
        // SAFETY: C's arguments.
        unsafe {
            on_two_paths((dirfd, old, false), (dirfd2, new), false, |from, to| rename_in(from, to, flags), |dirfd, old, dirfd2, new| {
                real!(renameat2(dirfd: c_int, old: *const c_char, dirfd2: c_int, new: *const c_char, flags: c_uint) -> c_int)
            })
        }
    }
}
