//! Worktrees: an ordinary directory for each workspace that has everything the workspace has, for programs that
//! the preload library cannot reach. Brought up to date before such a program starts; what it changed is taken in
//! when it is over (RFC 0005).

use crate::admin::Refusal;
use crate::base::Base;
use crate::connection::Connection;
use crate::daemon::Daemon;
use crate::ingest::show;
use crate::namespace::is_within;
use crate::sealing::vnode_of_name;
use crate::take_in::{Goal, TakeIn};
use crate::walk::{Leaving, Plan, Reading, walk};
use nix::errno::Errno;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use vrift_manifest::VnodeNo;
use vrift_protocol::admin::{Taken, Worktree};

/// The directory itself, in the workspace's worktree folder.
const TREE: &str = "tree";
/// Its base table.
const BASE: &str = "base";
/// Program names remembered for a run; what is beyond is named again.
const NAMES_MAX: usize = 1024;
/// Kernels without fine-grained file times cannot tell two changes within a tick (at most 10 ms) apart.
const TICK: Duration = Duration::from_millis(20);
/// A client that went without a word may have been killed: its program, which is killed with it, gets this long.
const LAST_BREATH: Duration = Duration::from_millis(50);

/// What the daemon knows of all worktrees. A state is changed under its workspace's turn alone.
#[derive(Default)]
pub struct Worktrees {
    states: Mutex<HashMap<u32, State>>,
    named: Mutex<HashMap<u32, HashSet<Vec<u8>>>>,
}

#[derive(Clone, Default)]
pub struct State {
    /// What the directory held, and what the workspace had of it, when the two were last compared.
    pub base: Arc<Base>,
    /// The workspace's count of changes at that time; None: it must be compared again.
    pub seen: Option<u64>,
}

impl Worktrees {
    fn get(&self, id: u32) -> Option<State> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    fn set(&self, id: u32, state: State) {
        self.states.lock().unwrap_or_else(PoisonError::into_inner).insert(id, state);
    }

    /// The workspace is gone.
    pub fn forget(&self, id: u32) {
        self.states.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        self.forget_names(id);
    }

