//! The eye on one real directory: a watch on each directory in it that is taken in, and the names at which something was
//! noticed.

use super::{Linked, grounds};
use crate::ignored::{RuleFile, Rules, Says};
use crate::walk::os;
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Above this many names it is no dearer to read everything.
const NAMES_MAX: usize = 16_384;
/// What is left out is remembered up to this many, to be judged again when git tracks something else.
const LEFT_OUT_MAX: usize = 16_384;

/// How many directories may be watched, by all eyes together.
#[derive(Clone)]
pub struct Budget {
    pub used: Arc<AtomicUsize>,
    pub most: usize,
}

impl Budget {
    pub fn in_use(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

pub struct Eye {
    inotify: Inotify,
    /// Device and number of the directory itself.
    root: (u64, u64),
    budget: Budget,
    pub(super) sight: Mutex<Sight>,
}

/// What an eye has seen.
pub(super) struct Sight {
    pub by_watch: HashMap<WatchDescriptor, Arc<[u8]>>,
    by_path: BTreeMap<Arc<[u8]>, WatchDescriptor>,
    /// Names to be looked at.
    pub names: BTreeSet<Vec<u8>>,
    /// Files with several names, which change by names that nobody watches: looked at each time.
    linked: Linked,
    left_out: BTreeSet<Vec<u8>>,
    rule_files: Vec<RuleFile>,
    /// Whether changes are noticed on the file system of this device.
    devices: HashMap<u64, bool>,
    /// The table that, with the names, is the directory as it is; None: somebody is making the next one.
    base: Option<[u8; 32]>,
    used: Instant,
    /// Changes of the mount table, before its first directory was read.
    mounts: u64,
    /// Why something may have been missed.
    pub doubt: Option<String>,
}

impl Sight {
    pub fn doubt(&mut self, why: &str) {
        self.doubt.get_or_insert_with(|| why.to_string());
    }

    pub fn note(&mut self, name: Vec<u8>) {
        self.names.insert(name);
        if self.names.len() > NAMES_MAX {
            self.names.clear();
            self.doubt("too much changed to look at it name by name");
        }
    }
}

impl Eye {
    pub(super) fn open(dir: &[u8], uses_git: bool, budget: &Budget, mounts: u64) -> Result<Eye, Errno> {
        let stat = std::fs::metadata(os(dir)).map_err(|error| crate::namespace::errno_of(&error))?;
        let sight = Sight {
            by_watch: HashMap::new(),
            by_path: BTreeMap::new(),
            names: BTreeSet::new(),
            linked: Linked::default(),
            left_out: BTreeSet::new(),
            rule_files: Rules::files_above(dir, uses_git),
            devices: HashMap::new(),
            base: None,
            used: Instant::now(),
            mounts,
            doubt: None,
        };
        Ok(Eye {
            inotify: Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?,
            root: (stat.dev(), stat.ino()),
            budget: budget.clone(),
            sight: Mutex::new(sight),
        })
    }

    pub(super) fn sight(&self) -> MutexGuard<'_, Sight> {
        self.sight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notices from now on what changes in a directory that is open, under this name. Where it cannot, that is remembered.
    pub fn watch(&self, dir: &OwnedFd, path: &[u8]) {
        let mut sight = self.sight();
        if sight.doubt.is_some() {
            return;
        }
        let device = nix::sys::stat::fstat(dir).map_or(0, |stat| stat.st_dev);
        let tells = *sight.devices.entry(device).or_insert_with(|| grounds::tells_of_changes(dir));
        if !tells {
            return sight.doubt("it is on a file system that others may change unnoticed");
        }
        if self.budget.used.fetch_add(1, Ordering::Relaxed) >= self.budget.most {
            self.budget.used.fetch_sub(1, Ordering::Relaxed);
            return sight.doubt("it has more directories than may be watched");
        }
        let open = format!("/proc/self/fd/{}", dir.as_raw_fd());
        match self.inotify.add_watch(open.as_str(), mask()) {
            Ok(watch) => self.remember(&mut sight, watch, path),
            Err(errno) => {
                self.budget.used.fetch_sub(1, Ordering::Relaxed);
                sight.doubt(&match errno {
                    Errno::ENOSPC => "the limit fs.inotify.max_user_watches is reached".to_string(),
                    errno => format!("it cannot be watched: {}", errno.desc()),
                });
            }
        }
    }

    fn remember(&self, sight: &mut Sight, watch: WatchDescriptor, path: &[u8]) {
        let path: Arc<[u8]> = path.into();
        let before = sight.by_watch.insert(watch, Arc::clone(&path));
        if before.is_some() {
            // One more name of a directory that is watched: it takes no watch of its own.
            self.budget.used.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(before) = before.filter(|before| *before != path) {
            // It was moved, or is there twice: what it was called is looked at, too.
            sight.by_path.remove(&before);
            sight.note(before.to_vec());
        }
        sight.by_path.insert(path, watch);
    }

    /// Whether a directory is watched.
    pub fn sees(&self, path: &[u8]) -> bool {
        self.sight().by_path.contains_key(path)
    }

    /// A directory, and those below it, are not what they were.
    pub(super) fn forget(&self, sight: &mut Sight, path: &[u8]) {
        let mut gone: Vec<Arc<[u8]>> = Vec::new();
        let below = [path, b"/"].concat();
        let after = [path, b"0"].concat(); // '0' comes after '/'
        if sight.by_path.contains_key(path) {
            gone.push(path.into());
        }
        let range = (Bound::Included(&below[..]), Bound::Excluded(&after[..]));
        gone.extend(sight.by_path.range::<[u8], _>(range).map(|(path, _)| Arc::clone(path)));
        for path in gone {
            let Some(watch) = sight.by_path.remove(&path) else { continue };
            if sight.by_watch.get(&watch) == Some(&path) {
                sight.by_watch.remove(&watch);
                self.budget.used.fetch_sub(1, Ordering::Relaxed);
                // Fails when the directory is gone, and its watch with it.
                let _ = self.inotify.rm_watch(watch);
            }
        }
    }

    /// The kernel has ended a watch.
    pub(super) fn ended(&self, sight: &mut Sight, watch: WatchDescriptor) {
        let Some(path) = sight.by_watch.remove(&watch) else { return };
        self.budget.used.fetch_sub(1, Ordering::Relaxed);
        if sight.by_path.get(&path) == Some(&watch) {
            sight.by_path.remove(&path);
        }
        match path.is_empty() {
            true => sight.doubt("the directory itself was replaced"),
            false => sight.note(path.to_vec()),
        }
    }

    /// A name was left out by rules.
    pub fn leaves_out(&self, path: &[u8]) {
        let mut sight = self.sight();
        if sight.left_out.len() >= LEFT_OUT_MAX {
            return sight.doubt("too much is left out to remember it");
        }
        sight.left_out.insert(path.to_vec());
    }

    /// A name is about to be looked at: what is known of it, and of what is below it, counts no more.
    pub fn looks_at(&self, path: &[u8]) {
        let mut sight = self.sight();
        let start = (Bound::Included(path), Bound::Unbounded);
        let below = sight.left_out.range::<[u8], _>(start);
        // "a-b" comes between "a" and "a/b".
        let of = below.take_while(|name| name.starts_with(path));
        let of: Vec<Vec<u8>> = of.filter(|name| crate::base::is_at_or_below(name, path)).cloned().collect();
        // Below a directory that is noticed they are judged only when they change.
        let is_seen = sight.by_path.contains_key(path);
        for name in of.iter().filter(|name| !is_seen || name[..] == *path) {
            sight.left_out.remove(name);
        }
    }

    /// Names that are left out: the first ones, and how many.
    pub fn left_out(&self, most: usize) -> (Vec<Vec<u8>>, u64) {
        let sight = self.sight();
        (sight.left_out.iter().take(most).cloned().collect(), sight.left_out.len() as u64)
    }

    /// Rules were made of these files.
    pub fn depends_on(&self, files: &[RuleFile]) {
        self.sight().rule_files.extend(files.iter().cloned());
    }

    /// The names to be looked at, so that the table `base` becomes the directory as it is; or why they are not known.
    pub(super) fn take(&self, dir: &[u8], base: [u8; 32], mounts: u64) -> Result<BTreeSet<Vec<u8>>, String> {
        self.read();
        let now = std::fs::metadata(os(dir)).map(|stat| (stat.dev(), stat.ino())).ok();
        let mut sight = self.sight();
        if now != Some(self.root) {
            sight.doubt("the directory itself was replaced");
        }
        if sight.mounts != mounts {
            sight.doubt("something was mounted or unmounted");
        }
        if sight.base != Some(base) {
            sight.doubt("the last take-in was not completed");
        }
        let mut says = Vec::new();
        sight.rule_files.iter_mut().for_each(|file| says.extend(file.changed().then_some(file.says)));
        if says.contains(&Says::WhatIsIgnored) {
            sight.doubt("the rules of what is ignored changed");
        }
        if let Some(why) = &sight.doubt {
            return Err(why.clone());
        }
        let mut names = std::mem::take(&mut sight.names);
        names.extend(sight.linked.iter().cloned());
        if says.contains(&Says::WhatIsTracked) {
            names.extend(sight.left_out.iter().cloned());
        }
        sight.base = None;
        sight.used = Instant::now();
        Ok(names)
    }

    /// The table is `base` now. These names are to be looked at again, and those of files with several names are `linked`.
    pub fn settle(&self, base: [u8; 32], again: BTreeSet<Vec<u8>>, linked: Linked) {
        let mut sight = self.sight();
        sight.base = Some(base);
        sight.linked = linked;
        again.into_iter().for_each(|name| sight.note(name));
        // A repository is met once with each walk that comes to it. The first look counts: it is the oldest.
        let mut known = std::collections::HashSet::new();
        sight.rule_files.retain(|file| known.insert(file.path().to_path_buf()));
    }

    pub(super) fn follow(&self, old: Option<[u8; 32]>, new: [u8; 32]) {
        let mut sight = self.sight();
        if sight.base.is_some() && sight.base == old {
            sight.base = Some(new);
        }
    }

    pub(super) fn doubt(&self) -> Option<String> {
        self.sight().doubt.clone()
    }

    /// Something may be missed from here on.
    pub fn cast_doubt(&self, why: &str) {
        self.sight().doubt(why);
    }

    pub(super) fn used(&self) -> Instant {
        self.sight().used
    }

    pub(super) fn inotify(&self) -> &Inotify {
        &self.inotify
    }
}

impl Drop for Eye {
    fn drop(&mut self) {
        let watches = self.sight().by_watch.len();
        self.budget.used.fetch_sub(watches, Ordering::Relaxed);
    }
}

impl AsFd for Eye {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

/// All that changes what a take-in would find. Reading is not among it.
fn mask() -> AddWatchFlags {
    AddWatchFlags::IN_MODIFY
        | AddWatchFlags::IN_ATTRIB
        | AddWatchFlags::IN_CLOSE_WRITE
        | AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_DELETE
        | AddWatchFlags::IN_MOVED_FROM
        | AddWatchFlags::IN_MOVED_TO
        | AddWatchFlags::IN_DELETE_SELF
        | AddWatchFlags::IN_MOVE_SELF
        | AddWatchFlags::IN_ONLYDIR
}
