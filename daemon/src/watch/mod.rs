//! inotify on files of the view.
//!
//! A watched vnode has a puppet: an empty real file or folder in the runtime folder, which the client's own inotify
//! instance watches. A puppet folder holds an entry for each name in the directory. What happens to vnodes is done
//! to their puppets, so that the kernel sends the events: masks, cookies, queues, poll and the like are its own.
//!
//! Names change in [`crate::daemon::Daemon::commit`]; what is written is seen by watching the staging folder.

mod puppets;
mod staging;
mod sweep;

pub use sweep::run;

use crate::daemon::{Daemon, cas_errno};
use crate::folders::Folders;
use crate::namespace::{Applied, Workspace};
use crate::record::Change;
use crate::vnode_ops::{Answer, Call};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::inotify::{Inotify, WatchDescriptor};
use nix::sys::stat::Mode;
use puppets::Puppets;
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use vrift_manifest::types::{S_IFDIR, S_IFMT};
use vrift_manifest::{Content, VnodeNo};
use vrift_protocol::VnodeReply;

/// Watched vnodes of a workspace: as many as Linux gives a user by default.
const WATCHED_MAX: usize = 8192;
/// Entries of watched directories of a workspace: each is a small real file.
const ENTRIES_MAX: usize = 1 << 20;
/// Directories with more entries than this are filled by a worker.
const QUICK_ENTRIES: usize = 64;
/// Puppets that are held open because their vnode is open for writing; for more, IN_OPEN comes with IN_CLOSE_WRITE.
const HELD_MAX: usize = 1024;

const RENAME_EXCHANGE: u32 = 2;

/// A watched vnode.
struct Thing {
    is_dir: bool,
    since: Instant,
}

/// The watched part of a workspace.
struct Watched {
    puppets: Puppets,
    things: HashMap<u64, Thing>,
    /// Names in watched directories, by vnode.
    entries: HashMap<u64, Vec<(u64, Vec<u8>)>>,
    entry_count: usize,
    /// By vnode: puppets held open for each of its writers.
    held: HashMap<u64, VecDeque<Vec<File>>>,
    held_count: usize,
    /// Of its staging folder.
    descriptor: Option<WatchDescriptor>,
}

/// All watched vnodes of the daemon.
pub struct Watches {
    inotify: Option<Inotify>,
    state: Mutex<HashMap<u32, Watched>>,
    /// Whether there is any: asked at each change.
    active: AtomicBool,
}

type State<'a> = MutexGuard<'a, HashMap<u32, Watched>>;

impl Watches {
    fn state(&self) -> State<'_> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state with everything in it that was written before; None when nothing is watched.
    fn current(&self) -> Option<State<'_>> {
        if !self.active.load(Ordering::Acquire) {
            return None;
        }
        let mut state = self.state();
        self.drain(&mut state);
        Some(state)
    }
}

/// Answers a request to watch a vnode: an O_PATH fd of its puppet.
pub fn watch(daemon: &Daemon, call: &Call) -> crate::vnode_ops::Attempt {
    use crate::vnode_ops::Attempt;
    let spaces = daemon.spaces();
    let attempt = || -> Result<Option<Answer>, Errno> {
        let workspace = spaces.get(call.workspace)?;
        let attr = workspace.index.attr(call.vnode()).ok_or(Errno::ENOENT)?;
        let is_dir = attr.mode & S_IFMT == S_IFDIR;
        let mut state = daemon.watches.state();
        daemon.watches.drain(&mut state);
        let known =
            state.get(&call.workspace).is_some_and(|watched| watched.things.contains_key(&attr.vnode.0));
        if !known && is_dir && !call.may_wait {
            let mut count = 0;
            workspace.index.children(attr.vnode, &mut |_, _| count += 1);
            if count > QUICK_ENTRIES {
                return Ok(None);
            }
        }
        let watched = match state.entry(call.workspace) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(Watched::new(&daemon.folders, call.workspace)?)
            }
        };
        daemon.watches.listen(daemon, call.workspace, watched)?;
        if !known {
            watched.add(daemon, workspace, attr.vnode, is_dir)?;
        }
        daemon.watches.active.store(true, Ordering::Release);
        let thing = watched.things.get_mut(&attr.vnode.0).ok_or(Errno::EIO)?;
        thing.since = Instant::now();
        let fd = open(&watched.puppets.own(attr.vnode.0), OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
        Ok(Some(Ok((VnodeReply { vnode: attr.vnode.0.into(), ..VnodeReply::default() }, Some(fd)))))
    };
    match attempt() {
        Ok(Some(answer)) => Attempt::Answered(answer),
        Ok(None) => Attempt::NeedsWorker,
        Err(errno) => Attempt::Answered(Err(errno)),
    }
}

