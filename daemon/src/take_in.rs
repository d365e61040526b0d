//! Taking in what changed in the real directory: what the workspace did not change itself follows it, what
//! both changed is a conflict and stays as the workspace has it.

mod settle;
mod vnodes;

pub use vnodes::{find, holds};
use vnodes::{is_dir, new_vnode, parent};

use crate::base::{Base, Held, Row, path_order};
use crate::daemon::{Daemon, Spaces};
use crate::namespace::{Applied, Workspace};
use crate::record::{Change, Origin, Record};
use nix::errno::Errno;
use std::cmp::Ordering;
use std::collections::HashMap;
use vrift_manifest::types::S_IFMT;
use vrift_manifest::{Content, ROOT, SetAttr, VnodeNo};
use vrift_protocol::admin::{Settle, Taken};

/// Records of a new workspace that go into the journal at once.
const BATCH: usize = 512;

/// Where changes go.
pub enum Goal<'a> {
    /// A workspace that nobody knows yet: applied first, written in batches; it counts only when complete.
    Fresh { workspace: &'a mut Workspace, unwritten: Vec<Vec<u8>>, kinds: Vec<u8> },
    /// One that processes may be using: each decision and its change under the lock.
    Live { id: u32 },
}

/// Access to the workspace for one path.
pub enum Access<'g> {
    Fresh { workspace: &'g mut Workspace, unwritten: &'g mut Vec<Vec<u8>>, kinds: &'g mut Vec<u8> },
    Live { spaces: Spaces<'g>, id: u32 },
}

/// One take-in.
pub struct TakeIn<'a> {
    pub daemon: &'a Daemon,
    pub goal: Goal<'a>,
    pub old: &'a Base,
    pub new: &'a Base,
    pub taken: &'a mut Taken,
    pub now_ns: i64,
    /// Vnode by (device, inode) of files with several names.
    links: HashMap<(u64, u64), VnodeNo>,
    /// Directories whose times follow the real ones once everything in them is done.
    dir_times: Vec<(VnodeNo, i64)>,
    /// Rows of the next base table.
    next: Vec<Row>,
    /// The table differs from the old one.
    differs: bool,
    /// Of what both sides changed the later change stands; otherwise the workspace's does.
    later_wins: bool,
    /// What is done about the rest.
    settle: Option<Settle>,
}

impl Access<'_> {
    pub fn workspace(&self) -> Result<&Workspace, Errno> {
        match self {
            Access::Fresh { workspace, .. } => Ok(workspace),
            Access::Live { spaces, id } => spaces.get(*id),
        }
    }

    pub fn apply(&mut self, daemon: &Daemon, change: &Change<'_>) -> Result<Applied, Errno> {
        match self {
            Access::Live { spaces, id } => daemon.commit(spaces, *id, Origin::default(), change),
            Access::Fresh { workspace, unwritten, kinds } => {
                let applied = workspace.apply(change)?;
                let record =
                    Record::Change { workspace: workspace.id, origin: Origin::default(), change: *change };
                let (kind, payload) = record.encode();
                kinds.push(kind);
                unwritten.push(payload);
                Ok(applied)
            }
        }
    }
}

