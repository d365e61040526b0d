//! What is remembered of runs (RFC 0012): `history.db` in the state folder, written by one thread after the command
//! line has its answer.

mod db;
pub mod roll;
mod spans;

use crate::admin::{Refusal, Teller};
use crate::daemon::Daemon;
use db::Db;
use spans::Spans;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use vrift_manifest::VnodeNo;
use vrift_manifest::types::{S_IFDIR, S_IFMT};
use vrift_protocol::admin::{AdminReply, RunEnd};
use vrift_protocol::history::{ProjectStats, RunReport, RunRow, Stats, Touched};

/// Name in the state folder.
pub const HISTORY_FILE: &str = "history.db";
/// Processes that are remembered of one run, the longest.
const SPANS_MAX: usize = 2000;
/// Files that are remembered of one run.
const TOUCHED_MAX: usize = 500;
/// Projects that `vrift stats` names.
const PROJECTS_MAX: usize = 50;
/// Rows that one question gives at most.
const ROWS_MAX: u64 = 10_000;

pub struct History {
    worker: crate::workers::Workers,
    db: Arc<Mutex<Db>>,
    pub spans: Spans,
}

/// A run that is over, on its way to the table.
pub struct Over {
    pub workspace: u32,
    pub report: RunReport,
    pub end: RunEnd,
    /// Vnodes.
    pub changed: Vec<u64>,
    /// Processes that had a connection.
    pub spans: Vec<spans::Connected>,
    pub period: roll::Period,
}

impl History {
    pub fn start(home: PathBuf) -> std::io::Result<History> {
        Ok(History {
            worker: crate::workers::Workers::start("history", 1)?,
            db: Arc::new(Mutex::new(Db::new(home.join(HISTORY_FILE)))),
            spans: Spans::default(),
        })
    }

    /// Does `job` after everything that was asked for before it.
    fn later(&self, job: impl FnOnce(&mut Db) + Send + 'static) {
        let db = Arc::clone(&self.db);
        self.worker.submit(Box::new(move || job(&mut db.lock().unwrap_or_else(PoisonError::into_inner))));
    }

    /// As [`History::later`], and waits for the answer.
    fn ask<T: Send + 'static>(
        &self,
        question: impl Fn(&mut rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (answer, answered) = channel();
        self.later(move |db| drop(answer.send(db.with(question))));
        let failed = |what: String| Refusal {
            failure: vrift_protocol::admin::Failure::Store,
            what: format!("{HISTORY_FILE} cannot be read: {what}"),
            hint: "workspaces and store are not concerned; move the file away to begin anew".into(),
        };
        match answered.recv() {
            Ok(result) => result.map_err(|error| failed(error.to_string())),
            Err(_) => Err(failed("its thread is gone".into())),
        }
    }

    /// Everything that is over is in the file, and nothing beside it, when this returns.
    pub fn finish(&self) {
        let (done, is_done) = channel();
        self.later(move |db| {
            db.close();
            drop(done);
        });
        let _: Result<(), _> = is_done.recv();
    }

    pub fn problem(&self) -> Option<String> {
        self.ask(|_| Ok(())).err().map(|refusal| refusal.what)
    }
}

/// Puts a run into the table; nobody waits for it.
pub fn record(daemon: &Arc<Daemon>, over: Over) {
    let this = Arc::clone(daemon);
    daemon.history.later(move |db| {
        let touched = touched(&this, over.workspace, &over.changed);
        let mut spans = roll::joined(over.period.lines(), over.spans);
        let unlisted = match over.period.written_over() {
            Some(lines) => lines + spans.len().saturating_sub(SPANS_MAX) as u64,
            None => over.end.processes.saturating_sub(spans.len() as u64),
        };
        spans.sort_by_key(|span| std::cmp::Reverse(span.elapsed_us));
        spans.truncate(SPANS_MAX);
        let row = RunRow {
            number: 0,
            workspace: this.spaces().name_of(over.workspace).unwrap_or_default(),
            command: over.report.command,
            cwd: over.report.cwd,
            began_ns: over.report.began_ns,
            elapsed_ms: over.report.elapsed_ms,
            exit_code: over.report.exit_code,
            processes: over.end.processes,
            unlisted,
            files_changed: over.end.files_changed,
            new_bytes: over.end.new_bytes,
            store_bytes: this.store.stats().used_bytes,
        };
        if let Err(error) = db.with(|db| db::insert(db, &row, &spans, &touched)) {
            tracing::warn!("{HISTORY_FILE}: a run is not remembered: {error}");
        }
    });
}

/// Files among `changed` that are there still, with their paths.
fn touched(daemon: &Daemon, workspace: u32, changed: &[u64]) -> Vec<Touched> {
    let mut touched = Vec::new();
    for some in changed.chunks(64) {
        let spaces = daemon.spaces();
        let Ok(workspace) = spaces.get(workspace) else { return touched };
        for vnode in some {
            let vnode = VnodeNo(*vnode);
            let attr = workspace.index.attr(vnode).filter(|attr| attr.mode & S_IFMT != S_IFDIR);
            if let (Some(attr), Some(path)) = (attr, workspace.index.path_of(vnode)) {
                touched.push(Touched { path: path[..].into(), bytes: attr.size });
            }
        }
        if touched.len() >= TOUCHED_MAX {
            break;
        }
    }
    touched.truncate(TOUCHED_MAX);
    touched.sort_by(|one, two| one.path.cmp(&two.path));
    touched
}

