//! Requests of the command line: JSON in, JSON rows out, worked on by threads of their own.

use crate::connection::{Connection, Gone};
use crate::daemon::Daemon;
use crate::ingest::show;
use crate::policy::Right;
use crate::snapshots::inside;
use nix::errno::Errno;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use vrift_protocol::admin::{
    AdminReply, AdminRequest, DaemonStatus, Failure, PathBytes, Problem, RolledBack, Settle, SnapshotInfo,
    Target, WorkspaceInfo,
};
use vrift_protocol::history::RunRow;
use vrift_protocol::{FrameHeader, MAX_FRAME_LEN, PROTOCOL_VERSION};

/// Bytes of rows in one frame: escaping can only make a row smaller than [`row_len`] says.
const ROWS_LEN_MAX: usize = MAX_FRAME_LEN - 8 * 1024;
/// Bytes of problems in one frame, which may have two lists of them.
const PROBLEMS_LEN_MAX: usize = 20 * 1024;

/// Why a request is not answered with what was asked for.
#[derive(Debug)]
pub struct Refusal {
    pub failure: Failure,
    pub what: String,
    pub hint: String,
}

impl Refusal {
    pub fn input(what: String, hint: String) -> Refusal {
        Refusal { failure: Failure::Input, what, hint }
    }
    pub fn negative(what: String, hint: String) -> Refusal {
        Refusal { failure: Failure::Negative, what, hint }
    }
    /// The store or the file system below it failed.
    pub fn store(what: String, daemon: &Daemon) -> Refusal {
        let home = daemon.folders.home.display();
        let hint = format!("the workspace is as it was; look at free space of {home} and at: vrift doctor");
        Refusal { failure: Failure::Store, what, hint }
    }
    /// An errno of the namespace about `what`.
    pub fn errno(what: &str, errno: Errno, daemon: &Daemon) -> Refusal {
        match errno {
            Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ESTALE => {
                Refusal::negative(format!("{what}: {}", errno.desc()), "look with: vrift ls".into())
            }
            errno => Refusal::store(format!("{what}: {}", errno.desc()), daemon),
        }
    }
}

/// Where the frames of one answer go.
pub struct Teller<'a> {
    pub connection: &'a Arc<Connection>,
    pub header: FrameHeader,
}

impl Teller<'_> {
    /// Whether somebody waits for the answer still.
    pub fn progress(&self, stage: &str, files: u64, bytes: u64) -> bool {
        self.progress_of(stage, files, bytes, 0)
    }

    /// The same with what there will be in the end, more or less.
    pub fn progress_of(&self, stage: &str, files: u64, bytes: u64, total_files: u64) -> bool {
        let reply = AdminReply::Progress { stage: stage.into(), files, bytes, total_files };
        let _ = self.connection.reply_admin(&self.header, &reply, true, None);
        !self.connection.is_closed()
    }

    /// Sends a frame that others follow.
    pub fn more(&self, reply: &AdminReply) -> Result<(), Refusal> {
        self.connection.reply_admin(&self.header, reply, true, None).map_err(gone)
    }

    /// Sends all rows but the last frame's, which is returned.
    pub fn rows<T>(
        &self,
        rows: Vec<T>,
        path: impl Fn(&T) -> usize,
        wrap: impl Fn(Vec<T>) -> AdminReply,
    ) -> Result<AdminReply, Gone> {
        let (mut frame, mut len) = (Vec::new(), 0);
        for row in rows {
            let row_len = row_len(path(&row));
            if len + row_len > ROWS_LEN_MAX {
                self.connection.reply_admin(&self.header, &wrap(std::mem::take(&mut frame)), true, None)?;
                len = 0;
            }
            len += row_len;
            frame.push(row);
        }
        Ok(wrap(frame))
    }
}

/// Upper bound of a row's JSON with paths of this length: a byte takes at most six characters.
fn row_len(path_len: usize) -> usize {
    480 + path_len * 6
}

/// As many problems as fit a frame; the last one tells how many more there are.
pub fn fit(problems: &mut Vec<Problem>) {
    let mut len = 0;
    let fits = problems.iter().take_while(|problem| {
        len += row_len(problem.path.0.len()) + problem.what.len();
        len <= PROBLEMS_LEN_MAX
    });
    let (fits, all) = (fits.count(), problems.len());
    if fits < all {
        problems.truncate(fits);
        problems.push(Problem { path: PathBytes::default(), what: format!("and {} more", all - fits) });
    }
}

