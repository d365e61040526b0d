//! Real directories into workspaces: the first time, and again.

use crate::admin::{Refusal, Teller};
use crate::base::Base;
use crate::daemon::Daemon;
use crate::fresh::FreshGuard;
use crate::namespace::{Workspace, begin};
use crate::noticed::Eye;
use crate::record::{NewWorkspace, Record};
use crate::tables;
use crate::take_in::{Goal, TakeIn};
use crate::walk::{Found, IGNORED_MAX, Leaving, PROBLEMS_MAX, Plan, Reading, look_at, os, walk};
use nix::errno::Errno;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Instant;
use vrift_protocol::admin::{PathBytes, Problem, Settle, Taken};

/// Longest name of a workspace: it is part of file names and of command lines.
const NAME_LEN_MAX: usize = 128;
/// Key of the turn that first ingests take; no workspace has this number.
const FIRST_INGEST_TURN: u32 = 0;

/// Tables with more rows than this leave so much behind that it is given back at once.
const LARGE_ROWS: usize = 20_000;

/// Gives back what a look at a large directory took.
struct GivesBack(bool);

impl Drop for GivesBack {
    fn drop(&mut self) {
        if self.0 {
            crate::sys::give_back_memory();
        }
    }
}

/// Reads `dir` into the workspace that has it as its view path, or a new one.
pub fn ingest(
    daemon: &Daemon,
    dir: &PathBytes,
    name: Option<&str>,
    tell: &Teller<'_>,
) -> Result<Taken, Refusal> {
    let dir = check_dir(&dir.0)?;
    let turn = daemon.turn(FIRST_INGEST_TURN);
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    let known = {
        let spaces = daemon.spaces();
        let is_it = |workspace: &&Workspace| workspace.view == dir && workspace.origin == 0;
        let known = spaces.workspaces.values().find(is_it);
        known.map(|workspace| (workspace.id, workspace.name.clone()))
    };
    match known {
        Some((_, has)) if name.is_some_and(|name| name != has) => Err(Refusal::input(
            format!("{} is the workspace '{has}' already", show(&dir)),
            "leave --name out, or use that name".into(),
        )),
        Some((id, _)) => take_in(daemon, id, None, tell),
        None => first_ingest(daemon, &dir, name, tell),
    }
}

/// A directory that exists and can be read, under its canonical name.
fn check_dir(dir: &[u8]) -> Result<Vec<u8>, Refusal> {
    let path = Path::new(os(dir));
    let refuse = |why: &str, hint: &str| Refusal::input(format!("{}: {why}", show(dir)), hint.into());
    if dir.first() != Some(&b'/') {
        return Err(refuse("not an absolute path", "name a directory"));
    }
    let canonical = fs::canonicalize(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => refuse("no such directory", "name a directory that exists"),
        _ => refuse(&error.to_string(), "name a directory that you may read"),
    })?;
    if !canonical.is_dir() {
        return Err(refuse("not a directory", "name the directory that holds it"));
    }
    fs::read_dir(&canonical).map_err(|error| {
        refuse(&format!("cannot be read: {error}"), "give yourself read and search permission on it")
    })?;
    let canonical = std::os::unix::ffi::OsStringExt::into_vec(canonical.into_os_string());
    if canonical.len() >= vrift_manifest::layout::PATH_FIELD_MAX {
        return Err(refuse("the path is too long for a view", "move it nearer to the root"));
    }
    Ok(canonical)
}

fn first_ingest(
    daemon: &Daemon,
    dir: &[u8],
    name: Option<&str>,
    tell: &Teller<'_>,
) -> Result<Taken, Refusal> {
    let started = Instant::now();
    let _hold = daemon.gc.hold();
    let failed = FailedIngest(daemon);
    let guard = FreshGuard::new(daemon);
    let mut gives_back = GivesBack(false);
    let eye = daemon.noticed.open(dir, daemon.config.ingest.gitignore);
    let mut found = read(daemon, (dir, &Base::default(), eye.as_ref()), None, tell)?;
    gives_back.0 = found.rows.len() > LARGE_ROWS;
    let (id, name) = {
        let mut spaces = daemon.spaces();
        let taken = |name: &str| spaces.named(name).is_some();
        let name = match name {
            Some(name) => check_name(name, taken(name))?,
            None => free_name(dir, &taken),
        };
        spaces.last_id += 1;
        (spaces.last_id, name)
    };
    let mut taken = Taken { workspace: name.clone(), view: dir.into(), created: true, ..Taken::default() };
    let new = Base { rows: std::mem::take(&mut found.rows) };
    let sums = tables::Sums::of(&new);
    sums.tell(&mut taken);
    let made = make_workspace(daemon, id, &name, dir, &new, &mut taken).and_then(|workspace| {
        let base = tables::first(daemon, &new)?;
        guard.complete(workspace, base).map(|()| base)
    });
    let base = match made {
        Ok(base) => base,
        Err(errno) => {
            let _ = fs::remove_dir_all(daemon.folders.workspace_runtime(id));
            let _ = daemon.cas.remove_workspace(id);
            return Err(Refusal::store(
                format!("{} cannot be taken in: {}", show(dir), errno.desc()),
                daemon,
            ));
        }
    };
    std::mem::forget(failed);
    if let Some(eye) = eye {
        let again = again(&found.skipped, &taken.conflicts);
        daemon.noticed.keep(id, eye, base, again, sums.linked);
    }
    (taken.ignored, taken.ignored_count) = (std::mem::take(&mut found.ignored), found.ignored_count);
    tell_of(daemon, &mut taken, found);
    taken.elapsed_ms = started.elapsed().as_millis() as u64;
    Ok(taken)
}

