//! ftw(3) and nftw: glibc's walks the real tree from inside itself, so in a view the walk is ours, on both sides of
//! the border. It goes by glibc's order of calls.
//!
//! The directories on the way are frames on the heap, not on the thread's stack, and each is read to its end and
//! closed before the walk goes down: the limit on open directories is never reached. A path longer than PATH_MAX
//! fails with ENAMETOOLONG unless FTW_CHDIR is given.

use super::dir_read::readdir64;
use super::dirs::{closedir, opendir};
use super::hook;
use super::paths::{chdir, fchdir, getcwd};
use super::stat::{lstat, stat};
use crate::errno;
use crate::fds;
use crate::heap::List;
use crate::init;
use crate::raw::{self, Errno};
use crate::real::real;
use crate::seen::Seen;
use crate::text::{PATH_MAX, bytes_of};
use core::ffi::{CStr, c_char, c_int};
use libc::stat as Stat;

const FTW_F: c_int = 0;
const FTW_D: c_int = 1;
const FTW_DNR: c_int = 2;
const FTW_NS: c_int = 3;
const FTW_SL: c_int = 4;
const FTW_DP: c_int = 5;
const FTW_SLN: c_int = 6;

const FTW_PHYS: c_int = 1;
const FTW_MOUNT: c_int = 2;
const FTW_CHDIR: c_int = 4;
const FTW_DEPTH: c_int = 8;
const FTW_ACTIONRETVAL: c_int = 16;
const FLAGS: c_int = FTW_PHYS | FTW_MOUNT | FTW_CHDIR | FTW_DEPTH | FTW_ACTIONRETVAL;

const FTW_STOP: c_int = 1;
const FTW_SKIP_SUBTREE: c_int = 2;
const FTW_SKIP_SIBLINGS: c_int = 3;

/// Where in the path the name begins, and how deep the walk is.
#[repr(C)]
pub struct Ftw {
    base: c_int,
    level: c_int,
}

type FtwCall = unsafe extern "C" fn(*const c_char, *const Stat, c_int) -> c_int;
type NftwCall = unsafe extern "C" fn(*const c_char, *const Stat, c_int, *mut Ftw) -> c_int;

/// The caller's function.
#[derive(Clone, Copy)]
enum Call {
    Ftw(FtwCall),
    Nftw(NftwCall),
}

/// A directory that the walk is in.
struct Frame {
    /// What is left to visit: names, each ended by a NUL.
    names: List<u8>,
    at: usize,
    /// Where its own name begins in the path.
    base: usize,
    stat: Stat,
    /// With FTW_CHDIR: how to come back to it; -1 when it could not be opened.
    fd: c_int,
}

impl Drop for Frame {
    fn drop(&mut self) {
        close(self.fd);
    }
}

fn close(fd: c_int) {
    if fd >= 0 {
        raw::close(fd);
        fds::forget(fd);
    }
}

struct Walk {
    call: Call,
    flags: c_int,
    /// The path now, ended by a NUL.
    path: List<u8>,
    base: usize,
    level: c_int,
    device: u64,
    seen: Seen,
    frames: List<Frame>,
    /// Fds that frames may still hold.
    fds_left: c_int,
}

fn zeroed_stat() -> Stat {
    // SAFETY: all fields are integers, for which zero is a value.
    unsafe { core::mem::zeroed() }
}

/// A C call that returns -1 with errno set.
fn checked(result: c_int) -> Result<(), Errno> {
    if result < 0 { Err(errno::get()) } else { Ok(()) }
}

impl Walk {
    /// Tells the caller of the path; its answer, or the errno of ours in the error.
    fn tell(&self, stat: &Stat, kind: c_int) -> c_int {
        let path = self.path.as_ptr().cast();
        let mut ftw = Ftw { base: self.base as c_int, level: self.level };
        // SAFETY: the caller's function, with what its manual page promises.
        unsafe {
            match self.call {
                Call::Nftw(call) => call(path, stat, kind, &mut ftw),
                Call::Ftw(call) => {
                    let kind = match kind {
                        FTW_SL => FTW_F,
                        FTW_DP => FTW_D,
                        FTW_SLN => FTW_NS,
                        kind => kind,
                    };
                    call(path, stat, kind)
                }
            }
        }
    }

