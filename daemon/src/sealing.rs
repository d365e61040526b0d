//! Staged becomes sealed: on the kernel's word that no writer is left, after some idle time or at once when
//! somebody needs it.

use crate::burst::{self, Burst};
use crate::daemon::{Daemon, cas_errno};
use crate::kill_points;
use crate::record::{Change, Origin};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use std::collections::HashMap;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use vrift_cas::{CommitOutcome, PrepareOutcome, Prepared};
use vrift_manifest::{Content, SetAttr, VnodeNo};

/// A file that was closed is sealed after this time without another close: a linker or archiver that opens
/// the same file again soon does not pay for a copy.
const IDLE: Duration = Duration::from_millis(200);
/// After a message, others are waited for this long: being woken for each file that a client closes costs the client time.
const GATHER: Duration = Duration::from_millis(10);
/// Sealing, which has the core lock for each file, waits at most this much longer while clients make one request after
/// the other.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// Without inotify, all staged files are tried this often.
const SWEEP: Duration = Duration::from_secs(1);
/// A file that could not be sealed for lack of space or an I/O error is tried again after this time.
const RETRY: Duration = Duration::from_secs(5);

/// What became of an attempt to seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealOutcome {
    Sealed,
    /// Somebody still writes it.
    Busy,
    /// It is not staged (any more).
    Gone,
}

