//! What is remembered of runs, on the wire: rows of `vrift history`, `vrift stats` and `vrift report`.

use crate::admin::PathBytes;
use serde::{Deserialize, Serialize};

/// What the command line knows of a run that is over.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RunReport {
    /// The command and its arguments, as far as [`COMMAND_LEN_MAX`].
    pub command: Vec<PathBytes>,
    pub cwd: PathBytes,
    pub exit_code: i32,
    /// ns since 1970.
    pub began_ns: i64,
    /// Of the command, without taking in and syncing.
    pub elapsed_ms: u64,
}

/// Bytes of a command that are remembered: it must fit a frame, in which a byte takes up to six.
pub const COMMAND_LEN_MAX: usize = 4096;

/// A run that is over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRow {
    pub number: i64,
    pub workspace: String,
    pub command: Vec<PathBytes>,
    pub cwd: PathBytes,
    /// ns since 1970.
    pub began_ns: i64,
    pub elapsed_ms: u64,
    pub exit_code: i32,
    pub processes: u64,
    /// Of these, those of which no more is known.
    pub unlisted: u64,
    pub files_changed: u64,
    /// Bytes that the store did not have before.
    pub new_bytes: u64,
    /// Of the whole store, when the run was over.
    pub store_bytes: u64,
}

/// A process of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub pid: u32,
    /// The first bytes of the command, at most 200.
    pub command: PathBytes,
    /// Since the run began: its first look at the view.
    pub began_us: u64,
    /// From there to its end.
    pub elapsed_us: u64,
    /// When it ended is not known: it was there at most until the end of the run, to which `elapsed_us` goes.
    pub open_ended: bool,
}

/// A file that a run changed, as it was when the run was over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    pub path: PathBytes,
    pub bytes: u64,
}

/// Everything that is remembered of one run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RunDetail {
    pub run: RunRow,
    /// Of processes, by their beginning; a part of them.
    pub spans: Vec<Span>,
    /// By path; a part of them.
    pub touched: Vec<Touched>,
}

/// Sums of one workspace.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ProjectStats {
    pub workspace: String,
    pub view: PathBytes,
    /// Nobody has entered it yet: its files are not counted.
    pub asleep: bool,
    pub files: u64,
    pub bytes: u64,
    pub runs: u64,
    pub failed_runs: u64,
    pub elapsed_ms: u64,
    pub new_bytes: u64,
}

/// Sums of everything.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Stats {
    pub store_bytes: u64,
    pub journal_bytes: u64,
    pub blobs: u64,
    /// Of content, each once.
    pub blob_bytes: u64,
    pub snapshots: u64,
    /// By bytes, the largest first; a part of them.
    pub projects: Vec<ProjectStats>,
    /// Of all workspaces.
    pub files: u64,
    pub bytes: u64,
    pub runs: u64,
    pub failed_runs: u64,
    /// Path look-ups of processes in workspaces, and their requests to the daemon, since the machine was started.
    pub lookups: u64,
    pub requests: u64,
    /// Contents of files that came since the daemon was started, and those among them that the store had.
    pub contents: u64,
    pub known_contents: u64,
}
