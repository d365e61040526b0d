//! What a workspace changed.

use crate::admin::Refusal;
use crate::base::{Base, Row, path_order};
use crate::daemon::Daemon;
use crate::ingest::show;
use crate::tables;
use crate::tree::{Node, all, type_name};
use crate::walk::{Leaving, Plan, Reading, walk};
use nix::errno::Errno;
use std::cmp::Ordering;
use std::sync::PoisonError;
use vrift_protocol::admin::{Change, ChangeKind};

/// A path that differs: what the other side has, what the workspace has.
pub struct Difference<'a> {
    pub old: Option<&'a Row>,
    pub new: Option<&'a Node>,
}

impl Difference<'_> {
    pub fn path(&self) -> &[u8] {
        match (self.new, self.old) {
            (Some(new), _) => &new.row.path,
            (None, Some(old)) => &old.path,
            (None, None) => &[],
        }
    }
}

/// Paths that differ in type, permissions or content, in [`path_order`].
pub fn differences<'a>(base: &'a Base, nodes: &'a [Node]) -> Vec<Difference<'a>> {
    let mut found = Vec::new();
    let (mut one, mut two) = (0, 0);
    let old_rows = &base.rows;
    while one < old_rows.len() || two < nodes.len() {
        let (old, new) = (old_rows.get(one), nodes.get(two));
        let order = match (old, new) {
            (Some(old), Some(new)) => path_order(&old.path, &new.row.path),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        let (old, new) = match order {
            Ordering::Less => (old, None),
            Ordering::Greater => (None, new),
            Ordering::Equal => (old, new),
        };
        one += usize::from(old.is_some());
        two += usize::from(new.is_some());
        let same = matches!((old, new), (Some(old), Some(new)) if old.same_content(&new.row));
        let is_root = old.is_some_and(|old| old.path.is_empty());
        if !same && !is_root {
            found.push(Difference { old, new });
        }
    }
    found
}

/// Rows of `vrift diff`.
pub fn diff(daemon: &Daemon, id: u32, against_real: bool) -> Result<Vec<Change>, Refusal> {
    let turn = daemon.turn(id);
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    let failed = |errno: Errno| Refusal::errno("the workspace", errno, daemon);
    daemon.seal_all(id).map_err(failed)?;
    let base = tables::of(daemon, id)?.base;
    let real;
    let other = if against_real {
        let view = daemon.spaces().get(id).map_err(failed)?.view.clone();
        let plan = Plan {
            dir: &view,
            base: &base,
            reading: Reading::HashOnly,
            leaving: Leaving::Ignored,
            eye: None,
        };
        let mut found = walk(daemon, plan, &mut |_, _| true).map_err(|errno| {
            let what = format!("{} cannot be read: {}", show(&view), errno.desc());
            Refusal::input(what, "compare with what was taken in instead: vrift status".into())
        })?;
        real = found.table(&base);
        &real
    } else {
        &*base
    };
    let nodes = all(daemon, id).map_err(failed)?;
    Ok(differences(other, &nodes).iter().map(change).collect())
}

fn change(difference: &Difference<'_>) -> Change {
    let size = |row: &Row| if row.is_dir() { 0 } else { row.size };
    let mode = difference.new.map(|node| node.row.mode).or(difference.old.map(|row| row.mode));
    Change {
        kind: match (difference.old, difference.new) {
            (None, _) => ChangeKind::Added,
            (Some(_), None) => ChangeKind::Deleted,
            (Some(_), Some(_)) => ChangeKind::Modified,
        },
        path: difference.path().into(),
        file_type: type_name(mode.unwrap_or(0)).into(),
        old_size: difference.old.map_or(0, size),
        new_size: difference.new.map_or(0, |node| size(&node.row)),
    }
}
