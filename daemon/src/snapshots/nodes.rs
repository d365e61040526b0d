//! Fifos and device nodes of a tree that came from objects: the kernel's part of them is a real node in staging.

use crate::folders::Folders;
use crate::vnode_ops::make_node;
use nix::errno::Errno;
use vrift_manifest::types::{S_IFBLK, S_IFCHR, S_IFMT};
use vrift_manifest::{Index, VnodeNo};

const S_IFIFO: u32 = 0o010000;

/// Makes those that are missing among `vnodes`.
pub fn make_missing(folders: &Folders, workspace: u32, index: &Index, vnodes: &[VnodeNo]) {
    for vnode in vnodes {
        let Some(attr) = index.attr(*vnode) else { continue };
        let kind = attr.mode & S_IFMT;
        if !matches!(kind, S_IFIFO | S_IFCHR | S_IFBLK) {
            continue;
        }
        match make_node(&folders.staging(workspace, vnode.0), kind, attr.rdev) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => tracing::warn!(workspace, vnode = vnode.0, %errno, "a node cannot be made"),
        }
    }
}

/// The same for a whole workspace.
pub fn make_all_missing(folders: &Folders, workspace: u32, index: &Index) {
    let mut vnodes = Vec::new();
    index.vnodes(&mut |vnode| {
        if index.attr(vnode).is_some_and(|attr| !matches!(attr.mode & S_IFMT, 0o100000 | 0o040000 | 0o120000))
        {
            vnodes.push(vnode);
        }
    });
    make_missing(folders, workspace, index, &vnodes);
}
