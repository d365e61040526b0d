//! Blank staging files that wait for the numbers of vnodes to come, and the one that is made ahead: a thread that has
//! answered a create makes the next file while its client writes the first (RFC 0007).
//!
//! Which numbers are to come is looked up under the core lock, which every request holds that gives one out. The file is
//! made without it; a request that gets just this number waits for it.

use crate::daemon::Daemon;
use crate::kill_points;
use nix::sys::stat::{Mode, SFlag, mknod, umask};
use std::collections::{HashSet, VecDeque};
use std::fs;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use vrift_cas::BLANK_MODE;
use vrift_manifest::{Index, VnodeNo};

/// Workspace and number.
pub type Key = (u32, u64);

/// Blank files that are kept ready at a time. An inode and a directory entry each.
const READY_MAX: usize = 4096;
/// So many of the next numbers are looked at for one that has a blank file: what was removed last gets none before the
/// thread for removed files comes round, and its numbers are the next ones.
const LOOK_AT: usize = 64;

/// Blank files, by the number of the vnode that they would become.
#[derive(Default)]
pub struct Ready {
    files: HashSet<Key>,
    /// Being made right now.
    under_way: HashSet<Key>,
    /// Threads that wait for one of these: to wake nobody takes a system call too.
    waiting: usize,
}

impl Ready {
    /// Whether the number has a blank file, or will have one in a moment.
    pub fn has(&self, key: &Key) -> bool {
        self.files.contains(key) || self.under_way.contains(key)
    }

    pub fn is_full(&self) -> bool {
        self.files.len() + self.under_way.len() >= READY_MAX
    }

    pub fn keep(&mut self, key: Key) {
        self.files.insert(key);
    }

    /// Notes up to `count` of the next numbers that have no file, which the caller is about to make.
    pub fn begin(&mut self, workspace: u32, index: &Index, count: usize) -> VecDeque<VnodeNo> {
        let mut numbers = VecDeque::new();
        if !self.is_full() {
            index.upcoming(&mut |number| {
                if !self.has(&(workspace, number.0)) {
                    numbers.push_back(number);
                }
                numbers.len() < count
            });
        }
        self.under_way.extend(numbers.iter().map(|number| (workspace, number.0)));
        numbers
    }

    /// Forgets the files of which `is_stale` says so; which.
    pub fn forget(&mut self, is_stale: impl Fn(&Key) -> bool) -> Vec<Key> {
        self.files.extract_if(is_stale).collect()
    }
}

#[derive(Default)]
pub struct Ahead {
    ready: Mutex<Ready>,
    made: Condvar,
}

impl Ahead {
    pub fn ready(&self) -> MutexGuard<'_, Ready> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number is given out, under the core lock: whether it has a blank file, which is the caller's from here on.
    pub fn claim(&self, key: Key) -> bool {
        let mut ready = self.ready();
        while ready.under_way.contains(&key) {
            ready.waiting += 1;
            ready = self.made.wait(ready).unwrap_or_else(PoisonError::into_inner);
            ready.waiting -= 1;
        }
        ready.files.remove(&key)
    }

    /// What [`Ready::begin`] noted came to its end; whether the number has its file now.
    pub fn end(&self, key: Key, is_made: bool) {
        let mut ready = self.ready();
        ready.under_way.remove(&key);
        if is_made {
            ready.files.insert(key);
        }
        if ready.waiting > 0 {
            self.made.notify_all();
        }
    }

    /// The number that a new file gets, under the core lock: one of the next that has a blank file, if there is one.
    pub fn choose(&self, workspace: u32, index: &Index) -> VnodeNo {
        let ready = self.ready();
        let (mut looked_at, mut found) = (0, None);
        if !ready.files.is_empty() {
            index.upcoming(&mut |number| {
                looked_at += 1;
                found = Some(number).filter(|number| ready.files.contains(&(workspace, number.0)));
                found.is_none() && looked_at < LOOK_AT
            });
        }
        found.unwrap_or_else(|| index.next_vnode())
    }

    /// Sees to it that one of the next numbers, of which there are as many as threads that do so, has a file. By a thread
    /// whose umask is its own.
    pub fn make_one(&self, daemon: &Daemon, workspace: u32, threads: usize) {
        let Some(key) = self.next_without(daemon, workspace, threads) else { return };
        kill_points::pass(|| "ahead make".into());
        // Its permissions are those of most files from the start.
        let usual = umask(Mode::empty());
        let path = daemon.folders.staging(key.0, key.1);
        let made = mknod(&path, SFlag::S_IFREG, Mode::from_bits_truncate(BLANK_MODE), 0);
        umask(usual);
        kill_points::pass(|| "ahead made".into());
        // One that is left from before is replaced by the request that gets its number; so it is made then when there is
        // no room now.
        self.end(key, made == Ok(()));
    }

    fn next_without(&self, daemon: &Daemon, workspace: u32, threads: usize) -> Option<Key> {
        let spaces = daemon.spaces();
        let index = &spaces.get(workspace).ok()?.index;
        let mut ready = self.ready();
        let (mut looked_at, mut found) = (0, None);
        index.upcoming(&mut |number| {
            looked_at += 1;
            found = Some((workspace, number.0)).filter(|key| !ready.has(key));
            found.is_none() && looked_at < threads
        });
        let key = found.filter(|_| !ready.is_full())?;
        ready.under_way.insert(key);
        Some(key)
    }

    /// Under the core lock, when the file system has no room: removes all blank files. Whether there were any.
    pub fn give_back(&self, daemon: &Daemon) -> bool {
        let all = std::mem::take(&mut self.ready().files);
        // Nobody gives out their numbers before the core lock is free.
        all.iter().for_each(|key| remove(daemon, *key));
        !all.is_empty()
    }
}

pub fn remove(daemon: &Daemon, key: Key) {
    let _gone_with_its_workspace = fs::remove_file(daemon.folders.staging(key.0, key.1));
}

/// Gives this thread a umask of its own; false: it shares that of the process.
pub fn own_umask() -> bool {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS).is_ok()
}
