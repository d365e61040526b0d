//! Reading a real directory: stat of everything, and the bytes of what is not known yet. Writes nothing.

mod dirs;
mod files;
mod found;
mod known;
mod listing;
mod names;

pub use found::{Found, IGNORED_MAX, PROBLEMS_MAX, join};
pub use names::look_at;

use crate::base::{Base, Held, Row, row_of};
use crate::daemon::Daemon;
use crate::ignored::Rules;
use crate::noticed::Eye;
use dirs::Part;
use files::open_dir;
use found::merge;
use known::Group;
use nix::errno::Errno;
use nix::sys::stat::fstat;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Threads that read: enough to keep two to four CPUs hashing while others wait for the disk.
const READERS: usize = 4;
/// One thread does this many steps before others are started: a small project is done by then.
const STEPS_ALONE: usize = 8;
/// Files handed to a thread at once.
const FILES_PER_STEP: usize = 64;
const PROGRESS_PAUSE: Duration = Duration::from_millis(100);

const S_IFREG: u32 = 0o100000;

/// How the walk decides what to read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Bytes that the base table does not vouch for go into the store.
    Ingest,
    /// They are only hashed.
    HashOnly,
}

/// Whether `.gitignore` and `.vriftignore` count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// Everything is taken in.
    Nothing,
    /// What is ignored is left out, unless the base table has it.
    Ignored,
}

struct Opened {
    fd: OwnedFd,
    path: Vec<u8>,
}

enum Step<'a> {
    /// `rows`: what the last table has below it.
    Dir {
        parent: Option<Arc<Opened>>,
        name: CString,
        path: Vec<u8>,
        rules: Scope,
        rows: &'a [Row],
    },
    Files {
        dir: Arc<Opened>,
        files: Vec<CString>,
    },
}

/// The rules for the names in a directory.
#[derive(Clone)]
enum Scope {
    /// There are none, and those that the directory may have do not count.
    Free,
    /// Those of the directory above; whether the directory is ignored itself.
    Below(Option<Arc<Rules>>, bool),
}

struct Queue<'a> {
    steps: Vec<Step<'a>>,
    active: usize,
    found: Found,
}

/// Gets files and bytes read so far; false: nobody waits for the result any more.
pub type Progress<'a> = dyn FnMut(u64, u64) -> bool + Send + 'a;

/// When progress was last told, and to whom.
struct Told<'a> {
    at: Instant,
    to: &'a mut Progress<'a>,
}

/// What is read, and how.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    /// Absolute path of the directory.
    pub dir: &'a [u8],
    /// What it held the last time.
    pub base: &'a Base,
    pub reading: Reading,
    pub leaving: Leaving,
    /// Notices what changes from now on.
    pub eye: Option<&'a Eye>,
}

struct Walk<'a> {
    daemon: &'a Daemon,
    plan: Plan<'a>,
    dir: PathBuf,
    home: Option<(u64, u64)>,
    queue: Mutex<Queue<'a>>,
    woken: Condvar,
    files: AtomicU64,
    bytes: AtomicU64,
    progress: Mutex<Told<'a>>,
}

/// Reads all of a directory, and finds what differs from the last table. `progress` gets files and bytes read so far, some ten times a second.
pub fn walk<'a>(daemon: &'a Daemon, plan: Plan<'a>, progress: &'a mut Progress<'a>) -> Result<Found, Errno> {
    let (walk, root, rules) = Walk::begin(daemon, plan, progress)?;
    {
        let known = walk.known(b"");
        let mut queue = walk.queue();
        walk.look_at_root(&root, known, &mut queue.found)?;
        let (parent, path) = (Some(root), Vec::new());
        queue.steps.push(Step::Dir { parent, name: c".".into(), path, rules, rows: known.below });
    }
    walk.work_together();
    Ok(walk.end())
}

