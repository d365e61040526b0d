//! One sequence as it is run: its fds, and what each call gives.

use std::collections::HashMap;
use std::time::Duration;

use libc::c_int;

use crate::sys::{self, Outcome};
use crate::text;

/// Numbers by which a sequence speaks of its fds.
pub const SLOTS: usize = 5;
/// Longer than the daemon waits before it seals what nobody writes (200 ms).
const SETTLE: Duration = Duration::from_millis(300);
const TICK: Duration = Duration::from_millis(12);
/// What `age` sets all times to.
const AGED_S: i64 = 1500;

/// The state that calls share.
pub struct Machine {
    sequence: u64,
    root: String,
    slots: [c_int; SLOTS],
    /// Change time of each file, by its number, when they were last noted.
    noted: HashMap<u64, (i64, i64)>,
}

impl Machine {
    /// `root` is the sequence's own directory, and the working directory.
    pub fn new(sequence: u64, root: String) -> Machine {
        Machine { sequence, root, slots: [-1; SLOTS], noted: HashMap::new() }
    }

    /// Notes the change times of all files below `path`.
    pub fn note(&mut self, path: &str) {
        let Ok(stat) = sys::stat_path(path, false) else { return };
        self.noted.insert(stat.st_ino, (stat.st_ctime, stat.st_ctime_nsec));
        if text::kind(&stat) == 'd' {
            for name in sys::list(path).unwrap_or_default() {
                if name != "." && name != ".." {
                    self.note(&format!("{path}/{name}"));
                }
            }
        }
    }

    /// Whether a file is as it was when its change time was noted.
    pub fn is_unchanged(&self, stat: &libc::stat) -> bool {
        self.noted.get(&stat.st_ino) == Some(&(stat.st_ctime, stat.st_ctime_nsec))
    }

    /// Closes what is open.
    pub fn close_all(&mut self) {
        for slot in &mut self.slots {
            if *slot >= 0 {
                let _ = sys::close(*slot);
            }
            *slot = -1;
        }
    }

    /// Makes one call: a word for what it gave.
    pub fn step(&mut self, op: &str) -> String {
        let words: Vec<&str> = op.split(' ').collect();
        match self.call(&Args { words: &words, root: &self.root.clone() }) {
            Ok(text) => text,
            Err(errno) => text::errno(errno),
        }
    }

    fn fd(&self, slot: usize) -> c_int {
        self.slots.get(slot).copied().unwrap_or(-1)
    }

    /// Puts a new fd into a slot; what was there is closed.
    fn keep(&mut self, slot: usize, fd: i64) -> String {
        if let Some(place) = self.slots.get_mut(slot) {
            if *place >= 0 {
                let _ = sys::close(*place);
            }
            *place = fd as c_int;
        }
        "fd".to_owned()
    }

    fn call(&mut self, a: &Args<'_>) -> Outcome<String> {
        match a.words[0] {
            "open" | "openat" | "close" | "dup" | "dup2" | "getfl" | "appendfl" => self.fds(a),
            "read" | "pread" | "write" | "pwrite" | "seek" | "ftruncate" | "fallocate" | "fsync"
            | "mapread" | "mapwrite" | "copyrange" | "sendfile" | "flock" => self.data(a),
            "fstat" | "fchmod" | "futimens" | "fchdir" | "statat" | "mkdirat" | "unlinkat" | "linkfd" => {
                self.by_fd(a)
            }
            "put" => {
                // A fifo would wait for its other end.
                let flags = libc::O_CREAT | libc::O_TRUNC | libc::O_WRONLY | libc::O_NONBLOCK;
                let fd = sys::open(&a.path(1), flags, 0o644)? as c_int;
                let written = sys::write(fd, &self.bytes(a.number(3), a.number(2)), None);
                sys::close(fd)?;
                Ok(written?.to_string())
            }
            "stream" if sys::stat_path(&a.path(1), true).is_ok_and(|stat| text::kind(&stat) == 'p') => {
                Ok("a fifo would wait for its other end".to_owned())
            }
            "stream" => {
                let bytes = if a.words[2].starts_with('r') && a.words[2] != "r+" { 0 } else { a.number(3) };
                sys::stream(&a.path(1), a.words[2], &self.bytes(a.number(4), bytes)).map(|b| text::digest(&b))
            }
            "age" => {
                age(&self.root);
                // Longer than a tick of the clock that files get their times from.
                std::thread::sleep(TICK);
                self.noted.clear();
                self.note(&self.root.clone());
                Ok("done".to_owned())
            }
            "setxattr" => done(sys::set_xattr(&a.path(1), Some(&self.bytes(a.number(2), 20)))),
            _ => by_path(a),
        }
    }