fn tell_of(daemon: &Daemon, taken: &mut Taken, found: Found) {
    daemon.note_contents(found.new_files, found.new_bytes, found.duplicates);
    (taken.skipped, taken.looked_at) = (found.skipped, found.looked_at);
    (taken.new_bytes, taken.duplicates) = (found.new_bytes, found.duplicates);
}

/// What an ingest that comes to nothing has put is collected soon.
struct FailedIngest<'a>(&'a Daemon);

impl Drop for FailedIngest<'_> {
    fn drop(&mut self) {
        self.0.gc.want();
    }
}

fn make_workspace(
    daemon: &Daemon,
    id: u32,
    name: &str,
    dir: &[u8],
    new: &Base,
    taken: &mut Taken,
) -> Result<Workspace, Errno> {
    let root = new.find(b"").ok_or(Errno::ENOENT)?;
    let begun = NewWorkspace {
        id,
        name: name.as_bytes(),
        view: dir,
        root_mode: root.mode & 0o7777,
        root_uid: root.uid,
        root_gid: root.gid,
        root_time_ns: root.mtime_ns,
    };
    let io = |error: std::io::Error| crate::namespace::errno_of(&error);
    let mut workspace = begin(&begun, &daemon.folders).map_err(io)?;
    crate::recover::make_counters(&daemon.folders.workspace_runtime(id)).map_err(io)?;
    daemon.watch_staging(id)?;
    daemon.log(&mut daemon.spaces(), &[Record::Workspace(begun)])?;
    let goal = Goal::Fresh { workspace: &mut workspace, unwritten: Vec::new(), kinds: Vec::new() };
    TakeIn::new(daemon, goal, &Base::default(), new, taken).run()?;
    Ok(workspace)
}

/// Takes in what changed in the real directory of a workspace.
///
/// With `settle`, what both sides changed becomes what that side has.
pub fn take_in(
    daemon: &Daemon,
    id: u32,
    settle: Option<Settle>,
    tell: &Teller<'_>,
) -> Result<Taken, Refusal> {
    let started = Instant::now();
    let _hold = daemon.gc.hold();
    let turn = daemon.turn(id);
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    let mut taken = Taken::default();
    let dir = {
        let spaces = daemon.spaces();
        let workspace = spaces.get(id).map_err(|errno| Refusal::errno("the workspace", errno, daemon))?;
        taken.workspace = workspace.name.clone();
        taken.view = workspace.view[..].into();
        workspace.view.clone()
    };
    let fail = |errno: Errno| {
        Refusal::store(format!("changes of {} cannot be taken in: {}", show(&dir), errno.desc()), daemon)
    };
    // What is staged without a writer counts as what it holds.
    daemon.seal_all(id).map_err(fail)?;
    let known = tables::of(daemon, id)?;
    let base = daemon.spaces().get(id).ok().and_then(|workspace| workspace.base);
    let since = base.filter(|_| settle.is_none()).and_then(|base| daemon.noticed.since(id, &dir, base));
    // Declared before what it follows: dropped after it.
    let mut gives_back = GivesBack(false);
    let opened = match &since {
        None => daemon.noticed.open(&dir, daemon.config.ingest.gitignore),
        Some(_) => None,
    };
    let (eye, names) = since.map_or((None, None), |(eye, names)| (Some(eye), Some(names)));
    taken.noticed = eye.is_some();
    let mut found = read(daemon, (&dir, &known.base, eye.as_deref().or(opened.as_ref())), names, tell)?;
    // Who settles for a side asks for what is above a path, too: for the whole table.
    let (before, new) = match settle {
        None => found.parts(&known.base),
        Some(_) => ((*known.base).clone(), found.table(&known.base)),
    };
    gives_back.0 = known.base.rows.len() > LARGE_ROWS && (eye.is_none() || !found.is_same());
    known.sums.with(&before, &new).tell(&mut taken);
    let mut linked = Arc::clone(&known.sums.linked);
    let next = TakeIn::new(daemon, Goal::Live { id }, &before, &new, &mut taken);
    let next = next.settle(settle).run().map_err(fail)?;
    let base = match next {
        Some(next) => {
            linked = Arc::clone(&known.sums.with(&before, &next).linked);
            Some(tables::change(daemon, id, known, before.changes_to(&next)).map_err(fail)?)
        }
        None => base,
    };
    let again = again(&found.skipped, &taken.conflicts);
    (taken.ignored, taken.ignored_count) = (std::mem::take(&mut found.ignored), found.ignored_count);
    match (eye, opened, base) {
        (Some(eye), _, Some(base)) => {
            let (ignored, count) = eye.left_out(IGNORED_MAX);
            taken.ignored = ignored.into_iter().map(PathBytes).collect();
            taken.ignored_count = count;
            eye.settle(base, again, linked);
        }
        (None, Some(eye), Some(base)) => daemon.noticed.keep(id, eye, base, again, linked),
        _ => {}
    }
    tell_of(daemon, &mut taken, found);
    taken.elapsed_ms = started.elapsed().as_millis() as u64;
    Ok(taken)
}

