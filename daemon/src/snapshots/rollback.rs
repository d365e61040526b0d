//! `vrift rollback`: a workspace's tree becomes that of a snapshot again.

use super::model::Snapshot;
use super::objects::fetch;
use super::take::{Rooting, with_root};
use crate::admin::Refusal;
use crate::daemon::Daemon;
use crate::namespace::{Namespaces, errno_of};
use crate::record::Record;
use nix::errno::Errno;
use std::sync::{Arc, PoisonError};
use vrift_manifest::tree::{Address, Restore};
use vrift_manifest::{Content, VnodeNo};

/// What was done.
pub struct RolledBack {
    pub to: Arc<Snapshot>,
    /// The snapshot that was taken of what was there before; None: it was just like the snapshot.
    pub before: Option<Arc<Snapshot>>,
}

/// Goes back to a snapshot, or to the last one; durable when this returns. What was there before is kept as a snapshot.
pub fn rollback(daemon: &Daemon, id: u32, snapshot: Option<&str>) -> Result<RolledBack, Refusal> {
    let failed = |errno: Errno| Refusal::errno("the workspace", errno, daemon);
    let _rooting = Rooting::new(daemon);
    let turn = daemon.turn(id);
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    let _hold = daemon.gc.hold();
    let to = match snapshot {
        Some(text) => super::compare::find(daemon, id, text)?,
        None => super::take::list(daemon, id).pop().ok_or_else(|| {
            Refusal::negative("the workspace has no snapshot".into(), "take one with: vrift snapshot".into())
        })?,
    };
    super::remove::refuse_in_use(&daemon.spaces(), id)?;
    let time_ns = daemon.clock.now_ns();
    let message = format!("before the rollback to {}", to.number);
    let before = with_root(daemon, id, &mut |spaces, root| {
        if root.entry == to.root.entry {
            return Ok(None);
        }
        let number = spaces.last_snapshot(id) + 1;
        let message = message.clone();
        let before = Arc::new(Snapshot { workspace: id, number, time_ns, message, root });
        restore(daemon, spaces, id, &before, &to)?;
        Ok(Some(before))
    });
    let before = before.map_err(failed)?;
    daemon.sync(Some(id)).map_err(|error| Refusal::store(format!("cannot sync: {error}"), daemon))?;
    Ok(RolledBack { to, before })
}

/// Under the lock under which `before` was taken, so that it is what the index is.
fn restore(
    daemon: &Daemon,
    spaces: &mut Namespaces,
    id: u32,
    before: &Arc<Snapshot>,
    to: &Snapshot,
) -> Result<(), Errno> {
    let mut fetch = |address: &Address| fetch(&daemon.store, address);
    let plan = Restore::plan(&before.root, &to.root, &mut fetch).map_err(|error| {
        tracing::error!(workspace = id, snapshot = to.number, %error, "a tree cannot be read");
        errno_of(&error)
    })?;
    let mut root = to.root.clone();
    // No number that was given out since may mean something else than what it meant then.
    root.generation_floor = root.generation_floor.max(before.root.generation_floor);
    let records =
        [Record::Snapshot((**before).clone()), Record::Rollback { workspace: id, snapshot: to.number, root }];
    daemon.log(spaces, &records)?;
    spaces.keep(Arc::clone(before));
    spaces.journal_roots.push(to.root.address());
    let workspace = spaces.workspaces.get_mut(&id).ok_or(Errno::ESTALE)?;
    let restored = match workspace.index.restore(&plan, &mut workspace.tree) {
        Ok(restored) => restored,
        Err(error) => {
            // The journal says it happened: only replay can tell.
            daemon.give_up(spaces, format!("workspace {id} cannot be rolled back: {error}"));
            return Err(errno_of(&error));
        }
    };
    restored.gone.iter().for_each(|vnode| workspace.xattrs.forget(*vnode));
    for (vnode, all) in &restored.xattrs {
        workspace.xattrs.forget(*vnode);
        for (name, value) in all {
            workspace.xattrs.set(*vnode, name, Some(value));
        }
        if !all.is_empty() {
            workspace.index.note_xattrs(*vnode, true, None).map_err(|_| Errno::EIO)?;
        }
    }
    workspace.snapshot = to.number;
    workspace.changes += 1;
    for vnode in &restored.gone {
        // Of most there is none.
        let _ = daemon.cas.remove_staging(id, vnode.0);
    }
    let index = &workspace.index;
    let came: Vec<VnodeNo> = restored.xattrs.iter().map(|(vnode, _)| *vnode).collect();
    super::nodes::make_missing(&daemon.folders, id, index, &came);
    let is_staged = |vnode: u64| index.attr(VnodeNo(vnode)).is_some_and(|it| it.content == Content::Staged);
    let sealed: Vec<u64> = workspace.staged.keys().copied().filter(|vnode| !is_staged(*vnode)).collect();
    for vnode in sealed {
        workspace.staged.remove(&vnode);
        if let Err(error) = daemon.cas.remove_staging(id, vnode) {
            tracing::warn!(workspace = id, vnode, %error, "staging file of nobody");
        }
    }
    Ok(())
}
