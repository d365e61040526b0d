//! Looking into a workspace without running anything: ls, stat, cat.

use crate::admin::Refusal;
use crate::daemon::{Daemon, cas_errno};
use crate::ingest::show;
use crate::namespace::Workspace;
use crate::tree::type_name;
use nix::errno::Errno;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use vrift_cas::BlobHash;
use vrift_manifest::types::{S_IFDIR, S_IFMT};
use vrift_manifest::{Attr, Content, VnodeNo};
use vrift_protocol::admin::{Entry, PathBytes};

/// Entries of a directory, or the one entry of something else. Recursive: all below, parents first.
pub fn list(daemon: &Daemon, id: u32, path: &[u8], recursive: bool) -> Result<Vec<Entry>, Refusal> {
    let failed = |errno| Refusal::errno(&show(path), errno, daemon);
    let (start, start_path, attr) = {
        let spaces = daemon.spaces();
        let workspace = spaces.get(id).map_err(failed)?;
        // A symlink that leads nowhere is listed as itself.
        let vnode = workspace.find(path, true).or_else(|_| workspace.find(path, false)).map_err(failed)?;
        let attr = workspace.index.attr(vnode).ok_or(Errno::ENOENT).map_err(failed)?;
        if attr.mode & S_IFMT != S_IFDIR {
            let vnode = workspace.find(path, false).map_err(failed)?;
            return Ok(vec![
                entry(daemon, workspace, vnode, &name_of(workspace, vnode, path)).map_err(failed)?,
            ]);
        }
        (vnode, workspace.index.path_of(vnode).unwrap_or_default(), attr)
    };
    let mut entries = Vec::new();
    let mut dirs = vec![(attr.vnode, start_path)];
    debug_assert_eq!(attr.vnode, start);
    while let Some((dir, dir_path)) = dirs.pop() {
        let spaces = daemon.spaces();
        let workspace = spaces.get(id).map_err(failed)?;
        let mut children = Vec::new();
        workspace.index.children(dir, &mut |name, vnode| children.push((name.to_vec(), vnode)));
        for (name, vnode) in children {
            let path = if dir_path.is_empty() { name } else { [&dir_path, &b"/"[..], &name].concat() };
            if let Ok(entry) = entry(daemon, workspace, vnode, &path) {
                if recursive && entry.mode & S_IFMT == S_IFDIR {
                    dirs.push((vnode, path));
                }
                entries.push(entry);
            }
        }
    }
    entries.sort_unstable_by(|one, two| crate::base::path_order(&one.path.0, &two.path.0));
    Ok(entries)
}

/// One entry; a final symlink is not followed.
pub fn stat(daemon: &Daemon, id: u32, path: &[u8]) -> Result<Entry, Refusal> {
    let found = || {
        let spaces = daemon.spaces();
        let workspace = spaces.get(id)?;
        let vnode = workspace.find(path, false)?;
        entry(daemon, workspace, vnode, &name_of(workspace, vnode, path))
    };
    found().map_err(|errno| Refusal::errno(&show(path), errno, daemon))
}

/// An fd of a file's bytes, open for reading, and their length.
pub fn cat(daemon: &Daemon, id: u32, path: &[u8]) -> Result<(u64, OwnedFd), Refusal> {
    let failed = |errno| Refusal::errno(&show(path), errno, daemon);
    let attr = || -> Result<Attr, Errno> {
        let spaces = daemon.spaces();
        let workspace = spaces.get(id)?;
        workspace.index.attr(workspace.find(path, true)?).ok_or(Errno::ENOENT)
    };
    let mut found = attr().map_err(failed)?;
    if found.content == Content::Staged {
        // Where the store takes nothing more, it is read as it lies in the staging folder.
        let _sealed_or_not = daemon.seal(id, found.vnode);
        found = attr().map_err(failed)?;
    }
    let file = match found.content {
        Content::Sealed(hash) => {
            daemon.cas.open_blob(&BlobHash(hash)).map_err(|error| failed(cas_errno(&error)))?
        }
        Content::Staged => File::open(daemon.folders.staging(id, found.vnode.0))
            .map_err(|error| failed(crate::namespace::errno_of(&error)))?,
        Content::None => {
            let what = format!("{} is a {}", show(path), type_name(found.mode));
            return Err(Refusal::input(what, "name a file; look with: vrift ls".into()));
        }
    };
    let size = file.metadata().map_or(found.size, |stat| stat.len());
    Ok((size, file.into()))
}

/// Path relative to the view's root; the one asked for when a hard link's own name is not known.
fn name_of(workspace: &Workspace, vnode: VnodeNo, asked: &[u8]) -> Vec<u8> {
    workspace.index.path_of(vnode).unwrap_or_else(|| asked.to_vec())
}

fn entry(daemon: &Daemon, workspace: &Workspace, vnode: VnodeNo, path: &[u8]) -> Result<Entry, Errno> {
    let mut attr = workspace.index.attr(vnode).ok_or(Errno::ENOENT)?;
    if attr.content == Content::Staged
        && let Ok(stat) = fs::symlink_metadata(daemon.folders.staging(workspace.id, vnode.0))
    {
        let ns = |seconds: i64, ns: i64| seconds * 1_000_000_000 + ns;
        attr.size = stat.size();
        attr.atime_ns = ns(stat.atime(), stat.atime_nsec());
        attr.mtime_ns = ns(stat.mtime(), stat.mtime_nsec());
        attr.ctime_ns = attr.ctime_ns.max(ns(stat.ctime(), stat.ctime_nsec()));
    }
    Ok(row(path, &attr, workspace.index.target(vnode).map(PathBytes)))
}

/// What is told of a path.
pub fn row(path: &[u8], attr: &Attr, target: Option<PathBytes>) -> Entry {
    Entry {
        path: path.into(),
        file_type: type_name(attr.mode).into(),
        mode: attr.mode,
        uid: attr.uid,
        gid: attr.gid,
        nlink: attr.nlink,
        size: attr.size,
        mtime_ns: attr.mtime_ns,
        ctime_ns: attr.ctime_ns,
        atime_ns: attr.atime_ns,
        vnode: attr.vnode.0,
        hash: match attr.content {
            Content::Sealed(hash) => Some(BlobHash(hash).to_string()),
            _ => None,
        },
        staged: attr.content == Content::Staged,
        target,
    }
}
