//! Writing a workspace's files to a real directory: checks first, then each file atomically.

use crate::admin::{Refusal, Teller};
use crate::base::{Base, Row, is_at_or_below, path_order};
use crate::daemon::Daemon;
use crate::diff::{Difference, differences};
use crate::ingest::show;
use crate::real_tree::RealTree;
use crate::tables;
use crate::tree::{Node, all};
use nix::errno::Errno;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::PoisonError;
use std::time::{Duration, Instant};
use vrift_manifest::Content;
use vrift_protocol::admin::{Exported, PathBytes, Problem};

const PROGRESS_PAUSE: Duration = Duration::from_millis(100);

/// What is to be done at a path.
enum Task<'a> {
    Write(&'a Node),
    Delete(&'a Row),
}

impl Task<'_> {
    fn path(&self) -> &[u8] {
        match self {
            Task::Write(node) => &node.row.path,
            Task::Delete(row) => &row.path,
        }
    }
}

/// Changed files to the real directory, or to `to`; with `paths`, what lies at and below them.
pub fn export(
    daemon: &Daemon,
    id: u32,
    paths: &[PathBytes],
    (to, force): (Option<&PathBytes>, bool),
    tell: &Teller<'_>,
) -> Result<Exported, Refusal> {
    let turn = daemon.turn(id);
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    let failed = |errno: Errno| Refusal::errno("the workspace", errno, daemon);
    daemon.seal_all(id).map_err(failed)?;
    let known = tables::of(daemon, id)?;
    let base = &*known.base;
    let nodes = all(daemon, id).map_err(failed)?;
    let view = daemon.spaces().get(id).map_err(failed)?.view.clone();
    let paths = named(&view, paths, base, &nodes)?;
    let target = to.map_or(&view[..], |to| &to.0);
    let refuse = |errno: Errno| {
        let what = format!("{} cannot be written to: {}", show(target), errno.desc());
        Refusal::input(what, "name a directory that you may write, with --to DIR".into())
    };
    let tree = RealTree::open(target, to.is_some()).map_err(refuse)?;
    let mut exported = Exported { to: target.into(), ..Exported::default() };

    let whole = to.is_some() && !paths.is_empty();
    let differs = differences(base, &nodes);
    let everything: Vec<Difference<'_>>;
    let chosen = if whole {
        everything = nodes.iter().map(|node| Difference { old: None, new: Some(node) }).collect();
        &everything
    } else {
        &differs
    };
    let is_named = |path: &[u8]| paths.is_empty() || paths.iter().any(|named| is_at_or_below(path, named));
    let chosen = chosen.iter().filter(|difference| is_named(difference.path()));
    let mut tasks = Vec::new();
    let mut settled: BTreeMap<Vec<u8>, Option<Row>> = BTreeMap::new();
    let mut pace = Pace::new(tell);
    for difference in chosen {
        pace.tell("comparing", 1, 0, 0);
        if pace.is_over {
            // Nothing is written yet.
            return Ok(exported);
        }
        // A directory of one's own has no history: only what is there counts.
        let old = difference.old.filter(|_| to.is_none());
        let there = tree.look(difference.path()).map_err(refuse)?;
        match (difference.new, there) {
            (None, _) if to.is_some() => {}
            (Some(node), Some(now)) if same(&tree, &now, &node.row) => {
                exported.unchanged += 1;
                settled.insert(node.row.path.clone(), Some(Row { held: node.row.held.clone(), ..now }));
            }
            (None, None) => {
                settled.insert(difference.path().to_vec(), None);
            }
            (new, there) => {
                if let Some(why) = conflict(&tree, old, there.as_ref(), new) {
                    exported.conflicts.push(Problem { path: difference.path().into(), what: why.into() });
                }
                tasks.extend(match (new, difference.old) {
                    (Some(node), _) => Some(Task::Write(node)),
                    (None, Some(old)) => Some(Task::Delete(old)),
                    (None, None) => None,
                });
            }
        }
    }
    if !exported.conflicts.is_empty() && !force {
        return Ok(exported);
    }
    let folders = missing_folders(&tree, &nodes, &tasks).map_err(refuse)?;
    tasks.extend(folders.into_iter().map(Task::Write));
    tasks.sort_by(|one, two| path_order(one.path(), two.path()));
    work(daemon, id, &tree, &tasks, &mut exported, (&mut settled, &mut Pace::new(tell)));
    if to.is_none() && !settled.is_empty() {
        tables::change(daemon, id, known, settled).map_err(|errno| {
            Refusal::store(format!("exported, but it cannot be recorded: {}", errno.desc()), daemon)
        })?;
    }
    Ok(exported)
}