impl Watched {
    fn new(folders: &Folders, workspace: u32) -> Result<Watched, Errno> {
        Ok(Watched {
            puppets: Puppets::open(folders, workspace)?,
            things: HashMap::new(),
            entries: HashMap::new(),
            entry_count: 0,
            held: HashMap::new(),
            held_count: 0,
            descriptor: None,
        })
    }

    /// Makes the puppets of a vnode, which nobody watches yet.
    fn add(
        &mut self,
        daemon: &Daemon,
        workspace: &Workspace,
        vnode: VnodeNo,
        is_dir: bool,
    ) -> Result<(), Errno> {
        if self.things.len() >= WATCHED_MAX {
            return Err(Errno::ENOSPC);
        }
        let mut children = Vec::new();
        workspace.index.children(vnode, &mut |name, child| children.push((name.to_vec(), child)));
        if self.entry_count + children.len() > ENTRIES_MAX {
            return Err(Errno::ENOSPC);
        }
        self.puppets.make(vnode.0, is_dir)?;
        let staged = |vnode: VnodeNo| -> Result<bool, Errno> {
            let content = workspace.index.attr(vnode).map(|attr| attr.content);
            if content != Some(Content::Staged) {
                return Ok(false);
            }
            daemon.cas.has_writer(workspace.id, vnode.0).map_err(|error| cas_errno(&error))
        };
        let mut writers = Vec::new();
        for (name, child) in &children {
            let child_is_dir = workspace.index.attr(*child).is_some_and(|attr| attr.mode & S_IFMT == S_IFDIR);
            self.puppets.make_entry(vnode.0, name, child_is_dir)?;
            writers.extend(staged(*child)?.then_some((*child, self.puppets.entry(vnode.0, name))));
        }
        if staged(vnode)? {
            writers.push((vnode, self.puppets.own(vnode.0)));
        }
        // Who writes already will close: opened now, while nobody sees it.
        for (vnode, path) in writers {
            let held = self.held.entry(vnode.0).or_default();
            if held.is_empty() {
                held.push_back(Vec::new());
            }
            if let (Some(files), Ok(file)) = (held.front_mut(), puppets::open_for_writing(&path)) {
                files.push(file);
                self.held_count += 1;
            }
        }
        self.entry_count += children.len();
        for (name, child) in children {
            self.entries.entry(child.0).or_default().push((vnode.0, name));
        }
        self.things.insert(vnode.0, Thing { is_dir, since: Instant::now() });
        Ok(())
    }

    fn is_watched(&self, vnode: VnodeNo) -> bool {
        self.things.contains_key(&vnode.0)
    }

    /// The puppets that stand for a vnode: its own, and its names in watched directories.
    fn places(&self, vnode: u64) -> Vec<std::path::PathBuf> {
        let names = self.entries.get(&vnode).into_iter().flatten();
        let mut places: Vec<_> = names.map(|(dir, name)| self.puppets.entry(*dir, name)).collect();
        if self.things.contains_key(&vnode) {
            places.push(self.puppets.own(vnode));
        }
        places
    }

    fn note_entry(&mut self, vnode: VnodeNo, dir: VnodeNo, name: &[u8]) {
        self.entries.entry(vnode.0).or_default().push((dir.0, name.to_vec()));
        self.entry_count += 1;
    }