    fn bytes(&self, fill: u64, len: u64) -> Vec<u8> {
        text::bytes(self.sequence, fill, len as usize)
    }

    fn fds(&mut self, a: &Args<'_>) -> Outcome<String> {
        let slot = a.slot(1);
        match a.words[0] {
            "open" => {
                let fd = sys::open(&a.path(2), text::flags(a.words[3]), a.octal(4))?;
                Ok(self.keep(slot, fd))
            }
            "openat" => {
                let fd = sys::openat(self.fd(a.slot(2)), &a.path(3), text::flags(a.words[4]), a.octal(5))?;
                Ok(self.keep(slot, fd))
            }
            "dup" => {
                let fd = sys::dup(self.fd(a.slot(2)))?;
                Ok(self.keep(slot, fd))
            }
            // Onto an open fd: dup2 proper.
            "dup2" => done(sys::dup2(self.fd(a.slot(2)), self.fd(slot)).map(|_| 0)),
            "getfl" => {
                let flags = sys::get_flags(self.fd(slot))?;
                Ok(format!(
                    "flags {:o}",
                    flags as c_int & (libc::O_ACCMODE | libc::O_APPEND | libc::O_NONBLOCK)
                ))
            }
            "appendfl" => done(sys::set_append(self.fd(slot), a.number(2) == 1)),
            _ => {
                let fd = std::mem::replace(&mut self.slots[slot.min(SLOTS - 1)], -1);
                done(sys::close(fd))
            }
        }
    }

    fn data(&mut self, a: &Args<'_>) -> Outcome<String> {
        let fd = self.fd(a.slot(1));
        match a.words[0] {
            "read" => sys::read(fd, a.number(2) as usize, None).map(|bytes| text::digest(&bytes)),
            "pread" => {
                sys::read(fd, a.number(2) as usize, Some(a.signed(3))).map(|bytes| text::digest(&bytes))
            }
            "write" => done(sys::write(fd, &self.bytes(a.number(3), a.number(2)), None)),
            "pwrite" => done(sys::write(fd, &self.bytes(a.number(4), a.number(2)), Some(a.signed(3)))),
            "seek" => done(sys::lseek(fd, a.signed(2), a.number(3) as c_int)),
            "ftruncate" => done(sys::ftruncate(fd, a.signed(2))),
            "fallocate" => done(sys::fallocate(fd, a.number(2) as c_int, a.signed(3), a.signed(4))),
            "fsync" => done(sys::fsync(fd)),
            "copyrange" => done(sys::copy_range(fd, self.fd(a.slot(2)), a.number(3) as usize)),
            "sendfile" => done(sys::sendfile(fd, self.fd(a.slot(2)), a.number(3) as usize)),
            "flock" => done(sys::flock(fd, a.number(2) as c_int | libc::LOCK_NB)),
            // Beyond the end of the file lies SIGBUS.
            _ => {
                let (page, len) = (a.signed(2) * 4096, a.number(3));
                let size = sys::fstat(fd)?.st_size;
                let len = len.min((size - page).max(0) as u64) as usize;
                if len == 0 {
                    return Ok("nothing to map".to_owned());
                }
                let fill = (a.words[0] == "mapwrite").then(|| a.number(4) as u8);
                sys::mapped(fd, page, len, fill).map(|bytes| text::digest(&bytes))
            }
        }
    }

    fn by_fd(&mut self, a: &Args<'_>) -> Outcome<String> {
        let fd = self.fd(a.slot(1));
        match a.words[0] {
            "fstat" => sys::fstat(fd).map(|stat| text::attributes(&stat)),
            "fchmod" => done(sys::fchmod(fd, a.octal(2))),
            "futimens" => done(sys::futimens(fd, a.time(2), a.time(3))),
            "fchdir" => done(sys::fchdir(fd)),
            "statat" => {
                let flags = a.number(3) as c_int;
                sys::stat_at(fd, &a.path(2), flags).map(|stat| text::attributes(&stat))
            }
            "mkdirat" => done(sys::mkdirat(fd, &a.path(2), a.octal(3))),
            "unlinkat" => done(sys::unlinkat(fd, &a.path(2), a.number(3) as c_int)),
            _ => {
                let link = format!("/proc/self/fd/{fd}");
                done(sys::linkat(&link, &a.path(2), libc::AT_SYMLINK_FOLLOW))
            }
        }
    }
}

