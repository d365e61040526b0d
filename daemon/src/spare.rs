//! Staging files of files that were removed. The request is answered before their real file goes, and those that nobody
//! has open become the staging files of files to come (RFC 0007): neither removing nor making a file then waits for the
//! file system below to free or to find an inode.

use crate::ahead::{Ahead, Key, remove};
use crate::burst::Burst;
use crate::daemon::Daemon;
use crate::kill_points;
use crate::namespace::Workspace;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, lstat, utimensat};
use nix::sys::statvfs::statvfs;
use nix::sys::time::TimeSpec;
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
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
/// Numbers that are looked up at a time. A request that gets one of them waits until it has its file: some 100 us for each
/// before it.
const BATCH: usize = 16;
/// Least time from one round to the next, so that there is one wake-up for many removed files.
const GATHER: Duration = Duration::from_millis(100);
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
    /// The thread sleeps until there are some: to wake nobody takes a system call too.
    is_waited_for: bool,
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
        if left.is_waited_for {
            left.is_waited_for = false;
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
        let now = TimeSpec::UTIME_NOW;
        utimensat(AT_FDCWD, &path, &now, &now, UtimensatFlags::NoFollowSymlink).ok()?;
        let stat = lstat(&path).ok()?;
        Some(stat.st_mtime * 1_000_000_000 + stat.st_mtime_nsec)
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
        let mut left = lock(&self.left);
        while left.keys.is_empty() {
            left.is_waited_for = true;
            left = self.more.wait(left).unwrap_or_else(PoisonError::into_inner);
        }
        left.is_waited_for = false;
    }

    /// Takes on the next real file that was left: removes it if somebody has it open.
    fn next(&self, daemon: &Daemon, owner: &mut OwnerOf) -> Option<(Key, Option<Blank>)> {
        kill_points::pass(|| "spare".into());
        let _removing = lock(&self.removing);
        let key = lock(&self.left).keys.pop_first()?;
        // Whatever cannot be made blank can be removed.
        let blank =
            owner.get(daemon, key.0).and_then(|owner| daemon.cas.blank_staging(key.0, key.1, owner).ok());
        let blank = blank.flatten();
        if blank.is_none() {
            remove(daemon, key);
        }
        Some((key, blank))
    }

    /// Next numbers of a workspace that have no blank file, as many as files were left, noted as about to get theirs.
    fn numbers(&self, daemon: &Daemon, workspace: u32) -> VecDeque<VnodeNo> {
        let count = lock(&self.left).keys.len() + 1;
        let spaces = daemon.spaces();
        let Ok(of) = spaces.get(workspace) else { return VecDeque::new() };
        self.ahead.ready().begin(workspace, &of.index, count.min(BATCH))
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
    /// When the file system has no room: removes what waits to be used again. Whether there was any.
    pub fn make_room(&self) -> bool {
        let _spaces = self.spaces();
        self.spares.give_back(self)
    }

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

/// Who owns a staging folder; one is remembered.
#[derive(Default)]
struct OwnerOf(Option<(u32, (u32, u32))>);

impl OwnerOf {
    fn get(&mut self, daemon: &Daemon, workspace: u32) -> Option<(u32, u32)> {
        if self.0.is_none_or(|(of, _)| of != workspace) {
            let stat = fs::symlink_metadata(daemon.folders.staging_dir(workspace)).ok()?;
            self.0 = Some((workspace, (stat.uid(), stat.gid())));
        }
        self.0.map(|(_, owner)| owner)
    }
}

/// Numbers of one workspace that are about to get blank files.
struct Numbers<'a> {
    ahead: &'a Ahead,
    workspace: u32,
    numbers: VecDeque<VnodeNo>,
}

impl Numbers<'_> {
    /// Keeps a blank file for the next one.
    fn keep(&mut self, daemon: &Daemon, blank: Blank) -> bool {
        let Some(number) = self.numbers.pop_front() else { return false };
        let is_kept = blank.name(&daemon.cas, self.workspace, number.0).is_ok();
        self.ahead.end((self.workspace, number.0), is_kept);
        is_kept
    }
}

impl Numbers<'_> {
    fn give_up(&mut self) {
        self.numbers.drain(..).for_each(|number| self.ahead.end((self.workspace, number.0), false));
    }
}

/// The thread that sees to what was left.
pub fn run(daemon: &Arc<Daemon>) {
    let spares = &daemon.spares;
    let mut burst = Burst::default();
    let mut weeded = Instant::now();
    loop {
        std::thread::sleep(GATHER);
        spares.wait();
        let since = Instant::now();
        let mut owner = OwnerOf::default();
        let mut numbers = Numbers { ahead: &spares.ahead, workspace: 0, numbers: VecDeque::new() };
        loop {
            if burst.look(daemon) && since.elapsed() < WAIT_MAX {
                // Nobody waits for a number meanwhile.
                numbers.give_up();
                burst.wait();
                continue;
            }
            let Some((key, blank)) = spares.next(daemon, &mut owner) else { break };
            let Some(blank) = blank else { continue };
            if numbers.workspace != key.0 || numbers.numbers.is_empty() {
                numbers.give_up();
                (numbers.workspace, numbers.numbers) = (key.0, spares.numbers(daemon, key.0));
            }
            if !numbers.keep(daemon, blank) {
                remove(daemon, key);
                if weeded.elapsed() >= WAIT_MAX {
                    // Who has the core lock may wait for one of them.
                    numbers.give_up();
                    spares.weed(daemon);
                    weeded = Instant::now();
                }
            }
        }
        numbers.give_up();
    }
}