    fn drop_entry(&mut self, vnode: VnodeNo, dir: VnodeNo, name: &[u8]) {
        if let Some(names) = self.entries.get_mut(&vnode.0) {
            let before = names.len();
            names.retain(|(in_dir, known)| *in_dir != dir.0 || known != name);
            self.entry_count -= before - names.len();
            if names.is_empty() {
                self.entries.remove(&vnode.0);
            }
        }
    }

    /// The vnode has no name any more.
    fn gone(&mut self, vnode: VnodeNo) {
        if let Some(thing) = self.things.remove(&vnode.0) {
            self.forget_children(vnode.0);
            self.puppets.remove(vnode.0, thing.is_dir);
        }
        if let Some(held) = self.held.remove(&vnode.0) {
            self.held_count -= held.iter().map(Vec::len).sum::<usize>();
        }
    }

    fn forget_children(&mut self, dir: u64) {
        let mut count = 0;
        self.entries.retain(|_, names| {
            let before = names.len();
            names.retain(|(in_dir, _)| *in_dir != dir);
            count += before - names.len();
            !names.is_empty()
        });
        self.entry_count -= count;
    }

    /// What a change of the namespace did, done to the puppets.
    fn follow(&mut self, workspace: &Workspace, change: &Change<'_>, applied: &Applied) {
        match (*change, applied) {
            (Change::Make { dir, name, ref new, .. }, Applied::Vnode(vnode)) if self.is_watched(dir) => {
                let _ = self.puppets.make_entry(dir.0, name, new.mode & S_IFMT == S_IFDIR);
                self.note_entry(*vnode, dir, name);
            }
            (Change::Link { vnode, dir, name, .. }, _) => {
                self.touch_own(vnode);
                if self.is_watched(dir) {
                    let _ = self.puppets.make_entry(dir.0, name, false);
                    self.note_entry(vnode, dir, name);
                }
            }
            (Change::Unlink { dir, name, .. }, Applied::Unlinked(unlinked)) => {
                if !unlinked.last {
                    self.touch_own(unlinked.vnode);
                }
                self.remove_entry(unlinked.vnode, dir, name, false);
                if unlinked.last {
                    self.gone(unlinked.vnode);
                }
            }
            (Change::Rmdir { dir, name, .. }, Applied::RemovedDir(vnode)) => {
                self.remove_entry(*vnode, dir, name, true);
                self.gone(*vnode);
            }
            (Change::Rename { dir, name, dir2, name2, flags, .. }, Applied::Renamed(renamed)) => {
                if flags & RENAME_EXCHANGE != 0 {
                    self.exchanged(workspace, (dir, name), (dir2, name2), renamed.moved);
                } else if workspace.index.lookup(dir2, name2) == Some(renamed.moved)
                    && workspace.index.lookup(dir, name).is_none()
                {
                    self.renamed((dir, name), (dir2, name2), renamed, workspace);
                }
            }
            (Change::SetAttr { vnode, set }, _) => {
                let modes = set.mode.is_some() || set.uid.is_some() || set.gid.is_some();
                match (set.atime_ns.is_some(), set.mtime_ns.is_some()) {
                    (atime, mtime) if modes || (atime && mtime) => self.touch(vnode),
                    (_, true) => self.places(vnode.0).iter().for_each(|path| puppets::modify(path)),
                    _ => {}
                }
            }
            (Change::SetXattr { vnode, .. }, _) => self.touch(vnode),
            _ => {}
        }
    }

    /// IN_ATTRIB at the vnode and in its directories.
    fn touch(&self, vnode: VnodeNo) {
        self.places(vnode.0).iter().for_each(|path| puppets::touch(path));
    }

    /// IN_ATTRIB at the vnode alone: its number of names changed.
    fn touch_own(&self, vnode: VnodeNo) {
        if self.is_watched(vnode) {
            puppets::touch(&self.puppets.own(vnode.0));
        }
    }

    fn remove_entry(&mut self, vnode: VnodeNo, dir: VnodeNo, name: &[u8], is_dir: bool) {
        if self.is_watched(dir) {
            self.puppets.remove_entry(dir.0, name, is_dir);
            self.drop_entry(vnode, dir, name);
        }
    }

