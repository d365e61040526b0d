//! Reaching the daemon, and starting it when nobody answers.

use crate::error::{CliError, Result};
use crate::install;
use crate::places::Places;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe2;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use vrift_protocol::client::{Client, ClientError};
use vrift_protocol::names;

/// What the daemon writes to its ready fd when it serves.
const READY: &str = "ok";
/// How long a start may take. It includes the recovery of the store, whose time is bounded by its journal.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long to wait for a daemon that another process is starting, or that restarts by itself.
const OTHER_START_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of the daemon's stderr that are read.
const SAID_MAX: u64 = 4096;
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// A connection to the daemon that runs; None: none does.
pub fn connect(places: &Places) -> Result<Option<Client>> {
    match Client::connect(&places.socket()) {
        Ok(client) => Ok(Some(client)),
        Err(error) if nobody_there(&error) => Ok(None),
        Err(error) => Err(of_version(error)),
    }
}

/// The error, which may be that the daemon is of another version.
pub fn of_version(error: ClientError) -> CliError {
    match error {
        ClientError::Version(theirs) => CliError::Version { theirs: theirs.to_string() },
        ClientError::Io(Errno::EPROTONOSUPPORT) => CliError::Version { theirs: "another".to_string() },
        error => error.into(),
    }
}

/// A connection to the daemon, which is started if needed.
pub fn ensure(places: &Places) -> Result<Client> {
    if let Some(client) = connect(places)? {
        return Ok(client);
    }
    match start(places)? {
        Start::Ready => {}
        // Whoever holds the lock is being started by another process, or has this moment ended.
        Start::Quiet => {
            if let Some(client) = await_daemon(places, OTHER_START_TIMEOUT)? {
                return Ok(client);
            }
            if let Start::Said(what) = start(places)? {
                return Err(CliError::NotStarted { what, log: places.log() });
            }
        }
        Start::Said(what) => {
            // Ours lost against another start?
            return match connect(places) {
                Ok(Some(client)) => Ok(client),
                _ => Err(CliError::NotStarted { what, log: places.log() }),
            };
        }
    }
    await_daemon(places, OTHER_START_TIMEOUT)?.ok_or_else(|| CliError::NotStarted {
        what: "it said that it was ready, but nobody answers at its socket".to_string(),
        log: places.log(),
    })
}

/// Connects as soon as somebody serves, within `limit`.
pub fn await_daemon(places: &Places, limit: Duration) -> Result<Option<Client>> {
    let started = Instant::now();
    loop {
        match connect(places) {
            Ok(Some(client)) => return Ok(Some(client)),
            Err(error @ CliError::Version { .. }) => return Err(error),
            Err(error) if started.elapsed() >= limit => return Err(error),
            Ok(None) if started.elapsed() >= limit => return Ok(None),
            // One that is going away while another comes up.
            Ok(None) | Err(_) => std::thread::sleep(RETRY_PAUSE),
        }
    }
}

/// Nobody serves the socket, or whoever did went away while it was asked.
fn nobody_there(error: &ClientError) -> bool {
    match error {
        ClientError::Connect { source, .. } => matches!(source, Errno::ENOENT | Errno::ECONNREFUSED),
        other => is_lost(other),
    }
}

/// The connection is gone; the request may or may not have been carried out.
pub fn is_lost(error: &ClientError) -> bool {
    matches!(error, ClientError::Closed | ClientError::Io(Errno::EPIPE | Errno::ECONNRESET | Errno::ENOTCONN))
}

/// How a start went.
enum Start {
    Ready,
    /// It ended in order and said nothing: another one holds the lock.
    Quiet,
    /// Why it did not start.
    Said(String),
}

fn start(places: &Places) -> Result<Start> {
    let daemon = install::daemon_binary()?;
    let failed = |source| CliError::Spawn { path: daemon.clone(), source };
    let (ready, theirs) = pipe2(OFlag::O_CLOEXEC).map_err(|errno| failed(errno.into()))?;
    fcntl(&theirs, FcntlArg::F_SETFD(FdFlag::empty())).map_err(|errno| failed(errno.into()))?;

    let mut command = Command::new(&daemon);
    command.arg("--home").arg(&places.home).arg("--ready-fd").arg(theirs.as_raw_fd().to_string());
    command.arg("--for-programs");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).current_dir("/");
    // The daemon must see real files even when this vrift runs inside a view. The preload library puts back
    // variables that are missing, so the view is named as what no path can be below.
    if std::env::var_os(names::ENV_VIEW).is_some() {
        command.env(names::ENV_VIEW, "none").env(names::ENV_RUNTIME, "none").env_remove(names::ENV_PRELOAD);
    }
    let mut child = command.spawn().map_err(failed)?;
    drop(theirs);

    let text = read_to_end(File::from(ready)).map_err(failed)?;
    Ok(match text.trim() {
        READY => Start::Ready,
        "" => silent_end(&mut child)?,
        text => Start::Said(text.to_string()),
    })
}

/// The daemon closed the ready fd without a word: it could not even get to its log, and said so on stderr,
/// which it lets go as soon as it has one.
fn silent_end(child: &mut Child) -> Result<Start> {
    let mut said = Vec::new();
    if let Some(stderr) = &mut child.stderr {
        // What cannot be read is as good as not said.
        let _ = stderr.take(SAID_MAX).read_to_end(&mut said);
    }
    let said = String::from_utf8_lossy(&said).trim().to_string();
    if !said.is_empty() {
        return Ok(Start::Said(said.strip_prefix("vriftd: ").unwrap_or(&said).to_string()));
    }
    let deadline = Instant::now() + Duration::from_secs(1);
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(Start::Quiet),
            Ok(Some(status)) => return Ok(Start::Said(format!("it ended without a word, {status}"))),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(RETRY_PAUSE),
            Ok(None) | Err(_) => return Ok(Start::Quiet),
        }
    }
}

/// Everything that the daemon says until it closes the fd, within [`START_TIMEOUT`].
fn read_to_end(mut ready: File) -> io::Result<String> {
    let deadline = Instant::now() + START_TIMEOUT;
    let mut said = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(ready.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) => return Ok(format!("it is not ready after {} s", START_TIMEOUT.as_secs())),
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        let mut buffer = [0; 4096];
        match ready.read(&mut buffer)? {
            0 => return Ok(String::from_utf8_lossy(&said).into_owned()),
            len => said.extend_from_slice(&buffer[..len]),
        }
    }
}