impl<'a> Walk<'a> {
    /// The walk, the directory itself, and the rules above it.
    fn begin(
        daemon: &'a Daemon,
        plan: Plan<'a>,
        progress: &'a mut Progress<'a>,
    ) -> Result<(Walk<'a>, Arc<Opened>, Scope), Errno> {
        let fd = open_dir(None, &CString::new(plan.dir).map_err(|_| Errno::EINVAL)?)?;
        let home = std::fs::metadata(&daemon.folders.home).ok();
        let home = home.map(|home| {
            use std::os::unix::fs::MetadataExt;
            (home.dev(), home.ino())
        });
        let rules = match plan.leaving {
            Leaving::Nothing => Scope::Free,
            Leaving::Ignored => Scope::Below(Rules::above(plan.dir, daemon.config.ingest.gitignore), false),
        };
        let walk = Walk {
            daemon,
            plan,
            dir: PathBuf::from(os(plan.dir)),
            home,
            queue: Mutex::new(Queue { steps: Vec::new(), active: 0, found: Found::default() }),
            woken: Condvar::new(),
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            progress: Mutex::new(Told { at: Instant::now(), to: progress }),
        };
        Ok((walk, Arc::new(Opened { fd, path: Vec::new() }), rules))
    }

    fn end(self) -> Found {
        let mut found = self.queue.into_inner().unwrap_or_else(PoisonError::into_inner).found;
        found.finish();
        found
    }

    /// What the last table has at and below a path.
    fn known(&self, path: &[u8]) -> Group<'a> {
        Group::of(self.plan.base.below(path), path)
    }

    /// The directory itself.
    fn look_at_root(&self, root: &Opened, known: Group<'a>, found: &mut Found) -> Result<(), Errno> {
        let stat = fstat(&root.fd)?;
        let is_same = known.own.is_some_and(|own| own.is_still(&stat));
        let xattrs = crate::real_xattrs::read_dir(self.plan.reading, &root.fd, c".");
        if !is_same || (!xattrs.is_empty() && known.own.is_some_and(|own| own.changed_at(&stat))) {
            found.is_now(known, Row { xattrs, ..row_of(Vec::new(), &stat, Held::Nothing) });
        }
        Ok(())
    }

    fn queue(&self) -> MutexGuard<'_, Queue<'a>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes all steps, with more threads if they are many.
    fn work_together(&self) {
        self.work(STEPS_ALONE);
        if self.queue().steps.is_empty() {
            return;
        }
        std::thread::scope(|scope| {
            for _ in 1..READERS {
                // Without more threads it takes longer.
                let _ = std::thread::Builder::new()
                    .name("reader".into())
                    .spawn_scoped(scope, || self.work(usize::MAX));
            }
            self.work(usize::MAX);
        });
    }

    /// Takes steps until there are none, or `most` are done.
    fn work(&self, most: usize) {
        for _ in 0..most {
            let mut queue = self.queue();
            let step = loop {
                if queue.found.failed.is_some() || queue.found.is_cancelled {
                    queue.steps.clear();
                }
                match queue.steps.pop() {
                    Some(step) => break step,
                    None if queue.active == 0 => {
                        self.woken.notify_all();
                        return;
                    }
                    None => queue = self.woken.wait(queue).unwrap_or_else(PoisonError::into_inner),
                }
            };
            queue.active += 1;
            drop(queue);
            let mut part = Part::default();
            match step {
                Step::Dir { parent, name, path, rules, rows } => {
                    self.read_dir(parent.as_deref(), &name, (path, rules, rows), &mut part);
                }
                Step::Files { dir, files } => {
                    for name in files {
                        self.read_file(&dir, &name, &mut part);
                    }
                }
            }
            let Part { found, mut steps, seen } = part;
            self.report(seen);
            let mut queue = self.queue();
            queue.active -= 1;
            queue.steps.append(&mut steps);
            merge(&mut queue.found, found);
            drop(queue);
            self.woken.notify_all();
        }
    }

    fn report(&self, (files, bytes): (u64, u64)) {
        crate::kill_points::pass(|| "reading".into());
        let files = self.files.fetch_add(files, Ordering::Relaxed) + files;
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if let Ok(mut progress) = self.progress.try_lock()
            && progress.at.elapsed() > PROGRESS_PAUSE
        {
            progress.at = Instant::now();
            if !(progress.to)(files, bytes) {
                self.queue().found.is_cancelled = true;
            }
        }
    }
}

/// Name of a path as the system calls take it.
pub fn os(path: &[u8]) -> &std::ffi::OsStr {
    std::ffi::OsStr::from_bytes(path)
}