    fn has(&self, flag: c_int) -> bool {
        self.flags & flag != 0
    }

    /// The name by which the present path is to be had from the present working directory.
    fn name(&self) -> *const c_char {
        if !self.has(FTW_CHDIR) {
            return self.path.as_ptr().cast();
        }
        match self.path.get(self.base..) {
            None | Some([] | [0, ..]) => c".".as_ptr(),
            Some(name) => name.as_ptr().cast(),
        }
    }

    /// What the present path is, and its attributes as far as there are any.
    fn look(&self) -> Result<(c_int, Stat), Errno> {
        let mut found = zeroed_stat();
        let name = self.name();
        // SAFETY: a C string and a struct of our own.
        let result =
            unsafe { if self.has(FTW_PHYS) { lstat(name, &mut found) } else { stat(name, &mut found) } };
        match checked(result) {
            Ok(()) => {}
            Err(libc::EACCES | libc::ENOENT) => {
                // SAFETY: as above.
                let is_link = !self.has(FTW_PHYS)
                    && unsafe { lstat(name, &mut found) } == 0
                    && found.st_mode & libc::S_IFMT == libc::S_IFLNK;
                return Ok((if is_link { FTW_SLN } else { FTW_NS }, found));
            }
            Err(errno) => return Err(errno),
        }
        let kind = match found.st_mode & libc::S_IFMT {
            libc::S_IFDIR => FTW_D,
            libc::S_IFLNK => FTW_SL,
            _ => FTW_F,
        };
        Ok((kind, found))
    }

    /// The path that the walk begins with.
    fn begin(&mut self) -> Result<c_int, Errno> {
        let (kind, stat) = self.look()?;
        match kind {
            FTW_NS => Err(errno::get()),
            FTW_D => {
                self.device = stat.st_dev;
                if !self.has(FTW_PHYS) {
                    self.seen.insert(stat.st_dev, stat.st_ino)?;
                }
                self.enter(&stat)
            }
            kind => Ok(self.tell(&stat, kind)),
        }
    }

    /// One entry of a directory.
    fn visit(&mut self) -> Result<c_int, Errno> {
        let (kind, stat) = self.look()?;
        if kind != FTW_NS && self.has(FTW_MOUNT) && stat.st_dev != self.device {
            return Ok(0);
        }
        if kind != FTW_D {
            return Ok(self.tell(&stat, kind));
        }
        if !self.has(FTW_PHYS) && !self.seen.insert(stat.st_dev, stat.st_ino)? {
            return Ok(0);
        }
        self.enter(&stat)
    }

    /// Begins with the directory at the present path.
    fn enter(&mut self, stat: &Stat) -> Result<c_int, Errno> {
        let name = self.name();
        // SAFETY: a C string of our own.
        let dir = unsafe { opendir(name) };
        if dir.is_null() {
            return match errno::get() {
                libc::EACCES => Ok(self.tell(stat, FTW_DNR)),
                errno => Err(errno),
            };
        }
        // The directory is listed after the call, which may change what is in it.
        let answer = if self.has(FTW_DEPTH) { 0 } else { self.tell(stat, FTW_D) };
        let mut names = List::new();
        let read = if answer == 0 { read_names(dir, &mut names) } else { Ok(()) };
        // SAFETY: opened above.
        unsafe { closedir(dir) };
        read?;
        if answer != 0 {
            return Ok(answer);
        }
        let mut frame = Frame { names, at: 0, base: self.base, stat: *stat, fd: -1 };
        if self.has(FTW_CHDIR) {
            // SAFETY: a C string of our own.
            checked(unsafe { chdir(name) })?;
            if self.fds_left > 0 {
                frame.fd = open_here().unwrap_or(-1);
                self.fds_left -= c_int::from(frame.fd >= 0);
            }
        }
        self.level += 1;
        let len = self.path.len().saturating_sub(1);
        self.path.truncate(len);
        if self.path.last() != Some(&b'/') {
            self.path.push(b'/')?;
        }
        self.base = self.path.len();
        self.path.push(0)?;
        self.frames.push(frame)?;
        Ok(0)
    }

