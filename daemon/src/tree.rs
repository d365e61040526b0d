//! A workspace's tree as rows, to be compared with a real directory's.

use crate::base::{Held, Row, path_order};
use crate::daemon::Daemon;
use nix::errno::Errno;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use vrift_manifest::types::{S_IFLNK, S_IFMT};
use vrift_manifest::{Attr, Content, ROOT, VnodeNo};

/// One path of a workspace.
pub struct Node {
    pub row: Row,
    pub attr: Attr,
}

/// All paths at and below `start` (named `path`), in [`path_order`]. Of what is still being written, the
/// bytes of this moment count. The lock is taken per directory.
pub fn nodes(daemon: &Daemon, id: u32, start: VnodeNo, path: &[u8]) -> Result<Vec<Node>, Errno> {
    let mut nodes = Vec::new();
    let mut dirs = vec![(start, path.to_vec())];
    {
        let spaces = daemon.spaces();
        let index = &spaces.get(id)?.index;
        let attr = index.attr(start).ok_or(Errno::ENOENT)?;
        nodes.push(node(path.to_vec(), attr, index.target(start)));
    }
    while let Some((dir, path)) = dirs.pop() {
        let spaces = daemon.spaces();
        let index = &spaces.get(id)?.index;
        index.children(dir, &mut |name, vnode| {
            let Some(attr) = index.attr(vnode) else { return };
            let path = if path.is_empty() { name.to_vec() } else { [&path, &b"/"[..], name].concat() };
            let node = node(path, attr, index.target(vnode));
            if node.row.is_dir() {
                dirs.push((vnode, node.row.path.clone()));
            }
            nodes.push(node);
        });
    }
    for node in nodes.iter_mut().filter(|node| node.attr.content == Content::Staged) {
        look_at_staged(daemon, id, node);
    }
    nodes.sort_unstable_by(|one, two| path_order(&one.row.path, &two.row.path));
    Ok(nodes)
}

/// The whole workspace without its root.
pub fn all(daemon: &Daemon, id: u32) -> Result<Vec<Node>, Errno> {
    let mut nodes = nodes(daemon, id, ROOT, b"")?;
    nodes.retain(|node| !node.row.path.is_empty());
    Ok(nodes)
}

fn node(path: Vec<u8>, attr: Attr, target: Option<Vec<u8>>) -> Node {
    let held = match attr.content {
        Content::Sealed(hash) => Held::Hash(hash),
        Content::Staged => Held::Hash([0; 32]),
        Content::None if attr.mode & S_IFMT == S_IFLNK => Held::Target(target.unwrap_or_default()),
        // Fifos and sockets hold nothing, and their mode tells them from a directory.
        Content::None => Held::Nothing,
    };
    let row = Row {
        path,
        mode: attr.mode,
        nlink: attr.nlink,
        uid: attr.uid,
        gid: attr.gid,
        size: attr.size,
        mtime_ns: attr.mtime_ns,
        ctime_ns: attr.ctime_ns,
        ino: attr.vnode.0,
        dev: 0,
        held,
        blocks: attr.blocks,
        xattrs: Vec::new(),
    };
    Node { row, attr }
}

fn look_at_staged(daemon: &Daemon, id: u32, node: &mut Node) {
    let Ok(file) = File::open(daemon.folders.staging(id, node.attr.vnode.0)) else { return };
    if let Ok(stat) = file.metadata() {
        node.row.mtime_ns = stat.mtime() * 1_000_000_000 + stat.mtime_nsec();
    }
    if let Ok((hash, len_bytes)) = vrift_cas::hash_file(&file, 0) {
        node.row.size = len_bytes;
        node.row.held = Held::Hash(hash.0);
    }
}

/// Name of a type, as `stat` prints it.
pub fn type_name(mode: u32) -> &'static str {
    match mode & S_IFMT {
        0o040000 => "directory",
        0o100000 => "file",
        0o120000 => "symlink",
        0o010000 => "fifo",
        0o140000 => "socket",
        _ => "device",
    }
}
