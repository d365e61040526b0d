//! What all threads of the daemon share, and the one gateway through which a namespace changes.

use crate::audit::Event;
use crate::clock::Clock;
use crate::connection::Connection;
use crate::folders::Folders;
use crate::kill_points;
use crate::namespace::{Applied, Namespaces, Workspace};
use crate::policy::{Right, Who};
use crate::record::{Change, Origin, Record};
use crate::workers::Workers;
use nix::errno::Errno;
use nix::sys::eventfd::EventFd;
use statefs_journal::{Store, StoreError};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use vrift_cas::{Cas, CasError};
use vrift_manifest::VnodeNo;
use vrift_protocol::names;

/// The core lock.
pub type Spaces<'a> = MutexGuard<'a, Namespaces>;

/// Staging numbers from here on are no vnodes but copies on their way to be one's staging file: generations
/// would have to pass two thousand million to meet them.
pub const TEMPORARY_STAGING: u64 = 1 << 63;

/// Copies and hashes use the disk and the CPUs at once; more threads than this only queue up elsewhere.
const WORKERS: usize = 4;
/// Requests of the command line that are worked on at a time; others wait. A run's Enter and Leave take a
/// few milliseconds each, and builds that start `vrift` itself do so from some parallel jobs.
const CLERKS: usize = 16;

/// Counts for `status`.
#[derive(Default)]
pub struct DaemonStats {
    pub connections: AtomicU64,
    pub requests: AtomicU64,
    pub malformed: AtomicU64,
    pub refused: AtomicU64,
    /// Contents of files that were taken in or written.
    pub contents: AtomicU64,
    /// Of these, such that were there already.
    pub known_contents: AtomicU64,
}

pub struct Daemon {
    pub folders: Folders,
    pub store: Arc<Store>,
    /// On another device than the state folder, which then may be gone after a power cut when the store is not.
    pub store_is_elsewhere: bool,
    pub cas: Cas,
    pub clock: Clock,
    /// For vnode requests that copy or hash.
    pub workers: Workers,
    /// For requests of the command line.
    pub clerks: Workers,
    pub config: crate::config::Config,
    pub stats: DaemonStats,
    pub started: Instant,
    /// Written to end the event loop.
    pub stop_event: EventFd,
    /// Bytes that sealing and ingest brought which the store did not have.
    pub new_bytes: AtomicU64,
    /// Something was appended since the last sync.
    pub dirty: AtomicBool,
    pub seals: crate::sealing::SealQueue,
    pub watches: crate::watch::Watches,
    pub removed: crate::removed::Removed,
    pub spares: crate::spare::Spares,
    /// Names of sockets that were unlinked.
    pub socket_names: crate::sockets::KeptNames,
    pub gc: crate::gc::Collector,
    pub policy: crate::policy::Policy,
    pub audit: crate::audit::Audit,
    pub services: crate::services::Services,
    /// What clients of the key-value space have begun.
    pub state: crate::state::Desk,
    pub worktrees: crate::worktree::Worktrees,
    pub history: crate::history::History,
    /// Changes in real directories.
    pub noticed: crate::noticed::Noticed,
    /// Base tables.
    pub tables: crate::tables::Tables,
    spaces: Mutex<Namespaces>,
    seal_done: Condvar,
    /// One take-in, diff or export of a workspace at a time.
    turns: Mutex<HashMap<u32, Arc<Mutex<()>>>>,
    unique: AtomicU64,
    stopping: AtomicBool,
}

impl Daemon {
    pub fn new(
        folders: Folders,
        store: Arc<Store>,
        cas: Cas,
        clock: Clock,
        spaces: Namespaces,
        config: crate::config::Config,
        policy: crate::policy::Policy,
    ) -> std::io::Result<Daemon> {
        Ok(Daemon {
            history: crate::history::History::start(folders.home.clone())?,
            noticed: crate::noticed::Noticed::new(config.ingest.watch_dirs_max)?,
            store_is_elsewhere: folders.store.is_elsewhere(&folders.home)?,
            folders,
            store,
            cas,
            clock,
            config,
            workers: Workers::start("worker", WORKERS)?,
            clerks: Workers::start("clerk", CLERKS)?,
            stats: DaemonStats::default(),
            started: Instant::now(),
            stop_event: EventFd::new()?,
            new_bytes: AtomicU64::new(0),
            // Whatever the last daemon did not sync counts as ours.
            dirty: AtomicBool::new(true),
            seals: crate::sealing::SealQueue::new(),
            watches: crate::watch::Watches::new(),
            removed: crate::removed::Removed::default(),
            spares: crate::spare::Spares::default(),
            socket_names: crate::sockets::KeptNames::default(),
            gc: crate::gc::Collector::default(),
            policy,
            audit: crate::audit::Audit::default(),
            services: crate::services::Services::new()?,
            state: crate::state::Desk::default(),
            worktrees: crate::worktree::Worktrees::default(),
            tables: crate::tables::Tables::default(),
            spaces: Mutex::new(spaces),
            seal_done: Condvar::new(),
            turns: Mutex::default(),
            unique: AtomicU64::new(1),
            stopping: AtomicBool::new(false),
        })
    }

