//! Requests of the command line: JSON in [`crate::Op::Admin`] frames.
//!
//! A request is one frame. Its answer is any number of frames with [`crate::frame::FLAG_MORE`] (progress or
//! rows) and a last one without; each carries one JSON-encoded [`AdminReply`]. Paths are bytes on the wire,
//! as serde encodes [`PathBytes`].

use crate::history::{RunReport, RunRow, Span, Stats, Touched};
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A path or name that need not be UTF-8: a plain string in JSON when it is UTF-8, else an array of bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PathBytes(pub Vec<u8>);

impl PathBytes {
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }
    pub fn to_path_buf(&self) -> PathBuf {
        PathBuf::from(OsString::from_vec(self.0.clone()))
    }
}
impl From<&Path> for PathBytes {
    fn from(path: &Path) -> Self {
        PathBytes(path.as_os_str().as_bytes().to_vec())
    }
}
impl From<PathBuf> for PathBytes {
    fn from(path: PathBuf) -> Self {
        PathBytes(path.into_os_string().into_vec())
    }
}
impl From<&[u8]> for PathBytes {
    fn from(bytes: &[u8]) -> Self {
        PathBytes(bytes.to_vec())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum PathWire<'a> {
    Text(std::borrow::Cow<'a, str>),
    Bytes(std::borrow::Cow<'a, [u8]>),
}

impl Serialize for PathBytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => PathWire::Text(text.into()),
            Err(_) => PathWire::Bytes((&self.0[..]).into()),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PathBytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(PathBytes(match PathWire::deserialize(deserializer)? {
            PathWire::Text(text) => text.into_owned().into_bytes(),
            PathWire::Bytes(bytes) => bytes.into_owned(),
        }))
    }
}

/// Which workspace a request means.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Target {
    /// By name (`-w W`).
    Name(String),
    /// The workspace whose view path holds this absolute, symlink-free directory.
    Holding(PathBytes),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum AdminRequest {
    /// Who answers, and how it does: version, pid, store.
    Status,
    /// Everything `doctor` asks of the daemon.
    Doctor,
    /// Syncs, then ends the daemon.
    Stop,
    /// Names of workspaces with their view paths.
    Workspaces,
    /// Reads `dir` (absolute, no symlinks) into the workspace `name` (default: folder name).
    Ingest { dir: PathBytes, name: Option<String> },
    /// Finds (or, for [`Target::Holding`] with nothing found and `create`, ingests) the workspace, takes in what
    /// changed in the real directory, prepares the view; answer [`AdminReply::View`]. With `run`, the
    /// connection stands for the run until it closes.
    Enter { target: Target, create: bool, run: bool },
    /// End of a run: seal and sync; answer [`AdminReply::RunEnd`]. With `report` the run is remembered. With `dates` what is
    /// asked for there is done before.
    Leave {
        report: Option<RunReport>,
        #[serde(default)]
        dates: Option<Dates>,
    },
    /// Runs that are over, the last `limit`, oldest first; answers rows of [`AdminReply::Runs`].
    History { workspace: Option<String>, limit: u64 },
    /// What is remembered of one run (None: of the last); answers [`AdminReply::Run`], and
    /// [`AdminReply::Spans`] and [`AdminReply::Touched`] before it.
    RunDetail { workspace: Option<String>, number: Option<i64> },
    /// Answer [`AdminReply::Stats`].
    Stats,
    /// Takes in what changed in the real directory; answer [`AdminReply::Taken`].
    /// With `settle`, what both sides changed becomes what that side has. With `all`, everything is looked at, whatever was
    /// noticed of changes.
    Sync { target: Target, settle: Option<Settle>, all: bool },
    /// What the workspace changed since it was taken in (`against_real` false) or how it differs from the
    /// real directory as it is now; answers rows of [`AdminReply::Changes`].
    Diff { target: Target, against_real: bool },
    /// How one tree differs from another; answers rows of [`AdminReply::Changes`].
    Compare { old: Side, new: Side },
    /// Takes a snapshot; answer [`AdminReply::Snapshots`] with one row.
    Snapshot { target: Target, message: String },
    /// Snapshots, oldest first; answers rows of [`AdminReply::Snapshots`].
    Log { target: Target },
    /// Goes back to a snapshot (None: the last); answer [`AdminReply::RolledBack`].
    Rollback { target: Target, snapshot: Option<String> },
    /// A new workspace `name` with the tree of another, or of one of its snapshots; answer
    /// [`AdminReply::Workspaces`] with one row.
    Fork { target: Target, snapshot: Option<String>, name: String },
    /// Removes a workspace with its snapshots, or one of them; answer [`AdminReply::Done`].
    Remove { target: Target, snapshot: Option<String> },
    /// Entries of a directory (one row for a file); path relative to the view's root or absolute in the view.
    List { target: Target, snapshot: Option<String>, path: PathBytes, recursive: bool },
    /// One entry's attributes.
    Stat { target: Target, snapshot: Option<String>, path: PathBytes },
    /// The bytes of a file: the answer [`AdminReply::File`] carries an fd (SCM_RIGHTS).
    Cat { target: Target, snapshot: Option<String>, path: PathBytes },
    /// Reads all blobs back, from where the last such request was interrupted unless `restart`; `rate_bytes` a second
    /// at most (0: no bound). With `metadata` superblocks and checkpoint, too; with `heals` damaged blobs are put back
    /// where their bytes are found. Answer [`AdminReply::Checked`].
    Check { rate_bytes: u64, restart: bool, metadata: bool, heals: bool },
    /// Removes content that nothing refers to, as long as store and hot tier together are larger than `max_bytes`
    /// (without it: all); answer [`AdminReply::Collected`].
    Collect { max_bytes: Option<u64> },
    /// Writes changed files to the real directory, or to `to`.
    Export { target: Target, paths: Vec<PathBytes>, to: Option<PathBytes>, force: bool },
    /// Brings the ordinary directory that stands for a workspace up to date, for a program that the preload library
    /// cannot reach; answer [`AdminReply::Worktree`]. What the program changes there is taken in by
    /// [`AdminRequest::ReadBack`], or when the connection ends without one. `cwd`: the kernel's working directory.
    Worktree { workspace: String, cwd: PathBytes, program: PathBytes },
    /// Takes in what was changed in that directory; answer [`AdminReply::Taken`], whose conflicts say what was not.
    ReadBack { workspace: String },
}

/// Whose change stands where both sides changed something: the workspace's, or the real directory's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Settle {
    Ours,
    Theirs,
}

