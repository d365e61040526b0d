//! One workspace: its index, and the one way in which it changes.

use crate::namespace::{Places, errno_of};
use crate::record::{Change, NewWorkspace};
use nix::errno::Errno;
use std::collections::HashMap;
use vrift_manifest::tree::TreeCache;
use vrift_manifest::types::{S_IFDIR, S_IFMT};
use vrift_manifest::{Content, Index, OpError, ROOT, Renamed, Unlinked, VnodeNo};

/// Changed vnodes that a run remembers one by one; above this the count is a lower bound.
const WATCHED_MAX: usize = 1 << 20;

/// What a change did.
#[derive(Clone, Copy, Debug)]
pub enum Applied {
    Vnode(VnodeNo),
    Unlinked(Unlinked),
    RemovedDir(VnodeNo),
    Renamed(Renamed),
    Done,
}

pub struct Workspace {
    pub id: u32,
    pub name: String,
    /// Absolute path at which it is seen.
    pub view: Vec<u8>,
    pub index: Index,
    /// Hash of the base table; None until the first ingest is complete.
    pub base: Option<[u8; 32]>,
    /// The workspace that it was forked from; 0: it was taken in. A fork does not follow the real directory.
    pub origin: u32,
    /// The snapshot that it was when it was taken, or gone back to, last; 0: none.
    pub snapshot: u32,
    pub xattrs: crate::xattrs::Xattrs,
    /// Which directories changed since they were last part of a root.
    pub tree: TreeCache,
    /// Vnodes whose bytes are in the staging folder, with the sealed content they had before.
    pub staged: HashMap<u64, Option<[u8; 32]>>,
    /// By connection: files changed since its run began.
    pub runs: HashMap<u64, crate::run::Notes>,
    /// Changes since the daemon started.
    pub changes: u64,
}

impl Workspace {
    /// Applies one change, growing the index as needed. The same for live requests and for replay.
    pub fn apply(&mut self, change: &Change<'_>) -> Result<Applied, Errno> {
        let before = match change {
            Change::SetContent { vnode, content: Content::Staged, .. } => self.sealed_hash(*vnode),
            _ => None,
        };
        loop {
            match self.try_apply(change) {
                Ok(applied) => {
                    self.changes += 1;
                    self.note_staged(change, &applied, before);
                    self.note_gone(&applied);
                    self.note_in_tree(change, &applied);
                    self.note_changed(change, &applied);
                    return Ok(applied);
                }
                Err(OpError::Errno(errno)) => return Err(Errno::from_raw(errno)),
                Err(OpError::Full) => self.index.grow().map_err(|error| errno_of(&error))?,
            }
        }
    }

    /// The hash of a sealed vnode.
    pub fn sealed_hash(&self, vnode: VnodeNo) -> Option<[u8; 32]> {
        match self.index.attr(vnode)?.content {
            Content::Sealed(hash) => Some(hash),
            _ => None,
        }
    }

    fn try_apply(&mut self, change: &Change<'_>) -> Result<Applied, OpError> {
        let index = &mut self.index;
        Ok(match *change {
            Change::Make { at, dir, name, ref new, now_ns } => {
                Applied::Vnode(index.make(Some(at), dir, name, new, now_ns)?)
            }
            Change::Link { vnode, dir, name, now_ns } => {
                index.link(vnode, dir, name, now_ns)?;
                Applied::Vnode(vnode)
            }
            Change::Unlink { dir, name, now_ns } => Applied::Unlinked(index.unlink(dir, name, now_ns)?),
            Change::Rmdir { dir, name, now_ns } => Applied::RemovedDir(index.rmdir(dir, name, now_ns)?),
            Change::Rename { dir, name, dir2, name2, flags, now_ns } => {
                Applied::Renamed(index.rename(dir, name, dir2, name2, flags, now_ns)?)
            }
            Change::SetXattr { vnode, name, value, ctime_ns } => {
                index.attr(vnode).ok_or(OpError::Errno(Errno::ENOENT as i32))?;
                let has_any = self.xattrs.set(vnode, name, value);
                index.note_xattrs(vnode, has_any, Some(ctime_ns))?;
                Applied::Done
            }
            Change::SetAttr { vnode, ref set } => {
                index.set_attr(vnode, set)?;
                Applied::Done
            }
            Change::SetContent { vnode, content, size, blocks, mtime_ns, ctime_ns } => {
                index.set_content(vnode, content, size, blocks, mtime_ns, ctime_ns)?;
                Applied::Done
            }
        })
    }

    fn note_staged(&mut self, change: &Change<'_>, applied: &Applied, before: Option<[u8; 32]>) {
        match (change, applied) {
            (Change::Make { new, .. }, Applied::Vnode(vnode)) if new.content == Content::Staged => {
                self.staged.insert(vnode.0, None);
            }
            (Change::SetContent { vnode, content: Content::Staged, .. }, _) => {
                self.staged.entry(vnode.0).or_insert(before);
            }
            (Change::SetContent { vnode, .. }, _) => {
                self.staged.remove(&vnode.0);
            }
            (_, Applied::Unlinked(unlinked) | Applied::Renamed(Renamed { replaced: Some(unlinked), .. }))
                if unlinked.last =>
            {
                self.staged.remove(&unlinked.vnode.0);
            }
            _ => {}
        }
    }

    /// What is kept beside the index goes with its vnode.
    fn note_gone(&mut self, applied: &Applied) {
        let unlinked = match applied {
            Applied::Unlinked(unlinked) => Some(*unlinked),
            Applied::Renamed(renamed) => renamed.replaced,
            _ => None,
        };
        let dir = match applied {
            Applied::RemovedDir(vnode) => Some(*vnode),
            Applied::Renamed(renamed) => renamed.replaced_dir,
            _ => None,
        };
        let file = unlinked.filter(|unlinked| unlinked.last).map(|unlinked| unlinked.vnode);
        file.into_iter().chain(dir).for_each(|vnode| self.xattrs.forget(vnode));
    }

