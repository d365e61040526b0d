//! What a workspace has at a path of the real directory, and what it is to have.

use crate::base::{Held, Row};
use crate::namespace::Workspace;
use vrift_manifest::types::{S_IFDIR, S_IFLNK, S_IFMT};
use vrift_manifest::{Content, NewVnode, ROOT, VnodeNo};

pub(super) fn new_vnode(row: &Row) -> NewVnode<'_> {
    let (content, target) = match &row.held {
        Held::Nothing => (Content::None, &[][..]),
        Held::Hash(hash) => (Content::Sealed(*hash), &[][..]),
        Held::Target(target) => (Content::None, &target[..]),
    };
    NewVnode {
        mode: row.mode,
        uid: row.uid,
        gid: row.gid,
        rdev: 0,
        size: row.size,
        atime_ns: row.mtime_ns,
        mtime_ns: row.mtime_ns,
        ctime_ns: row.ctime_ns.max(row.mtime_ns),
        content,
        target,
    }
}

/// The vnode at exactly this path, no symlinks followed.
pub fn find(workspace: &Workspace, path: &[u8]) -> Option<VnodeNo> {
    if path.is_empty() {
        return Some(ROOT);
    }
    path.split(|byte| *byte == b'/').try_fold(ROOT, |dir, name| workspace.index.lookup(dir, name))
}

pub(super) fn parent<'p>(workspace: &Workspace, path: &'p [u8]) -> Option<(VnodeNo, &'p [u8])> {
    let slash = path.iter().rposition(|byte| *byte == b'/');
    let (dir, name) = slash.map_or((&[][..], path), |at| (&path[..at], &path[at + 1..]));
    Some((find(workspace, dir)?, name))
}

pub(super) fn is_dir(workspace: &Workspace, vnode: VnodeNo) -> bool {
    workspace.index.attr(vnode).is_some_and(|attr| attr.mode & S_IFMT == S_IFDIR)
}

/// Whether a vnode is what a row of the base table says: type, permissions and content.
pub fn holds(workspace: &Workspace, vnode: VnodeNo, row: &Row) -> bool {
    let Some(attr) = workspace.index.attr(vnode) else { return false };
    if attr.mode != row.mode {
        return false;
    }
    match &row.held {
        Held::Nothing => true,
        Held::Hash(hash) => attr.content == Content::Sealed(*hash),
        Held::Target(target) => {
            attr.mode & S_IFMT == S_IFLNK && workspace.index.target(vnode).is_some_and(|has| has == *target)
        }
    }
}
