//! Reading a real directory: stat of everything, and the bytes of what is not known yet. Writes nothing.

use crate::base::{Base, Held, Row, path_order, row_of};
use crate::clock::system_now_ns;
use crate::daemon::Daemon;
use crate::ignored::{self, RuleFiles, Rules, Verdict};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, fstat, fstatat};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use vrift_cas::CasError;
use vrift_manifest::types::{S_IFDIR, S_IFLNK, S_IFMT};
use vrift_protocol::admin::{PathBytes, Problem};

/// Threads that read: enough to keep two to four CPUs hashing while others wait for the disk.
const READERS: usize = 4;
/// One thread does this many steps before others are started: a small project is done by then.
const STEPS_ALONE: usize = 8;
/// Files handed to a thread at once.
const FILES_PER_STEP: usize = 64;
/// A file that changes while it is read is read this often.
const READS_MAX: usize = 3;
/// Kernels without fine-grained file times cannot tell two writes within a tick (at most 10 ms) apart.
const TICK_NS: i64 = 20_000_000;
/// At most this many problems are named; the rest is counted by the last.
const PROBLEMS_MAX: usize = 1000;
/// Of what is left out, so many are named.
const IGNORED_MAX: usize = 20;
const PROGRESS_PAUSE: Duration = Duration::from_millis(100);

const S_IFREG: u32 = 0o100000;

/// What a walk found.
#[derive(Default)]
pub struct Found {
    pub rows: Vec<Row>,
    pub skipped: Vec<Problem>,
    pub new_bytes: u64,
    pub duplicates: u64,
    /// Left out by rules, the tops alone: the first ones, and how many.
    pub ignored: Vec<PathBytes>,
    pub ignored_count: u64,
    /// The store cannot take more: the walk is of no use.
    pub failed: Option<CasError>,
    /// Nobody waits for the result: it is not complete.
    pub is_cancelled: bool,
}

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

enum Step {
    Dir { parent: Option<Arc<Opened>>, name: CString, path: Vec<u8>, rules: Scope },
    Files { dir: Arc<Opened>, files: Vec<CString> },
}

/// The rules for the names in a directory.
#[derive(Clone)]
enum Scope {
    /// There are none, and those that the directory may have do not count.
    Free,
    /// Those of the directory above; whether the directory is ignored itself.
    Below(Option<Arc<Rules>>, bool),
}

struct Queue {
    steps: Vec<Step>,
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

struct Walk<'a> {
    daemon: &'a Daemon,
    base: &'a Base,
    reading: Reading,
    leaving: Leaving,
    /// Absolute path of the directory.
    dir: PathBuf,
    home: Option<(u64, u64)>,
    queue: Mutex<Queue>,
    woken: Condvar,
    files: AtomicU64,
    bytes: AtomicU64,
    progress: Mutex<Told<'a>>,
}

/// Reads `dir`; rows in [`path_order`]. `progress` gets files and bytes read so far, some ten times a second.
pub fn walk<'a>(
    daemon: &'a Daemon,
    dir: &[u8],
    base: &'a Base,
    reading: Reading,
    leaving: Leaving,
    progress: &'a mut Progress<'a>,
) -> Result<Found, Errno> {
    let root = open_dir(None, &CString::new(dir).map_err(|_| Errno::EINVAL)?)?;
    let stat = fstat(&root)?;
    let home = std::fs::metadata(&daemon.folders.home).ok();
    let home = home.map(|home| {
        use std::os::unix::fs::MetadataExt;
        (home.dev(), home.ino())
    });
    let opened = Arc::new(Opened { fd: root, path: Vec::new() });
    let xattrs = crate::real_xattrs::read_dir(reading, &opened.fd, c".");
    let root = Row { xattrs, ..row_of(Vec::new(), &stat, Held::Nothing) };
    let found = Found { rows: vec![root], ..Found::default() };
    let here = CString::from(c".");
    let uses_git = daemon.config.ingest.gitignore;
    let rules = match leaving {
        Leaving::Nothing => Scope::Free,
        Leaving::Ignored => Scope::Below(Rules::above(dir, uses_git), false),
    };
    let steps = vec![Step::Dir { parent: Some(opened), name: here, path: Vec::new(), rules }];
    let walk = Walk {
        daemon,
        base,
        reading,
        leaving,
        dir: PathBuf::from(os(dir)),
        home,
        queue: Mutex::new(Queue { steps, active: 0, found }),
        woken: Condvar::new(),
        files: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        progress: Mutex::new(Told { at: Instant::now(), to: progress }),
    };
    walk.work(STEPS_ALONE);
    if !walk.queue().steps.is_empty() {
        std::thread::scope(|scope| {
            for _ in 1..READERS {
                // Without more threads it takes longer.
                let _ = std::thread::Builder::new()
                    .name("reader".into())
                    .spawn_scoped(scope, || walk.work(usize::MAX));
            }
            walk.work(usize::MAX);
        });
    }
    let mut found = walk.queue.into_inner().unwrap_or_else(PoisonError::into_inner).found;
    found.rows.sort_unstable_by(|one, two| path_order(&one.path, &two.path));
    Ok(found)
}