/// Names that are looked at the next time as well: what is the matter with them goes on without an event.
fn again(skipped: &[Problem], conflicts: &[Problem]) -> BTreeSet<Vec<u8>> {
    skipped.iter().chain(conflicts).map(|problem| problem.path.0.clone()).collect()
}

/// Reads a directory, or only these names in it.
fn read(
    daemon: &Daemon,
    (dir, base, eye): (&[u8], &Base, Option<&Eye>),
    names: Option<BTreeSet<Vec<u8>>>,
    tell: &Teller<'_>,
) -> Result<Found, Refusal> {
    let total = names.as_ref().map_or(base.rows.len(), BTreeSet::len) as u64;
    let mut progress = |files, bytes| tell.progress_of("reading", files, bytes, total);
    let plan = Plan { dir, base, reading: Reading::Ingest, leaving: Leaving::Ignored, eye };
    let found = match names {
        Some(names) => look_at(daemon, plan, names, &mut progress),
        None => walk(daemon, plan, &mut progress),
    };
    let found = found.map_err(|errno| {
        Refusal::input(
            format!("{} cannot be read: {}", show(dir), errno.desc()),
            "the workspace is as it was; make the directory readable, or remove the workspace".into(),
        )
    })?;
    if let Some(eye) = eye.filter(|_| found.skipped.len() >= PROBLEMS_MAX) {
        eye.cast_doubt("too much of it cannot be taken in");
    }
    if found.is_cancelled {
        let what = format!("{}: interrupted, nothing is taken in", show(dir));
        return Err(Refusal::negative(what, String::new()));
    }
    match &found.failed {
        Some(error) => Err(Refusal::store(format!("{} cannot be taken in: {error}", show(dir)), daemon)),
        None => Ok(found),
    }
}

/// A name that can be a workspace's.
pub fn check_name(name: &str, taken: bool) -> Result<String, Refusal> {
    let refuse =
        |why: &str| Refusal::input(format!("workspace name '{name}': {why}"), "choose another name".into());
    match () {
        () if name.is_empty() => Err(refuse("empty")),
        () if name.len() > NAME_LEN_MAX => Err(refuse("longer than 128 bytes")),
        () if name.contains(['/', '@', ':']) || name.chars().any(char::is_control) => {
            Err(refuse("must not contain '/', '@', ':' or control characters"))
        }
        () if taken => Err(refuse("taken by another directory")),
        () => Ok(name.into()),
    }
}

/// The folder's name, made fit for a command line and unique.
fn free_name(dir: &[u8], taken: &dyn Fn(&str) -> bool) -> String {
    let last = dir.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let mut name: String = String::from_utf8_lossy(last)
        .chars()
        .map(|char| if matches!(char, '@' | ':') || char.is_control() { '_' } else { char })
        .collect();
    if name.is_empty() {
        name = "root".into();
    }
    while name.len() > NAME_LEN_MAX - 8 {
        name.pop();
    }
    if !taken(&name) {
        return name;
    }
    (2u64..).map(|number| format!("{name}-{number}")).find(|name| !taken(name)).unwrap_or(name)
}

/// A path in a message.
pub fn show(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
