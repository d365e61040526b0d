//! What is done about a path that both sides changed: named and left alone, or settled for one of the sides.

use super::{TakeIn, find, is_dir, parent};
use crate::base::Row;
use crate::record::Change;
use nix::errno::Errno;
use vrift_manifest::VnodeNo;
use vrift_protocol::admin::{Problem, Settle};

impl TakeIn<'_> {
    /// Conflicts are settled for this side.
    pub fn settle(mut self, side: Option<Settle>) -> Self {
        self.settle = side;
        self
    }

    /// Both sides changed what is at `path`, whose row in the base table is `old`. Always false: the path's row in the
    /// next base table is taken care of.
    pub(super) fn conflict(&mut self, old: Option<&Row>, path: &[u8], what: &str) -> Result<bool, Errno> {
        let (new, Some(side)) = (self.new.find(path), self.settle) else {
            return Ok(self.leave(old, path, what));
        };
        if side == Settle::Theirs {
            self.clear(path)?;
            if let Some(row) = new
                && !self.make(row, old)?
            {
                return Ok(false);
            }
        }
        // Either way the workspace has decided about what is there now.
        self.taken.settled += 1;
        self.differs = true;
        self.next.extend(new.cloned());
        Ok(false)
    }

    /// The directory of something that stands, should the workspace have removed it.
    pub(super) fn make_parent(&mut self, row: &Row) -> Result<(), Errno> {
        let slash = row.path.iter().rposition(|byte| *byte == b'/');
        let settles = self.settle == Some(Settle::Theirs);
        let (Some(slash), true, new) = (slash, self.later_wins || settles, self.new) else { return Ok(()) };
        let Some(dir) = new.find(&row.path[..slash]) else { return Ok(()) };
        let (is_there, is_other) = {
            let held = self.hold();
            let workspace = held.workspace()?;
            let found = find(workspace, &dir.path);
            (found.is_some(), found.is_some_and(|vnode| !is_dir(workspace, vnode)))
        };
        if is_other && settles {
            self.clear(&dir.path)?;
        }
        if !is_there || (is_other && settles) {
            self.make(dir, None)?;
        }
        Ok(())
    }

    /// There is none to make a row's file in.
    pub(super) fn no_directory(&mut self, row: &Row, old: Option<&Row>) -> Result<bool, Errno> {
        let what = "its directory is gone in the workspace";
        if self.settle == Some(Settle::Theirs) {
            // It was to be made just now.
            return Ok(self.leave(old, &row.path, what));
        }
        self.conflict(old, &row.path, what)
    }

    /// A conflict that nobody settles.
    fn leave(&mut self, old: Option<&Row>, path: &[u8], what: &str) -> bool {
        self.taken.conflicts.push(Problem { path: path.into(), what: what.into() });
        self.next.extend(old.cloned());
        false
    }

    /// Removes what the workspace has at `path`, and everything below it.
    fn clear(&mut self, path: &[u8]) -> Result<(), Errno> {
        let mut names = vec![path.to_vec()];
        let mut at = 0;
        while let Some(path) = names.get(at).cloned() {
            let held = self.hold();
            let workspace = held.workspace()?;
            if let Some(dir) = find(workspace, &path).filter(|vnode| is_dir(workspace, *vnode)) {
                let mut note = |name: &[u8], _: VnodeNo| names.push([&path, &b"/"[..], name].concat());
                workspace.index.children(dir, &mut note);
            }
            at += 1;
        }
        for path in names.iter().rev() {
            self.clear_one(path)?;
        }
        Ok(())
    }

    fn clear_one(&mut self, path: &[u8]) -> Result<(), Errno> {
        let (daemon, now_ns) = (self.daemon, self.now_ns);
        let mut held = self.hold();
        let workspace = held.workspace()?;
        let Some(vnode) = find(workspace, path) else { return Ok(()) };
        let Some((dir, name)) = parent(workspace, path) else { return Ok(()) };
        let change = match is_dir(workspace, vnode) {
            true => Change::Rmdir { dir, name, now_ns },
            false => Change::Unlink { dir, name, now_ns },
        };
        let applied = held.apply(daemon, &change)?;
        crate::vnode_ops::tidy(daemon, held.workspace()?.id, &applied);
        Ok(())
    }
}
