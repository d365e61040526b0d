//! `vrift __unreached`: runs a program that the preload library cannot reach in the workspace's worktree, an
//! ordinary directory, and has what it changed there taken in when it is over. The preload library executes this
//! in the program's place; not for users.

use crate::error::{CliError, Result};
use crate::in_view;
use crate::namespace::{self, Missing};
use crate::session::Session;
use crate::sys;
use crate::text::{escape, say};
use nix::errno::Errno;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, pthread_sigmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use vrift_protocol::admin::{AdminReply, AdminRequest, Problem, Taken, Worktree};
use vrift_protocol::names;

/// First argument of the hidden command.
pub const UNREACHED: &str = "__unreached";
/// The library's word for a program that runs with other rights than its parent.
const OTHER_RIGHTS: &[u8] = b"other-rights";
/// The program's changes could not be taken in, or it could not be given its files.
const UNUSABLE: u8 = 3;
/// Passed on when they were sent to this process alone; the terminal sends its own to both.
const PASSED_ON: [Signal; 8] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGWINCH,
];
/// Problems that are named; the rest is counted.
const NAMED_MAX: usize = 5;

/// What the program is to be called, and where it is.
struct Program<'a> {
    /// Why the library cannot reach it: words after its name.
    why: &'a OsStr,
    path: &'a OsStr,
    arg0: &'a OsStr,
    args: &'a [OsString],
}

/// `WHY PROGRAM ARGV0 ARGS...`; the exit code. Ends by the signal that ended the program.
pub fn run(args: &[OsString]) -> u8 {
    let [why, path, arg0, args @ ..] = args else {
        say!("vrift: {UNREACHED} is started by the preload library");
        return 2;
    };
    match run_program(&Program { why, path, arg0, args }) {
        Ok(code) => code,
        Err(error) => {
            error.report();
            UNUSABLE
        }
    }
}

fn run_program(program: &Program<'_>) -> Result<u8> {
    let workspace = env::var(names::ENV_WORKSPACE).unwrap_or_default();
    let view = PathBuf::from(env::var_os(names::ENV_VIEW).unwrap_or_default());
    let mut session = Session::of_view()?;
    let worktree = prepare(&mut session, &workspace, program)?;
    let tree = worktree.dir.to_path_buf();
    session.start_no_daemon();
    // One that gets other rights gets none in a user namespace.
    let place = match program.why.as_bytes() == OTHER_RIGHTS {
        true => Err(None),
        false => namespace::show_at(&tree, &view).map_err(Some),
    };
    if worktree.first {
        warn(program, &place);
    }
    let root = if place.is_ok() { &view } else { &tree };
    if let Some(cwd) = &worktree.cwd {
        let dir = root.join(cwd.as_path());
        env::set_current_dir(&dir).map_err(|source| CliError::Path { path: dir, source })?;
    }
    let path = in_tree(program.path, &view, root);
    let mut command = Command::new(&path);
    command.arg0(program.arg0).args(program.args);
    command.env_remove(names::ENV_PASSIVE);
    match place {
        Ok(()) => leave_view(&mut command),
        // What it starts, and the library reaches, is turned away from the real directory.
        Err(_) => {
            command.env(names::ENV_WORKTREE, &tree);
        }
    }
    let signals = Signals::new()?;
    sys::tie(&mut command, signals.before);
    let status = match command.spawn() {
        Ok(child) => signals.wait(&child)?,
        Err(error) => {
            // Nothing was changed, but the daemon is told that nobody is at work.
            take_back(&mut session, &workspace)?;
            return Ok(in_view::explain(program.path, &error));
        }
    };
    let complete = take_back(&mut session, &workspace)?;
    signals.restore();
    match status {
        WaitStatus::Signaled(_, signal, _) => {
            // The program left its core itself.
            let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
            sys::die_by(signal);
            Ok(128 + signal as u8)
        }
        WaitStatus::Exited(_, 0) if !complete => Ok(UNUSABLE),
        WaitStatus::Exited(_, code) => Ok(u8::try_from(code & 0xff).unwrap_or(u8::MAX)),
        _ => Ok(UNUSABLE),
    }
}

fn prepare(session: &mut Session, workspace: &str, program: &Program<'_>) -> Result<Worktree> {
    let request = AdminRequest::Worktree {
        workspace: workspace.into(),
        // A directory that was removed: it is no place in the worktree either.
        cwd: env::current_dir().unwrap_or_default().into(),
        program: program.path.as_bytes().into(),
    };
    match session.ask(&request, &mut |_| {})?.0 {
        AdminReply::Worktree(worktree) => Ok(worktree),
        _ => Err(CliError::Unexpected { request: "Worktree" }),
    }
}

/// What the preload library's word for why it cannot reach a program means.
fn words(why: &OsStr) -> &'static str {
    match why.as_bytes() {
        b"static" => "is statically linked",
        b"elf32" => "is a 32-bit program",
        b"foreign" => "is for another processor",
        b"other-loader" => "does not use glibc's loader",
        b"go" => "is a Go program, which makes its own system calls",
        b"loader-in-view" => "has its loader in the view",
        b"other-rights" => "runs with other rights",
        _ => "cannot be reached",
    }
}

