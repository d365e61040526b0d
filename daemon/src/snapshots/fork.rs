//! `vrift fork`: another workspace with the same tree, at the same view path.

use super::model::Asleep;
use super::take::{Rooting, sync_or_undo, with_root};
use crate::admin::Refusal;
use crate::daemon::Daemon;
use crate::namespace::Namespaces;
use crate::record::Record;
use nix::errno::Errno;
use std::sync::PoisonError;
use vrift_manifest::tree::TreeRoot;
use vrift_protocol::admin::WorkspaceInfo;

/// Makes the workspace `name` from `id` as it is now, or from one of its snapshots; durable when this returns.
pub fn fork(daemon: &Daemon, id: u32, snapshot: Option<&str>, name: &str) -> Result<WorkspaceInfo, Refusal> {
    let _rooting = Rooting::new(daemon);
    let turn = daemon.turn(id);
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    crate::ingest::check_name(name, false)?;
    let _hold = daemon.gc.hold();
    let chosen = match snapshot {
        Some(text) => Some(super::compare::find(daemon, id, text)?.root.clone()),
        None => daemon.spaces().asleep.get(&id).map(|asleep| asleep.root.clone()),
    };
    let mut begin = |spaces: &mut Namespaces, root: TreeRoot| begin(daemon, spaces, id, name, root);
    let forked = match chosen {
        Some(root) => begin(&mut daemon.spaces(), root),
        None => with_root(daemon, id, &mut begin),
    };
    let info = match forked {
        Err(Errno::EEXIST) => {
            let what = format!("there is a workspace '{name}' already");
            return Err(Refusal::input(what, "choose another name, or remove it with: vrift rm".into()));
        }
        other => other.map_err(|errno| Refusal::errno("the workspace", errno, daemon))?,
    };
    sync_or_undo(daemon, &Record::Remove { workspace: info.id }, &mut |spaces| spaces.forget(info.id))?;
    Ok(info)
}

fn begin(
    daemon: &Daemon,
    spaces: &mut Namespaces,
    id: u32,
    name: &str,
    root: TreeRoot,
) -> Result<WorkspaceInfo, Errno> {
    if spaces.named(name).is_some() {
        return Err(Errno::EEXIST);
    }
    let awake = spaces.workspaces.get(&id).and_then(Asleep::of);
    let origin = awake.or_else(|| spaces.asleep.get(&id).cloned()).ok_or(Errno::ESTALE)?;
    let asleep =
        Asleep { id: spaces.last_id + 1, name: name.into(), origin: id, snapshot: 0, root, ..origin };
    daemon.log(spaces, &[Record::Fork(asleep.clone())])?;
    spaces.journal_roots.push(asleep.root.address());
    spaces.last_id = asleep.id;
    let info = asleep.info(spaces);
    spaces.asleep.insert(asleep.id, asleep);
    Ok(info)
}
