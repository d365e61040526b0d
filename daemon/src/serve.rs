//! The serving process: from taking the lock to the last sync.

use crate::args::Args;
use crate::clock::Clock;
use crate::daemon::Daemon;
use crate::folders::Folders;
use crate::listening::{answers, listener};
use crate::place::Place;
use crate::recover;
use crate::server::Server;
use anyhow::{Context, Result, anyhow};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use sd_notify::NotifyState;
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use vrift_cas::Cas;
use vrift_manifest::VnodeNo;
use vrift_protocol::names;

/// Serves until told to stop.
pub fn serve(args: &Args, home: &Path) -> Result<()> {
    let ready = Ready { fd: args.ready_fd };
    match start(args, home, &ready) {
        Ok((daemon, mut server, held)) => {
            ready.say("ok\n");
            tell_manager(&[NotifyState::Ready]);
            let ended = server.run().context("the event loop failed");
            tell_manager(&[NotifyState::Stopping]);
            daemon.services.stop();
            if !held.is_given {
                let _ = fs::remove_file(daemon.folders.in_runtime(names::SOCKET_FILE));
            }
            ended
        }
        Err(error) => {
            ready.say(&format!("{error:#}\n"));
            Err(error)
        }
    }
}

/// What the daemon has as long as it serves.
struct Held {
    /// The socket is the service manager's, who goes on listening.
    is_given: bool,
    _lock: Lock,
}

/// The state folder's lock, with the file that says who has it.
struct Lock {
    pid_file: PathBuf,
    _lock: Flock<File>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Before the lock is given up: then the file may be another's.
        let _ = fs::remove_file(&self.pid_file);
    }
}

/// systemd, if it started this process and wants to know (sd_notify(3)).
fn tell_manager(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, states) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

/// The fd on which a starter waits.
struct Ready {
    fd: Option<i32>,
}

impl Ready {
    fn say(&self, text: &str) {
        let Some(fd) = self.fd else { return };
        if let Ok(mut pipe) = OpenOptions::new().write(true).open(format!("/proc/self/fd/{fd}")) {
            let _ = pipe.write_all(text.as_bytes());
        }
        let _ = nix::unistd::close(fd);
    }
}

fn start(args: &Args, home: &Path, ready: &Ready) -> Result<(Arc<Daemon>, Server, Held)> {
    let stop_signals = block_signals().context("cannot block signals")?;
    // As many fds as the machine allows: each client process has a connection.
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    let mut folders = Folders::prepare(home).context("cannot use the state folder")?;
    // Before the lock: one that does not start must not hold up one that comes back.
    crate::wiring::check(&crate::wiring::Ground::of(&folders, args))?;
    let lock = take_lock(&folders, args.ready_fd.is_some().then_some(ready))?;

    let config = crate::config::read(&folders.home)?;
    folders.store = Place::choose(args, &config, &folders.home)?;
    let policy = crate::policy::read(&folders.home)?;
    let (store, mut spaces) = recover::open_store(&folders)?;
    if let Some((name, why)) = spaces.unreadable.values().next() {
        // A checkpoint would forget what the journal has of it.
        return Err(anyhow!(
            "the tree of workspace '{name}' cannot be read: {why}\nvrift fsck tells more; vrift fsck --repair gives up the workspace if nothing has the bytes"
        ));
    }
    store.set_compression(config.store.level());
    let cas = Cas::open(&folders.home, Arc::clone(&store)).context("cannot open the content folders")?;
    recover::take_over(&folders, &store, &cas, &mut spaces)?;
    recover::publish(&folders, &mut spaces)?;
    let clock = Clock::open(&folders.in_home(names::SCRATCH_FILE)).context("cannot open the scratch file")?;
    let workspaces: Vec<u32> = spaces.workspaces.keys().copied().collect();
    let daemon = Arc::new(Daemon::new(folders, store, cas, clock, spaces, config, policy)?);
    for workspace in workspaces {
        daemon.watch_staging(workspace).context("cannot watch a staging folder")?;
    }
    daemon.watches.take_over(&daemon);
    daemon.audit.begin(&daemon.store, &daemon.folders.store, &daemon.policy, daemon.clock.now_ns());
    let (listener, is_given) = listener(&daemon.folders.in_runtime(names::SOCKET_FILE))?;
    let server = Server::new(Arc::clone(&daemon), listener, &stop_signals)?;
    start_threads(&daemon)?;
    daemon.take_over_spares();
    let workspaces = daemon.spaces().workspaces.len();
    tracing::info!(pid = std::process::id(), home = %daemon.folders.home.display(), workspaces, "serving");
    Ok((daemon, server, Held { is_given, _lock: lock }))
}

/// SIGTERM and SIGINT are read from a signalfd. SIGIO, which a broken lease sends, and SIGPIPE must end nothing.
fn block_signals() -> nix::Result<SigSet> {
    let mut stop = SigSet::empty();
    stop.add(Signal::SIGTERM);
    stop.add(Signal::SIGINT);
    let mut blocked = stop;
    for signal in [Signal::SIGIO, Signal::SIGPIPE, Signal::SIGHUP] {
        blocked.add(signal);
    }
    blocked.thread_set_mask()?;
    Ok(stop)
}