    /// After the last entry of the innermost directory, or the one that ended it.
    fn leave(&mut self, mut result: c_int) -> c_int {
        let Some(mut frame) = self.frames.pop() else { return result };
        let actions = self.has(FTW_ACTIONRETVAL);
        if actions && result == FTW_SKIP_SIBLINGS {
            result = 0;
        }
        self.path.truncate(self.base.saturating_sub(1));
        // The path was longer a moment ago: there is room.
        let _ = self.path.push(0);
        self.level -= 1;
        self.base = frame.base;
        if result == 0 && self.has(FTW_DEPTH) {
            result = self.tell(&frame.stat, FTW_DP);
        }
        self.fds_left += c_int::from(frame.fd >= 0);
        close(core::mem::replace(&mut frame.fd, -1));
        let goes_on = result == 0 || actions && result != -1 && result != FTW_STOP;
        if self.has(FTW_CHDIR)
            && goes_on
            && let Some(parent) = self.frames.last()
        {
            // SAFETY: fds and strings of our own.
            let back = unsafe {
                match parent.fd {
                    fd if fd >= 0 && fchdir(fd) == 0 => 0,
                    _ if self.base == 1 => chdir(c"/".as_ptr()),
                    _ => chdir(c"..".as_ptr()),
                }
            };
            if back < 0 {
                result = -1;
            }
        }
        result
    }

    fn next_name(&mut self) -> Result<bool, Errno> {
        let Some(frame) = self.frames.last_mut() else { return Ok(false) };
        let left = frame.names.get(frame.at..).unwrap_or(&[]);
        let Some(end) = left.iter().position(|byte| *byte == 0) else { return Ok(false) };
        let name = left.get(..=end).unwrap_or(&[]);
        frame.at += end + 1;
        self.path.truncate(self.base);
        self.path.extend(name)?;
        Ok(true)
    }

    fn run(&mut self) -> c_int {
        let mut result = or_minus_one(self.begin());
        while !self.frames.is_empty() {
            let more = if result == 0 { self.next_name() } else { Ok(false) };
            result = match more {
                Ok(true) => or_minus_one(self.visit()),
                Ok(false) => self.leave(result),
                Err(errno) => {
                    errno::set(errno);
                    self.leave(-1)
                }
            };
            if self.has(FTW_ACTIONRETVAL) && result == FTW_SKIP_SUBTREE {
                result = 0;
            }
        }
        match result {
            FTW_SKIP_SUBTREE | FTW_SKIP_SIBLINGS if self.has(FTW_ACTIONRETVAL) => 0,
            result => result,
        }
    }
}

fn or_minus_one(result: Result<c_int, Errno>) -> c_int {
    result.unwrap_or_else(errno::fail)
}

/// All names of a directory but `.` and `..`.
fn read_names(dir: *mut libc::DIR, names: &mut List<u8>) -> Result<(), Errno> {
    let before = errno::get();
    loop {
        errno::set(0);
        // SAFETY: an open stream of our own.
        let entry = unsafe { readdir64(dir) };
        if entry.is_null() {
            break;
        }
        // SAFETY: an entry's name is a C string.
        let name = unsafe { CStr::from_ptr((&raw const (*entry).d_name).cast()) }.to_bytes_with_nul();
        if !matches!(name, b".\0" | b"..\0") {
            names.extend(name)?;
        }
    }
    match errno::get() {
        0 => {
            errno::set(before);
            Ok(())
        }
        errno => Err(errno),
    }
}

fn open_here() -> Result<c_int, Errno> {
    const FLAGS: c_int = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: a C string of our own.
    let fd = unsafe { super::open::open(c".".as_ptr(), FLAGS, 0) };
    checked(fd).map(|()| fd)
}