    pub fn spaces(&self) -> Spaces<'_> {
        self.spaces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the change to the journal, then applies it.
    pub fn commit(
        &self,
        spaces: &mut Namespaces,
        workspace: u32,
        origin: Origin,
        change: &Change<'_>,
    ) -> Result<Applied, Errno> {
        kill_points::pass(|| format!("append {}", change.step()));
        self.log(spaces, &[Record::Change { workspace, origin, change: *change }])?;
        kill_points::pass(|| format!("appended {}", change.step()));
        self.apply(spaces, workspace, origin, change)
    }

    /// The same for several changes of the daemon's own, with one write to the journal.
    pub fn commit_all(
        &self,
        spaces: &mut Namespaces,
        workspace: u32,
        changes: &[Change<'_>],
    ) -> Result<(), Errno> {
        let origin = Origin::default();
        let records: Vec<_> =
            changes.iter().map(|change| Record::Change { workspace, origin, change: *change }).collect();
        changes.iter().for_each(|change| kill_points::pass(|| format!("append {}", change.step())));
        self.log(spaces, &records)?;
        changes.iter().for_each(|change| kill_points::pass(|| format!("appended {}", change.step())));
        // The journal has all of them.
        let applied = changes.iter().map(|change| self.apply(spaces, workspace, origin, change).map(drop));
        applied.collect::<Vec<_>>().into_iter().collect()
    }

    fn apply(
        &self,
        spaces: &mut Namespaces,
        workspace: u32,
        origin: Origin,
        change: &Change<'_>,
    ) -> Result<Applied, Errno> {
        match spaces.get_mut(workspace)?.apply(change) {
            Ok(applied) => {
                spaces.note_answer(origin, change, &applied);
                self.watches.changed(spaces.get(workspace)?, change, &applied);
                Ok(applied)
            }
            Err(errno @ (Errno::ENOSPC | Errno::ENOMEM | Errno::EIO)) => {
                // The journal says it happened and the index could not follow: only replay can tell.
                self.give_up(spaces, format!("the index of workspace {workspace} cannot grow: {errno}"));
                Err(errno)
            }
            Err(errno) => Err(errno),
        }
    }

    /// Appends records; they survive the daemon when this returns.
    pub fn log(&self, spaces: &mut Namespaces, records: &[Record<'_>]) -> Result<(), Errno> {
        if spaces.broken.is_some() {
            return Err(Errno::EIO);
        }
        for record in records {
            if let Some(hash) = record.refers_to() {
                self.store.note_use(&statefs_journal::BlobHash(hash));
            }
        }
        let encoded: Vec<_> = records.iter().map(Record::encode).collect();
        let appended = match &encoded[..] {
            [(kind, payload)] => self.store.append(*kind, payload),
            many => {
                let many: Vec<_> = many.iter().map(|(kind, payload)| (*kind, &payload[..])).collect();
                self.store.append_batch(&many)
            }
        };
        self.dirty.store(true, Ordering::Release);
        appended.map(drop).map_err(|error| {
            tracing::error!(%error, "the journal cannot be written");
            store_errno(&error)
        })
    }

    /// No more changes until the journal was read again.
    pub fn give_up(&self, spaces: &mut Namespaces, why: String) {
        tracing::error!(why, "refusing changes until a restart");
        spaces.broken.get_or_insert(why);
    }

    /// Waits until nobody seals the vnode.
    pub fn wait_for_seal<'a>(&'a self, spaces: Spaces<'a>, key: (u32, u64)) -> Spaces<'a> {
        self.seal_done
            .wait_while(spaces, |spaces| spaces.sealing.contains(&key))
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub fn announce_seal(&self) {
        self.seal_done.notify_all();
    }

    /// The lock under which a workspace is taken in, compared or exported.
    pub fn turn(&self, workspace: u32) -> Arc<Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(workspace).or_default())
    }

    /// The number of a new vnode that is no regular file being written.
    pub fn next_vnode(&self, workspace: &Workspace) -> VnodeNo {
        let vnode = workspace.index.next_vnode();
        self.spares.discard(self, workspace.id, vnode);
        vnode
    }

    /// Contents of files came: so many that the store did not have, their bytes, and so many that it had.
    pub fn note_contents(&self, new: u64, new_bytes: u64, known: u64) {
        self.new_bytes.fetch_add(new_bytes, Ordering::Relaxed);
        self.stats.contents.fetch_add(new + known, Ordering::Relaxed);
        self.stats.known_contents.fetch_add(known, Ordering::Relaxed);
    }

    /// A number that no other thing of this daemon has.
    pub fn next_unique(&self) -> u64 {
        self.unique.fetch_add(1, Ordering::Relaxed)
    }

    /// A staging number for a copy under way.
    pub fn unique_staging(&self) -> u64 {
        TEMPORARY_STAGING | self.next_unique()
    }

    /// A name in `tmp/` that nobody uses.
    pub fn unique_in_tmp(&self) -> PathBuf {
        let name = format!("link-{}-{}", std::process::id(), self.next_unique());
        self.folders.in_home(names::TMP_DIR).join(name)
    }

    /// The end was asked for.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Ends the event loop.
    pub fn stop_now(&self) {
        let _ = self.stop_event.write(1);
    }

    /// A signal of that user asked for the end: syncs on a thread of its own, then stops.
    pub fn stop_soon(daemon: &Arc<Daemon>, signal: u32, uid: u32) {
        if daemon.stopping.swap(true, Ordering::Relaxed) {
            return;
        }
        let this = Arc::clone(daemon);
        let spawned = std::thread::Builder::new().name("stop".into()).spawn(move || {
            this.act(
                &format_args!("uid {uid}"),
                Right::Admin,
                &format!("daemon stop, by signal {signal}"),
                "done",
            );
            if let Err(error) = this.finish() {
                tracing::error!(error, "could not sync at the end");
            }
            this.stop_now();
        });
        if spawned.is_err() {
            daemon.stop_now();
        }
    }

    /// Whether the policy lets `who` do that; a denial goes to the audit log.
    pub fn may(&self, who: &Who, right: Right, path: &[u8]) -> bool {
        let allowed = self.policy.allows(who, right, path);
        if !allowed {
            self.denied(who, right, path, "denied");
        }
        allowed
    }

    /// Writes an entry of the audit log: something that was not let through.
    pub fn denied(&self, who: &Who, right: Right, what: &[u8], outcome: &str) {
        self.audit.deny(&self.store, who, &Event { time_ns: self.clock.now_ns(), right, what, outcome });
        self.dirty.store(true, Ordering::Release);
    }

    /// Writes an entry of the audit log: an administrative act.
    pub fn act(&self, who: &dyn std::fmt::Display, right: Right, what: &str, outcome: &str) {
        let event = Event { time_ns: self.clock.now_ns(), right, what: what.as_bytes(), outcome };
        self.audit.act(&self.store, who, &event);
        self.dirty.store(true, Ordering::Release);
    }

    /// The client of a connection is gone: its run, if it was one, and its transaction end.
    pub fn end_run(&self, connection: &Connection) {
        if connection.state.leave(&self.state.waiting_bytes) {
            self.state.leave(connection.id);
        }
        let run = connection.run.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(run) = run {
            self.history.spans.run_ends(run.workspace, run.runner, run.began);
            if let Ok(workspace) = self.spaces().get_mut(run.workspace) {
                workspace.runs.remove(&connection.id);
            }
        }
    }
}

/// What a failure of the content layer is on the wire.
pub fn cas_errno(error: &CasError) -> Errno {
    match error {
        CasError::NoSpace { .. } => Errno::ENOSPC,
        CasError::BeingSealed { .. } => Errno::EBUSY,
        CasError::Io { source, .. } => crate::namespace::errno_of(source),
        _ => Errno::EIO,
    }
}

/// What a failure of the store is on the wire.
pub fn store_errno(error: &StoreError) -> Errno {
    if error.is_no_space() { Errno::ENOSPC } else { Errno::EIO }
}
