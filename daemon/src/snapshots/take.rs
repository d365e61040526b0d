//! A workspace's tree as a root: `vrift snapshot`, and the first step of fork, rollback and diff.

use super::model::Snapshot;
use super::objects::InStore;
use crate::admin::Refusal;
use crate::daemon::{Daemon, cas_errno};
use crate::record::Record;
use nix::errno::Errno;
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, PoisonError};
use vrift_manifest::VnodeNo;
use vrift_manifest::tree::{Frozen, SealError, TreeRoot};

/// Entries that are written under one hold of the namespace lock while others may want it.
const STEP_ENTRIES: usize = 512;
/// How often files that are being written are copied again because others began to be.
const FREEZES_MAX: u32 = 16;
/// Directories that changed since the last sealing, from which on the flusher seals them before somebody waits.
const AHEAD_MIN: usize = 256;

/// Takes a snapshot; durable when this returns.
pub fn snapshot(daemon: &Daemon, id: u32, message: &str) -> Result<Arc<Snapshot>, Refusal> {
    let failed = |errno: Errno| Refusal::errno("the snapshot", errno, daemon);
    let _rooting = Rooting::new(daemon);
    let turn = daemon.turn(id);
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    let _hold = daemon.gc.hold();
    let time_ns = daemon.clock.now_ns();
    let taken = with_root(daemon, id, &mut |spaces, root| {
        let number = spaces.last_snapshot(id) + 1;
        let message = message.to_string();
        let snapshot = Arc::new(Snapshot { workspace: id, number, time_ns, message, root });
        daemon.log(spaces, &[Record::Snapshot((*snapshot).clone())])?;
        spaces.keep(Arc::clone(&snapshot));
        Ok(snapshot)
    });
    let snapshot = taken.map_err(failed)?;
    sync_or_undo(
        daemon,
        &Record::RemoveSnapshot { workspace: id, number: snapshot.number },
        &mut |spaces| {
            spaces.snapshots.remove(&(id, snapshot.number));
        },
    )?;
    Ok(snapshot)
}

/// Keeps blobs that are on their way to the store from being given up for want of space.
pub struct Rooting<'a>(&'a Daemon);

impl<'a> Rooting<'a> {
    pub fn new(daemon: &'a Daemon) -> Rooting<'a> {
        daemon.spaces().rooting += 1;
        Rooting(daemon)
    }
}

impl Drop for Rooting<'_> {
    fn drop(&mut self) {
        self.0.spaces().rooting -= 1;
    }
}

/// Makes durable what was just logged; what cannot be is taken back.
pub fn sync_or_undo(
    daemon: &Daemon,
    undo: &Record<'_>,
    forget: &mut dyn FnMut(&mut crate::namespace::Namespaces),
) -> Result<(), Refusal> {
    daemon.sync(None).map_err(|error| {
        let mut spaces = daemon.spaces();
        if daemon.log(&mut spaces, std::slice::from_ref(undo)).is_ok() {
            forget(&mut spaces);
        }
        Refusal::store(format!("cannot sync: {error}"), daemon)
    })
}

/// The root of a workspace as it is now. The caller holds the workspace's turn, and keeps collections away until the
/// root is referred to.
pub fn root_of(daemon: &Daemon, id: u32) -> Result<TreeRoot, Errno> {
    with_root(daemon, id, &mut |_, root| Ok(root))
}

/// Calls `action` with the root, under the lock under which it was made.
pub fn with_root<T>(
    daemon: &Daemon,
    id: u32,
    action: &mut dyn FnMut(&mut crate::namespace::Namespaces, TreeRoot) -> Result<T, Errno>,
) -> Result<T, Errno> {
    daemon.seal_all(id)?;
    daemon.flush().map_err(|error| cas_errno(&error))?;
    // Twice what there is: who changes names faster than this is held up for the rest of it.
    let steps_max = 2 * daemon.spaces().get(id)?.index.slots() as usize / STEP_ENTRIES;
    for _ in 0..steps_max {
        if step(daemon, id, None)?.is_none() {
            break;
        }
    }
    let mut frozen = HashMap::new();
    for _ in 0..FREEZES_MAX {
        let staged = {
            let mut spaces = daemon.spaces();
            match seal(daemon, spaces.get_mut(id)?, &frozen, usize::MAX) {
                // With no bound there is always a root.
                Ok(root) => return action(&mut spaces, root.ok_or(Errno::EIO)?),
                Err(SealError::Io(error)) => return Err(unsealed(id, &error)),
                Err(SealError::Staged(staged)) => staged,
            }
        };
        for vnode in staged {
            if let Some(copy) = freeze(daemon, id, vnode)? {
                frozen.insert(vnode.0, copy);
            }
        }
    }
    Err(Errno::EBUSY)
}

