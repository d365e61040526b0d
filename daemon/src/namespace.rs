//! All namespaces, and what the journal makes of them.

use crate::record::{Change, Origin, Record};
use crate::retry::Answers;
use crate::snapshots::{Asleep, Deferred, Snapshot};
pub use crate::workspace::{Applied, Workspace, begin, relative};
use nix::errno::Errno;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vrift_manifest::VnodeNo;
use vrift_manifest::tree::Address;

/// Everything that the core lock guards.
#[derive(Default)]
pub struct Namespaces {
    pub workspaces: BTreeMap<u32, Workspace>,
    /// Workspaces without an index yet.
    pub asleep: BTreeMap<u32, Asleep>,
    /// By workspace and number.
    pub snapshots: BTreeMap<(u32, u32), Arc<Snapshot>>,
    /// Trees that records since the last checkpoint begin with: a restart reads them again.
    pub journal_roots: Vec<Address>,
    /// Workspaces whose tree cannot be read, and why.
    pub unreadable: BTreeMap<u32, (String, String)>,
    /// Only while the journal is read.
    pub deferred: BTreeMap<u32, Deferred>,
    pub answers: Answers,
    /// Highest workspace number ever given out.
    pub last_id: u32,
    /// Set when a change could not be made durable or applied: nothing more is changed until a restart
    /// has read the journal again.
    pub broken: Option<String>,
    /// New workspaces that are being read in: their records are in the journal, they are not here.
    pub fresh: u32,
    /// Snapshots and forks that are being made: what they refer to may have no other owner soon, and is not durable.
    pub rooting: u32,
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
                } else if let Some(asleep) = self.asleep.get_mut(workspace) {
                    asleep.base = *hash;
                } else if let Some(deferred) = self.deferred.get_mut(workspace) {
                    deferred.asleep.base = *hash;
                }
            }
            Record::Snapshot(snapshot) => {
                self.keep(Arc::new(snapshot.clone()));
            }
            Record::RemoveSnapshot { workspace, number } => {
                drop(self.snapshots.remove(&(*workspace, *number)))
            }
            Record::Fork(asleep) => {
                self.journal_roots.push(asleep.root.address());
                self.last_id = self.last_id.max(asleep.id);
                self.asleep.insert(asleep.id, asleep.clone());
            }
            Record::Rollback { workspace, snapshot, root } => {
                self.journal_roots.push(root.address());
                self.defer(*workspace, Some((*snapshot, root)));
            }
            Record::Remove { workspace } => self.forget(*workspace),
            Record::Change { workspace, origin, change } => {
                self.defer(*workspace, None);
                if let Some(deferred) = self.deferred.get_mut(workspace) {
                    deferred.note(*origin, change);
                } else if let Some(workspace) = self.workspaces.get_mut(workspace)
                    && let Ok(applied) = workspace.apply(change)
                {
                    self.note_answer(*origin, change, &applied);
                }
            }
        }
        Ok(())
    }

    /// A workspace whose next change needs an index that cannot be made yet: one that is asleep, or (with `root`) one
    /// that is rolled back.
    fn defer(&mut self, id: u32, root: Option<(u32, &vrift_manifest::tree::TreeRoot)>) {
        let mut asleep = match (self.asleep.remove(&id), root) {
            (Some(asleep), _) => asleep,
            (None, None) => return,
            (None, Some(_)) => {
                let live = self.workspaces.remove(&id).and_then(|workspace| Asleep::of(&workspace));
                match live.or_else(|| Some(self.deferred.remove(&id)?.asleep)) {
                    Some(asleep) => asleep,
                    None => return,
                }
            }
        };
        if let Some((snapshot, root)) = root {
            (asleep.snapshot, asleep.root) = (snapshot, root.clone());
        }
        self.deferred.insert(id, Deferred { asleep, changes: Vec::new() });
    }

    /// A snapshot that was just taken.
    pub fn keep(&mut self, snapshot: Arc<Snapshot>) {
        let (id, number) = (snapshot.workspace, snapshot.number);
        if let Some(workspace) = self.workspaces.get_mut(&id) {
            workspace.snapshot = number;
        } else if let Some(deferred) = self.deferred.get_mut(&id) {
            deferred.asleep.snapshot = number;
        }
        self.snapshots.insert((id, number), snapshot);
    }

    /// The snapshot since which a workspace has changed.
    pub fn current_snapshot(&self, id: u32) -> u32 {
        let awake = self.workspaces.get(&id).map(|workspace| workspace.snapshot);
        awake.or_else(|| self.asleep.get(&id).map(|asleep| asleep.snapshot)).unwrap_or(0)
    }

    /// A workspace and its snapshots are gone.
    pub fn forget(&mut self, id: u32) {
        self.workspaces.remove(&id);
        self.asleep.remove(&id);
        self.deferred.remove(&id);
        self.snapshots.retain(|(workspace, _), _| *workspace != id);
    }

    /// The highest number that a snapshot of the workspace has.
    pub fn last_snapshot(&self, id: u32) -> u32 {
        self.snapshots.range((id, 0)..=(id, u32::MAX)).next_back().map_or(0, |((_, number), _)| *number)
    }

    /// A workspace's name, awake or not.
    pub fn name_of(&self, id: u32) -> Option<String> {
        let awake = self.workspaces.get(&id).map(|workspace| &workspace.name);
        awake.or_else(|| self.asleep.get(&id).map(|asleep| &asleep.name)).cloned()
    }

    /// The workspace of this name, awake or not.
    pub fn named(&self, name: &str) -> Option<u32> {
        let awake = self.workspaces.values().find(|workspace| workspace.name == name);
        let asleep = || self.asleep.values().find(|asleep| asleep.name == name).map(|asleep| asleep.id);
        awake.map(|workspace| workspace.id).or_else(asleep)
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

    /// The complete workspace whose view path is the nearest that holds `dir`; of several, the one that was taken in
    /// there, else the oldest.
    pub fn holding(&self, dir: &[u8]) -> Option<u32> {
        let awake = self.workspaces.values().filter(|workspace| workspace.base.is_some());
        let awake = awake.map(|workspace| (workspace.id, workspace.origin, &workspace.view));
        let asleep = self.asleep.values().map(|asleep| (asleep.id, asleep.origin, &asleep.view));
        let (id, _, _) = awake
            .chain(asleep)
            .filter(|(_, _, view)| is_within(dir, view))
            .min_by_key(|(id, origin, view)| (std::cmp::Reverse(view.len()), *origin != 0, *id))?;
        Some(id)
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
    /// Where readers find it, if that is another place.
    fn published_path(&self, workspace: u32) -> PathBuf {
        self.index_path(workspace)
    }
    fn home(&self) -> &Path;
}

/// The errno of an I/O error; EIO when it has none.
pub fn errno_of(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
