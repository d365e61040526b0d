//! `vrift run`: a command in the view.

use super::taken;
use crate::child::{Signalled, exit_code};
use crate::error::{CliError, Result};
use crate::session::Session;
use crate::strict::{NOT_STRICT, Strict};
use crate::target::{Place, Which, current_dir};
use crate::text::{count, escape, say, size};
use crate::times::{RunTimes, SOURCE_DATE_EPOCH};
use crate::watch::Watch;
use crate::{in_view, install, program, view_env};
use clap::Args;
use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use vrift_protocol::admin::{PathBytes, RunEnd, View};
use vrift_protocol::history::{COMMAND_LEN_MAX, RunReport};
use vrift_protocol::names;

/// The mirror folder of a view's root: vnode slot 1, generation 0 (RFC 0001).
const ROOT_MIRROR: &str = "0000000000000001";

/// Runs a command in the workspace's view, and syncs at the end
///
/// Without -w: the workspace that holds the current directory, which is taken in if there is none. What changed
/// in the real directory is taken in first.
#[derive(Args, Debug)]
pub struct Run {
    #[command(flatten)]
    pub which: Which,
    #[command(flatten)]
    pub place: Place,
    /// Refuse system calls on the view that programs make by themselves: exit code 125 when there was one
    #[arg(long)]
    pub strict: bool,
    /// The command and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<OsString>,
}

impl Run {
    pub fn run(self, quiet: bool) -> Result<u8> {
        let started = Instant::now();
        let mut session = Session::open_for_run(quiet)?;
        let (view, cwd) = enter(&mut session, &self.which, &self.place, true, quiet)?;
        let strict = match self.strict {
            true => Some(watch_calls(&session, &view)?),
            false => None,
        };
        let times = RunTimes::of(&mut session, &view)?;
        InView { session, view, cwd, quiet, started, strict, times }.run(&self.command, &[])
    }
}

fn watch_calls(session: &Session, view: &View) -> Result<Strict> {
    let exempt = vec![install::own_binary()?, install::shim_library()?];
    let home = &session.places.home;
    Strict::new(view.view.as_path(), home, exempt)
        .map_err(|source| CliError::Path { path: "seccomp".into(), source })
}

/// Enters the view that is meant; also returns the current directory, as it is called there.
pub fn enter(
    session: &mut Session,
    which: &Which,
    place: &Place,
    run: bool,
    quiet: bool,
) -> Result<(View, PathBuf)> {
    view_env::check_variables()?;
    let cwd = current_dir()?;
    let target = which.target(&cwd);
    let at = place.resolve()?;
    let mut view = session.enter(target, !is_too_much(&cwd), run)?;
    taken::announce(&view.taken, quiet);
    let Some(at) = at else { return Ok((view, cwd)) };
    let below = cwd.strip_prefix(view.view.as_path()).or_else(|_| cwd.strip_prefix(&at));
    let cwd = below.map_or_else(|_| at.clone(), |below| at.join(below));
    view.view = at.into();
    Ok((view, cwd))
}

/// Whether a directory must be named to be taken in: nobody means all of these by standing in them.
fn is_too_much(dir: &Path) -> bool {
    let home = env::var_os("HOME").and_then(|home| Path::new(&home).canonicalize().ok());
    dir == Path::new("/") || home.is_some_and(|home| home == dir)
}

/// A run that the daemon knows of.
pub struct InView {
    pub session: Session,
    pub view: View,
    pub cwd: PathBuf,
    pub quiet: bool,
    pub started: Instant,
    pub strict: Option<Strict>,
    pub times: RunTimes,
}