/// Names the program, and says what it sees.
fn warn(program: &Program<'_>, place: &std::result::Result<(), Option<Missing>>) {
    let name = escape(program.path.as_bytes());
    let why = words(program.why);
    match place {
        Ok(()) => {
            say!("vrift: {name} {why}: it works on a copy of the workspace, and so does what it starts")
        }
        Err(missing) => {
            let missing = missing.as_ref().map_or(String::new(), |missing| format!(" ({missing})"));
            say!(
                "vrift: {name} {why}: by relative paths it works on a copy of the workspace, by absolute ones it sees the real files{missing}"
            );
        }
    }
}

/// Has the program's changes taken in; whether all of them were.
fn take_back(session: &mut Session, workspace: &str) -> Result<bool> {
    match session.ask(&AdminRequest::ReadBack { workspace: workspace.into() }, &mut |_| {})?.0 {
        AdminReply::Taken(Taken { skipped, conflicts, .. }) => {
            report(&skipped);
            report(&conflicts);
            Ok(skipped.is_empty())
        }
        _ => Err(CliError::Unexpected { request: "ReadBack" }),
    }
}

fn report(problems: &[Problem]) {
    for Problem { path, what } in problems.iter().take(NAMED_MAX) {
        say!("vrift: not taken in: {}: {what}", escape(&path.0));
    }
    if let more @ 1.. = problems.len().saturating_sub(NAMED_MAX) {
        say!("vrift: not taken in: {more} more");
    }
}

/// The path of a program: one of the view is below `root`.
fn in_tree(program: &OsStr, view: &Path, root: &Path) -> PathBuf {
    let path = Path::new(program);
    match path.strip_prefix(view) {
        Ok(rest) => root.join(rest),
        // A bare name would be searched for in PATH.
        Err(_) if !program.as_bytes().contains(&b'/') => Path::new(".").join(path),
        Err(_) => path.into(),
    }
}

/// The program and what it starts are in no view: they have ordinary files before them.
fn leave_view(command: &mut Command) {
    for name in [names::ENV_VIEW, names::ENV_RUNTIME, names::ENV_WORKSPACE] {
        command.env_remove(name);
    }
    let preload = env::var_os(names::ENV_PRELOAD).unwrap_or_default();
    let others: Vec<&[u8]> = preload
        .as_bytes()
        .split(|byte| matches!(byte, b':' | b' '))
        .filter(|path| !path.is_empty() && !path.ends_with(names::SHIM_FILE.as_bytes()))
        .collect();
    match others.is_empty() {
        true => command.env_remove(names::ENV_PRELOAD),
        false => command.env(names::ENV_PRELOAD, OsStr::from_bytes(&others.join(&b':'))),
    };
}

/// Signals of this process while the program runs.
struct Signals {
    fd: SignalFd,
    before: SigSet,
}

impl Signals {
    fn new() -> Result<Signals> {
        sys::hear_of_children();
        let mut wanted: SigSet = PASSED_ON.into_iter().collect();
        wanted.add(Signal::SIGCHLD);
        let mut before = SigSet::empty();
        let made = pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&wanted), Some(&mut before))
            .and_then(|()| SignalFd::with_flags(&wanted, SfdFlags::SFD_CLOEXEC));
        let failed = |errno: Errno| CliError::path("signalfd", errno);
        Ok(Signals { fd: made.map_err(failed)?, before })
    }

    fn restore(&self) {
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&self.before), None);
    }

    fn wait(&self, child: &Child) -> Result<WaitStatus> {
        let pid = Pid::from_raw(child.id().cast_signed());
        let failed = |errno: Errno| CliError::path("wait", errno);
        loop {
            match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => {}
                status => return status.map_err(failed),
            }
            let info = match self.fd.read_signal() {
                Ok(Some(info)) => info,
                Ok(None) | Err(Errno::EINTR) => continue,
                Err(errno) => return Err(failed(errno)),
            };
            // What the kernel sent by itself (a terminal) went to the program as well.
            let by_process = info.ssi_code <= 0;
            let signal = Signal::try_from(info.ssi_signo.cast_signed());
            if let (true, Ok(signal)) = (by_process, signal)
                && signal != Signal::SIGCHLD
            {
                let _ = kill(pid, signal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_the_view_is_the_one_in_the_worktree() {
        let path = |program| in_tree(OsStr::new(program), Path::new("/v"), Path::new("/t"));
        assert_eq!(path("/v/bin/x"), Path::new("/t/bin/x"));
        assert_eq!(path("/bin/x"), Path::new("/bin/x"));
        assert_eq!(path("/vx/y"), Path::new("/vx/y"));
        assert_eq!(path("x"), Path::new("./x"));
    }
}