/// A tree: a workspace as it is now, or one of its snapshots by number or by the first digits of its root.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Side {
    pub workspace: Target,
    pub snapshot: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SnapshotInfo {
    pub workspace: String,
    pub number: u32,
    /// 64 hex digits that stand for the whole tree.
    pub root: String,
    /// ns since 1970.
    pub time_ns: i64,
    pub message: String,
    /// It was taken, or gone back to, last.
    pub current: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RolledBack {
    pub to: SnapshotInfo,
    /// What was there before; None: nothing was different.
    pub before: Option<SnapshotInfo>,
}

/// An ordinary directory with everything that a workspace holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Worktree {
    pub dir: PathBytes,
    /// The working directory relative to the view's root; None: it is outside.
    pub cwd: Option<PathBytes>,
    /// The program was not named before in this run.
    pub first: bool,
}

/// Counts of one ingest or take-in.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Taken {
    pub workspace: String,
    pub view: PathBytes,
    /// Whether the workspace was created by this request.
    pub created: bool,
    pub files: u64,
    pub directories: u64,
    pub symlinks: u64,
    pub bytes: u64,
    /// Bytes that the store did not have before.
    pub new_bytes: u64,
    /// Files whose bytes the store already had.
    pub duplicates: u64,
    pub added: u64,
    pub modified: u64,
    pub deleted: u64,
    pub elapsed_ms: u64,
    /// What could not be taken in, with the reason; exit code 1.
    pub skipped: Vec<Problem>,
    /// Changed on both sides: left as it is in the workspace, named here; exit code 1 for `sync`.
    pub conflicts: Vec<Problem>,
    /// Conflicts that were settled.
    pub settled: u64,
    /// Left out by `.gitignore` and `.vriftignore`: the first few, a directory for all that is in it.
    #[serde(default)]
    pub ignored: Vec<PathBytes>,
    /// How many there are.
    #[serde(default)]
    pub ignored_count: u64,
    /// Names of the real directory that were looked at.
    #[serde(default)]
    pub looked_at: u64,
    /// These were the ones at which something was noticed since the last time, not all.
    #[serde(default)]
    pub noticed: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Problem {
    pub path: PathBytes,
    pub what: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Change {
    pub kind: ChangeKind,
    pub path: PathBytes,
    /// `file`, `directory`, `symlink`, ...
    pub file_type: String,
    pub old_size: u64,
    pub new_size: u64,
}

/// Attributes of one entry, as `ls` and `stat` print them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    pub path: PathBytes,
    pub file_type: String,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub nlink: u32,
    pub size: u64,
    pub mtime_ns: i64,
    pub ctime_ns: i64,
    pub atime_ns: i64,
    pub vnode: u64,
    /// BLAKE3 of a sealed file, in hex.
    pub hash: Option<String>,
    pub staged: bool,
    pub target: Option<PathBytes>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkspaceInfo {
    pub id: u32,
    pub name: String,
    pub view: PathBytes,
    /// 0: nobody has entered it yet.
    pub vnodes: u64,
    /// Name of the workspace that it was forked from.
    pub origin: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DaemonStatus {
    pub pid: u32,
    pub version: String,
    pub protocol: u16,
    pub home: PathBytes,
    pub store: PathBytes,
    pub store_bytes: u64,
    pub blobs: u64,
    pub blob_bytes: u64,
    pub journal_bytes: u64,
    /// Records of the journal that a power cut now would lose.
    pub unsynced_records: u64,
    pub connections: u64,
    pub requests: u64,
    pub uptime_ms: u64,
    pub workspaces: Vec<WorkspaceInfo>,
    /// Set when the store refused a write or sync: what happened.
    pub poisoned: Option<String>,
}

/// One line of `doctor`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Check {
    pub name: String,
    pub ok: bool,
    pub detail: String,
    pub remedy: Option<String>,
}

/// What a process needs to be in the view.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct View {
    pub workspace: String,
    pub id: u32,
    pub view: PathBytes,
    /// Value of VRIFT_RUNTIME.
    pub runtime: PathBytes,
    /// Value of VRIFT_RUN; 0: there is no run.
    pub run: u32,
    /// For [`Target::Holding`]: real folder that stands for that directory in the view, the child's first cwd
    /// (the view's root for [`Target::Name`], or when the directory is not in the workspace).
    pub cwd: PathBytes,
    pub taken: Taken,
    /// For a run: value of [`crate::time::SETTINGS_KEY`], empty if there is none; None: ask for it, it is not told here.
    #[serde(default)]
    pub time_settings: Option<String>,
}