    fn renamed(
        &mut self,
        (dir, name): (VnodeNo, &[u8]),
        (dir2, name2): (VnodeNo, &[u8]),
        renamed: &vrift_manifest::Renamed,
        workspace: &Workspace,
    ) {
        let is_dir = workspace.index.attr(renamed.moved).is_some_and(|attr| attr.mode & S_IFMT == S_IFDIR);
        let (from, to) = (self.is_watched(dir), self.is_watched(dir2));
        let entry = self.puppets.entry(dir.0, name);
        let entry2 = self.puppets.entry(dir2.0, name2);
        match (from, to) {
            (true, true) => puppets::rename(&entry, &entry2),
            (true, false) => self.puppets.move_out(&entry, is_dir),
            (false, true) => self.puppets.move_in(&entry2, is_dir),
            (false, false) => {}
        }
        if from {
            self.drop_entry(renamed.moved, dir, name);
        }
        let replaced = renamed.replaced.map(|unlinked| unlinked.vnode).or(renamed.replaced_dir);
        if to {
            if let Some(replaced) = replaced {
                self.drop_entry(replaced, dir2, name2);
            }
            self.note_entry(renamed.moved, dir2, name2);
        }
        self.moved(renamed.moved);
        match renamed.replaced {
            Some(unlinked) if !unlinked.last => self.touch_own(unlinked.vnode),
            _ => replaced.into_iter().for_each(|vnode| self.gone(vnode)),
        }
    }

    fn exchanged(
        &mut self,
        workspace: &Workspace,
        (dir, name): (VnodeNo, &[u8]),
        (dir2, name2): (VnodeNo, &[u8]),
        moved: VnodeNo,
    ) {
        let Some(other) = workspace.index.lookup(dir, name).filter(|other| *other != moved) else { return };
        let is_dir = |vnode| workspace.index.attr(vnode).is_some_and(|attr| attr.mode & S_IFMT == S_IFDIR);
        let (entry, entry2) = (self.puppets.entry(dir.0, name), self.puppets.entry(dir2.0, name2));
        match (self.is_watched(dir), self.is_watched(dir2)) {
            (true, true) => puppets::exchange(&entry, &entry2),
            (true, false) => {
                self.puppets.move_out(&entry, is_dir(moved));
                self.puppets.move_in(&entry, is_dir(other));
            }
            (false, true) => {
                self.puppets.move_out(&entry2, is_dir(other));
                self.puppets.move_in(&entry2, is_dir(moved));
            }
            (false, false) => {}
        }
        for (dir, name, left, came) in [(dir, name, moved, other), (dir2, name2, other, moved)] {
            if self.is_watched(dir) {
                self.drop_entry(left, dir, name);
                self.note_entry(came, dir, name);
            }
        }
        self.moved(moved);
        self.moved(other);
    }

    /// IN_MOVE_SELF.
    fn moved(&mut self, vnode: VnodeNo) {
        if self.is_watched(vnode) {
            self.puppets.turn(vnode.0);
        }
    }
}

impl Watches {
    /// After a change, under the core lock.
    pub fn changed(&self, workspace: &Workspace, change: &Change<'_>, applied: &Applied) {
        if let Some(mut state) = self.current()
            && let Some(watched) = state.get_mut(&workspace.id)
        {
            watched.follow(workspace, change, applied);
        }
    }

    /// After a file was opened for writing, before its fd is handed out.
    pub fn opened(&self, workspace: u32, vnode: VnodeNo) {
        if let Some(mut state) = self.current()
            && let Some(watched) = state.get_mut(&workspace)
            && watched.held_count < HELD_MAX
        {
            let files: Vec<File> = watched
                .places(vnode.0)
                .iter()
                .filter_map(|path| puppets::open_for_writing(path).ok())
                .collect();
            if !files.is_empty() {
                watched.held_count += files.len();
                watched.held.entry(vnode.0).or_default().push_back(files);
            }
        }
    }
}