impl Walk<'_> {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
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
            let mut found = Found::default();
            let mut steps = Vec::new();
            match step {
                Step::Dir { parent, name, path, rules } => {
                    self.read_dir(parent.as_deref(), &name, (path, rules), &mut found, &mut steps);
                }
                Step::Files { dir, files } => {
                    for name in files {
                        self.read_file(&dir, &name, &mut found);
                    }
                }
            }
            self.report(&found);
            let mut queue = self.queue();
            queue.active -= 1;
            queue.steps.append(&mut steps);
            merge(&mut queue.found, found);
            drop(queue);
            self.woken.notify_all();
        }
    }

    fn report(&self, found: &Found) {
        let files = found.rows.len() as u64;
        let bytes = found.rows.iter().map(|row| row.size).sum();
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

    fn read_dir(
        &self,
        parent: Option<&Opened>,
        name: &CStr,
        (path, rules): (Vec<u8>, Scope),
        found: &mut Found,
        steps: &mut Vec<Step>,
    ) {
        let opened = open_dir(parent.map(|parent| &parent.fd), name)
            .and_then(|fd| Ok((Dir::from_fd(fd.try_clone().map_err(|_| Errno::EMFILE)?)?, fd)));
        let (mut entries, fd) = match opened {
            Ok(opened) => opened,
            Err(errno) => return skip(found, path, format!("cannot be read: {}", errno.desc())),
        };
        let dir = Arc::new(Opened { fd, path });
        let mut unknown = Vec::new();
        let mut names: Vec<CString> = Vec::new();
        for entry in entries.iter() {
            match &entry {
                Ok(entry) if entry.file_name() == c"." || entry.file_name() == c".." => {}
                Ok(entry) => names.push(entry.file_name().to_owned()),
                Err(errno) => {
                    skip(found, dir.path.clone(), format!("cannot be read to its end: {}", errno.desc()));
                    break;
                }
            }
        }
        let rules = self.rules(&dir, &names, rules);
        for name in &names {
            let name = name.as_c_str();
            if name.to_bytes().starts_with(crate::real_tree::BESIDE.as_bytes()) {
                continue;
            }
            let path = join(&dir.path, name.to_bytes());
            let stat = match fstatat(&dir.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::ENOENT) => continue,
                Err(errno) => {
                    skip(found, path, format!("cannot be looked at: {}", errno.desc()));
                    continue;
                }
            };
            let below = match self.judge(rules.as_ref(), &path, &stat) {
                Some(below) => below,
                None => {
                    found.ignored_count += 1;
                    if found.ignored.len() < IGNORED_MAX {
                        found.ignored.push(path[..].into());
                    }
                    continue;
                }
            };
            match stat.st_mode & S_IFMT {
                S_IFDIR if self.home == Some((stat.st_dev, stat.st_ino)) => {
                    skip(found, path, "holds vrift's own state (VRIFT_HOME)".into());
                }
                S_IFDIR => {
                    let xattrs = crate::real_xattrs::read_dir(self.reading, &dir.fd, name);
                    found.rows.push(Row { xattrs, ..row_of(path.clone(), &stat, Held::Nothing) });
                    let parent = Some(Arc::clone(&dir));
                    steps.push(Step::Dir { parent, name: name.to_owned(), path, rules: below });
                }
                S_IFLNK => match readlinkat(&dir.fd, name) {
                    Ok(target) => found.rows.push(row_of(path, &stat, Held::Target(target.into_vec()))),
                    Err(errno) => skip(found, path, format!("cannot be read: {}", errno.desc())),
                },
                S_IFREG => {
                    let now = row_of(path, &stat, Held::Hash([0; 32]));
                    match self.base.find(&now.path).filter(|known| known.same_stat(&now)) {
                        Some(known) => found.rows.push(Row { held: known.held.clone(), ..now }),
                        None => unknown.push(name.to_owned()),
                    }
                }
                0o140000 => skip(found, path, "is a socket".into()),
                0o010000 => skip(found, path, "is a fifo".into()),
                _ => skip(found, path, "is a device".into()),
            }
        }
        while !unknown.is_empty() {
            let files = unknown.split_off(unknown.len().saturating_sub(FILES_PER_STEP));
            steps.push(Step::Files { dir: Arc::clone(&dir), files });
        }
    }

    /// The rules that hold in a directory with these names.
    fn rules(&self, dir: &Opened, names: &[CString], scope: Scope) -> Option<Arc<Rules>> {
        let Scope::Below(above, ignored) = scope else { return None };
        let has = |wanted: &[u8]| names.iter().any(|name| name.to_bytes() == wanted);
        let read = |name: &[u8]| has(name).then(|| rules_text(&dir.fd, name)).flatten();
        let files = RuleFiles {
            own: read(ignored::OWN_FILE),
            git: read(ignored::GIT_FILE),
            is_repo: has(ignored::GIT_DIR),
        };
        let path = self.dir.join(os(&dir.path));
        Rules::of(above.as_ref(), &path, &files, self.daemon.config.ingest.gitignore, ignored)
    }

    /// None: left out. For a directory: what holds in it.
    fn judge(&self, rules: Option<&Arc<Rules>>, path: &[u8], stat: &FileStat) -> Option<Scope> {
        let is_dir = stat.st_mode & S_IFMT == S_IFDIR;
        let Some(rules) = rules.filter(|_| self.leaving == Leaving::Ignored) else {
            return Some(self.below(None, false));
        };
        if is_dir && path.rsplit(|byte| *byte == b'/').next() == Some(ignored::GIT_DIR) {
            return Some(Scope::Free);
        }
        let is_known = self.base.find(path).is_some();
        if is_known && !is_dir {
            return Some(Scope::Free);
        }
        match rules.verdict(&self.dir.join(os(path)), is_dir) {
            Verdict::TakenIn => Some(self.below(Some(rules), false)),
            Verdict::OnlyTracked => Some(self.below(Some(rules), true)),
            Verdict::LeftOut => is_known.then(|| self.below(Some(rules), true)),
        }
    }

    fn below(&self, rules: Option<&Arc<Rules>>, ignored: bool) -> Scope {
        match self.leaving {
            Leaving::Nothing => Scope::Free,
            Leaving::Ignored => Scope::Below(rules.cloned(), ignored),
        }
    }

    fn read_file(&self, dir: &Opened, name: &CStr, found: &mut Found) {
        let path = join(&dir.path, name.to_bytes());
        for _ in 0..READS_MAX {
            let file = match open_file(&dir.fd, name) {
                Ok(fd) => File::from(fd),
                Err(Errno::ENOENT) => return,
                Err(errno) => return skip(found, path, format!("cannot be read: {}", errno.desc())),
            };
            let stat = match fstat(&file) {
                Ok(stat) if stat.st_mode & S_IFMT == S_IFREG => stat,
                _ => continue,
            };
            let read = match self.reading {
                Reading::Ingest => self.daemon.cas.ingest(&file, stat.st_size.cast_unsigned()),
                Reading::HashOnly => hash_only(&file, stat.st_size.cast_unsigned()),
            };
            let read = match read {
                Ok(read) => read,
                Err(CasError::SourceChanged { .. }) => continue,
                Err(error @ (CasError::NoSpace { .. } | CasError::Store(_))) => {
                    found.failed = Some(error);
                    return;
                }
                Err(error) => return skip(found, path, format!("cannot be read: {error}")),
            };
            let xattrs = match self.reading {
                Reading::Ingest => crate::real_xattrs::read(&file),
                Reading::HashOnly => Vec::new(),
            };
            let facts = |stat: &FileStat| {
                (stat.st_size, stat.st_mtime, stat.st_mtime_nsec, stat.st_ctime, stat.st_ctime_nsec)
            };
            if fstat(&file).is_ok_and(|after| facts(&after) == facts(&stat)) {
                if read.new {
                    found.new_bytes += read.len_bytes;
                } else {
                    found.duplicates += 1;
                }
                let mut row = Row { xattrs, ..row_of(path, &stat, Held::Hash(read.hash.0)) };
                if row.ctime_ns > system_now_ns() - TICK_NS {
                    row.ctime_ns = 0;
                }
                found.rows.push(row);
                return;
            }
        }
        skip(found, path, format!("kept changing while it was read ({READS_MAX} times)"));
    }
}