/// The working directory to come back to after FTW_CHDIR.
#[expect(clippy::large_enum_variant, reason = "there is no heap to put it on")]
enum Home {
    Fd(c_int),
    Path([c_char; PATH_MAX]),
}

impl Home {
    fn remember() -> Result<Home, Errno> {
        match open_here() {
            Ok(fd) => Ok(Home::Fd(fd)),
            Err(libc::EACCES) => {
                let mut path = [0; PATH_MAX];
                // SAFETY: a buffer of this length.
                if unsafe { getcwd(path.as_mut_ptr(), path.len()) }.is_null() {
                    return Err(errno::get());
                }
                Ok(Home::Path(path))
            }
            Err(errno) => Err(errno),
        }
    }

    fn go_back(self) {
        let before = errno::get();
        // SAFETY: an fd and a string of our own.
        unsafe {
            match &self {
                Home::Fd(fd) => {
                    fchdir(*fd);
                    close(*fd);
                }
                Home::Path(path) => {
                    chdir(path.as_ptr());
                }
            }
        }
        errno::set(before);
    }
}

/// Changes to the directory that holds what is walked, and walks.
fn walk_in_place(walk: &mut Walk) -> Result<c_int, Errno> {
    let home = Home::remember()?;
    let mut parent = [0u8; PATH_MAX];
    let end = if walk.base == 1 { 1 } else { walk.base.saturating_sub(1) };
    let result = match (parent.get_mut(..end), walk.path.get(..end)) {
        (Some([]), _) => Ok(()),
        (Some(to), Some(from)) if end < PATH_MAX => {
            to.copy_from_slice(from);
            // SAFETY: a C string: the array ends in a NUL at the least.
            checked(unsafe { chdir(parent.as_ptr().cast()) })
        }
        _ => Err(libc::ENAMETOOLONG),
    }
    .map(|()| walk.run());
    home.go_back();
    result
}

fn start(path: &[u8], call: Call, fds_max: c_int, flags: c_int) -> Result<c_int, Errno> {
    if path.is_empty() {
        return Err(libc::ENOENT);
    }
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(1, |last| last + 1);
    let path = path.get(..end).unwrap_or(path);
    let mut walk = Walk {
        call,
        flags,
        path: List::new(),
        base: path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1),
        level: 0,
        device: 0,
        seen: Seen::new(),
        frames: List::new(),
        fds_left: fds_max.max(1),
    };
    walk.path.extend(path)?;
    walk.path.push(0)?;
    if flags & FTW_CHDIR != 0 { walk_in_place(&mut walk) } else { Ok(walk.run()) }
}

macro_rules! ftw_hooks {
    ($($name:ident)*) => {$(
        hook! {
            fn $name(path: *const c_char, call: FtwCall, fds_max: c_int) -> c_int {
                // SAFETY: C's argument.
                match unsafe { bytes_of(path) }.filter(|_| init::in_view()) {
                    Some(path) => or_minus_one(start(path, Call::Ftw(call), fds_max, 0)),
                    None => real!($name(path: *const c_char, call: FtwCall, fds_max: c_int) -> c_int),
                }
            }
        }
    )*};
}

ftw_hooks! { ftw ftw64 }

macro_rules! nftw_hooks {
    ($($name:ident)*) => {$(
        hook! {
            fn $name(path: *const c_char, call: NftwCall, fds_max: c_int, flags: c_int) -> c_int {
                // SAFETY: C's argument.
                match unsafe { bytes_of(path) }.filter(|_| init::in_view()) {
                    Some(_) if flags & !FLAGS != 0 => errno::fail(libc::EINVAL),
                    Some(path) => or_minus_one(start(path, Call::Nftw(call), fds_max, flags)),
                    None => real!($name(path: *const c_char, call: NftwCall, fds_max: c_int, flags: c_int) -> c_int),
                }
            }
        }
    )*};
}

nftw_hooks! { nftw nftw64 }