fn unsealed(workspace: u32, error: &std::io::Error) -> Errno {
    tracing::error!(workspace, %error, "a tree cannot be written");
    crate::namespace::errno_of(error)
}

fn seal(
    daemon: &Daemon,
    workspace: &mut crate::namespace::Workspace,
    frozen: &HashMap<u64, Frozen>,
    entries_max: usize,
) -> Result<Option<TreeRoot>, SealError> {
    let crate::namespace::Workspace { index, tree, xattrs, staged, .. } = workspace;
    let mut facts = InStore { store: &daemon.store, xattrs, frozen };
    let sealed = index.seal_tree(tree, &mut facts, entries_max);
    staged.keys().for_each(|vnode| tree.touch(index, VnodeNo(*vnode)));
    sealed
}

/// Seals some directories, unless other than the expected number is known to have changed: then somebody is at work.
/// How many there are after it; None: there is nothing to go on with.
fn step(daemon: &Daemon, id: u32, expected: Option<usize>) -> Result<Option<usize>, Errno> {
    let mut spaces = daemon.spaces();
    let workspace = spaces.get_mut(id)?;
    if expected.is_some_and(|count| workspace.tree.dirty_count() != count) {
        return Ok(None);
    }
    match seal(daemon, workspace, &HashMap::new(), STEP_ENTRIES) {
        Ok(None) => Ok(Some(workspace.tree.dirty_count())),
        Ok(Some(_)) | Err(SealError::Staged(_)) => Ok(None),
        Err(SealError::Io(error)) => Err(unsealed(id, &error)),
    }
}

/// Called by the flusher: the many directories of a first take-in or a large build are sealed before a snapshot has to
/// wait for it. Whoever goes on changing names is not run after: the flusher has a journal to shorten meanwhile.
pub fn prepare(daemon: &Daemon) {
    let due = |workspace: &crate::namespace::Workspace| {
        workspace.base.is_some() && workspace.runs.is_empty() && workspace.tree.dirty_count() >= AHEAD_MIN
    };
    let ids: Vec<u32> = {
        let spaces = daemon.spaces();
        spaces.workspaces.values().filter(|workspace| due(workspace)).map(|workspace| workspace.id).collect()
    };
    for id in ids {
        let turn = daemon.turn(id);
        // Somebody is at it: later.
        let Ok(_turn) = turn.try_lock() else { continue };
        let _hold = daemon.gc.hold();
        let mut left = None;
        while let Ok(Some(count)) = step(daemon, id, left) {
            left = Some(count);
            if daemon.is_stopping() {
                return;
            }
        }
    }
}

/// The bytes that a file has at this moment; None: it is sealed or gone by now.
fn freeze(daemon: &Daemon, id: u32, vnode: VnodeNo) -> Result<Option<Frozen>, Errno> {
    let file = match File::open(daemon.folders.staging(id, vnode.0)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(|error| crate::namespace::errno_of(&error))?,
    };
    let stat = file.metadata().map_err(|error| crate::namespace::errno_of(&error))?;
    let copied = match daemon.cas.ingest(&file, stat.len()) {
        // Written to while it was read: the next round tries again.
        Err(vrift_cas::CasError::SourceChanged { .. }) => return Ok(None),
        copied => copied.map_err(|error| cas_errno(&error))?,
    };
    Ok(Some(Frozen {
        hash: copied.hash.0,
        size: copied.len_bytes,
        blocks: stat.blocks(),
        mtime_ns: stat.mtime() * 1_000_000_000 + stat.mtime_nsec(),
        ctime_ns: stat.ctime() * 1_000_000_000 + stat.ctime_nsec(),
    }))
}

/// Snapshots of a workspace, oldest first.
pub fn list(daemon: &Daemon, id: u32) -> Vec<Arc<Snapshot>> {
    let spaces = daemon.spaces();
    spaces.snapshots.range((id, 0)..=(id, u32::MAX)).map(|(_, snapshot)| Arc::clone(snapshot)).collect()
}