    /// A new run names its programs again.
    pub fn forget_names(&self, id: u32) {
        self.named.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    fn is_first(&self, id: u32, program: &[u8]) -> bool {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let names = named.entry(id).or_default();
        names.len() >= NAMES_MAX || names.insert(program.to_vec())
    }
}

/// Where a workspace's worktree is.
pub fn tree_dir(daemon: &Daemon, id: u32) -> PathBuf {
    daemon.folders.worktree_dir(id).join(TREE)
}

/// Brings the worktree up to date for a program of `connection`, whose working directory is `cwd`.
pub fn prepare(
    daemon: &Daemon,
    id: u32,
    connection: &Connection,
    cwd: &[u8],
    program: &[u8],
) -> Result<Worktree, Refusal> {
    // What is read is in use before the namespace says so.
    let _hold = daemon.gc.hold();
    let turn = daemon.turn(id);
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    let mut state = state(daemon, id)?;
    let mut taken = Taken::default();
    // Others may be at work in it: what they changed so far must not be taken for out of date.
    take_back(daemon, id, &mut state, &mut taken)?;
    crate::worktree_update::update(daemon, id, &mut state)?;
    keep(daemon, id, &state)?;
    connection.worktree.store(id, Ordering::Relaxed);
    let relative = {
        let spaces = daemon.spaces();
        let workspace = spaces.get(id).map_err(|errno| Refusal::errno("the workspace", errno, daemon))?;
        let mirrors = daemon.folders.mirror_dir(id);
        let mirror =
            cwd.strip_prefix(mirrors.as_os_str().as_bytes()).and_then(|rest| rest.strip_prefix(b"/"));
        match mirror.and_then(vnode_of_name) {
            Some(vnode) => workspace.index.path_of(VnodeNo(vnode)),
            None if is_within(cwd, &workspace.view) => {
                cwd.get(workspace.view.len()..).map(|rest| rest.strip_prefix(b"/").unwrap_or(rest).to_vec())
            }
            None => None,
        }
    };
    Ok(Worktree {
        dir: tree_dir(daemon, id).into(),
        cwd: relative.map(|path| path[..].into()),
        first: daemon.worktrees.is_first(id, program),
    })
}

/// Takes in what programs changed in the worktree; nothing if the workspace has none.
pub fn read_back(daemon: &Daemon, id: u32, connection: Option<&Connection>) -> Result<Taken, Refusal> {
    // What is read is in use before the namespace says so.
    let _hold = daemon.gc.hold();
    let turn = daemon.turn(id);
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    let mut taken = Taken::default();
    if daemon.worktrees.get(id).is_some() || tree_dir(daemon, id).is_dir() {
        let mut state = state(daemon, id)?;
        take_back(daemon, id, &mut state, &mut taken)?;
        keep(daemon, id, &state)?;
    }
    if let Some(connection) = connection {
        connection.worktree.store(0, Ordering::Relaxed);
    }
    Ok(taken)
}

/// The client of a connection is gone: what its program did until then is taken in.
pub fn abandoned(daemon: &Arc<Daemon>, connection: &Connection) {
    let id = connection.worktree.swap(0, Ordering::Relaxed);
    if id == 0 {
        return;
    }
    let this = Arc::clone(daemon);
    daemon.clerks.submit(Box::new(move || {
        std::thread::sleep(LAST_BREATH);
        if let Err(refusal) = read_back(&this, id, None) {
            tracing::warn!(
                workspace = id,
                what = refusal.what,
                "a killed program's files are not taken in yet"
            );
        }
    }));
}

/// The state under the workspace's turn. A worktree whose base table is lost or damaged begins anew.
fn state(daemon: &Daemon, id: u32) -> Result<State, Refusal> {
    if let Some(state) = daemon.worktrees.get(id) {
        return Ok(state);
    }
    let folder = daemon.folders.worktree_dir(id);
    let refuse = |error: std::io::Error| Refusal::store(format!("{}: {error}", folder.display()), daemon);
    let known = fs::read(folder.join(BASE)).ok().and_then(|bytes| Base::decode(&bytes).ok());
    if known.is_none() && folder.is_dir() {
        tracing::warn!(workspace = id, "the worktree has no base table: made again");
        fs::remove_dir_all(&folder).map_err(refuse)?;
    }
    crate::folders::make_private(&folder.join(TREE)).map_err(refuse)?;
    Ok(State { base: Arc::new(known.unwrap_or_default()), seen: None })
}

/// Remembers a state, on disk too: the directory outlives the daemon, and so do programs in it.
fn keep(daemon: &Daemon, id: u32, state: &State) -> Result<(), Refusal> {
    let folder = daemon.folders.worktree_dir(id);
    let known = daemon.worktrees.get(id);
    if known.is_none_or(|known| !Arc::ptr_eq(&known.base, &state.base)) {
        let beside = folder.join("base.new");
        let written = fs::write(&beside, state.base.encode());
        written.and_then(|()| fs::rename(&beside, folder.join(BASE))).map_err(|error| {
            Refusal::store(format!("{} cannot be written: {error}", beside.display()), daemon)
        })?;
    }
    daemon.worktrees.set(id, state.clone());
    Ok(())
}

/// Changes of the directory since the last time, into the workspace.
fn take_back(daemon: &Daemon, id: u32, state: &mut State, taken: &mut Taken) -> Result<(), Refusal> {
    let dir = tree_dir(daemon, id);
    let old = Arc::clone(&state.base);
    let fail = |errno: Errno| {
        let what = format!("what a program changed in {} cannot be taken in", dir.display());
        Refusal::store(format!("{what}: {}", errno.desc()), daemon)
    };
    let mut silent = |_, _| true;
    let plan = Plan {
        dir: dir.as_os_str().as_bytes(),
        base: &old,
        reading: Reading::Ingest,
        leaving: Leaving::Nothing,
        eye: None,
    };
    let mut found = walk(daemon, plan, &mut silent).map_err(fail)?;
    if let Some(error) = &found.failed {
        let what =
            format!("what a program changed in {} cannot be taken in", show(dir.as_os_str().as_bytes()));
        return Err(Refusal::store(format!("{what}: {error}"), daemon));
    }
    // What was there before is there still.
    let skipped = found.skipped.iter().filter(|known| old.find(&known.path.0).is_none());
    taken.skipped = skipped.cloned().collect();
    // Nothing is known of the directory before the first update.
    if old.rows.is_empty() || found.is_same() {
        return Ok(());
    }
    let new = found.table(&old);
    daemon.seal_all(id).map_err(fail)?;
    let next = TakeIn::new(daemon, Goal::Live { id }, &old, &new, taken).later_wins().run().map_err(fail)?;
    taken.new_bytes = found.new_bytes;
    daemon.note_contents(found.new_files, found.new_bytes, found.duplicates);
    if let Some(next) = next {
        *state = State { base: Arc::new(next), seen: None };
    }
    Ok(())
}

/// Waits until a further change of what was just written shows in its times.
pub fn let_time_pass(daemon: &Daemon) {
    let times = [daemon.clock.now_ns(), daemon.clock.now_ns(), daemon.clock.now_ns(), daemon.clock.now_ns()];
    if !times.is_sorted_by(|one, two| one < two) {
        std::thread::sleep(TICK);
    }
}
