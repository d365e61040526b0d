//! When staged becomes sealed: after some idle time. Who needs it at once calls `seal` itself.

use crate::burst::Burst;
use crate::daemon::{Daemon, cas_errno};
use crate::seal;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use std::collections::{BTreeMap, HashMap};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use vrift_manifest::VnodeNo;

/// A file that was closed is sealed after this time without another close: a linker, an archiver or a configure script that
/// opens the same file again soon does not pay for a copy, and what is removed soon is never sealed.
const IDLE: Duration = Duration::from_secs(1);
/// A file without a name ends with its last fd: what it took is free this soon.
const IDLE_UNNAMED: Duration = Duration::from_millis(100);
/// Least time between two looks at the kernel's messages: being woken for each file that a client closes costs the client
/// and this thread time. Files are sealed so much later than said above, those without a name twice that.
const GATHER: Duration = Duration::from_millis(100);
/// Sealing, which has the core lock for each file, waits at most this much longer while clients make one request after
/// the other.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// Without inotify, all staged files are tried this often.
const SWEEP: Duration = Duration::from_secs(1);
/// A file that could not be sealed for lack of space or an I/O error is tried again after this time.
const RETRY: Duration = Duration::from_secs(5);

/// The kernel's messages about staging files.
pub struct SealQueue {
    inotify: Option<Inotify>,
    watches: Mutex<HashMap<WatchDescriptor, u32>>,
}

impl SealQueue {
    pub fn new() -> SealQueue {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK);
        if let Err(errno) = &inotify {
            tracing::warn!(%errno, "no inotify: staged files are looked at once a second");
        }
        SealQueue { inotify: inotify.ok(), watches: Mutex::default() }
    }

    pub fn has_inotify(&self) -> bool {
        self.inotify.is_some()
    }
}

impl Daemon {
    /// Makes a workspace's staging folder and listens to it.
    pub fn watch_staging(&self, workspace: u32) -> Result<(), Errno> {
        let dir = self.cas.ensure_staging_dir(workspace).map_err(|error| cas_errno(&error))?;
        if let Some(inotify) = &self.seals.inotify {
            let flags = AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_ONLYDIR;
            let watch = inotify.add_watch(&dir, flags)?;
            let mut watches = self.seals.watches.lock().unwrap_or_else(PoisonError::into_inner);
            watches.insert(watch, workspace);
        }
        Ok(())
    }
}

/// The thread that seals what has been idle.
pub fn run(daemon: &Arc<Daemon>) {
    let mut burst = Burst::default();
    let mut due: HashMap<(u32, u64), Instant> = HashMap::new();
    // What a daemon before this one left behind staged was perhaps closed while nobody listened.
    let mut everything = true;
    loop {
        if everything || daemon.seals.inotify.is_none() {
            let now = Instant::now();
            for workspace in daemon.spaces().workspaces.values() {
                due.extend(workspace.staged.keys().map(|vnode| ((workspace.id, *vnode), now)));
            }
        }
        let now = Instant::now();
        let ready: Vec<_> = due.iter().filter(|(_, at)| **at <= now).map(|(key, at)| (*key, *at)).collect();
        let mut put_off = false;
        let mut by_workspace: BTreeMap<u32, Vec<(VnodeNo, Instant)>> = BTreeMap::new();
        for ((workspace, vnode), at) in ready {
            by_workspace.entry(workspace).or_default().push((VnodeNo(vnode), at));
        }
        let batches = by_workspace
            .iter()
            .flat_map(|(workspace, files)| files.chunks(seal::AT_ONCE).map(move |files| (*workspace, files)));
        for (workspace, files) in batches {
            if burst.look(daemon) && files.iter().all(|(_, at)| at.elapsed() < WAIT_MAX) {
                put_off = true;
                break;
            }
            let vnodes: Vec<VnodeNo> = files.iter().map(|(vnode, _)| *vnode).collect();
            daemon.seal_some(workspace, &vnodes, &mut |vnode, outcome| match outcome {
                Err(_) => _ = due.insert((workspace, vnode.0), Instant::now() + RETRY),
                // Busy: the last writer's close will be heard.
                Ok(_) => _ = due.remove(&(workspace, vnode.0)),
            });
        }
        if put_off {
            burst.wait();
        } else {
            std::thread::sleep(GATHER);
            wait(daemon, due.values().min().copied());
        }
        everything = collect(daemon, &mut due);
    }
}

/// Until a message comes or something is due.
fn wait(daemon: &Daemon, next: Option<Instant>) {
    let left = next.map(|at| at.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
    match &daemon.seals.inotify {
        None => std::thread::sleep(SWEEP),
        Some(inotify) => {
            let timeout = left
                .map_or(PollTimeout::NONE, |left| PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
            // Interrupted: then there is one look more.
            let _ = poll(&mut [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)], timeout);
        }
    }
}

/// Notes what the kernel reported; true when it had to drop messages.
fn collect(daemon: &Daemon, due: &mut HashMap<(u32, u64), Instant>) -> bool {
    let Some(inotify) = &daemon.seals.inotify else { return false };
    let mut lost = false;
    while let Ok(events) = inotify.read_events() {
        let now = Instant::now();
        let watches = daemon.seals.watches.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            lost |= event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW);
            let vnode = event.name.as_ref().and_then(|name| vnode_of_name(name.as_bytes()));
            if let (Some(workspace), Some(vnode)) = (watches.get(&event.wd), vnode) {
                let idle = if crate::unnamed::is_unnamed(vnode) { IDLE_UNNAMED } else { IDLE };
                due.insert((*workspace, vnode), now + idle);
            }
        }
    }
    lost
}

/// The vnode whose staging file has this name: 16 lower-case hex digits.
pub fn vnode_of_name(name: &[u8]) -> Option<u64> {
    let is_hex = name.len() == 16 && name.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let text = std::str::from_utf8(name).ok().filter(|_| is_hex)?;
    u64::from_str_radix(text, 16).ok()
}
