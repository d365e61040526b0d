//! What was noticed in real directories since they were taken in (RFC 0017). With it a take-in looks at what changed, not at
//! everything. Whatever raises a doubt (an overflow, a mount, a limit, a restart) makes the next one look at everything.

mod events;
mod eye;
mod grounds;

pub use eye::Eye;

use crate::daemon::Daemon;
use eye::Budget;
use grounds::Mounts;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::collections::{BTreeSet, HashMap};
use std::os::fd::AsFd;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Each takes one of the user's inotify instances, of which Linux gives 128 by default.
const EYES_MAX: usize = 16;
/// What a busy directory sends is read so often at most: its queue holds 16,384 by default.
const PAUSE: Duration = Duration::from_millis(40);
const WATCHES_LIMIT: &str = "/proc/sys/fs/inotify/max_user_watches";

/// Names of files that have several.
pub type Linked = Arc<BTreeSet<Vec<u8>>>;

/// The eyes on real directories, by workspace.
pub struct Noticed {
    eyes: Mutex<HashMap<u32, Arc<Eye>>>,
    /// Why a workspace's directory is not watched any more.
    lost: Mutex<HashMap<u32, String>>,
    budget: Budget,
    mounts: Mounts,
    changed: EventFd,
}

/// What is watched, for `doctor`.
pub struct State {
    pub workspaces: usize,
    pub dirs: usize,
    pub dirs_max: usize,
    /// Workspaces whose directories are not, and why.
    pub lost: Vec<(u32, String)>,
}

impl Noticed {
    /// At most `dirs_max` directories are watched at a time; None: half of what the user may watch.
    pub fn new(dirs_max: Option<u64>) -> nix::Result<Noticed> {
        let allowed = || std::fs::read_to_string(WATCHES_LIMIT).ok()?.trim().parse::<u64>().ok();
        let most = dirs_max.unwrap_or_else(|| allowed().unwrap_or(0) / 2);
        Ok(Noticed {
            eyes: Mutex::default(),
            lost: Mutex::default(),
            budget: Budget { used: Arc::new(AtomicUsize::new(0)), most: usize::try_from(most).unwrap_or(0) },
            mounts: Mounts::new(),
            changed: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
        })
    }

    fn eyes(&self) -> MutexGuard<'_, HashMap<u32, Arc<Eye>>> {
        self.eyes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An eye on a directory that is about to be read as a whole; None: it cannot be watched.
    pub fn open(&self, dir: &[u8], uses_git: bool) -> Option<Eye> {
        let mounts = self.mounts.changes().filter(|_| self.budget.most > 0)?;
        Eye::open(dir, uses_git, &self.budget, mounts).ok()
    }

    /// The eye on a workspace's directory and the names to be looked at, if all that changed there since its table was
    /// `base` was noticed. It is not to be asked again before [`Eye::settle`].
    pub fn since(&self, id: u32, dir: &[u8], base: [u8; 32]) -> Option<(Arc<Eye>, BTreeSet<Vec<u8>>)> {
        let eye = Arc::clone(self.eyes().get(&id)?);
        match eye.take(dir, base, self.mounts.changes()?) {
            Ok(names) => Some((eye, names)),
            Err(why) => {
                self.lose(id, why);
                None
            }
        }
    }

    /// An eye with which a directory was read as a whole, into the table `base`. Names in `again` are to be looked at again.
    pub fn keep(&self, id: u32, eye: Eye, base: [u8; 32], again: BTreeSet<Vec<u8>>, linked: Linked) {
        eye.settle(base, again, linked);
        if let Some(why) = eye.doubt() {
            return self.lose(id, why);
        }
        let mut eyes = self.eyes();
        while eyes.len() >= EYES_MAX && !eyes.contains_key(&id) {
            let Some(oldest) = eyes.iter().min_by_key(|(_, eye)| eye.used()).map(|(id, _)| *id) else {
                break;
            };
            eyes.remove(&oldest);
        }
        eyes.insert(id, Arc::new(eye));
        drop(eyes);
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        let _ = self.changed.write(1);
    }

    /// The table of a workspace has become another, which says the same of the directory.
    pub fn follow(&self, id: u32, old: Option<[u8; 32]>, new: [u8; 32]) {
        if let Some(eye) = self.eyes().get(&id) {
            eye.follow(old, new);
        }
    }

    /// The workspace is gone, or its directory is to be read as a whole.
    pub fn forget(&self, id: u32) {
        self.eyes().remove(&id);
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    fn lose(&self, id: u32, why: String) {
        tracing::info!(workspace = id, why, "its directory is read as a whole next time");
        self.eyes().remove(&id);
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).insert(id, why);
    }

    /// How it stands.
    pub fn state(&self) -> State {
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        State {
            workspaces: self.eyes().len(),
            dirs: self.budget.in_use(),
            dirs_max: self.budget.most,
            lost: lost.iter().map(|(id, why)| (*id, why.clone())).collect(),
        }
    }

    /// Reads what the kernel has, so that its queues do not overflow.
    fn read(&self) {
        let eyes: Vec<(u32, Arc<Eye>)> = self.eyes().iter().map(|(id, eye)| (*id, Arc::clone(eye))).collect();
        let mut fds = vec![PollFd::new(self.changed.as_fd(), PollFlags::POLLIN)];
        fds.extend(eyes.iter().map(|(_, eye)| PollFd::new(eye.as_fd(), PollFlags::POLLIN)));
        let _ = poll(&mut fds, PollTimeout::NONE);
        let _ = self.changed.read();
        for (id, eye) in eyes {
            eye.read();
            if let Some(why) = eye.doubt() {
                let is_it = self.eyes().get(&id).is_some_and(|now| Arc::ptr_eq(now, &eye));
                if is_it {
                    self.lose(id, why);
                }
            }
        }
    }
}

/// The thread that reads what is noticed.
pub fn run(daemon: &Arc<Daemon>) {
    loop {
        daemon.noticed.read();
        std::thread::sleep(PAUSE);
    }
}
