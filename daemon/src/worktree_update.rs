//! From the workspace to its worktree: only what differs from the base table is written.

use crate::admin::Refusal;
use crate::base::{Base, Row, path_order};
use crate::daemon::Daemon;
use crate::ingest::show;
use crate::real_tree::RealTree;
use crate::tree::{Node, nodes};
use crate::worktree::{State, let_time_pass, tree_dir};
use nix::errno::Errno;
use nix::unistd::geteuid;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use vrift_manifest::ROOT;
use vrift_manifest::types::S_IFMT;

const S_IFSOCK: u32 = 0o140000;
const S_IFIFO: u32 = 0o010000;
/// What a directory must allow its owner so that something in it can be changed.
const OWNER_ALL: u32 = 0o700;

/// What has to be done.
#[derive(Default)]
struct Plan<'a> {
    deleted: Vec<&'a Row>,
    made: Vec<&'a Node>,
    /// Only permissions, owner or time differ.
    touched: Vec<&'a Node>,
    /// Of files with several names, one that is in the worktree already.
    names: HashMap<u64, &'a [u8]>,
}

impl Plan<'_> {
    fn is_empty(&self) -> bool {
        self.deleted.is_empty() && self.made.is_empty() && self.touched.is_empty()
    }
}

/// Makes the worktree what the workspace is.
pub fn update(daemon: &Daemon, id: u32, state: &mut State) -> Result<(), Refusal> {
    let failed = |errno: Errno| Refusal::errno("the workspace", errno, daemon);
    let (changes, writing) = {
        let spaces = daemon.spaces();
        let workspace = spaces.get(id).map_err(failed)?;
        (workspace.changes, !workspace.staged.is_empty())
    };
    if state.seen == Some(changes) {
        return Ok(());
    }
    if writing {
        daemon.seal_all(id).map_err(failed)?;
    }
    let (changes, writing) = {
        let spaces = daemon.spaces();
        let workspace = spaces.get(id).map_err(failed)?;
        (workspace.changes, !workspace.staged.is_empty())
    };
    let nodes = nodes(daemon, id, ROOT, b"").map_err(failed)?;
    let base = Arc::clone(&state.base);
    let plan = plan(&base, &nodes);
    if !plan.is_empty() {
        let dir = tree_dir(daemon, id);
        let tree = RealTree::open(dir.as_os_str().as_bytes(), true).map_err(failed)?;
        let work = Work { daemon, id, tree: &tree, base: &base, nodes: &nodes, dirs: BTreeSet::new() };
        let next = work.run(&plan).map_err(|(path, errno)| {
            let what = format!("{} cannot be written to the worktree: {}", show(&path), errno.desc());
            Refusal::store(what, daemon)
        });
        // Where it stopped is not known: the next one compares with what is there.
        state.seen = None;
        state.base = Arc::new(next?);
        let_time_pass(daemon);
    }
    // Bytes of what is being written change without a change of the namespace.
    state.seen = (!writing).then_some(changes);
    Ok(())
}

fn same_attrs(row: &Row, node: &Node) -> bool {
    let owner = !geteuid().is_root() || (row.uid, row.gid) == (node.row.uid, node.row.gid);
    row.mode == node.row.mode && row.mtime_ns == node.row.mtime_ns && owner
}

fn plan<'a>(base: &'a Base, nodes: &'a [Node]) -> Plan<'a> {
    let mut plan = Plan::default();
    let (mut vnode_of, mut inode_of) = (HashMap::new(), HashMap::new());
    let (mut one, mut two) = (0, 0);
    while one < base.rows.len() || two < nodes.len() {
        let (row, node) = (base.rows.get(one), nodes.get(two));
        let order = match (row, node) {
            (Some(row), Some(node)) => path_order(&row.path, &node.row.path),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        one += usize::from(order != Ordering::Greater);
        two += usize::from(order != Ordering::Less);
        let row = row.filter(|_| order != Ordering::Greater);
        let node = node.filter(|_| order != Ordering::Less);
        match (row, node) {
            (Some(row), None) => plan.deleted.push(row),
            // They have no content; who listens or reads is not in the worktree.
            (None, Some(node)) if matches!(node.row.mode & S_IFMT, S_IFSOCK | S_IFIFO) => {}
            (None, Some(node)) => plan.made.push(node),
            (Some(row), Some(node)) => {
                let same_kind = row.mode & S_IFMT == node.row.mode & S_IFMT;
                let several = !node.row.is_dir() && (row.nlink > 1 || node.row.nlink > 1);
                let (vnode, inode) = (node.attr.vnode.0, (row.dev, row.ino));
                // Names of one file must be names of one file there, and of no other.
                let grouped = !several
                    || *vnode_of.entry(inode).or_insert(vnode) == vnode
                        && *inode_of.entry(vnode).or_insert(inode) == inode;
                if !same_kind {
                    plan.deleted.push(row);
                    if !matches!(node.row.mode & S_IFMT, S_IFSOCK | S_IFIFO) {
                        plan.made.push(node);
                    }
                } else if row.held != node.row.held || !grouped {
                    plan.made.push(node);
                } else {
                    if several {
                        plan.names.entry(vnode).or_insert(&node.row.path);
                    }
                    if !same_attrs(row, node) {
                        plan.touched.push(node);
                    }
                }
            }
            (None, None) => {}
        }
    }
    plan
}

struct Work<'a> {
    daemon: &'a Daemon,
    id: u32,
    tree: &'a RealTree,
    base: &'a Base,
    nodes: &'a [Node],
    /// Directories that get their permissions and times when everything in them is done.
    dirs: BTreeSet<&'a [u8]>,
}

