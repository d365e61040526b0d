//! `vrift diff` between snapshots and workspaces.

use super::model::Snapshot;
use super::objects::fetch;
use super::take::root_of;
use crate::admin::{Refusal, find as find_workspace};
use crate::daemon::Daemon;
use crate::tree::type_name;
use std::sync::{Arc, PoisonError};
use vrift_manifest::tree::{Entry, TreeRoot, diff};
use vrift_protocol::admin::{Change, ChangeKind, PathBytes, Side};

/// Fewest digits of a root that stand for a snapshot: fewer would be taken for its number, or by chance.
const ROOT_DIGITS_MIN: usize = 6;

/// A root's address in hex: a snapshot's name that no other tree has.
pub fn root_hex(root: &TreeRoot) -> String {
    statefs_journal::BlobHash(root.address()).to_string()
}

/// The snapshot that is meant: by its number, or by the first digits of its root.
pub fn find(daemon: &Daemon, id: u32, text: &str) -> Result<Arc<Snapshot>, Refusal> {
    let all = super::take::list(daemon, id);
    let by_number = text.parse().ok().and_then(|number: u32| all.iter().find(|it| it.number == number));
    let by_root = || {
        let text = text.to_ascii_lowercase();
        let matches =
            |it: &&Arc<Snapshot>| text.len() >= ROOT_DIGITS_MIN && root_hex(&it.root).starts_with(&text);
        // Equal digits are equal trees, but for a chance that nobody will meet.
        all.iter().rev().find(matches)
    };
    by_number.or_else(by_root).map(Arc::clone).ok_or_else(|| {
        let what = format!("the workspace has no snapshot '{text}'");
        Refusal::negative(what, "look with: vrift log".into())
    })
}

/// Rows of `vrift diff A B`.
pub fn compare(daemon: &Daemon, old: &Side, new: &Side) -> Result<Vec<Change>, Refusal> {
    let _hold = daemon.gc.hold();
    let (old, new) = (root_at(daemon, old)?, root_at(daemon, new)?);
    let found = diff(&old, &new, &mut |address| fetch(&daemon.store, address));
    let found = found.map_err(|error| Refusal::store(format!("a tree cannot be read: {error}"), daemon))?;
    let size = |entry: &Option<Entry>| {
        entry.as_ref().map_or(0, |entry| if entry.object.is_some() { 0 } else { entry.attr.size })
    };
    let row = |change: vrift_manifest::tree::TreeChange| Change {
        kind: match (&change.old, &change.new) {
            (None, _) => ChangeKind::Added,
            (Some(_), None) => ChangeKind::Deleted,
            (Some(_), Some(_)) => ChangeKind::Modified,
        },
        file_type: type_name(change.new.as_ref().or(change.old.as_ref()).map_or(0, |it| it.attr.mode)).into(),
        old_size: size(&change.old),
        new_size: size(&change.new),
        path: PathBytes(change.path),
    };
    Ok(found.into_iter().map(row).collect())
}

fn root_at(daemon: &Daemon, side: &Side) -> Result<TreeRoot, Refusal> {
    let id = find_workspace(daemon, &side.workspace)?;
    if let Some(text) = &side.snapshot {
        return Ok(find(daemon, id, text)?.root.clone());
    }
    if let Some(asleep) = daemon.spaces().asleep.get(&id) {
        return Ok(asleep.root.clone());
    }
    let turn = daemon.turn(id);
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    root_of(daemon, id).map_err(|errno| Refusal::errno("the workspace", errno, daemon))
}