/// What is to be done about the times of files that a run changed: none stays later than `clamp_s` (seconds since 1970), and
/// those dated in the future are told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dates {
    pub clamp_s: Option<u64>,
}

/// What was done and found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Dated {
    /// Whose time was made earlier.
    pub clamped: u64,
    /// Whose time is in the future, and the first of them.
    pub future: u64,
    pub first: Option<PathBytes>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RunEnd {
    pub processes: u64,
    pub files_changed: u64,
    pub new_bytes: u64,
    /// Sealed, flushed and on the device.
    pub synced: bool,
    /// Programs of the sample that made system calls of their own on the view.
    #[serde(default)]
    pub own_calls: Vec<OwnCalls>,
    /// If it was asked for.
    #[serde(default)]
    pub dated: Option<Dated>,
}

/// System calls on the view that neither the C library nor the preload library made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnCalls {
    pub program: PathBytes,
    /// As many as were seen: not every process is looked at, nor for all its life.
    pub times: u64,
    /// Name and path of the first; no path for io_uring_setup.
    pub call: String,
    pub path: PathBytes,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Exported {
    pub written: u64,
    pub deleted: u64,
    pub unchanged: u64,
    pub bytes: u64,
    /// Changed on disk since they were taken in; nothing was written if there is any and no `force`.
    pub conflicts: Vec<Problem>,
    pub failed: Vec<Problem>,
    pub to: PathBytes,
}

/// What a collection removed, and what is left.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Collected {
    pub blobs: u64,
    pub blob_bytes: u64,
    /// Files of the hot tier, which is a cache of the store.
    pub hot_files: u64,
    pub hot_bytes: u64,
    pub live_blobs: u64,
    pub store_bytes_before: u64,
    pub store_bytes: u64,
    /// Store and hot tier together, afterwards.
    pub total_bytes: u64,
    /// Whether that is within what was asked for.
    pub fits: bool,
    pub elapsed_ms: u64,
}

/// One thing in the store that is not as it should be.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Flaw {
    pub what: String,
    /// What a repair does about it.
    pub remedy: Option<String>,
    pub repaired: bool,
    /// WORKSPACE:PATH of what it belongs to; the first few.
    pub paths: Vec<PathBytes>,
}

/// What a check of the store found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Checked {
    /// Blobs whose bytes are right, and the sum of their lengths.
    pub blobs: u64,
    pub bytes: u64,
    /// Records of the journal that were read.
    pub records: u64,
    pub flaws: Vec<Flaw>,
    /// It went on where an earlier one was interrupted.
    pub resumed: bool,
    /// It came to the end.
    pub complete: bool,
    pub elapsed_ms: u64,
}

/// Exit codes of `cli.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// 1: what was asked about is false or not there.
    Negative,
    /// 2: wrong usage or bad input.
    Input,
    /// 3: the daemon or the store cannot be used.
    Store,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum AdminReply {
    /// Between others, at most some ten a second: files and bytes done so far (`total_files` 0: not known yet).
    Progress {
        stage: String,
        files: u64,
        bytes: u64,
        total_files: u64,
    },
    Status(DaemonStatus),
    Checks(Vec<Check>),
    Done,
    /// Of [`AdminRequest::Stop`]: it ends, but its store failed before, and what was not synced by then is lost.
    StoppedUnsynced {
        why: String,
    },
    Workspaces(Vec<WorkspaceInfo>),
    Taken(Taken),
    View(View),
    RunEnd(RunEnd),
    Changes(Vec<Change>),
    Snapshots(Vec<SnapshotInfo>),
    RolledBack(RolledBack),
    Entries(Vec<Entry>),
    /// An fd open for reading comes with this frame.
    File {
        size: u64,
    },
    Exported(Exported),
    Collected(Collected),
    Worktree(Worktree),
    Runs(Vec<RunRow>),
    Spans(Vec<Span>),
    Touched(Vec<Touched>),
    Run(RunRow),
    Stats(Stats),
    /// For people: something is not as it should be, and what was done about it.
    Notice(String),
    Checked(Checked),
    /// What, where, and what to do next.
    Error {
        failure: Failure,
        what: String,
        hint: String,
    },
}