/// Says that the table was damaged, once.
fn notice(daemon: &Daemon, tell: &Teller<'_>) -> Result<(), Refusal> {
    daemon.history.ask(|_| Ok(()))?;
    let notice = daemon.history.db.lock().unwrap_or_else(PoisonError::into_inner).notice.take();
    match notice {
        Some(text) => tell.more(&AdminReply::Notice(text)),
        None => Ok(()),
    }
}

/// The last `limit` runs, oldest first.
pub fn runs(
    daemon: &Daemon,
    workspace: Option<&str>,
    limit: u64,
    tell: &Teller<'_>,
) -> Result<Vec<RunRow>, Refusal> {
    notice(daemon, tell)?;
    let (workspace, limit) = (workspace.map(str::to_string), limit.min(ROWS_MAX));
    daemon.history.ask(move |db| db::runs(db, workspace.as_deref(), limit))
}

/// One run; its processes and files are sent before.
pub fn detail(
    daemon: &Daemon,
    workspace: Option<&str>,
    number: Option<i64>,
    tell: &Teller<'_>,
) -> Result<AdminReply, Refusal> {
    notice(daemon, tell)?;
    let of = workspace.map(str::to_string);
    let found = daemon.history.ask(move |db| db::detail(db, of.as_deref(), number))?;
    let Some(detail) = found else {
        let what = match number {
            Some(number) => format!("there is no run {number}"),
            None => "no run is remembered".into(),
        };
        return Err(Refusal::negative(what, "look with: vrift history".into()));
    };
    let spans = tell.rows(detail.spans, |span| span.command.0.len(), AdminReply::Spans);
    let touched = tell.rows(detail.touched, |it| it.path.0.len(), AdminReply::Touched);
    for last in [spans, touched] {
        tell.more(&last.map_err(crate::admin::gone)?)?;
    }
    Ok(AdminReply::Run(detail.run))
}

/// Sums over store, workspaces and runs.
pub fn stats(daemon: &Daemon, tell: &Teller<'_>) -> Result<Stats, Refusal> {
    notice(daemon, tell)?;
    let mut projects: Vec<ProjectStats> = Vec::new();
    let store = daemon.store.stats();
    let mut stats = Stats {
        store_bytes: store.used_bytes,
        journal_bytes: store.journal_bytes,
        blobs: store.blobs,
        blob_bytes: store.blob_bytes,
        contents: daemon.stats.contents.load(Ordering::Relaxed),
        known_contents: daemon.stats.known_contents.load(Ordering::Relaxed),
        ..Stats::default()
    };
    let ids: Vec<u32> = daemon.spaces().workspaces.keys().copied().collect();
    for id in ids {
        let spaces = daemon.spaces();
        let Ok(workspace) = spaces.get(id) else { continue };
        let mut project = ProjectStats {
            workspace: workspace.name.clone(),
            view: workspace.view[..].into(),
            ..ProjectStats::default()
        };
        workspace.index.vnodes(&mut |vnode| {
            if let Some(attr) = workspace.index.attr(vnode).filter(|attr| attr.mode & S_IFMT == 0o100000) {
                project.files += 1;
                project.bytes += attr.size;
            }
        });
        projects.push(project);
        let counts = roll::counts(&daemon.folders.workspace_runtime(id));
        stats.lookups = stats.lookups.saturating_add(counts.lookups);
        stats.requests = stats.requests.saturating_add(counts.requests);
    }
    {
        let spaces = daemon.spaces();
        stats.snapshots = spaces.snapshots.len() as u64;
        projects.extend(spaces.asleep.values().map(|asleep| {
            let info = asleep.info(&spaces);
            ProjectStats { workspace: info.name, view: info.view, asleep: true, ..ProjectStats::default() }
        }));
    }
    for (name, sums) in daemon.history.ask(db::sums)? {
        stats.runs += sums.runs;
        stats.failed_runs += sums.failed_runs;
        if let Some(project) = projects.iter_mut().find(|project| project.workspace == name) {
            (project.runs, project.failed_runs) = (sums.runs, sums.failed_runs);
            (project.elapsed_ms, project.new_bytes) = (sums.elapsed_ms, sums.new_bytes);
        }
    }
    stats.files = projects.iter().map(|project| project.files).sum();
    stats.bytes = projects.iter().map(|project| project.bytes).sum();
    projects.sort_by(|one, two| (two.bytes, &one.workspace).cmp(&(one.bytes, &two.workspace)));
    projects.truncate(PROJECTS_MAX);
    stats.projects = projects;
    Ok(stats)
}