fn by_path(a: &Args<'_>) -> Outcome<String> {
    let path = || a.path(1);
    match a.words[0] {
        "stat" => sys::stat_path(&path(), true).map(|stat| text::attributes(&stat)),
        "lstat" => sys::stat_path(&path(), false).map(|stat| text::attributes(&stat)),
        "access" => done(sys::access(&path(), a.number(2) as c_int)),
        "readlink" => sys::readlink(&path()).map(|target| text::without_root(&target, a.root)),
        "realpath" => sys::realpath(&path()).map(|path| text::without_root(&path, a.root)),
        "getcwd" => sys::getcwd().map(|path| text::without_root(&path, a.root)),
        "list" => sys::list(&path()).map(|names| names.join(" ")),
        "rename" => done(sys::rename(&path(), &a.path(2))),
        "renameat2" => done(sys::renameat2(&path(), &a.path(2), a.number(3) as u32)),
        "link" => done(sys::linkat(&path(), &a.path(2), a.number(3) as c_int)),
        "symlink" => done(sys::symlink(&path(), &a.path(2))),
        "unlink" => done(sys::unlink(&path())),
        "remove" => done(sys::remove(&path())),
        "rmdir" => done(sys::rmdir(&path())),
        "mkdir" => done(sys::mkdir(&path(), a.octal(2))),
        "mkfifo" => done(sys::mkfifo(&path(), a.octal(2))),
        "chmod" => done(sys::chmod(&path(), a.octal(2))),
        "chown" => done(sys::lchown(&path(), a.number(2) as u32, a.number(3) as u32)),
        "truncate" => done(sys::truncate(&path(), a.signed(2))),
        "utimens" => done(sys::utimens(&path(), a.time(2), a.time(3), a.number(4) == 1)),
        "chdir" => done(sys::chdir(&path())),
        "umask" => Ok(format!("{:o}", sys::umask(a.octal(1)))),
        "getxattr" => sys::xattr(&path()).map(|value| text::digest(&value)),
        "delxattr" => done(sys::set_xattr(&path(), None)),
        "settle" => {
            std::thread::sleep(SETTLE);
            Ok("done".to_owned())
        }
        other => Ok(format!("no such call: {other}")),
    }
}

/// Sets all times below `path`, so that what a later call touches can be told.
fn age(path: &str) {
    for name in sys::list(path).unwrap_or_default() {
        let path = format!("{path}/{name}");
        if name == "." || name == ".." {
            continue;
        }
        if sys::stat_path(&path, false).is_ok_and(|stat| text::kind(&stat) == 'd') {
            age(&path);
        }
        let _ = sys::utimens(&path, Some(AGED_S), Some(AGED_S), false);
    }
    let _ = sys::utimens(path, Some(AGED_S), Some(AGED_S), false);
}

fn done(outcome: Outcome) -> Outcome<String> {
    outcome.map(|value| value.to_string())
}

/// The words of one call.
struct Args<'a> {
    words: &'a [&'a str],
    root: &'a str,
}

impl Args<'_> {
    fn word(&self, at: usize) -> &str {
        self.words.get(at).copied().unwrap_or("0")
    }
    fn path(&self, at: usize) -> String {
        text::path(self.word(at), self.root)
    }
    fn slot(&self, at: usize) -> usize {
        self.number(at) as usize
    }
    fn number(&self, at: usize) -> u64 {
        self.word(at).parse().unwrap_or(0)
    }
    fn signed(&self, at: usize) -> i64 {
        self.word(at).parse().unwrap_or(0)
    }
    fn octal(&self, at: usize) -> u32 {
        u32::from_str_radix(self.word(at), 8).unwrap_or(0)
    }
    /// `-` leaves it alone, `now` is the present.
    fn time(&self, at: usize) -> Option<i64> {
        match self.word(at) {
            "-" => None,
            "now" => Some(-1),
            seconds => Some(seconds.parse().unwrap_or(0)),
        }
    }
}