impl InView {
    /// Runs `command` with `variables` on top of the view's own; the exit code of `vrift`.
    pub fn run(mut self, command: &[OsString], variables: &[(&str, OsString)]) -> Result<u8> {
        let signals = Signalled::new().map_err(|source| self.cannot_start(command, source))?;
        let mut child = match self.start(&signals, command, variables) {
            Ok(child) => child,
            Err(CliError::Spawn { source, .. }) if !self.view.cwd.as_path().is_dir() => {
                return Err(CliError::Runtime { path: self.view.cwd.to_path_buf(), source });
            }
            Err(CliError::Spawn { path, source }) => {
                return Ok(in_view::explain(path.as_os_str(), &source));
            }
            Err(error) => return Err(error),
        };
        let (began, clock) = (SystemTime::now(), Instant::now());
        let strict = self.strict.take();
        let cwd = PathBytes::from(self.cwd.clone());
        let name = self.view.workspace.clone();
        let status = signals
            .wait(&mut child, &mut Watch::new(&mut self.session, &name))
            .map_err(|source| CliError::Spawn { path: PathBuf::from(&command[0]), source })?;
        let code = match strict.is_none_or(Strict::finish) {
            true => exit_code(status),
            false => NOT_STRICT,
        };
        let remembered = Some(RunReport {
            command: beginning_of(command),
            cwd,
            exit_code: i32::from(code),
            began_ns: began.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64),
            elapsed_ms: clock.elapsed().as_millis() as u64,
        });
        let times = self.times;
        let end = self.session.leave(&name, remembered, times.dates());
        let end = end.and_then(|end| times.report(&end).map(|()| end));
        let synced = report(&end, self.started, self.quiet);
        Ok(if code == 0 && !synced { 3 } else { code })
    }

    fn cannot_start(&self, command: &[OsString], source: std::io::Error) -> CliError {
        CliError::Spawn { path: PathBuf::from(&command[0]), source }
    }

    fn start(
        &self,
        signals: &Signalled,
        command: &[OsString],
        variables: &[(&str, OsString)],
    ) -> Result<Child> {
        let view = self.view.view.to_path_buf();
        let dir = self.wanted_dir(&view);
        let [name, args @ ..] = command else {
            return Err(CliError::Usage { what: "no command was given".into(), hint: String::new() });
        };
        if dir.is_none()
            && let Some(file) = program::direct(name, &view)
        {
            let mut direct = Command::new(file);
            direct.arg0(name).args(args);
            self.put_into_view(&mut direct, variables)?;
            return signals.spawn(&mut direct).map_err(|source| self.cannot_start(command, source));
        }
        let own = install::own_binary()?;
        let mut through = Command::new(&own);
        through.arg(in_view::EXEC).arg(dir.as_deref().unwrap_or(Path::new(""))).args(command);
        self.put_into_view(&mut through, variables)?;
        signals.spawn(&mut through).map_err(|source| CliError::Spawn { path: own, source })
    }

    /// The directory that the command must go to by itself: for a workspace chosen by name the daemon prepares
    /// its root, and the current directory may be below it.
    fn wanted_dir(&self, view: &Path) -> Option<PathBuf> {
        let below = self.cwd != view && self.cwd.starts_with(view);
        (self.starts_at_root() && below).then(|| self.cwd.clone())
    }

    fn starts_at_root(&self) -> bool {
        self.view.cwd.as_path().file_name() == Some(OsStr::new(ROOT_MIRROR))
    }

    fn put_into_view(&self, command: &mut Command, variables: &[(&str, OsString)]) -> Result<()> {
        command.envs(view_env::variables(&self.view, &self.session.places)?);
        let view = self.view.view.as_path();
        command.env("PWD", if self.starts_at_root() { view } else { &self.cwd });
        if let Some(clamp_s) = self.times.clamp_s {
            command.env(SOURCE_DATE_EPOCH, clamp_s.to_string());
        }
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.view.cwd.as_path());
        if let Some(strict) = &self.strict {
            // All calls of all processes are looked at already.
            command.env(names::ENV_SAMPLE, "0");
            strict.watch(command);
        }
        Ok(())
    }
}

/// The command as far as the history has room for it.
fn beginning_of(command: &[OsString]) -> Vec<PathBytes> {
    let mut room = COMMAND_LEN_MAX;
    let mut parts = Vec::new();
    for part in command {
        let bytes = part.as_bytes();
        parts.push(PathBytes::from(&bytes[..bytes.len().min(room)]));
        room = room.saturating_sub(bytes.len() + 1);
        if room == 0 {
            break;
        }
    }
    parts
}

/// Says how the run ended; whether all of it is safe.
fn report(end: &Result<RunEnd>, started: Instant, quiet: bool) -> bool {
    let end = match end {
        Ok(end) => end,
        Err(error) => {
            say!("vrift: the command is over, but its result may not be synced:");
            error.report();
            return false;
        }
    };
    let seconds = started.elapsed().as_secs_f64();
    if !end.synced {
        say!("vrift: the result was not synced: the store refused it; see: vrift daemon status");
    }
    for own in &end.own_calls {
        let at = if own.path.0.is_empty() { "" } else { " " };
        say!(
            "vrift: {} made {} of its own on the view, unseen ({}{at}{}): see 'vrift run --strict'",
            escape(&own.program.0),
            count(own.times, "system call", "system calls"),
            own.call,
            escape(&own.path.0)
        );
    }
    if !quiet {
        say!(
            "vrift: {}, {} changed, {} new, {}, {seconds:.2} s",
            count(end.processes, "process", "processes"),
            count(end.files_changed, "file", "files"),
            size(end.new_bytes),
            if end.synced { "synced" } else { "not synced" }
        );
    }
    end.synced
}
