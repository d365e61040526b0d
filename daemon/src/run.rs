//! Runs: a command in the view, from Enter to Leave.

use crate::admin::{Refusal, Teller, find_awake, fit};
use crate::connection::Connection;
use crate::daemon::Daemon;
use crate::history::Over;
use crate::history::roll::{self, Counts};
use crate::namespace::is_within;
use crate::policy::Right;
use crate::take_in;
use nix::errno::Errno;
use statefs_journal::Key;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Instant;
use vrift_manifest::{ROOT, VnodeNo};
use vrift_protocol::admin::{Dates, OwnCalls, PathBytes, Problem, RunEnd, Taken, Target, View};
use vrift_protocol::history::RunReport;
use vrift_protocol::path_calls;
use vrift_protocol::time::SETTINGS_KEY;

/// Programs that are named at the end of a run: they must fit a frame.
const PROGRAMS_MAX: usize = 10;
/// Of a path, in bytes: four of JSON each.
const SHOWN_LEN_MAX: usize = 1024;

/// What the daemon remembers for a run.
#[derive(Debug, Default)]
pub struct Notes {
    /// Vnodes.
    pub changed: HashSet<u64>,
    pub own_calls: Vec<OwnCalls>,
}

/// What the counters were when a run began.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub workspace: u32,
    /// The process that began it, `vrift` itself.
    pub runner: u32,
    /// Value of VRIFT_RUN: differs from that of other runs.
    pub number: u32,
    pub counts: Counts,
    pub new_bytes: u64,
    pub began: Instant,
    /// The same moment, as [`roll::now_ns`].
    pub began_ns: u64,
}

/// Finds or makes the workspace, takes in what changed, prepares the view.
pub fn enter(
    daemon: &Daemon,
    target: &Target,
    create: bool,
    run: bool,
    tell: &Teller<'_>,
) -> Result<View, Refusal> {
    let (id, mut taken) = match (find_awake(daemon, target), target) {
        (Ok(id), _) => (id, take_in_if_there(daemon, id, tell)?),
        (Err(_), Target::Holding(dir)) if create => {
            let taken = crate::ingest::ingest(daemon, dir, None, tell)?;
            (find_awake(daemon, target)?, taken)
        }
        (Err(refusal), _) => return Err(refusal),
    };
    fit(&mut taken.skipped);
    fit(&mut taken.conflicts);
    let mut spaces = daemon.spaces();
    let failed = |errno| Refusal::errno("the workspace", errno, daemon);
    let workspace = spaces.get_mut(id).map_err(failed)?;
    let below = match target {
        Target::Holding(dir) if is_within(&dir.0, &workspace.view) => {
            let rest = dir.0.get(workspace.view.len()..).unwrap_or_default();
            take_in::find(workspace, rest.strip_prefix(b"/").unwrap_or(rest))
        }
        _ => None,
    };
    let folder = |vnode| crate::real_things::mirror_folder(daemon, workspace, vnode);
    let cwd = below.and_then(|vnode| folder(vnode).ok());
    let cwd = cwd.map_or_else(|| folder(ROOT), Ok).map_err(failed)?;
    let runtime = daemon.folders.workspace_runtime(id);
    let view = View {
        workspace: workspace.name.clone(),
        id,
        view: workspace.view[..].into(),
        runtime: runtime.clone().into(),
        run: if run { new_number() } else { 0 },
        cwd: cwd.into(),
        taken,
        time_settings: if run { time_settings(daemon, tell.connection) } else { None },
    };
    if run {
        roll::make_room(&runtime);
        if workspace.runs.is_empty() {
            daemon.worktrees.forget_names(id);
        }
        workspace.runs.insert(tell.connection.id, Notes::default());
        let peer =
            nix::sys::socket::getsockopt(&tell.connection.socket, nix::sys::socket::sockopt::PeerCredentials);
        let runner = peer.map_or(0, |peer| peer.pid().cast_unsigned());
        let begun = Run {
            workspace: id,
            runner,
            number: view.run,
            counts: roll::counts(&runtime),
            new_bytes: daemon.new_bytes.load(Ordering::Relaxed),
            began: Instant::now(),
            began_ns: roll::now_ns(),
        };
        daemon.history.spans.run_begins(id, runner);
        *tell.connection.run.lock().unwrap_or_else(PoisonError::into_inner) = Some(begun);
    }
    Ok(view)
}

/// The stored time settings, if this client may read them: otherwise it asks, and hears why not.
fn time_settings(daemon: &Daemon, connection: &Connection) -> Option<String> {
    let (who, path) = (&connection.who, SETTINGS_KEY.as_bytes());
    if !daemon.policy.knows(who) || !daemon.policy.allows(who, Right::Read, path) {
        return None;
    }
    let value = daemon.store.state_get(&Key::new(path).ok()?).ok()?;
    String::from_utf8(value.unwrap_or_default()).ok()
}