/// Starts working on a request.
pub fn serve(daemon: &Arc<Daemon>, connection: &Arc<Connection>, header: FrameHeader, body: &[u8]) {
    let Ok(request) = serde_json::from_slice::<AdminRequest>(body) else {
        daemon.stats.malformed.fetch_add(1, Ordering::Relaxed);
        return connection.reply(&header, Err(Errno::EBADMSG));
    };
    if connection.busy.swap(true, Ordering::Acquire) {
        return connection.reply(&header, Err(Errno::EBUSY));
    }
    let (this, client) = (Arc::clone(daemon), Arc::clone(connection));
    daemon.clerks.submit(Box::new(move || {
        let teller = Teller { connection: &client, header };
        let is_stop = matches!(request, AdminRequest::Stop);
        let act = act(&request);
        crate::kill_points::pass(|| asked(&request));
        if is_stop {
            // Before: it belongs to what is synced at the end.
            this.act(&client.who, Right::Admin, "daemon stop", "done");
        }
        let (reply, fd) = match answer(&this, &request, &teller) {
            Ok(answer) => answer,
            Err(Refusal { failure, what, hint }) => (AdminReply::Error { failure, what, hint }, None),
        };
        if let Some(act) = act {
            let outcome = if matches!(reply, AdminReply::Error { .. }) { "refused" } else { "done" };
            if !is_stop || outcome == "refused" {
                this.act(&client.who, Right::Admin, &act, outcome);
            }
        }
        let stops = is_stop && matches!(reply, AdminReply::Done | AdminReply::StoppedUnsynced { .. });
        // Before the reply: the client may send the next request the moment it has read this one's answer.
        client.busy.store(false, Ordering::Release);
        let _ = client.reply_admin(&header, &reply, false, fd);
        if stops {
            this.stop_now();
        }
    }));
}

/// The step in which a request is to be answered, by its name.
fn asked(request: &AdminRequest) -> String {
    let text = format!("{request:?}");
    format!("asked {}", text.split([' ', '(']).next().unwrap_or_default())
}

/// Administrative acts, in the command line's words: what takes something away that others may rely on. Each request has
/// its place here, so that none is forgotten.
fn act(request: &AdminRequest) -> Option<String> {
    use AdminRequest as Ask;
    let name = |target: &Target| match target {
        Target::Name(name) => name.clone(),
        Target::Holding(dir) => show(&dir.0),
    };
    let of = |command: &str, target: &Target, snapshot: &Option<String>| {
        let at = snapshot.as_ref().map_or(String::new(), |snapshot| format!("@{snapshot}"));
        Some(format!("{command} {}{at}", name(target)))
    };
    match request {
        Ask::Stop => Some("daemon stop".into()),
        Ask::Remove { target, snapshot } => of("rm", target, snapshot),
        Ask::Rollback { target, snapshot } => of("rollback", target, snapshot),
        Ask::Sync { target, settle: Some(Settle::Ours), .. } => of("sync --ours", target, &None),
        Ask::Sync { target, settle: Some(Settle::Theirs), .. } => of("sync --theirs", target, &None),
        Ask::Export { target, to, force: true, .. } => {
            let to = to.as_ref().map_or(String::new(), |to| format!(" to {}", show(&to.0)));
            Some(format!("export --force {}{to}", name(target)))
        }
        Ask::Collect { .. } => Some("gc".into()),
        Ask::Check { heals: true, metadata: false, .. } => Some("scrub".into()),
        Ask::Check { heals: true, metadata: true, .. } => Some("fsck --repair".into()),
        Ask::Check { heals: false, .. }
        | Ask::Sync { settle: None, .. }
        | Ask::Export { force: false, .. }
        | Ask::Status
        | Ask::Doctor
        | Ask::Workspaces
        | Ask::Ingest { .. }
        | Ask::Enter { .. }
        | Ask::Leave { .. }
        | Ask::History { .. }
        | Ask::RunDetail { .. }
        | Ask::Stats
        | Ask::Diff { .. }
        | Ask::Compare { .. }
        | Ask::Snapshot { .. }
        | Ask::Log { .. }
        | Ask::Fork { .. }
        | Ask::List { .. }
        | Ask::Stat { .. }
        | Ask::Cat { .. }
        | Ask::Worktree { .. }
        | Ask::ReadBack { .. } => None,
    }
}

/// Nobody is there to be told.
pub fn gone(_: Gone) -> Refusal {
    Refusal::negative("the client is gone".into(), String::new())
}

type Answered = (AdminReply, Option<OwnedFd>);

