//! The first process: starts the serving one and starts it again when a signal ends it.

use crate::args::Args;
use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, setsid};
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A log longer than this is put aside at the next start, in place of the one before.
pub const LOG_LEN_MAX_BYTES: u64 = 1 << 20;
/// More deaths by signal than this within [`RESTART_WINDOW`] mean that a restart does not help.
const RESTARTS_MAX: usize = 60;
const RESTART_WINDOW: Duration = Duration::from_secs(60);
/// A process that died this soon is restarted with a pause, so that a crash loop does not eat the machine.
const YOUNG: Duration = Duration::from_millis(500);
const YOUNG_PAUSE: Duration = Duration::from_millis(50);

/// Runs until the serving process ends in an orderly way; its exit code.
pub fn supervise(args: &Args, home: &Path, log: &Path) -> Result<i32> {
    // Fails only for a group leader, which is detached from its starter's group anyway.
    let _ = setsid();
    close_inherited(args.ready_fd);
    detach_stdio(log)?;
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_set_mask().context("cannot block signals")?;

    let mut ready_fd = args.ready_fd;
    let mut deaths = VecDeque::new();
    loop {
        let started = Instant::now();
        let mut child = start(args, home, ready_fd)?;
        if let Some(fd) = ready_fd.take() {
            let _ = nix::unistd::close(fd);
        }
        let status = wait(&mut child, &signals)?;
        let Some(signal) = status.signal() else { return Ok(status.code().unwrap_or(3)) };
        eprintln!("vriftd: the serving process was ended by signal {signal}; starting it again");
        deaths.push_back(started);
        while deaths.front().is_some_and(|death| death.elapsed() > RESTART_WINDOW) {
            deaths.pop_front();
        }
        if deaths.len() > RESTARTS_MAX {
            eprintln!("vriftd: {RESTARTS_MAX} deaths within {RESTART_WINDOW:?}: giving up");
            return Ok(3);
        }
        if started.elapsed() < YOUNG {
            std::thread::sleep(YOUNG_PAUSE);
        }
    }
}

/// What the starter happened to have open (a jobserver's pipe, somebody's lock) must not stay open with the daemon.
/// The ends of this process's own reading of the list are gone by the time they are closed.
fn close_inherited(keep: Option<i32>) {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let fds: Vec<i32> = names.collect();
    for fd in fds.into_iter().filter(|fd| *fd > 2 && Some(*fd) != keep) {
        let _ = nix::unistd::close(fd);
    }
}

/// From here on messages go to the log, and the starter's terminal or pipes are let go.
fn detach_stdio(log: &Path) -> Result<()> {
    let out = OpenOptions::new().create(true).append(true).mode(0o600).open(log);
    let out = out.with_context(|| format!("cannot open the log {}", log.display()))?;
    dup2_stdin(File::open("/dev/null")?)?;
    dup2_stdout(&out)?;
    dup2_stderr(&out)?;
    Ok(())
}

fn start(args: &Args, home: &Path, ready_fd: Option<i32>) -> Result<Child> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new(program);
    command.arg("--serve").arg("--home").arg(home).current_dir("/").stdin(Stdio::null());
    if let Some(store) = &args.store {
        command.arg("--store").arg(store);
    }
    if let Some(fd) = ready_fd {
        command.arg("--ready-fd").arg(fd.to_string());
        // One that goes on after a death is in use: it does not ask again.
        command.args(args.for_programs.then_some("--for-programs"));
    }
    command.spawn().context("cannot start the serving process")
}

/// Waits for the child's end and passes requests to end on to it.
fn wait(child: &mut Child, signals: &SigSet) -> Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        let signal = signals.wait().context("cannot wait for signals")?;
        if signal != Signal::SIGCHLD {
            let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
        }
    }
}