/// Directories of the workspace that the target lacks and that something is written below.
fn missing_folders<'a>(
    tree: &RealTree,
    nodes: &'a [Node],
    tasks: &[Task<'_>],
) -> Result<Vec<&'a Node>, Errno> {
    let written: BTreeSet<&[u8]> =
        tasks.iter().filter(|task| matches!(task, Task::Write(_))).map(Task::path).collect();
    let mut needed = BTreeSet::new();
    for path in &written {
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        needed.extend(slashes.map(|(end, _)| &path[..end]));
    }
    let mut missing = Vec::new();
    for node in nodes.iter().filter(|node| node.row.is_dir()) {
        let path = &node.row.path[..];
        if needed.contains(path) && !written.contains(path) && tree.look(path)?.is_none() {
            missing.push(node);
        }
    }
    Ok(missing)
}

/// The named paths relative to the view's root; each must be something.
fn named(view: &[u8], paths: &[PathBytes], base: &Base, nodes: &[Node]) -> Result<Vec<Vec<u8>>, Refusal> {
    let relative = |path: &PathBytes| {
        let view = view.strip_suffix(b"/").unwrap_or(view);
        let rest = match path.0.first() {
            Some(b'/') => path.0.strip_prefix(view)?,
            _ => &path.0[..],
        };
        let parts = rest.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && part != b".");
        let parts: Vec<&[u8]> = parts.collect();
        (!parts.contains(&&b".."[..])).then(|| parts.join(&b'/'))
    };
    let mut all = Vec::new();
    for path in paths {
        let known = relative(path).filter(|path| {
            path.is_empty()
                || !base.below(path).is_empty()
                || nodes.iter().any(|node| is_at_or_below(&node.row.path, path))
        });
        all.push(known.ok_or_else(|| {
            Refusal::negative(
                format!("{}: no such path in the workspace", show(&path.0)),
                "look with: vrift ls, or vrift status".into(),
            )
        })?);
    }
    Ok(all)
}

/// Whether what is there is what would be written.
fn same(tree: &RealTree, now: &Row, new: &Row) -> bool {
    if now.mode != new.mode || (!new.is_dir() && now.size != new.size) {
        return false;
    }
    match tree.content(now) {
        Ok(held) => held == new.held,
        Err(_) => false,
    }
}

/// Why a path must not be overwritten.
fn conflict(
    tree: &RealTree,
    old: Option<&Row>,
    there: Option<&Row>,
    new: Option<&Node>,
) -> Option<&'static str> {
    let untouched = |old: &Row, now: &Row| {
        old.same_stat(now) || (old.mode == now.mode && tree.content(now).is_ok_and(|held| held == old.held))
    };
    match (old, there) {
        (_, None) => None,
        (Some(old), Some(now)) if untouched(old, now) => None,
        (_, Some(now)) if now.is_dir() && new.is_some_and(|node| node.row.is_dir()) => None,
        (Some(_), Some(_)) => Some("changed on disk since it was taken in"),
        (None, Some(_)) => Some("is there already, with other content"),
    }
}