    /// Tells the tree's cache which directories are no longer as they were.
    fn note_in_tree(&mut self, change: &Change<'_>, applied: &Applied) {
        let Workspace { index, tree, .. } = self;
        let mut touch = |vnode: VnodeNo| tree.touch(index, vnode);
        match *change {
            Change::Make { dir, .. } => touch(dir),
            Change::Link { dir, .. } | Change::Unlink { dir, .. } | Change::Rmdir { dir, .. } => touch(dir),
            Change::Rename { dir, name, dir2, name2, .. } => {
                [dir, dir2].into_iter().for_each(&mut touch);
                // Exchanged, or a file that goes by other names, too.
                for (dir, name) in [(dir, name), (dir2, name2)] {
                    index.lookup(dir, name).into_iter().for_each(&mut touch);
                }
            }
            Change::SetAttr { vnode, .. }
            | Change::SetContent { vnode, .. }
            | Change::SetXattr { vnode, .. } => {
                touch(vnode);
            }
        }
        match applied {
            Applied::Vnode(vnode) => {
                if matches!(change, Change::Make { new, .. } if new.mode & S_IFMT == S_IFDIR) {
                    tree.forget(*vnode);
                }
                tree.touch(index, *vnode);
            }
            Applied::Unlinked(unlinked) => tree.touch(index, unlinked.vnode),
            Applied::RemovedDir(dir) => tree.forget(*dir),
            Applied::Renamed(renamed) => {
                renamed.replaced.into_iter().for_each(|replaced| tree.touch(index, replaced.vnode));
                renamed.replaced_dir.into_iter().for_each(|dir| tree.forget(dir));
            }
            Applied::Done => {}
        }
    }

    fn note_changed(&mut self, change: &Change<'_>, applied: &Applied) {
        if self.runs.is_empty() {
            return;
        }
        let vnode = match (applied, change) {
            (Applied::Vnode(vnode), _) => *vnode,
            (Applied::Unlinked(unlinked), _) => unlinked.vnode,
            (Applied::Renamed(renamed), _) => renamed.moved,
            (_, Change::SetContent { vnode, content: Content::Sealed(_), .. }) => *vnode,
            _ => return,
        };
        for changed in self
            .runs
            .values_mut()
            .map(|notes| &mut notes.changed)
            .filter(|changed| changed.len() < WATCHED_MAX)
        {
            changed.insert(vnode.0);
        }
    }

    /// The vnode at `path`, relative to the root or absolute inside the view, intermediate symlinks (and, with
    /// `follow`, the last one) followed inside the view.
    pub fn find(&self, path: &[u8], follow: bool) -> Result<VnodeNo, Errno> {
        let mut rest = relative(&self.view, path).ok_or(Errno::ENOENT)?.to_vec();
        let mut at = ROOT;
        let mut links = 0;
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
            let (name, tail) = (rest[..end].to_vec(), rest.get(end + 1..).unwrap_or_default().to_vec());
            rest = tail;
            match &name[..] {
                b"" | b"." => continue,
                b".." => {
                    at = self.index.parent_and_name(at).ok_or(Errno::ENOENT)?.0;
                    continue;
                }
                _ => {}
            }
            let next = self.index.lookup(at, &name).ok_or(Errno::ENOENT)?;
            match self.index.target(next).filter(|_| follow || !rest.is_empty()) {
                None => at = next,
                Some(target) => {
                    links += 1;
                    // As MAXSYMLINKS of the kernel.
                    if links > 40 {
                        return Err(Errno::ELOOP);
                    }
                    let mut path = target.clone();
                    if target.first() == Some(&b'/') {
                        path = relative(&self.view, &target).ok_or(Errno::ENOENT)?.to_vec();
                        at = ROOT;
                    }
                    if !rest.is_empty() {
                        path.push(b'/');
                        path.extend_from_slice(&rest);
                    }
                    rest = path;
                }
            }
        }
        Ok(at)
    }
}

/// `path` without the view's prefix; None when it is absolute and elsewhere.
pub fn relative<'a>(view: &[u8], path: &'a [u8]) -> Option<&'a [u8]> {
    if path.first() != Some(&b'/') {
        return Some(path);
    }
    let view = view.strip_suffix(b"/").unwrap_or(view);
    match path.strip_prefix(view)? {
        b"" => Some(b""),
        rest => rest.strip_prefix(b"/"),
    }
}

/// A new workspace with an empty root.
pub fn begin(new: &NewWorkspace<'_>, places: &dyn Places) -> std::io::Result<Workspace> {
    let path = places.index_path(new.id);
    if let Some(dir) = path.parent() {
        crate::folders::make_private(dir)?;
    }
    let home = std::os::unix::ffi::OsStrExt::as_bytes(places.home().as_os_str());
    let params = vrift_manifest::Params {
        view: new.view,
        home,
        workspace: new.id,
        root_mode: new.root_mode,
        root_uid: new.root_uid,
        root_gid: new.root_gid,
        root_time_ns: new.root_time_ns,
    };
    Ok(Workspace {
        id: new.id,
        name: String::from_utf8_lossy(new.name).into_owned(),
        view: new.view.to_vec(),
        index: Index::create(&path, &params)?,
        base: None,
        origin: 0,
        snapshot: 0,
        xattrs: crate::xattrs::Xattrs::default(),
        tree: TreeCache::default(),
        staged: HashMap::new(),
        runs: HashMap::new(),
        changes: 0,
    })
}