/// The text of a file of rules, as far as it is of use; None: it is no file that can be read, and says nothing.
fn rules_text(dir: &OwnedFd, name: &[u8]) -> Option<Vec<u8>> {
    let fd = open_file(dir, &CString::new(name).ok()?).ok()?;
    if fstat(&fd).ok()?.st_mode & S_IFMT != S_IFREG {
        return None;
    }
    let mut text = Vec::new();
    File::from(fd).take(ignored::RULES_LEN_MAX).read_to_end(&mut text).ok()?;
    Some(text)
}

fn hash_only(file: &File, len_bytes: u64) -> Result<vrift_cas::Ingested, CasError> {
    match vrift_cas::hash_file(file, 0) {
        Ok((hash, _)) => Ok(vrift_cas::Ingested { hash, len_bytes, new: false }),
        Err(source) => Err(CasError::Io { what: "reading", path: "a file".into(), source }),
    }
}

fn merge(all: &mut Found, mut part: Found) {
    all.rows.append(&mut part.rows);
    all.new_bytes += part.new_bytes;
    all.duplicates += part.duplicates;
    all.ignored_count += part.ignored_count;
    part.ignored.truncate(IGNORED_MAX - all.ignored.len());
    all.ignored.append(&mut part.ignored);
    all.failed = all.failed.take().or(part.failed);
    for problem in part.skipped {
        if all.skipped.len() < PROBLEMS_MAX {
            all.skipped.push(problem);
        }
    }
}

fn skip(found: &mut Found, path: Vec<u8>, what: String) {
    found.skipped.push(Problem { path: path[..].into(), what });
}

fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir.is_empty() { name.to_vec() } else { [dir, b"/", name].concat() }
}

/// Opens for reading without leaving an access time, where that is permitted.
fn open_quietly(at: Option<&OwnedFd>, name: &CStr, flags: OFlag) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let open = |flags| match at {
        Some(dir) => openat(dir.as_fd(), name, flags, Mode::empty()),
        None => nix::fcntl::open(name, flags, Mode::empty()),
    };
    match open(flags | OFlag::O_NOATIME) {
        Err(Errno::EPERM) => open(flags),
        result => result,
    }
}

fn open_dir(at: Option<&OwnedFd>, name: &CStr) -> Result<OwnedFd, Errno> {
    open_quietly(at, name, OFlag::O_DIRECTORY)
}

/// Never waits for a writer, should the file have become a fifo.
fn open_file(at: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    open_quietly(Some(at), name, OFlag::O_NONBLOCK)
}

/// Name of a path as the system calls take it.
pub fn os(path: &[u8]) -> &std::ffi::OsStr {
    std::ffi::OsStr::from_bytes(path)
}
