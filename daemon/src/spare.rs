//! Staging files of files that were removed. The request is answered before their real file goes, and those that nobody
//! has open become the staging files of files to come (RFC 0007): neither removing nor making a file then waits for the
//! file system below to free or to find an inode.

use crate::ahead::{Ahead, Key, remove};
use crate::burst::{self, Burst};
use crate::clock::timespec;
use crate::daemon::Daemon;
use crate::kill_points;
use crate::namespace::Workspace;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::statvfs::statvfs;
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use vrift_cas::{BLANK_MODE, Blank};
use vrift_manifest::VnodeNo;

/// Removed files whose real file may be left at a time; more are removed in the request.
const LEFT_MAX: usize = 4096;
/// Longer ones are removed in the request: that is what gives their space back.
const LEN_MAX_BYTES: u64 = 64 * 1024;
/// So is everything while the file system has less free: twice what the files left may hold.
const ROOM_BYTES: u64 = 2 * LEFT_MAX as u64 * LEN_MAX_BYTES;
/// How long an answer about free space counts.
const ROOM_AGE_MAX: Duration = Duration::from_millis(100);
/// Numbers that are looked up at a time.
const BATCH: usize = 256;
/// Removed files are waited for this long, so that there is one wake-up for many.
const GATHER: Duration = Duration::from_millis(10);
/// Requests in a row put this work off for so long at most.
const WAIT_MAX: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Spares {
    left: Mutex<Left>,
    more: Condvar,
    /// Held while something that was taken from `left` may still have its name.
    removing: Mutex<()>,
    /// Blank files that wait for their vnodes.
    pub ahead: Ahead,
    /// Staged files that somebody may have open with O_PATH, which no lease tells of.
    held: Mutex<HashSet<Key>>,
}

#[derive(Default)]
struct Left {
    keys: BTreeSet<Key>,
    /// When free space was looked at, and whether there is enough.
    room: Option<(Instant, bool)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Spares {
    /// Leaves the real file of a vnode that is in the index no more, `len_bytes` long, for later. False: it is to be
    /// removed now.
    pub fn leave(&self, daemon: &Daemon, workspace: u32, vnode: VnodeNo, len_bytes: u64) -> bool {
        let is_held = self.forget_held(workspace, vnode);
        let mut left = lock(&self.left);
        if is_held
            || len_bytes > LEN_MAX_BYTES
            || left.keys.len() >= LEFT_MAX
            || !left.has_room(daemon, workspace)
        {
            return false;
        }
        if left.keys.is_empty() {
            self.more.notify_one();
        }
        left.keys.insert((workspace, vnode.0))
    }

    /// A staged file is about to be opened with O_PATH, or may have been before this daemon's start.
    pub fn hold(&self, workspace: u32, vnode: VnodeNo) {
        lock(&self.held).insert((workspace, vnode.0));
    }

    /// The vnode is staged no more; whether it was held.
    pub fn forget_held(&self, workspace: u32, vnode: VnodeNo) -> bool {
        lock(&self.held).remove(&(workspace, vnode.0))
    }

    /// Removes the real file of a vnode now, if it was left: somebody has it open and asks for its link count.
    pub fn settle(&self, daemon: &Daemon, workspace: u32, vnode: VnodeNo) {
        let key = (workspace, vnode.0);
        if lock(&self.left).keys.remove(&key) {
            remove(daemon, key);
        } else {
            // It may have been taken on a moment ago.
            drop(lock(&self.removing));
        }
    }

    /// Makes the blank file that waits for `vnode` its staging file, with these permissions, changed just now, which is
    /// returned in nanoseconds. None: there is none.
    pub fn take(&self, daemon: &Daemon, workspace: u32, vnode: VnodeNo, mode: u32) -> Option<i64> {
        if !self.ahead.claim((workspace, vnode.0)) {
            return None;
        }
        let path = daemon.folders.staging(workspace, vnode.0);
        if mode != BLANK_MODE {
            fs::set_permissions(&path, Permissions::from_mode(mode)).ok()?;
        }
        let now_ns = daemon.clock.now_ns();
        let now = timespec(now_ns);
        utimensat(AT_FDCWD, &path, &now, &now, UtimensatFlags::NoFollowSymlink).ok()?;
        Some(now_ns)
    }

    /// Before anything but a new regular file gets the number: what waits for it is of no use.
    pub fn discard(&self, daemon: &Daemon, workspace: u32, vnode: VnodeNo) {
        let key = (workspace, vnode.0);
        if self.ahead.claim(key) {
            remove(daemon, key);
        }
    }

    /// Under the core lock, when the file system has no room: removes what waits to be used again. Whether there was any.
    pub fn give_back(&self, daemon: &Daemon) -> bool {
        let _removing = lock(&self.removing);
        let left = std::mem::take(&mut lock(&self.left).keys);
        left.iter().for_each(|key| remove(daemon, *key));
        self.ahead.give_back(daemon) || !left.is_empty()
    }

    fn wait(&self) {
        let left = lock(&self.left);
        let none = |left: &mut Left| left.keys.is_empty();
        drop(self.more.wait_while(left, none).unwrap_or_else(PoisonError::into_inner));
    }

    /// Takes on the next real file that was left: removes it if somebody has it open.
    fn next(&self, daemon: &Daemon) -> Option<(Key, Option<Blank>)> {
        kill_points::pass(|| "spare".into());
        let _removing = lock(&self.removing);
        let key = lock(&self.left).keys.pop_first()?;
        // Whatever cannot be made blank can be removed.
        let blank = daemon.cas.blank_staging(key.0, key.1).ok().flatten();
        if blank.is_none() {
            remove(daemon, key);
        }
        Some((key, blank))
    }

    /// Keeps a blank file for one of `numbers`, which are those of `workspace` that have none, in their order.
    fn keep(&self, daemon: &Daemon, workspace: u32, blank: Blank, numbers: &mut VecDeque<VnodeNo>) -> bool {
        let spaces = daemon.spaces();
        let Ok(of) = spaces.get(workspace) else { return false };
        let mut ready = self.ahead.ready();
        if ready.is_full() {
            return false;
        }
        // Slots that were given back meanwhile are the next to be taken.
        let first = of.index.next_vnode();
        let is_next = |number: &VnodeNo| {
            of.index.is_upcoming(*number) && (*number == first || ready.has(&(workspace, first.0)))
        };
        if !numbers.front().is_some_and(is_next) {
            numbers.clear();
            of.index.upcoming(&mut |number| {
                if !ready.has(&(workspace, number.0)) {
                    numbers.push_back(number);
                }
                numbers.len() < BATCH
            });
        }
        let Some(number) = numbers.pop_front() else { return false };
        let is_kept = blank.name(&daemon.cas, workspace, number.0).is_ok();
        if is_kept {
            ready.keep((workspace, number.0));
        }
        is_kept
    }

    /// Removes blank files for numbers that will not be given out any more.
    fn weed(&self, daemon: &Daemon) {
        let spaces = daemon.spaces();
        let is_upcoming = |key: &Key| spaces.get(key.0).is_ok_and(|of| of.index.is_upcoming(VnodeNo(key.1)));
        let stale = self.ahead.ready().forget(|key| !is_upcoming(key));
        drop(spaces);
        // Never given out again: nothing else has these names.
        stale.into_iter().for_each(|key| remove(daemon, key));
    }
}

impl Daemon {
    /// At the start: nobody knows how clients opened the staged files before; blank files wait for the numbers that come next.
    pub fn take_over_spares(&self) {
        let spaces = self.spaces();
        for workspace in spaces.workspaces.values() {
            workspace.staged.keys().for_each(|vnode| self.spares.hold(workspace.id, VnodeNo(*vnode)));
            self.take_over_blanks(workspace);
        }
    }

