//! `vrift daemon`: the daemon by hand.

use super::output::Output;
use crate::error::{CliError, Result};
use crate::install::DAEMON_FILE;
use crate::places::Places;
use crate::session::Session;
use crate::start;
use crate::text::{count, escape_path, path_text, say, size};
use clap::{Args, Subcommand};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};
use vrift_protocol::admin::{AdminReply, AdminRequest, DaemonStatus};

/// How long an orderly end may take: it writes everything that is not synced.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_PAUSE: Duration = Duration::from_millis(10);

/// Starts, stops or asks the daemon, which otherwise starts by itself
#[derive(Args, Debug)]
pub struct Daemon {
    #[command(subcommand)]
    pub action: Action,
}

#[derive(Subcommand, Debug)]
pub enum Action {
    /// Starts it, if it does not run
    Start,
    /// Syncs and ends it
    Stop,
    /// Says whether it runs and how it does; exit code 1 if it does not run
    Status {
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Prints the end of its log
    Logs {
        /// Lines to print
        #[arg(short = 'n', long, value_name = "N", default_value_t = 200)]
        lines: usize,
    },
}

impl Daemon {
    pub fn run(self, quiet: bool) -> Result<u8> {
        match self.action {
            Action::Start => begin(quiet),
            Action::Stop => stop(quiet),
            Action::Status { json } => status(json, quiet),
            Action::Logs { lines } => logs(lines),
        }
    }
}

fn ask_status(session: &mut Session) -> Result<DaemonStatus> {
    match session.once(&AdminRequest::Status, &mut |_| {})? {
        (AdminReply::Status(status), _) => Ok(status),
        _ => Err(CliError::Unexpected { request: "Status" }),
    }
}

fn begin(quiet: bool) -> Result<u8> {
    let mut session = Session::open(quiet)?;
    let status = ask_status(&mut session)?;
    say(&format!("{DAEMON_FILE} runs, process {}", status.pid))
}

fn say(line: &str) -> Result<u8> {
    let mut out = Output::new();
    out.line(line)?;
    out.finish()?;
    Ok(0)
}

/// What `--json` prints when it runs.
#[derive(Serialize)]
struct Running<'a> {
    running: bool,
    #[serde(flatten)]
    status: &'a DaemonStatus,
}

#[derive(Serialize)]
struct NotRunning {
    running: bool,
    pid: Option<u32>,
}

fn status(json: bool, quiet: bool) -> Result<u8> {
    let status = match Session::running(quiet)? {
        Some(mut session) => match ask_status(&mut session) {
            Ok(status) => Some(status),
            // It ended between the two.
            Err(CliError::Client(error)) if start::is_lost(&error) => None,
            Err(error) => return Err(error),
        },
        None => None,
    };
    let mut out = Output::new();
    match &status {
        Some(status) if json => out.json(&Running { running: true, status })?,
        None if json => out.json(&NotRunning { running: false, pid: None })?,
        Some(status) => print(&mut out, status)?,
        None => out.line("the daemon does not run; it starts by itself, or: vrift daemon start")?,
    }
    out.finish()?;
    Ok(u8::from(status.is_none()))
}

fn print(out: &mut Output, status: &DaemonStatus) -> Result<()> {
    out.line(&format!(
        "{DAEMON_FILE} {} runs, process {}, up {}, protocol {}",
        status.version,
        status.pid,
        uptime(status.uptime_ms),
        status.protocol
    ))?;
    out.line(&format!(
        "store {}: {}, journal {}",
        path_text(&status.store),
        size(status.store_bytes),
        size(status.journal_bytes)
    ))?;
    out.line(&format!("{} with {}", count(status.blobs, "blob", "blobs"), size(status.blob_bytes)))?;
    out.line(&format!(
        "{}, {} answered",
        count(status.connections, "connection", "connections"),
        count(status.requests, "request", "requests")
    ))?;
    for workspace in &status.workspaces {
        let entries = count(workspace.vnodes, "entry", "entries");
        out.line(&format!("workspace {} at {}: {entries}", workspace.name, path_text(&workspace.view)))?;
    }
    match &status.poisoned {
        Some(why) => out.line(&format!("the store takes no more changes: {why}")),
        None => Ok(()),
    }
}

fn uptime(ms: u64) -> String {
    let seconds = ms / 1000;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

fn stop(quiet: bool) -> Result<u8> {
    let Some(places) = Places::existing()? else { return say("the daemon does not run") };
    let pid = pid_of(&places);
    let mut unsynced = None;
    match Session::running(quiet) {
        Ok(Some(mut session)) => match session.once(&AdminRequest::Stop, &mut |_| {}) {
            Ok((AdminReply::StoppedUnsynced { why }, _)) => unsynced = Some(why),
            Ok(_) => {}
            // It was ending already.
            Err(CliError::Client(error)) if start::is_lost(&error) => {}
            Err(error) => return Err(error),
        },
        Ok(None) => return say("the daemon does not run"),
        // One from another version knows this signal at least.
        Err(CliError::Version { theirs }) => {
            let Some(pid) = pid else { return Err(CliError::Version { theirs }) };
            kill(pid, Signal::SIGTERM).map_err(|errno| CliError::path(places.pid_file(), errno))?;
        }
        Err(error) => return Err(error),
    }
    wait_for_end(&places, pid)?;
    match unsynced {
        None => say("the daemon has synced and stopped"),
        Some(why) => Err(CliError::StoppedUnsynced { why }),
    }
}

/// The process in the pid file, if it is a daemon.
fn pid_of(places: &Places) -> Option<Pid> {
    let pid: i32 = fs::read_to_string(places.pid_file()).ok()?.trim().parse().ok()?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    (name.trim() == DAEMON_FILE).then(|| Pid::from_raw(pid))
}

fn wait_for_end(places: &Places, pid: Option<Pid>) -> Result<()> {
    let started = Instant::now();
    loop {
        let gone = match pid {
            Some(pid) => kill(pid, None) == Err(Errno::ESRCH),
            None => matches!(start::connect(places), Ok(None)),
        };
        if gone {
            return Ok(());
        }
        if started.elapsed() > STOP_TIMEOUT {
            return Err(CliError::NotStopped { after_s: STOP_TIMEOUT.as_secs(), log: places.log() });
        }
        std::thread::sleep(STOP_PAUSE);
    }
}

fn logs(lines: usize) -> Result<u8> {
    let Some(places) = Places::existing()? else { return no_log(None) };
    let log = places.log();
    let text = match fs::read(&log) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return no_log(Some(&log)),
        Err(source) => return Err(CliError::Runtime { path: log, source }),
    };
    let all: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let mut out = Output::new();
    for line in all.iter().skip(all.len().saturating_sub(lines)) {
        out.bytes(line)?;
    }
    out.finish()?;
    Ok(0)
}

fn no_log(log: Option<&Path>) -> Result<u8> {
    match log {
        Some(log) => say!("vrift: there is no log yet at {}", escape_path(log)),
        None => say!("vrift: there is no log yet: no daemon was ever started here"),
    }
    Ok(1)
}