impl<'a> TakeIn<'a> {
    pub fn new(
        daemon: &'a Daemon,
        goal: Goal<'a>,
        old: &'a Base,
        new: &'a Base,
        taken: &'a mut Taken,
    ) -> TakeIn<'a> {
        TakeIn {
            daemon,
            goal,
            old,
            new,
            taken,
            now_ns: daemon.clock.now_ns(),
            links: HashMap::new(),
            dir_times: Vec::new(),
            next: Vec::with_capacity(new.rows.len()),
            differs: false,
            later_wins: false,
            settle: None,
        }
    }

    /// For a directory that is written on behalf of the workspace itself (RFC 0005).
    pub fn later_wins(mut self) -> TakeIn<'a> {
        self.later_wins = true;
        self
    }

    /// Whether `row` stands against what the workspace has at its path. What is being written right now stays.
    fn wins(&mut self, vnode: VnodeNo, row: &Row) -> Result<bool, Errno> {
        let (later_wins, held) = (self.later_wins, self.hold());
        let Some(attr) = held.workspace()?.index.attr(vnode) else { return Ok(false) };
        let same_kind = attr.mode & S_IFMT == row.mode & S_IFMT && matches!(row.held, Held::Hash(_));
        let is_later = row.ctime_ns == 0 || row.ctime_ns >= attr.ctime_ns;
        Ok(later_wins && same_kind && is_later && attr.content != Content::Staged)
    }

    /// What is at a row's path: the vnode, and whether it is what the row says.
    fn existing(&mut self, path: &[u8], row: &Row) -> Result<Option<(VnodeNo, bool)>, Errno> {
        let access = self.hold();
        let workspace = access.workspace()?;
        Ok(find(workspace, path).map(|vnode| (vnode, holds(workspace, vnode, row))))
    }

    pub fn hold(&mut self) -> Access<'_> {
        match &mut self.goal {
            Goal::Live { id } => Access::Live { spaces: self.daemon.spaces(), id: *id },
            Goal::Fresh { workspace, unwritten, kinds } => Access::Fresh { workspace, unwritten, kinds },
        }
    }

    /// Does it all; the next base table when it differs from the old one.
    pub fn run(mut self) -> Result<Option<Base>, Errno> {
        self.find_links()?;
        let mut deleted = Vec::new();
        // Names that leave a group of hard links go first: what happens to the others is not theirs.
        if self.old.rows.iter().any(is_linked) {
            self.compare(&mut deleted, true)?;
        }
        self.compare(&mut deleted, false)?;
        for row in deleted.into_iter().rev() {
            self.deleted(row)?;
        }
        self.set_dir_times()?;
        self.write_batch(0)?;
        if !self.differs {
            return Ok(None);
        }
        let mut rows = std::mem::take(&mut self.next);
        rows.sort_unstable_by(|one, two| path_order(&one.path, &two.path));
        Ok(Some(Base { rows }))
    }

    /// Goes through both tables, for the names that leave a group of hard links or for all others. What is gone is to be
    /// removed in the end, when what was in it is gone.
    fn compare(&mut self, deleted: &mut Vec<&'a Row>, leaves_group: bool) -> Result<(), Errno> {
        let (old, new) = (&self.old.rows, &self.new.rows);
        let (mut one, mut two) = (0, 0);
        while one < old.len() || two < new.len() {
            let order = match (old.get(one), new.get(two)) {
                (Some(old), Some(new)) => path_order(&old.path, &new.path),
                (Some(_), None) => Ordering::Less,
                (None, _) => Ordering::Greater,
            };
            let leaves = match order {
                Ordering::Less => is_linked(&old[one]),
                Ordering::Equal => {
                    let inode = |row: &Row| (row.dev, row.ino);
                    is_linked(&old[one]) && inode(&old[one]) != inode(&new[two])
                }
                Ordering::Greater => false,
            };
            match order {
                _ if leaves != leaves_group => {}
                Ordering::Less if leaves => self.deleted(&old[one])?,
                Ordering::Less => deleted.push(&old[one]),
                Ordering::Greater => self.added(&new[two])?,
                Ordering::Equal => self.seen_before(&old[one], &new[two])?,
            }
            one += usize::from(order != Ordering::Greater);
            two += usize::from(order != Ordering::Less);
            self.write_batch(BATCH)?;
        }
        Ok(())
    }

    /// Writes what a new workspace has collected once it is more than `most` records.
    fn write_batch(&mut self, most: usize) -> Result<(), Errno> {
        let Goal::Fresh { unwritten, kinds, .. } = &mut self.goal else { return Ok(()) };
        if unwritten.len() <= most {
            return Ok(());
        }
        let records: Vec<_> =
            kinds.iter().copied().zip(unwritten.iter().map(|payload| &payload[..])).collect();
        let appended = self.daemon.store.append_batch(&records);
        self.daemon.dirty.store(true, std::sync::atomic::Ordering::Release);
        unwritten.clear();
        kinds.clear();
        appended.map(drop).map_err(|error| crate::daemon::store_errno(&error))
    }

    /// Vnodes of files with several names that are in the workspace already.
    fn find_links(&mut self) -> Result<(), Errno> {
        let (daemon, new) = (self.daemon, self.new);
        let Goal::Live { id } = self.goal else { return Ok(()) };
        let spaces = daemon.spaces();
        let workspace = spaces.get(id)?;
        for row in new.rows.iter().filter(|row| row.nlink > 1 && !row.is_dir()) {
            let same = self.old.find(&row.path).is_some_and(|old| (old.dev, old.ino) == (row.dev, row.ino));
            if same && let Some(vnode) = find(workspace, &row.path) {
                self.links.insert((row.dev, row.ino), vnode);
            }
        }
        Ok(())
    }

    /// There is something that was not there.
    fn added(&mut self, row: &Row) -> Result<(), Errno> {
        match self.existing(&row.path, row)? {
            None if !self.make(row, None)? => return Ok(()),
            None | Some((_, true)) => {}
            Some((vnode, false)) if self.wins(vnode, row)? => {
                if !self.change(vnode, row, row)? {
                    return Ok(());
                }
            }
            Some((vnode, false)) => {
                let both_dirs = row.is_dir() && is_dir(self.hold().workspace()?, vnode);
                if !both_dirs {
                    let what = "was made in the workspace and in the real directory";
                    return self.conflict(None, &row.path, what).map(drop);
                }
            }
        }
        self.keep(row)
    }

    /// There is something at a path where something was.
    fn seen_before(&mut self, old: &Row, new: &Row) -> Result<(), Errno> {
        if old.same_stat(new) {
            // As it is stored: a row that stands for a moment too short to trust stays so.
            if !crate::real_xattrs::moved_on(self, old, new)? {
                self.next.push(old.clone());
            }
            return Ok(());
        }
        let found = self.existing(&new.path, old)?;
        let (existing, unchanged) = (found.map(|(vnode, _)| vnode), found.is_some_and(|(_, same)| same));
        if old.same_content(new) {
            // Touched, or replaced by the same bytes: times follow unless the workspace has its own.
            if let Some(vnode) = existing.filter(|_| unchanged) {
                self.follow_times(vnode, old, new)?;
            }
            return self.keep(new);
        }
        match existing {
            Some(vnode) if !unchanged && holds(self.hold().workspace()?, vnode, new) => {}
            Some(vnode) if unchanged || (old.is_dir() && new.is_dir()) || self.wins(vnode, new)? => {
                if !self.change(vnode, old, new)? {
                    return Ok(());
                }
            }
            None if self.later_wins => {
                if !self.make(new, Some(old))? {
                    return Ok(());
                }
            }
            Some(_) => {
                return self
                    .conflict(Some(old), &new.path, "changed in the workspace and in the real directory")
                    .map(drop);
            }
            None => {
                let what = "was deleted in the workspace and changed in the real directory";
                return self.conflict(Some(old), &new.path, what).map(drop);
            }
        }
        self.keep(new)
    }

    /// A row of the next table that the last one does not have; what it says of extended attributes is followed.
    pub fn keep(&mut self, row: &Row) -> Result<(), Errno> {
        crate::real_xattrs::follow(self, row)?;
        self.differs = true;
        self.next.push(row.clone());
        Ok(())
    }

    fn follow_times(&mut self, vnode: VnodeNo, old: &Row, new: &Row) -> Result<(), Errno> {
        let (daemon, now_ns) = (self.daemon, self.now_ns);
        let mut held = self.hold();
        let Some(attr) = held.workspace()?.index.attr(vnode) else { return Ok(()) };
        if attr.mtime_ns != old.mtime_ns {
            return Ok(());
        }
        let owner = |has: u32, old: u32, new: u32| (has == old && old != new).then_some(new);
        let set = SetAttr {
            uid: owner(attr.uid, old.uid, new.uid),
            gid: owner(attr.gid, old.gid, new.gid),
            mtime_ns: (!new.is_dir()).then_some(new.mtime_ns),
            ctime_ns: Some(now_ns),
            ..SetAttr::default()
        };
        let touched = old.mtime_ns != new.mtime_ns;
        if set.uid.is_some() || set.gid.is_some() || (touched && !new.is_dir()) {
            held.apply(daemon, &Change::SetAttr { vnode, set })?;
            drop(held);
            self.taken.modified += 1;
        } else {
            drop(held);
        }
        if new.is_dir() && touched {
            self.dir_times.push((vnode, new.mtime_ns));
        }
        Ok(())
    }

    /// The workspace has what was there: it gets what is there now. False: it was left, as a conflict.
    fn change(&mut self, vnode: VnodeNo, old: &Row, new: &Row) -> Result<bool, Errno> {
        let (daemon, now_ns) = (self.daemon, self.now_ns);
        let same_kind = old.mode & S_IFMT == new.mode & S_IFMT;
        let mut held = self.hold();
        let Some(attr) = held.workspace()?.index.attr(vnode) else { return Ok(true) };
        // A name that left a group of hard links must not change the others.
        let left_group = attr.nlink > 1 && (old.dev, old.ino) != (new.dev, new.ino);
        if !same_kind || matches!(new.held, Held::Target(_)) || (left_group && !new.is_dir()) {
            drop(held);
            return self.replace(old, new);
        }
        if let Held::Hash(hash) = new.held {
            held.apply(
                daemon,
                &Change::SetContent {
                    vnode,
                    content: Content::Sealed(hash),
                    size: new.size,
                    blocks: new.blocks,
                    mtime_ns: new.mtime_ns,
                    ctime_ns: now_ns,
                },
            )?;
        }
        let set = SetAttr {
            mode: Some(new.mode & 0o7777),
            uid: Some(new.uid),
            gid: Some(new.gid),
            ctime_ns: Some(now_ns),
            ..SetAttr::default()
        };
        held.apply(daemon, &Change::SetAttr { vnode, set })?;
        drop(held);
        if new.is_dir() && attr.mtime_ns == old.mtime_ns {
            self.dir_times.push((vnode, new.mtime_ns));
        }
        self.taken.modified += 1;
        Ok(true)
    }

    /// Another kind of thing under the same name.
    fn replace(&mut self, old: &Row, new: &Row) -> Result<bool, Errno> {
        let below = self.old.below(&old.path);
        for row in below.iter().rev() {
            self.remove(row)?;
        }
        if find(self.hold().workspace()?, &new.path).is_some() {
            let what = "became something else in the real directory, and the workspace has changes below it";
            return self.conflict(Some(old), &new.path, what);
        }
        self.make(new, Some(old))
    }

    fn deleted(&mut self, row: &Row) -> Result<(), Errno> {
        let existing = find(self.hold().workspace()?, &row.path);
        if existing.is_some() && !self.remove(row)? && !row.is_dir() {
            let what = "was changed in the workspace and deleted in the real directory";
            return self.conflict(Some(row), &row.path, what).map(drop);
        }
        self.differs = true;
        if existing.is_some() {
            self.taken.deleted += 1;
        }
        Ok(())
    }

    /// Removes what is there if it still is what `row` says; whether it is gone.
    fn remove(&mut self, row: &Row) -> Result<bool, Errno> {
        let (daemon, now_ns) = (self.daemon, self.now_ns);
        let mut held = self.hold();
        let workspace = held.workspace()?;
        let Some(vnode) = find(workspace, &row.path) else { return Ok(true) };
        let Some((dir, name)) = parent(workspace, &row.path) else { return Ok(false) };
        if is_dir(workspace, vnode) {
            let change = Change::Rmdir { dir, name, now_ns };
            if !row.is_dir() || crate::vnode_ops::expect(workspace, &change).is_err() {
                return Ok(false);
            }
            let applied = held.apply(daemon, &change)?;
            crate::vnode_ops::tidy(daemon, held.workspace()?.id, &applied);
            return Ok(true);
        }
        if !holds(workspace, vnode, row) {
            return Ok(false);
        }
        let applied = held.apply(daemon, &Change::Unlink { dir, name, now_ns })?;
        crate::vnode_ops::tidy(daemon, held.workspace()?.id, &applied);
        Ok(true)
    }

    /// Makes what a row says; false: it was left, as a conflict.
    fn make(&mut self, row: &Row, old: Option<&Row>) -> Result<bool, Errno> {
        if row.path.is_empty() {
            self.dir_times.push((ROOT, row.mtime_ns));
            return Ok(true);
        }
        let (daemon, now_ns) = (self.daemon, self.now_ns);
        let linked = (row.nlink > 1 && !row.is_dir()).then_some((row.dev, row.ino));
        let known = linked.and_then(|key| self.links.get(&key).copied());
        self.make_parent(row)?;
        let mut held = self.hold();
        let workspace = held.workspace()?;
        let found = parent(workspace, &row.path).filter(|(dir, _)| is_dir(workspace, *dir));
        let Some((dir, name)) = found else {
            drop(held);
            return self.no_directory(row, old);
        };
        let known = known.filter(|vnode| workspace.index.attr(*vnode).is_some());
        let change = match known {
            Some(vnode) => Change::Link { vnode, dir, name, now_ns },
            None => Change::Make { at: daemon.next_vnode(workspace), dir, name, new: new_vnode(row), now_ns },
        };
        let vnode = match held.apply(daemon, &change)? {
            Applied::Vnode(vnode) => vnode,
            _ => return Err(Errno::EIO),
        };
        if let (Some(change), None) = (row.with_holes(vnode), known) {
            held.apply(daemon, &change)?;
        }
        drop(held);
        if let Some(key) = linked {
            self.links.insert(key, vnode);
        }
        if row.is_dir() {
            self.dir_times.push((vnode, row.mtime_ns));
        }
        match old {
            None => self.taken.added += 1,
            Some(_) => self.taken.modified += 1,
        }
        Ok(true)
    }

    fn set_dir_times(&mut self) -> Result<(), Errno> {
        let daemon = self.daemon;
        for (vnode, mtime_ns) in std::mem::take(&mut self.dir_times) {
            let mut held = self.hold();
            let has = held.workspace()?.index.attr(vnode).map(|attr| attr.mtime_ns);
            if has.is_some_and(|has| has != mtime_ns) {
                let set = SetAttr { mtime_ns: Some(mtime_ns), ..SetAttr::default() };
                held.apply(daemon, &Change::SetAttr { vnode, set })?;
            }
            drop(held);
            self.write_batch(BATCH)?;
        }
        Ok(())
    }
}

/// Whether a file had further names.
fn is_linked(row: &Row) -> bool {
    row.nlink > 1 && !row.is_dir()
}
