//! Looking into a snapshot: ls, stat, cat. Nothing of it is made a workspace for that.

use super::objects::fetch;
use crate::admin::Refusal;
use crate::daemon::{Daemon, cas_errno};
use crate::ingest::show;
use crate::namespace::Workspace;
use crate::tree::type_name;
use nix::errno::Errno;
use statefs_journal::BlobHash;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use vrift_manifest::Content;
use vrift_manifest::tree::{Entry as Node, TreeRoot, decode};
use vrift_protocol::admin::{Entry, PathBytes};

/// As MAXSYMLINKS of the kernel.
const LINKS_MAX: usize = 40;

/// A tree in the store, and where its paths begin.
pub struct Inside<'a> {
    pub daemon: &'a Daemon,
    pub root: TreeRoot,
    /// Absolute path at which the workspace is seen.
    pub view: Vec<u8>,
}

impl Inside<'_> {
    /// Entries of a directory, or the one entry of something else. Recursive: all below, parents first.
    pub fn list(&self, path: &[u8], recursive: bool) -> Result<Vec<Entry>, Refusal> {
        let found = || -> Result<Vec<Entry>, Errno> {
            // A symlink that leads nowhere is listed as itself.
            let (at, node) = self.find(path, true).or_else(|_| self.find(path, false))?;
            if node.object.is_none() {
                let (at, node) = self.find(path, false)?;
                return Ok(vec![entry(at, &node)]);
            }
            let mut entries = Vec::new();
            let mut dirs = vec![(at, node)];
            while let Some((at, dir)) = dirs.pop() {
                for node in self.entries(&dir)? {
                    let path =
                        if at.is_empty() { node.name.clone() } else { [&at, &b"/"[..], &node.name].concat() };
                    entries.push(entry(path.clone(), &node));
                    if recursive && node.object.is_some() {
                        dirs.push((path, node));
                    }
                }
            }
            entries.sort_unstable_by(|one, two| crate::base::path_order(&one.path.0, &two.path.0));
            Ok(entries)
        };
        found().map_err(|errno| Refusal::errno(&show(path), errno, self.daemon))
    }

    /// One entry; a final symlink is not followed.
    pub fn stat(&self, path: &[u8]) -> Result<Entry, Refusal> {
        let found = self.find(path, false).map(|(at, node)| entry(at, &node));
        found.map_err(|errno| Refusal::errno(&show(path), errno, self.daemon))
    }

    /// An fd of a file's bytes, open for reading, and their length.
    pub fn cat(&self, path: &[u8]) -> Result<(u64, OwnedFd), Refusal> {
        let failed = |errno| Refusal::errno(&show(path), errno, self.daemon);
        let (_, node) = self.find(path, true).map_err(failed)?;
        let Content::Sealed(hash) = node.attr.content else {
            let what = format!("{} is a {}", show(path), type_name(node.attr.mode));
            return Err(Refusal::input(what, "name a file; look with: vrift ls".into()));
        };
        let file = self.daemon.cas.open_blob(&BlobHash(hash)).map_err(|error| failed(cas_errno(&error)))?;
        Ok((node.attr.size, file.into()))
    }

    fn entries(&self, dir: &Node) -> Result<Vec<Node>, Errno> {
        let address = dir.object.ok_or(Errno::ENOTDIR)?;
        let entries = fetch(&self.daemon.store, &address).and_then(|bytes| decode(&bytes));
        entries.map_err(|error| {
            tracing::error!(%error, "a directory of a snapshot cannot be read");
            Errno::EIO
        })
    }

    /// What is at `path`, relative to the root or absolute inside the view, and its own path; symlinks on the way (and,
    /// with `follow`, the last one) are followed inside the tree.
    fn find(&self, path: &[u8], follow: bool) -> Result<(Vec<u8>, Node), Errno> {
        let parts = |path: &[u8]| -> VecDeque<Vec<u8>> {
            let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
            parts.map(<[u8]>::to_vec).collect()
        };
        let mut rest = parts(crate::namespace::relative(&self.view, path).ok_or(Errno::ENOENT)?);
        let mut trail = vec![self.root.entry.clone()];
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if name == b".." {
                if trail.len() == 1 {
                    return Err(Errno::ENOENT);
                }
                trail.pop();
                continue;
            }
            let dir = trail.last().ok_or(Errno::ENOENT)?;
            let node = self.entries(dir)?.into_iter().find(|node| node.name == name).ok_or(Errno::ENOENT)?;
            if node.target.is_empty() || (rest.is_empty() && !follow) {
                trail.push(node);
                continue;
            }
            links += 1;
            if links > LINKS_MAX {
                return Err(Errno::ELOOP);
            }
            if node.target.first() == Some(&b'/') {
                trail.truncate(1);
            }
            let target = parts(crate::namespace::relative(&self.view, &node.target).ok_or(Errno::ENOENT)?);
            target.into_iter().rev().for_each(|part| rest.push_front(part));
        }
        let names: Vec<&[u8]> = trail.iter().skip(1).map(|node| &node.name[..]).collect();
        let path = names.join(&b'/');
        trail.pop().map(|node| (path, node)).ok_or(Errno::ENOENT)
    }
}

/// A snapshot of a workspace, to be looked into.
pub fn of<'a>(daemon: &'a Daemon, id: u32, snapshot: &str) -> Result<Inside<'a>, Refusal> {
    let root = super::compare::find(daemon, id, snapshot)?.root.clone();
    let spaces = daemon.spaces();
    let awake = spaces.workspaces.get(&id).map(|workspace: &Workspace| workspace.view.clone());
    let view = awake.or_else(|| spaces.asleep.get(&id).map(|asleep| asleep.view.clone())).unwrap_or_default();
    drop(spaces);
    Ok(Inside { daemon, root, view })
}

fn entry(path: Vec<u8>, node: &Node) -> Entry {
    let target = if node.target.is_empty() { None } else { Some(PathBytes(node.target.clone())) };
    crate::look::row(&path, &node.attr, target)
}