/// A workspace whose real directory is gone can still be entered.
fn take_in_if_there(daemon: &Daemon, id: u32, tell: &Teller<'_>) -> Result<Taken, Refusal> {
    let known = daemon
        .spaces()
        .get(id)
        .map(|workspace| (workspace.name.clone(), workspace.view.clone(), workspace.origin != 0));
    let (name, view, is_fork) = known.map_err(|errno| Refusal::errno("the workspace", errno, daemon))?;
    if is_fork {
        // A branch of its own: it follows the real directory when that is asked for, with sync.
        return Ok(Taken { workspace: name, view: view[..].into(), ..Taken::default() });
    }
    if std::path::Path::new(crate::walk::os(&view)).is_dir() {
        return crate::ingest::take_in(daemon, id, None, tell);
    }
    let gone = Problem { path: view[..].into(), what: "is not there: nothing taken in".into() };
    Ok(Taken { workspace: name, view: view[..].into(), skipped: vec![gone], ..Taken::default() })
}

/// Ends the connection's run: sealed, synced, counted, and with `report` remembered.
pub fn leave(
    daemon: &Arc<Daemon>,
    connection: &Connection,
    report: Option<&RunReport>,
    dates: Option<Dates>,
) -> Result<RunEnd, Refusal> {
    let dated = match dates {
        Some(Dates { clamp_s }) => Some(crate::times::settle(daemon, connection, clamp_s)?),
        None => None,
    };
    let run = *connection.run.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(run) = run else {
        return Err(Refusal::input("this connection has no run".into(), "enter first".into()));
    };
    // What a program left running, or killed, did there after it was last looked at.
    crate::worktree::read_back(daemon, run.workspace, None)?;
    daemon
        .sync(Some(run.workspace))
        .map_err(|error| Refusal::store(format!("the run's changes cannot be synced: {error}"), daemon))?;
    let notes = {
        let mut spaces = daemon.spaces();
        let workspace = spaces.get_mut(run.workspace).ok();
        workspace.and_then(|workspace| workspace.runs.remove(&connection.id)).unwrap_or_default()
    };
    *connection.run.lock().unwrap_or_else(PoisonError::into_inner) = None;
    let spans = daemon.history.spans.run_ends(run.workspace, run.runner, run.began);
    let counts = roll::counts(&daemon.folders.workspace_runtime(run.workspace));
    let end = RunEnd {
        processes: counts.processes.saturating_sub(run.counts.processes),
        files_changed: notes.changed.len() as u64,
        new_bytes: daemon.new_bytes.load(Ordering::Relaxed).saturating_sub(run.new_bytes),
        synced: true,
        own_calls: notes.own_calls,
        dated,
    };
    if let Some(report) = report {
        let changed = notes.changed.into_iter().collect();
        let (report, end) = (report.clone(), end.clone());
        let period = roll::Period {
            runtime: daemon.folders.workspace_runtime(run.workspace),
            run: run.number,
            began_ns: run.began_ns,
            ended_ns: roll::now_ns(),
            taken: (run.counts.taken, counts.taken),
        };
        crate::history::record(
            daemon,
            Over { workspace: run.workspace, report, end, changed, spans, period },
        );
    }
    Ok(end)
}

/// A program told of a system call of its own: noted for the runs of its workspace. `what`: name, NUL, path.
pub fn note_own_call(daemon: &Daemon, workspace: u32, program: &[u8], what: &[u8]) -> Result<VnodeNo, Errno> {
    let mut what = what.splitn(2, |byte| *byte == 0);
    let (call, path) = (what.next().unwrap_or_default(), what.next().unwrap_or_default());
    let call = path_calls::CALLS.iter().find(|known| known.name().as_bytes() == call).ok_or(Errno::EINVAL)?;
    let mut spaces = daemon.spaces();
    for notes in spaces.get_mut(workspace)?.runs.values_mut() {
        let program = PathBytes::from(program);
        let room = notes.own_calls.len() < PROGRAMS_MAX;
        match notes.own_calls.iter_mut().find(|known| known.program == program) {
            Some(known) => known.times += 1,
            None if room => {
                let call = call.name().to_string();
                let path = path.get(..SHOWN_LEN_MAX).unwrap_or(path);
                notes.own_calls.push(OwnCalls { program, times: 1, call, path: path.into() });
            }
            None => {}
        }
    }
    Ok(VnodeNo(0))
}

/// A number for a run that none has had lately, also under the daemon before this one: processes may outlive both.
fn new_number() -> u32 {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let seconds = (roll::now_ns() / 1_000_000_000) as u32;
    let number = seconds.wrapping_shl(8).wrapping_add(RUNS.fetch_add(1, Ordering::Relaxed) & 0xff);
    number.max(1)
}
