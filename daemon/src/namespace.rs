//! The namespaces: each workspace's index, and the one way in which it changes.

use crate::record::{Change, NewWorkspace, Origin, Record};
use crate::retry::Answers;
use nix::errno::Errno;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
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
    pub xattrs: crate::xattrs::Xattrs,
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
        let mut rest = self.relative(path).ok_or(Errno::ENOENT)?.to_vec();
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
                        path = self.relative(&target).ok_or(Errno::ENOENT)?.to_vec();
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

    /// `path` without the view's prefix; None when it is absolute and elsewhere.
    fn relative<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        if path.first() != Some(&b'/') {
            return Some(path);
        }
        let view = self.view.strip_suffix(b"/").unwrap_or(&self.view);
        match path.strip_prefix(view)? {
            b"" => Some(b""),
            rest => rest.strip_prefix(b"/"),
        }
    }
}

/// Everything that the core lock guards.
#[derive(Default)]
pub struct Namespaces {
    pub workspaces: BTreeMap<u32, Workspace>,
    pub answers: Answers,
    /// Highest workspace number ever given out.
    pub last_id: u32,
    /// Set when a change could not be made durable or applied: nothing more is changed until a restart
    /// has read the journal again.
    pub broken: Option<String>,
    /// New workspaces that are being read in: their records are in the journal, they are not here.
    pub fresh: u32,
    /// (workspace, vnode) whose staging file is being sealed right now: opening it for writing would wait
    /// for the lease.
    pub sealing: HashSet<(u32, u64)>,
    /// Whose bytes the links for exec are that were made since the start.
    pub executables: crate::executing::Executables,
}

impl Namespaces {
    /// Applies what a record of the journal says. Errors of single changes are part of the history: they
    /// were answered with the same errno when they were live.
    pub fn replay(&mut self, record: &Record<'_>, places: &dyn Places) -> std::io::Result<()> {
        match record {
            Record::Workspace(new) => {
                self.last_id = self.last_id.max(new.id);
                let workspace = begin(new, places)?;
                self.workspaces.insert(new.id, workspace);
            }
            Record::Base { workspace, hash } => {
                if let Some(workspace) = self.workspaces.get_mut(workspace) {
                    workspace.base = Some(*hash);
                }
            }
            Record::Change { workspace, origin, change } => {
                if let Some(workspace) = self.workspaces.get_mut(workspace)
                    && let Ok(applied) = workspace.apply(change)
                {
                    self.note_answer(*origin, change, &applied);
                }
            }
        }
        Ok(())
    }

    pub fn note_answer(&mut self, origin: Origin, change: &Change<'_>, applied: &Applied) {
        let created = matches!(change, Change::Make { .. });
        let vnode = match applied {
            Applied::Vnode(vnode) => *vnode,
            Applied::Unlinked(unlinked) => unlinked.vnode,
            Applied::RemovedDir(vnode) => *vnode,
            Applied::Renamed(renamed) => renamed.moved,
            Applied::Done => match change {
                Change::SetAttr { vnode, .. }
                | Change::SetContent { vnode, .. }
                | Change::SetXattr { vnode, .. } => *vnode,
                _ => VnodeNo(0),
            },
        };
        self.answers.note(origin, vnode.0, created);
    }

    pub fn get(&self, id: u32) -> Result<&Workspace, Errno> {
        self.workspaces.get(&id).ok_or(Errno::ESTALE)
    }

    pub fn get_mut(&mut self, id: u32) -> Result<&mut Workspace, Errno> {
        self.workspaces.get_mut(&id).ok_or(Errno::ESTALE)
    }

    /// The complete workspace whose view path is the nearest that holds `dir`.
    pub fn holding(&self, dir: &[u8]) -> Option<&Workspace> {
        self.workspaces
            .values()
            .filter(|workspace| workspace.base.is_some() && is_within(dir, &workspace.view))
            .max_by_key(|workspace| workspace.view.len())
    }
}

/// Whether the absolute path `path` is `dir` or lies below it.
pub fn is_within(path: &[u8], dir: &[u8]) -> bool {
    let dir = dir.strip_suffix(b"/").unwrap_or(dir);
    path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// Where a workspace's index is published.
pub trait Places {
    fn index_path(&self, workspace: u32) -> PathBuf;
    fn home(&self) -> &Path;
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
        xattrs: crate::xattrs::Xattrs::default(),
        staged: HashMap::new(),
        runs: HashMap::new(),
        changes: 0,
    })
}

/// The errno of an I/O error; EIO when it has none.
pub fn errno_of(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