    fn take_over_blanks(&self, workspace: &Workspace) {
        let is_nobodys = |number: &u64| workspace.index.attr(VnodeNo(*number)).is_none();
        let blank = self.cas.list_staging(workspace.id).unwrap_or_default().into_iter().filter(is_nobodys);
        let mut blank: HashSet<u64> =
            blank.filter(|number| self.cas.is_blank(workspace.id, *number)).collect();
        let mut numbers = Vec::new();
        workspace.index.upcoming(&mut |number| {
            numbers.push(number.0);
            numbers.len() < blank.len()
        });
        numbers.truncate(blank.len());
        let mut ready = self.spares.ahead.ready();
        numbers.retain(|number| {
            let is_there = blank.remove(number);
            if is_there {
                ready.keep((workspace.id, *number));
            }
            !is_there
        });
        for (from, to) in blank.into_iter().zip(numbers) {
            let path = |number| self.folders.staging(workspace.id, number);
            if fs::rename(path(from), path(to)).is_ok() {
                ready.keep((workspace.id, to));
            }
        }
    }
}

impl Left {
    fn has_room(&mut self, daemon: &Daemon, workspace: u32) -> bool {
        if let Some((at, has_room)) = self.room
            && at.elapsed() < ROOM_AGE_MAX
        {
            return has_room;
        }
        let stat = statvfs(&daemon.folders.staging_dir(workspace));
        let has_room =
            stat.is_ok_and(|stat| stat.blocks_available().saturating_mul(stat.fragment_size()) >= ROOM_BYTES);
        self.room = Some((Instant::now(), has_room));
        has_room
    }
}

/// The thread that sees to what was left.
pub fn run(daemon: &Arc<Daemon>) {
    let mut burst = Burst::default();
    let mut weeded = Instant::now();
    loop {
        daemon.spares.wait();
        std::thread::sleep(GATHER);
        let since = Instant::now();
        let (mut numbers, mut numbers_of) = (VecDeque::new(), 0);
        loop {
            if burst.look(daemon) && since.elapsed() < WAIT_MAX {
                std::thread::sleep(burst::LOOK);
                continue;
            }
            let Some((key, blank)) = daemon.spares.next(daemon) else { break };
            let Some(blank) = blank else { continue };
            if numbers_of != key.0 {
                numbers.clear();
                numbers_of = key.0;
            }
            if !daemon.spares.keep(daemon, key.0, blank, &mut numbers) {
                remove(daemon, key);
                if weeded.elapsed() >= WAIT_MAX {
                    daemon.spares.weed(daemon);
                    weeded = Instant::now();
                }
            }
        }
    }
}