fn open_lock(folders: &Folders) -> Result<File> {
    let path = folders.in_runtime(names::LOCK_FILE);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    file.with_context(|| format!("cannot open {}", path.display()))
}

fn refusal(folders: &Folders) -> anyhow::Error {
    let pid = fs::read_to_string(folders.in_runtime(names::LOCK_FILE)).unwrap_or_default();
    anyhow!(
        "another vriftd (process {}) already serves {}\nuse it, or stop it with: vrift daemon stop",
        pid.trim(),
        folders.home.display()
    )
}

/// The lock of the one that serves the state folder; None: a daemon has it.
pub fn lock_unserved(folders: &Folders) -> Result<Option<Flock<File>>> {
    match Flock::lock(open_lock(folders)?, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(errno).context("cannot take the lock"),
    }
}

/// Fails when a daemon serves the state folder already.
pub fn refuse_second(folders: &Folders) -> Result<()> {
    lock_unserved(folders)?.map(drop).ok_or_else(|| refusal(folders))
}

/// One daemon per state folder.
fn take_lock(folders: &Folders, starter: Option<&Ready>) -> Result<Lock> {
    let mut file = match Flock::lock(open_lock(folders)?, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => lock,
        Err(_) => {
            if let Some(ready) = starter
                && answers(&folders.in_runtime(names::SOCKET_FILE))
            {
                // What the starter wants is there, though it is not this process.
                ready.say("ok\n");
            }
            return Err(refusal(folders));
        }
    };
    let pid = format!("{}\n", std::process::id());
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(pid.as_bytes())?;
    let lock = Lock { pid_file: folders.in_runtime(names::PID_FILE), _lock: file };
    fs::write(&lock.pid_file, pid)?;
    Ok(lock)
}

fn start_threads(daemon: &Arc<Daemon>) -> Result<()> {
    let sealer = Arc::clone(daemon);
    std::thread::Builder::new().name("sealer".into()).spawn(move || crate::sealing::run(&sealer))?;
    let spares = Arc::clone(daemon);
    std::thread::Builder::new().name("spares".into()).spawn(move || crate::spare::run(&spares))?;
    let watcher = Arc::clone(daemon);
    std::thread::Builder::new().name("watcher".into()).spawn(move || crate::watch::run(&watcher))?;
    let noticer = Arc::clone(daemon);
    std::thread::Builder::new().name("noticer".into()).spawn(move || crate::noticed::run(&noticer))?;
    let flusher = Arc::clone(daemon);
    std::thread::Builder::new().name("flusher".into()).spawn(move || crate::flush::run(&flusher))?;
    Ok(())
}

impl Daemon {
    /// Everything before this call survives a power cut when it returns; files of `only` this workspace (None:
    /// of all) are sealed first. Costs nothing when there is nothing to do.
    pub fn sync(&self, only: Option<u32>) -> Result<(), String> {
        let ids: Vec<u32> = match only {
            Some(id) => vec![id],
            None => self.spaces().workspaces.keys().copied().collect(),
        };
        for id in ids {
            self.seal_all(id).map_err(|errno| format!("cannot seal: {errno}"))?;
        }
        if let Some(why) = &self.spaces().broken {
            return Err(why.clone());
        }
        // What is still open may have been written without a request.
        self.sync_staged()?;
        if !self.dirty.swap(false, Ordering::AcqRel) && self.cas.pending() == 0 {
            return Ok(());
        }
        let synced = || -> Result<(), String> {
            self.flush().map_err(|error| error.to_string())?;
            self.store.sync().map_err(|error| error.to_string())?;
            Ok(())
        };
        synced().inspect_err(|_| self.dirty.store(true, Ordering::Release))
    }

    /// Content that is still being written is made durable as far as it is.
    fn sync_staged(&self) -> Result<(), String> {
        let staged: Vec<(u32, u64)> = self
            .spaces()
            .workspaces
            .values()
            .flat_map(|workspace| workspace.staged.keys().map(|vnode| (workspace.id, *vnode)))
            .collect();
        let mut folders = std::collections::BTreeSet::new();
        for (workspace, vnode) in staged {
            self.keep_written(workspace, VnodeNo(vnode)).map_err(|errno| {
                format!("cannot keep what was written to a file that is still open: {errno}")
            })?;
            // Gone: sealed or removed meanwhile.
            if let Ok(file) = File::open(self.folders.staging(workspace, vnode)) {
                file.sync_data().map_err(|error| format!("cannot sync a staging file: {error}"))?;
                folders.insert(workspace);
            }
        }
        for workspace in folders {
            let folder = File::open(self.folders.staging_dir(workspace));
            folder
                .and_then(|folder| folder.sync_all())
                .map_err(|error| format!("cannot sync a staging folder: {error}"))?;
        }
        Ok(())
    }

    /// The orderly end: all synced, and a checkpoint so that the next start has nothing to replay.
    pub fn finish(&self) -> Result<(), String> {
        self.history.finish();
        self.sync(None)?;
        // All is durable; without it the next start only reads more.
        if let Err(error) = self.checkpoint(0) {
            tracing::warn!(error, "no checkpoint at the end");
        }
        self.store.sync().map(drop).map_err(|error| error.to_string())
    }
}
