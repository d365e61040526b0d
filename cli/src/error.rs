//! What can go wrong for a command: each error has a class, which is its exit code, and a next step.

use crate::text::{escape_path, say};
use nix::errno::Errno;
use std::io;
use std::path::PathBuf;
use vrift_protocol::admin::Failure;
use vrift_protocol::client::ClientError;

/// The most lines an error has on stderr.
const LINES_MAX: usize = 3;

#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// A reply of the daemon, which says class and next step itself.
    #[error("{what}")]
    Refused { failure: Failure, what: String, hint: String },
    #[error("cannot use the state folder {}: {source}", escape_path(path))]
    Home { path: PathBuf, source: io::Error },
    #[error("{name} is not installed beside {}", escape_path(beside))]
    NotInstalled { name: &'static str, beside: PathBuf },
    #[error("cannot preload {}: ld.so takes no path with a colon or a blank in it", escape_path(path))]
    Unpreloadable { path: PathBuf },
    #[error("cannot start {}: {source}", escape_path(path))]
    Spawn { path: PathBuf, source: io::Error },
    #[error("the daemon did not start: {what}")]
    NotStarted { what: String, log: PathBuf },
    #[error(
        "the daemon that runs speaks protocol version {theirs}, this vrift speaks {}",
        vrift_protocol::PROTOCOL_VERSION
    )]
    Version { theirs: String },
    #[error("{0}")]
    Client(#[from] ClientError),
    #[error("the daemon answered {request} with something else")]
    Unexpected { request: &'static str },
    #[error("no workspace holds {}", escape_path(dir))]
    NoWorkspace { dir: PathBuf, known: Vec<String> },
    #[error("there is no workspace named {name}")]
    NoSuchWorkspace { name: String, known: Vec<String> },
    #[error("{} is not inside the workspace at {}", escape_path(path), escape_path(view))]
    OutsideView { path: PathBuf, view: PathBuf },
    #[error("cannot use the runtime folder: {}: {source}", escape_path(path))]
    Runtime { path: PathBuf, source: io::Error },
    #[error("the daemon has not stopped after {after_s} s")]
    NotStopped { after_s: u64, log: PathBuf },
    #[error(
        "the daemon has stopped; its store failed before, and what was not synced by then is lost: {why}"
    )]
    StoppedUnsynced { why: String },
    #[error("{}: {source}", escape_path(path))]
    Path { path: PathBuf, source: io::Error },
    /// stdout; a closed pipe is no error to the user, see [`CliError::is_broken_pipe`].
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
    #[error("{what}")]
    Usage { what: String, hint: String },
}

pub type Result<T> = std::result::Result<T, CliError>;

impl CliError {
    /// An `errno` or I/O error at a path that the user named.
    pub fn path(path: impl Into<PathBuf>, source: impl Into<io::Error>) -> CliError {
        CliError::Path { path: path.into(), source: source.into() }
    }

    pub fn failure(&self) -> Failure {
        match self {
            CliError::Refused { failure, .. } => *failure,
            CliError::NoWorkspace { .. } | CliError::NoSuchWorkspace { .. } => Failure::Negative,
            CliError::OutsideView { .. } | CliError::Path { .. } | CliError::Usage { .. } => Failure::Input,
            _ => Failure::Store,
        }
    }

    /// The exit code of `cli.md`.
    pub fn exit_code(&self) -> u8 {
        match self.failure() {
            Failure::Negative => 1,
            Failure::Input => 2,
            Failure::Store => 3,
        }
    }

    /// Whoever read our output has seen enough.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, CliError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// What to do next; may be empty.
    pub fn hint(&self) -> String {
        let known = |names: &[String]| match names {
            [] => "there is none yet: vrift ingest DIR makes one".to_string(),
            names => format!("there are: {}; choose one with -w, or vrift ingest DIR", names.join(", ")),
        };
        match self {
            CliError::Refused { hint, .. } | CliError::Usage { hint, .. } => hint.clone(),
            CliError::Home { .. } => "set VRIFT_HOME to a folder that you may write".into(),
            CliError::NotInstalled { .. } => {
                "vrift, vriftd and libvrift_shim.so belong into one folder, or the last two into ../lib/vrift"
                    .into()
            }
            CliError::Unpreloadable { .. } => "install vrift under another path".into(),
            CliError::Spawn { .. } => "check the installation: vrift doctor".into(),
            CliError::NotStarted { log, .. } | CliError::NotStopped { log, .. } => match log.is_file() {
                true => format!("its log is {}; vrift doctor checks the rest", escape_path(log)),
                false => "vrift doctor checks what it needs".to_string(),
            },
            CliError::StoppedUnsynced { .. } => "vrift fsck tells what the store has".into(),
            CliError::Runtime { .. } => "set XDG_RUNTIME_DIR to a folder that you may write".into(),
            CliError::Version { .. } => "end it with: vrift daemon stop".into(),
            CliError::Client(ClientError::Connect { source: Errno::ENAMETOOLONG, .. }) => {
                "set XDG_RUNTIME_DIR to a folder with a shorter path".into()
            }
            CliError::Client(_) | CliError::Unexpected { .. } => {
                "what happened is in: vrift daemon logs".into()
            }
            CliError::NoWorkspace { known: names, .. } | CliError::NoSuchWorkspace { known: names, .. } => {
                known(names)
            }
            CliError::OutsideView { .. } => {
                "give a path inside it, or choose another workspace with -w".into()
            }
            CliError::Path { .. } | CliError::Output(_) => String::new(),
        }
    }

    /// At most three lines for stderr: what and where, then what to do next.
    pub fn report(&self) {
        let what = self.to_string();
        let hint = self.hint();
        let hints: Vec<&str> = hint.lines().filter(|line| !line.trim().is_empty()).collect();
        let room = LINES_MAX.saturating_sub(hints.len()).max(1);
        let lines =
            what.lines().filter(|line| !line.trim().is_empty()).take(room).chain(hints).take(LINES_MAX);
        let lines: Vec<&str> = lines.collect();
        say!("vrift: {}", lines.join("\n  "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_the_contract() {
        let refused = |failure| CliError::Refused { failure, what: String::new(), hint: String::new() };
        assert_eq!(refused(Failure::Negative).exit_code(), 1);
        assert_eq!(refused(Failure::Input).exit_code(), 2);
        assert_eq!(refused(Failure::Store).exit_code(), 3);
        let home = CliError::Home { path: "/x".into(), source: io::Error::other("x") };
        assert_eq!(home.exit_code(), 3);
    }
}
