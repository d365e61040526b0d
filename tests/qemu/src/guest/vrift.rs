//! vrift's programs, used as a user would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::say;

/// Where the daemon has its store, for all that is started.
static STORE: OnceLock<String> = OnceLock::new();

/// Longer takes nothing, also where each instruction is translated.
const LIMIT_S: &str = "300";
const DEATH_TIMEOUT: Duration = Duration::from_secs(60);
const LOG_LINES_SHOWN: usize = 40;

/// From here on the daemon uses `store`. With `init` an empty device is made one first, unless it was before.
pub fn use_store(store: &str, init: bool) -> Result<()> {
    STORE.set(store.to_string()).map_err(|_| anyhow!("the store is set already"))?;
    if init {
        let (code, text) = exit_of(daemon_command(&["--init"]))?;
        ensure!(code == 0 || text.contains("holds a store"), "vriftd --store {store} --init: {code}: {text}");
    }
    Ok(())
}

/// `vrift ARGS`, with a time limit.
pub fn command(args: &[&str]) -> Command {
    let mut command = unlimited(args);
    limit(&mut command);
    command
}

/// The same without a time limit.
pub fn unlimited(args: &[&str]) -> Command {
    with_store("vrift", args)
}

/// `vriftd --store STORE ARGS`, with a time limit.
pub fn daemon_command(args: &[&str]) -> Command {
    let mut command = with_store("vriftd", &[]);
    if let Some(store) = STORE.get() {
        command.args(["--store", store]);
    }
    command.args(args);
    limit(&mut command);
    command
}

fn with_store(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir("/").stdin(Stdio::null());
    if let Some(store) = STORE.get() {
        command.env("VRIFT_STORE", store);
    }
    command
}

fn limit(command: &mut Command) {
    let mut limited = Command::new("timeout");
    limited.args(["-k", "5", LIMIT_S]).arg(command.get_program()).args(command.get_args());
    limited.current_dir("/").stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            limited.env(name, value);
        }
    }
    *command = limited;
}

pub fn output(command: &mut Command) -> Result<Output> {
    command.output().with_context(|| format!("cannot start {command:?}"))
}

/// Exit code and what was printed to both.
pub fn exits(args: &[&str]) -> Result<(i32, String)> {
    exit_of(command(args))
}

/// The same of any command.
pub fn exit_of(mut command: Command) -> Result<(i32, String)> {
    let output = output(&mut command)?;
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let code = output.status.code().with_context(|| format!("{command:?} died: {}", output.status))?;
    Ok((code, text))
}

/// Runs to success; what it printed to standard output.
pub fn ok(args: &[&str]) -> Result<String> {
    let output = output(&mut command(args))?;
    succeeded(&args.join(" "), &output)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The same in a directory.
pub fn ok_in(dir: &str, args: &[&str]) -> Result<String> {
    let output = output(command(args).current_dir(dir))?;
    succeeded(&args.join(" "), &output)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn succeeded(shown: &str, output: &Output) -> Result<()> {
    if !output.status.success() {
        bail!("vrift {shown}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

pub fn home() -> PathBuf {
    PathBuf::from(std::env::var_os("VRIFT_HOME").unwrap_or_else(|| "/run/home".into()))
}

fn runtime() -> PathBuf {
    vrift_protocol::locate::runtime_dir(&home())
}

/// The daemon's socket.
pub fn socket() -> PathBuf {
    runtime().join(vrift_protocol::names::SOCKET_FILE)
}

/// Ends the serving process at once; the next request meets its successor.
pub fn kill_daemon() -> Result<()> {
    let file = runtime().join(vrift_protocol::names::PID_FILE);
    let pid = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let pid: i32 = pid.trim().parse().context("the daemon's pid file has no number")?;
    kill(Pid::from_raw(pid), Signal::SIGKILL).context("cannot end the daemon")?;
    let until = Instant::now() + DEATH_TIMEOUT;
    while is_alive(pid) {
        ensure!(Instant::now() < until, "the daemon does not die");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// A dead process that nobody waited for yet holds nothing any more.
fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().and_then(|rest| rest.trim().chars().next()).is_some_and(|state| state != 'Z')
}

/// The end of the daemon's log.
pub fn show_log() {
    let path: PathBuf = runtime().join(vrift_protocol::names::LOG_FILE);
    show(&path);
}

fn show(path: &Path) {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..] {
        say::line(&format!("log: {line}"));
    }
}