type Failed = (Vec<u8>, Errno);

impl<'a> Work<'a> {
    fn node(&self, path: &[u8]) -> Option<&'a Node> {
        let nodes = self.nodes;
        nodes.binary_search_by(|node| path_order(&node.row.path, path)).ok().map(|at| &nodes[at])
    }

    /// Before something in it changes: the directory of `path` is one that its owner may change.
    fn enter_parent(&mut self, path: &'a [u8]) -> Result<(), Errno> {
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        for end in std::iter::once(0).chain(slashes.map(|(at, _)| at)) {
            let dir = &path[..end];
            if path.is_empty() || !self.dirs.insert(dir) {
                continue;
            }
            if let Some(row) = self.base.find(dir).filter(|row| row.mode & OWNER_ALL != OWNER_ALL) {
                self.tree.set_attrs(&Row { mode: row.mode | OWNER_ALL, ..row.clone() })?;
            }
        }
        Ok(())
    }

    fn delete(&mut self, row: &'a Row) -> Result<(), Errno> {
        self.enter_parent(&row.path)?;
        match self.tree.remove(&row.path, row.is_dir()) {
            Err(Errno::ENOENT) => Ok(()),
            // Something that was not taken in, and was reported then.
            Err(Errno::ENOTEMPTY | Errno::EEXIST | Errno::EISDIR | Errno::ENOTDIR) => self.clear(&row.path),
            result => result,
        }
    }

    fn clear(&self, path: &[u8]) -> Result<(), Errno> {
        let path = tree_dir(self.daemon, self.id).join(crate::walk::os(path));
        let removed = match std::fs::symlink_metadata(&path) {
            Ok(stat) if stat.is_dir() => std::fs::remove_dir_all(&path),
            Ok(_) => std::fs::remove_file(&path),
            Err(_) => Ok(()),
        };
        removed.map_err(|error| crate::namespace::errno_of(&error))
    }

    fn make(&mut self, node: &'a Node, names: &mut HashMap<u64, &'a [u8]>) -> Result<(), Errno> {
        let path = &node.row.path;
        self.enter_parent(path)?;
        if node.row.is_dir() {
            self.dirs.insert(path);
            let open =
                Node { row: Row { mode: node.row.mode | OWNER_ALL, ..node.row.clone() }, attr: node.attr };
            return self.tree.write(self.daemon, self.id, &open);
        }
        let first = names.get(&node.attr.vnode.0).copied().filter(|_| node.row.nlink > 1);
        let write = || match first {
            Some(first) => self.tree.link(first, path),
            None => self.tree.write(self.daemon, self.id, node),
        };
        match write() {
            Err(Errno::ENOTEMPTY | Errno::EEXIST | Errno::EISDIR) => {
                self.clear(path)?;
                write()?;
            }
            result => result?,
        }
        names.entry(node.attr.vnode.0).or_insert(path);
        Ok(())
    }

    /// Does it all; the next base table.
    fn run(mut self, plan: &Plan<'a>) -> Result<Base, Failed> {
        let mut changed: BTreeMap<&'a [u8], Option<&'a Node>> = BTreeMap::new();
        for row in plan.deleted.iter().rev() {
            self.delete(row).map_err(|errno| (row.path.clone(), errno))?;
            changed.insert(&row.path, None);
        }
        let mut names = plan.names.clone();
        for node in &plan.made {
            let path = &node.row.path;
            if !path.is_empty() {
                self.make(node, &mut names).map_err(|errno| (path.clone(), errno))?;
            }
            changed.insert(path, Some(node));
        }
        for node in &plan.touched {
            let path = &node.row.path;
            match node.row.is_dir() {
                true => {
                    self.dirs.insert(path);
                }
                false => self.tree.set_attrs(&node.row).map_err(|errno| (path.clone(), errno))?,
            }
            changed.insert(path, Some(node));
        }
        self.dirs.insert(b"");
        for path in self.dirs.iter().rev() {
            let Some(node) = self.node(path) else { continue };
            self.tree.set_attrs(&node.row).map_err(|errno| (path.to_vec(), errno))?;
            changed.insert(path, Some(node));
        }
        let mut rows: Vec<Row> =
            self.base.rows.iter().filter(|row| !changed.contains_key(&row.path[..])).cloned().collect();
        for (path, node) in changed {
            let Some(node) = node else { continue };
            let now = match path.is_empty() {
                true => self.tree.look_at_root().map(Some),
                false => self.tree.look(path),
            };
            let now = now.map_err(|errno| (path.to_vec(), errno))?.ok_or((path.to_vec(), Errno::ENOENT))?;
            rows.push(Row { held: node.row.held.clone(), ..now });
        }
        rows.sort_unstable_by(|one, two| path_order(&one.path, &two.path));
        Ok(Base { rows })
    }
}