/// Times of a staging file, in nanoseconds since 1970, and its mode, that sealing must not lose.
#[derive(Clone, Copy)]
struct KernelTimes {
    atime_ns: i64,
    ctime_ns: i64,
    mode: u32,
}

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

    /// Seals one staged vnode if no writer is left. Hashes outside the core lock.
    pub fn seal(&self, workspace: u32, vnode: VnodeNo) -> Result<SealOutcome, Errno> {
        if crate::unnamed::is_unnamed(vnode.0) {
            return crate::unnamed::end(self, workspace, vnode.0).map(|()| SealOutcome::Gone);
        }
        let key = (workspace, vnode.0);
        let path = self.folders.staging(workspace, vnode.0);
        {
            let mut spaces = self.spaces();
            while spaces.sealing.contains(&key) {
                spaces = self.wait_for_seal(spaces, key);
            }
            let attr = spaces.get(workspace)?.index.attr(vnode);
            if attr.is_none_or(|attr| attr.content != Content::Staged) {
                return Ok(SealOutcome::Gone);
            }
            spaces.sealing.insert(key);
        }
        // Before the hot tier's mode and name change the one, and hashing the other.
        let times = fs::symlink_metadata(&path).ok().map(|stat| KernelTimes {
            atime_ns: stat.atime() * 1_000_000_000 + stat.atime_nsec(),
            ctime_ns: stat.ctime() * 1_000_000_000 + stat.ctime_nsec(),
            mode: stat.mode(),
        });
        let outcome = match self.cas.prepare_seal(workspace, vnode.0) {
            Ok(PrepareOutcome::Prepared(prepared)) => {
                kill_points::pass(|| "seal prepared".into());
                self.adopt(workspace, vnode, prepared, times)
            }
            Ok(PrepareOutcome::Busy) => Ok(SealOutcome::Busy),
            Ok(PrepareOutcome::Gone) => Ok(SealOutcome::Gone),
            Err(error) => {
                tracing::error!(workspace, vnode = vnode.0, %error, "cannot seal");
                Err(cas_errno(&error))
            }
        };
        self.spaces().sealing.remove(&key);
        self.announce_seal();
        outcome
    }

    /// Journal first, then the rename: after a crash between the two the staging file is found and adopted,
    /// while the other order would leave a staged vnode without its bytes.
    fn adopt(
        &self,
        workspace: u32,
        vnode: VnodeNo,
        prepared: Prepared<'_>,
        times: Option<KernelTimes>,
    ) -> Result<SealOutcome, Errno> {
        let mut spaces = self.spaces();
        let attr = spaces.get(workspace)?.index.attr(vnode);
        let Some(attr) = attr.filter(|attr| attr.content == Content::Staged) else {
            prepared.abandon();
            return Ok(SealOutcome::Gone);
        };
        let sealed = *prepared.sealed();
        // Not written since it was staged: its change time is the vnode's own.
        let ctime_ns = match times.filter(|_| sealed.mtime_ns != attr.mtime_ns) {
            Some(times) => attr.ctime_ns.max(times.ctime_ns).max(sealed.mtime_ns),
            None => attr.ctime_ns,
        };
        let content = |content, mtime_ns| Change::SetContent {
            vnode,
            content,
            size: sealed.size_bytes,
            blocks: sealed.blocks,
            mtime_ns,
            ctime_ns,
        };
        // As long as it was staged, the time of the last read was the staging file's.
        if let Some(times) = times.filter(|times| times.atime_ns != attr.atime_ns) {
            let set = SetAttr { atime_ns: Some(times.atime_ns), ..SetAttr::default() };
            self.commit(&mut spaces, workspace, Origin::default(), &Change::SetAttr { vnode, set })?;
        }
        if let Some(mode) = times.and_then(|times| crate::set_id::left(attr.mode, times.mode)) {
            let set = SetAttr { mode: Some(mode), ..SetAttr::default() };
            self.commit(&mut spaces, workspace, Origin::default(), &Change::SetAttr { vnode, set })?;
        }
        let is_new = !self.store.has_blob(&sealed.hash) && !self.cas.hot_path(&sealed.hash).exists();
        let change = content(Content::Sealed(sealed.hash.0), sealed.mtime_ns);
        self.commit(&mut spaces, workspace, Origin::default(), &change)?;
        let committed = prepared.commit();
        kill_points::pass(|| "seal committed".into());
        match committed {
            Ok(CommitOutcome::Sealed(_)) => {
                self.spares.forget_held(workspace, vnode);
                if is_new {
                    self.new_bytes.fetch_add(sealed.size_bytes, Ordering::Relaxed);
                }
                // The name by which readers open it, so that the first of them need not ask for it.
                let blob = self.cas.hot_path(&sealed.hash);
                let _ = fs::hard_link(&blob, vrift_cas::vnode_name(&blob, vnode.0));
                if !sealed.adopted {
                    let _ = self.cas.remove_staging(workspace, vnode.0);
                }
                Ok(SealOutcome::Sealed)
            }
            refused => {
                let change = content(Content::Staged, sealed.mtime_ns);
                self.commit(&mut spaces, workspace, Origin::default(), &change)?;
                match refused {
                    Err(error) => {
                        tracing::error!(workspace, vnode = vnode.0, %error, "cannot seal");
                        Err(cas_errno(&error))
                    }
                    Ok(_) => Ok(SealOutcome::Busy),
                }
            }
        }
    }

    /// Seals everything in a workspace that has no writer left; what still has one stays staged.
    pub fn seal_all(&self, workspace: u32) -> Result<(), Errno> {
        let staged: Vec<u64> = self.spaces().get(workspace)?.staged.keys().copied().collect();
        for vnode in staged {
            self.seal(workspace, VnodeNo(vnode))?;
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
        for (key, at) in ready {
            if burst.look(daemon) && at.elapsed() < WAIT_MAX {
                put_off = true;
                break;
            }
            due.remove(&key);
            // Busy: the last writer's close will be heard.
            if daemon.seal(key.0, VnodeNo(key.1)).is_err() {
                due.insert(key, Instant::now() + RETRY);
            }
        }
        if put_off {
            std::thread::sleep(burst::LOOK);
        } else {
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
            if poll(&mut [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)], timeout)
                .is_ok_and(|ready| ready > 0)
            {
                std::thread::sleep(GATHER);
            }
        }
    }
}

/// Notes what the kernel reported; true when it had to drop messages.
fn collect(daemon: &Daemon, due: &mut HashMap<(u32, u64), Instant>) -> bool {
    let Some(inotify) = &daemon.seals.inotify else { return false };
    let mut lost = false;
    while let Ok(events) = inotify.read_events() {
        let at = Instant::now() + IDLE;
        let watches = daemon.seals.watches.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            lost |= event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW);
            let vnode = event.name.as_ref().and_then(|name| vnode_of_name(name.as_bytes()));
            if let (Some(workspace), Some(vnode)) = (watches.get(&event.wd), vnode) {
                due.insert((*workspace, vnode), at);
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