fn answer(daemon: &Arc<Daemon>, request: &AdminRequest, tell: &Teller<'_>) -> Result<Answered, Refusal> {
    let reply = match request {
        AdminRequest::Status => AdminReply::Status(status(daemon)),
        AdminRequest::Doctor => AdminReply::Checks(crate::doctor::checks(daemon)),
        AdminRequest::Stop => {
            match (daemon.finish(), daemon.store.poisoned()) {
                (Ok(()), _) => AdminReply::Done,
                // Its device is gone or broken: by going on it would keep nothing.
                (Err(_), Some(why)) => AdminReply::StoppedUnsynced { why },
                (Err(error), None) => {
                    return Err(Refusal::store(format!("cannot sync: {error}"), daemon));
                }
            }
        }
        AdminRequest::Workspaces => {
            let rows = workspaces(daemon);
            tell.rows(rows, |row| row.name.len() + row.view.0.len(), AdminReply::Workspaces).map_err(gone)?
        }
        AdminRequest::Ingest { dir, name } => {
            let mut taken = crate::ingest::ingest(daemon, dir, name.as_deref(), tell)?;
            fit(&mut taken.skipped);
            fit(&mut taken.conflicts);
            AdminReply::Taken(taken)
        }
        AdminRequest::Sync { target, settle, all } => {
            let id = find_awake(daemon, target)?;
            if *all {
                daemon.noticed.forget(id);
            }
            let mut taken = crate::ingest::take_in(daemon, id, *settle, tell)?;
            fit(&mut taken.skipped);
            fit(&mut taken.conflicts);
            AdminReply::Taken(taken)
        }
        AdminRequest::Enter { target, create, run } => {
            crate::run::enter(daemon, target, *create, *run, tell).map(AdminReply::View)?
        }
        AdminRequest::Leave { report, dates } => {
            AdminReply::RunEnd(crate::run::leave(daemon, tell.connection, report.as_ref(), *dates)?)
        }
        AdminRequest::History { workspace, limit } => {
            let rows = crate::history::runs(daemon, workspace.as_deref(), *limit, tell)?;
            let len = |row: &RunRow| {
                let command: usize = row.command.iter().map(|part| part.0.len() + 1).sum();
                row.workspace.len() + row.cwd.0.len() + command
            };
            tell.rows(rows, len, AdminReply::Runs).map_err(gone)?
        }
        AdminRequest::RunDetail { workspace, number } => {
            crate::history::detail(daemon, workspace.as_deref(), *number, tell)?
        }
        AdminRequest::Stats => AdminReply::Stats(crate::history::stats(daemon, tell)?),
        AdminRequest::Diff { target, against_real } => {
            let rows = crate::diff::diff(daemon, find_awake(daemon, target)?, *against_real)?;
            tell.rows(rows, |row| row.path.0.len(), AdminReply::Changes).map_err(gone)?
        }
        AdminRequest::Compare { old, new } => {
            let rows = crate::snapshots::compare::compare(daemon, old, new)?;
            tell.rows(rows, |row| row.path.0.len(), AdminReply::Changes).map_err(gone)?
        }
        AdminRequest::Snapshot { target, message } => {
            let taken = crate::snapshots::snapshot(daemon, find_awake(daemon, target)?, message)?;
            AdminReply::Snapshots(vec![taken.info(&daemon.spaces())])
        }
        AdminRequest::Log { target } => {
            let all = crate::snapshots::list(daemon, find(daemon, target)?);
            let rows = all.iter().map(|it| it.info(&daemon.spaces())).collect();
            let len = |row: &SnapshotInfo| row.message.len() + row.workspace.len();
            tell.rows(rows, len, AdminReply::Snapshots).map_err(gone)?
        }
        AdminRequest::Rollback { target, snapshot } => {
            let id = find_awake(daemon, target)?;
            let done = crate::snapshots::rollback(daemon, id, snapshot.as_deref())?;
            let spaces = daemon.spaces();
            let before = done.before.map(|before| before.info(&spaces));
            AdminReply::RolledBack(RolledBack { to: done.to.info(&spaces), before })
        }
        AdminRequest::Fork { target, snapshot, name } => {
            let id = find(daemon, target)?;
            AdminReply::Workspaces(vec![crate::snapshots::fork(daemon, id, snapshot.as_deref(), name)?])
        }
        AdminRequest::Remove { target, snapshot } => {
            crate::snapshots::remove(daemon, find(daemon, target)?, snapshot.as_deref())?;
            AdminReply::Done
        }
        AdminRequest::List { target, snapshot, path, recursive } => {
            let rows = match snapshot {
                Some(it) => inside::of(daemon, find(daemon, target)?, it)?.list(&path.0, *recursive)?,
                None => crate::look::list(daemon, find_awake(daemon, target)?, &path.0, *recursive)?,
            };
            let paths = |row: &vrift_protocol::admin::Entry| {
                row.path.0.len() + row.target.as_ref().map_or(0, |target| target.0.len())
            };
            tell.rows(rows, paths, AdminReply::Entries).map_err(gone)?
        }
        AdminRequest::Stat { target, snapshot, path } => AdminReply::Entries(vec![match snapshot {
            Some(it) => inside::of(daemon, find(daemon, target)?, it)?.stat(&path.0)?,
            None => crate::look::stat(daemon, find_awake(daemon, target)?, &path.0)?,
        }]),
        AdminRequest::Cat { target, snapshot, path } => {
            let (size, fd) = match snapshot {
                Some(it) => inside::of(daemon, find(daemon, target)?, it)?.cat(&path.0)?,
                None => crate::look::cat(daemon, find_awake(daemon, target)?, &path.0)?,
            };
            return Ok((AdminReply::File { size }, Some(fd)));
        }
        AdminRequest::Check { rate_bytes, restart, metadata, heals } => {
            let manner = crate::scrub::Manner {
                rate_bytes: *rate_bytes,
                restart: *restart,
                metadata: *metadata,
                heals: *heals,
            };
            AdminReply::Checked(crate::scrub::run(daemon, &manner, tell)?)
        }
        AdminRequest::Collect { max_bytes } => {
            AdminReply::Collected(crate::gc::collect(daemon, *max_bytes, tell)?)
        }
        AdminRequest::Export { target, paths, to, force } => {
            let id = find_awake(daemon, target)?;
            let mut exported = crate::export::export(daemon, id, paths, (to.as_ref(), *force), tell)?;
            fit(&mut exported.conflicts);
            fit(&mut exported.failed);
            AdminReply::Exported(exported)
        }
        AdminRequest::Worktree { workspace, cwd, program } => {
            let id = find(daemon, &Target::Name(workspace.clone()))?;
            AdminReply::Worktree(crate::worktree::prepare(daemon, id, tell.connection, &cwd.0, &program.0)?)
        }
        AdminRequest::ReadBack { workspace } => {
            let id = find(daemon, &Target::Name(workspace.clone()))?;
            let mut taken = crate::worktree::read_back(daemon, id, Some(tell.connection))?;
            fit(&mut taken.skipped);
            fit(&mut taken.conflicts);
            AdminReply::Taken(taken)
        }
    };
    Ok((reply, None))
}