/// Deletions first, deepest first, so that something else can take a directory's name; then parents before
/// what they hold.
fn work(
    daemon: &Daemon,
    id: u32,
    tree: &RealTree,
    tasks: &[Task<'_>],
    exported: &mut Exported,
    (settled, pace): (&mut BTreeMap<Vec<u8>, Option<Row>>, &mut Pace<'_>),
) {
    let total = tasks.len() as u64;

    let mut fail = |path: &[u8], errno: Errno| {
        exported.failed.push(Problem { path: path.into(), what: errno.desc().into() });
    };
    let (mut deleted, mut written, mut bytes) = (0, 0, 0);
    for task in tasks.iter().rev() {
        let Task::Delete(row) = task else { continue };
        pace.tell("deleting", 1, 0, total);
        if pace.is_over {
            break;
        }
        match tree.remove(&row.path, row.is_dir()) {
            // Something that the workspace does not know lives in it.
            Err(Errno::ENOTEMPTY | Errno::EEXIST) => {}
            Err(errno) if errno != Errno::ENOENT => fail(&row.path, errno),
            _ => {
                deleted += 1;
                settled.insert(row.path.clone(), None);
            }
        }
    }
    let mut links: HashMap<u64, &[u8]> = HashMap::new();
    let mut problems = Vec::new();
    let mut dirs = Vec::new();
    let mut tidied = BTreeSet::new();
    for task in tasks {
        let Task::Write(node) = task else { continue };
        let path = &node.row.path;
        pace.tell("writing", 1, node.row.size, total);
        if pace.is_over {
            problems.push(Problem { path: path[..].into(), what: "not written: interrupted".into() });
            break;
        }
        let folder = path.iter().rposition(|byte| *byte == b'/').map_or(&path[..0], |end| &path[..end]);
        if tidied.insert(folder) {
            tree.remove_left_over(folder);
        }
        if let Some(what) = not_exported(node.row.mode) {
            problems.push(Problem { path: path[..].into(), what: what.into() });
            continue;
        }
        let linked = links.get(&node.attr.vnode.0).filter(|_| node.row.nlink > 1);
        let done = match linked {
            Some(first) => tree.link(first, path),
            None => tree.write(daemon, id, node),
        };
        match done {
            Ok(()) => {
                written += 1;
                bytes += if node.attr.content == Content::None { 0 } else { node.row.size };
                links.entry(node.attr.vnode.0).or_insert(path);
                dirs.extend(node.row.is_dir().then_some(*node));
                settled.insert(path.clone(), Some(node.row.clone()));
            }
            Err(errno) => fail(path, errno),
        }
    }
    for node in dirs.iter().rev() {
        if let Err(errno) = tree.set_dir_time(&node.row) {
            fail(&node.row.path, errno);
        }
    }
    for (path, row) in settled.iter_mut() {
        // As it is on disk now, so that the next take-in finds it unchanged.
        if let Some(row) = row
            && let Ok(Some(now)) = tree.look(path)
        {
            *row = Row { held: row.held.clone(), ..now };
        }
    }
    exported.failed.append(&mut problems);
    (exported.deleted, exported.written, exported.bytes) = (deleted, written, bytes);
}

/// Tells how far it is, some ten times a second, and learns whether somebody waits.
struct Pace<'a> {
    tell: &'a Teller<'a>,
    told: Instant,
    files: u64,
    bytes: u64,
    is_over: bool,
}

impl<'a> Pace<'a> {
    fn new(tell: &'a Teller<'a>) -> Pace<'a> {
        Pace { tell, told: Instant::now(), files: 0, bytes: 0, is_over: false }
    }

    fn tell(&mut self, stage: &str, files: u64, bytes: u64, total: u64) {
        crate::kill_points::pass(|| format!("export {stage}"));
        self.files += files;
        self.bytes += bytes;
        if self.told.elapsed() >= PROGRESS_PAUSE {
            self.told = Instant::now();
            self.is_over = !self.tell.progress_of(stage, self.files, self.bytes, total);
        }
    }
}

/// Why a vnode of this type has no place in the real directory: it is of use only to processes of the view.
fn not_exported(mode: u32) -> Option<&'static str> {
    match mode & vrift_manifest::types::S_IFMT {
        crate::vnode_ops::S_IFIFO => Some("is a fifo: not exported"),
        crate::vnode_ops::S_IFSOCK => Some("is a socket: not exported"),
        _ => None,
    }
}