/// The workspace that is meant, with its index.
pub fn find_awake(daemon: &Daemon, target: &Target) -> Result<u32, Refusal> {
    let id = find(daemon, target)?;
    crate::snapshots::wake(daemon, id).map_err(|errno| Refusal::errno("the workspace", errno, daemon))?;
    Ok(id)
}

/// The workspace that is meant; it may be one that nobody has entered yet.
pub fn find(daemon: &Daemon, target: &Target) -> Result<u32, Refusal> {
    let spaces = daemon.spaces();
    let found = match target {
        Target::Name(name) => spaces.named(name),
        Target::Holding(dir) => spaces.holding(&dir.0),
    };
    found.ok_or_else(|| match target {
        Target::Name(name) => Refusal::negative(
            format!("there is no workspace '{name}'"),
            "make one with: vrift ingest DIR --name NAME".into(),
        ),
        Target::Holding(dir) => Refusal::negative(
            format!("no workspace holds {}", show(&dir.0)),
            "make one with: vrift ingest, or name one with -w".into(),
        ),
    })
}

fn workspaces(daemon: &Daemon) -> Vec<WorkspaceInfo> {
    let spaces = daemon.spaces();
    let row = |workspace: &crate::namespace::Workspace| WorkspaceInfo {
        id: workspace.id,
        name: workspace.name.clone(),
        view: workspace.view[..].into(),
        vnodes: workspace.index.len() as u64,
        origin: spaces.name_of(workspace.origin),
    };
    let awake = spaces.workspaces.values().map(row);
    awake.chain(spaces.asleep.values().map(|asleep| asleep.info(&spaces))).collect()
}

fn status(daemon: &Daemon) -> DaemonStatus {
    let stats = daemon.store.stats();
    let poisoned = daemon.spaces().broken.clone().or_else(|| daemon.store.poisoned());
    let mut rows = workspaces(daemon);
    let mut len = 0;
    rows.retain(|row| {
        len += row_len(row.name.len() + row.view.0.len());
        len <= ROWS_LEN_MAX / 2
    });
    DaemonStatus {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").into(),
        protocol: PROTOCOL_VERSION,
        home: daemon.folders.home.clone().into(),
        store: std::path::PathBuf::from(daemon.folders.store.to_string()).into(),
        store_bytes: stats.used_bytes,
        blobs: stats.blobs,
        blob_bytes: stats.blob_bytes,
        journal_bytes: stats.journal_bytes,
        unsynced_records: stats.dirty_seq.0.saturating_sub(stats.synced_seq.0),
        connections: daemon.stats.connections.load(Ordering::Relaxed),
        requests: daemon.stats.requests.load(Ordering::Relaxed),
        uptime_ms: daemon.started.elapsed().as_millis() as u64,
        workspaces: rows,
        poisoned,
    }
}
