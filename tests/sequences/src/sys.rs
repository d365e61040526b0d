//! The C library's calls as they are: what they return, or errno. The preload library takes them over by name, so
//! nothing may stand between a sequence and them.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;

use libc::{AT_FDCWD, c_int, off_t, stat};

/// What a call returns, or errno.
pub type Outcome<T = i64> = Result<T, c_int>;

fn errno() -> c_int {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn of(result: i64) -> Outcome {
    if result < 0 { Err(errno()) } else { Ok(result) }
}

fn c(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}

macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $kind:tt),*) = $call:expr;)*) => {$(
        $(#[$doc])*
        pub fn $name($($arg: kind!($kind)),*) -> Outcome {
            $(bind!($arg: $kind);)*
            // SAFETY: strings end with NUL and outlive the call; every other argument is a number.
            of(i64::from(unsafe { $call }))
        }
    )*};
}
macro_rules! kind {
    (path) => {
        &str
    };
    (int) => {
        c_int
    };
    (mode) => {
        u32
    };
    (off) => {
        off_t
    };
}
macro_rules! bind {
    ($arg:ident: path) => {
        let $arg = c($arg);
        let $arg = $arg.as_ptr();
    };
    ($arg:ident: $other:tt) => {};
}

calls! {
    open(path: path, flags: int, mode: mode) = libc::open(path, flags, mode);
    openat(dir: int, path: path, flags: int, mode: mode) = libc::openat(dir, path, flags, mode);
    close(fd: int) = libc::close(fd);
    lseek(fd: int, offset: off, whence: int) = libc::lseek(fd, offset, whence);
    ftruncate(fd: int, len: off) = libc::ftruncate(fd, len);
    truncate(path: path, len: off) = libc::truncate(path, len);
    fallocate(fd: int, mode: int, offset: off, len: off) = libc::fallocate(fd, mode, offset, len);
    dup2(fd: int, to: int) = libc::dup2(fd, to);
    dup(fd: int) = libc::dup(fd);
    fsync(fd: int) = libc::fsync(fd);
    access(path: path, mode: int) = libc::access(path, mode);
    rename(from: path, to: path) = libc::rename(from, to);
    renameat2(from: path, to: path, flags: mode) = libc::renameat2(AT_FDCWD, from, AT_FDCWD, to, flags);
    linkat(from: path, to: path, flags: int) = libc::linkat(AT_FDCWD, from, AT_FDCWD, to, flags);
    symlink(target: path, path: path) = libc::symlink(target, path);
    unlink(path: path) = libc::unlink(path);
    remove(path: path) = libc::remove(path);
    rmdir(path: path) = libc::rmdir(path);
    unlinkat(dir: int, path: path, flags: int) = libc::unlinkat(dir, path, flags);
    mkdir(path: path, mode: mode) = libc::mkdir(path, mode);
    mkdirat(dir: int, path: path, mode: mode) = libc::mkdirat(dir, path, mode);
    mkfifo(path: path, mode: mode) = libc::mkfifo(path, mode);
    chmod(path: path, mode: mode) = libc::chmod(path, mode);
    fchmod(fd: int, mode: mode) = libc::fchmod(fd, mode);
    lchown(path: path, uid: mode, gid: mode) = libc::lchown(path, uid, gid);
    chdir(path: path) = libc::chdir(path);
    fchdir(fd: int) = libc::fchdir(fd);
    flock(fd: int, how: int) = libc::flock(fd, how);
}

/// fcntl(2) F_GETFL.
pub fn get_flags(fd: c_int) -> Outcome {
    // SAFETY: takes numbers.
    of(i64::from(unsafe { libc::fcntl(fd, libc::F_GETFL) }))
}

/// Sets or clears O_APPEND.
pub fn set_append(fd: c_int, on: bool) -> Outcome {
    let flags = get_flags(fd)? as c_int & !libc::O_APPEND;
    // SAFETY: takes numbers.
    of(i64::from(unsafe { libc::fcntl(fd, libc::F_SETFL, flags | if on { libc::O_APPEND } else { 0 }) }))
}

/// umask(2): the mask before.
pub fn umask(mask: u32) -> u32 {
    // SAFETY: takes a number.
    unsafe { libc::umask(mask) }
}

/// Reads at the fd's offset, or at `offset`.
pub fn read(fd: c_int, len: usize, offset: Option<off_t>) -> Outcome<Vec<u8>> {
    let mut bytes = vec![0_u8; len];
    let at = bytes.as_mut_ptr().cast();
    // SAFETY: the buffer has `len` bytes.
    let got = of(unsafe {
        match offset {
            None => libc::read(fd, at, len),
            Some(offset) => libc::pread(fd, at, len, offset),
        }
    } as i64)?;
    bytes.truncate(got as usize);
    Ok(bytes)
}

/// Writes at the fd's offset, or at `offset`.
pub fn write(fd: c_int, bytes: &[u8], offset: Option<off_t>) -> Outcome {
    let at = bytes.as_ptr().cast();
    // SAFETY: the buffer has that many bytes.
    of(unsafe {
        match offset {
            None => libc::write(fd, at, bytes.len()),
            Some(offset) => libc::pwrite(fd, at, bytes.len(), offset),
        }
    } as i64)
}

/// copy_file_range(2) at both fds' offsets.
pub fn copy_range(from: c_int, to: c_int, len: usize) -> Outcome {
    // SAFETY: no offsets are given.
    of(unsafe { libc::copy_file_range(from, std::ptr::null_mut(), to, std::ptr::null_mut(), len, 0) } as i64)
}

/// sendfile(2) at both fds' offsets.
pub fn sendfile(to: c_int, from: c_int, len: usize) -> Outcome {
    // SAFETY: no offset is given.
    of(unsafe { libc::sendfile(to, from, std::ptr::null_mut(), len) } as i64)
}

/// Maps `len` bytes from `offset` shared, fills them with `fill` when there is one, and reads them.
/// The range must lie within the file.
pub fn mapped(fd: c_int, offset: off_t, len: usize, fill: Option<u8>) -> Outcome<Vec<u8>> {
    let protection = libc::PROT_READ | if fill.is_some() { libc::PROT_WRITE } else { 0 };
    // SAFETY: a new mapping; nobody shrinks the file while it is used, as all calls of a sequence are made in turn.
    unsafe {
        let at = libc::mmap(std::ptr::null_mut(), len, protection, libc::MAP_SHARED, fd, offset);
        if at == libc::MAP_FAILED {
            return Err(errno());
        }
        if let Some(fill) = fill {
            at.cast::<u8>().write_bytes(fill, len);
        }
        let bytes = std::slice::from_raw_parts(at.cast::<u8>(), len).to_vec();
        libc::munmap(at, len);
        Ok(bytes)
    }
}

/// fstatat(2); an empty path with `AT_EMPTY_PATH` is fstat.
pub fn stat_at(dir: c_int, path: &str, flags: c_int) -> Outcome<stat> {
    let path = c(path);
    // SAFETY: stat is plain numbers; the string ends with NUL.
    unsafe {
        let mut stat = std::mem::zeroed();
        of(i64::from(libc::fstatat(dir, path.as_ptr(), &mut stat, flags)))?;
        Ok(stat)
    }
}

/// stat(2), lstat(2).
pub fn stat_path(path: &str, follow: bool) -> Outcome<stat> {
    let path = c(path);
    // SAFETY: as in `stat_at`.
    unsafe {
        let mut stat = std::mem::zeroed();
        let call = if follow { libc::stat } else { libc::lstat };
        of(i64::from(call(path.as_ptr(), &mut stat)))?;
        Ok(stat)
    }
}

/// fstat(2).
pub fn fstat(fd: c_int) -> Outcome<stat> {
    // SAFETY: as in `stat_at`.
    unsafe {
        let mut stat = std::mem::zeroed();
        of(i64::from(libc::fstat(fd, &mut stat)))?;
        Ok(stat)
    }
}

/// utimensat(2) with whole seconds; `None` is UTIME_OMIT, negative is UTIME_NOW.
pub fn utimens(path: &str, atime: Option<i64>, mtime: Option<i64>, follow: bool) -> Outcome {
    let (path, times) = (c(path), [spec(atime), spec(mtime)]);
    let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    // SAFETY: two times, a string that ends with NUL.
    of(i64::from(unsafe { libc::utimensat(AT_FDCWD, path.as_ptr(), times.as_ptr(), flags) }))
}

/// futimens(3), as [`utimens`].
pub fn futimens(fd: c_int, atime: Option<i64>, mtime: Option<i64>) -> Outcome {
    let times = [spec(atime), spec(mtime)];
    // SAFETY: two times.
    of(i64::from(unsafe { libc::futimens(fd, times.as_ptr()) }))
}

fn spec(time: Option<i64>) -> libc::timespec {
    let (tv_sec, tv_nsec) = match time {
        None => (0, libc::UTIME_OMIT),
        Some(now) if now < 0 => (0, libc::UTIME_NOW),
        Some(tv_sec) => (tv_sec, 0),
    };
    libc::timespec { tv_sec, tv_nsec }
}

/// A call that writes a string: its bytes.
fn text(
    len: usize,
    call: impl FnOnce(*mut libc::c_char, usize) -> Outcome<Option<usize>>,
) -> Outcome<String> {
    let mut bytes = vec![0_u8; len];
    let end = match call(bytes.as_mut_ptr().cast(), len)? {
        Some(end) => end,
        None => bytes.iter().position(|byte| *byte == 0).unwrap_or(len),
    };
    Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
}

/// readlink(2).
pub fn readlink(path: &str) -> Outcome<String> {
    let path = c(path);
    text(4096, |to, len| {
        // SAFETY: `to` has `len` bytes.
        of(unsafe { libc::readlink(path.as_ptr(), to, len) } as i64).map(|len| Some(len as usize))
    })
}

/// getcwd(3).
pub fn getcwd() -> Outcome<String> {
    text(4096, |to, len| {
        // SAFETY: `to` has `len` bytes.
        if unsafe { libc::getcwd(to, len) }.is_null() { Err(errno()) } else { Ok(None) }
    })
}

/// realpath(3).
pub fn realpath(path: &str) -> Outcome<String> {
    let path = c(path);
    text(4096, |to, _| {
        // SAFETY: `to` has PATH_MAX bytes.
        if unsafe { libc::realpath(path.as_ptr(), to) }.is_null() { Err(errno()) } else { Ok(None) }
    })
}

/// opendir(3), readdir(3) to the end, closedir(3): names, sorted.
pub fn list(path: &str) -> Outcome<Vec<String>> {
    let path = c(path);
    // SAFETY: the stream is used until it is closed, an entry until the next is read.
    unsafe {
        let dir = libc::opendir(path.as_ptr());
        if dir.is_null() {
            return Err(errno());
        }
        let mut names = Vec::new();
        loop {
            let entry = libc::readdir(dir);
            if entry.is_null() {
                break;
            }
            let name = std::ffi::CStr::from_ptr((*entry).d_name.as_ptr());
            names.push(name.to_string_lossy().into_owned());
        }
        libc::closedir(dir);
        names.sort();
        Ok(names)
    }
}

/// fopen(3), fputs(3) when there is something to write, fread(3), fclose(3): what was read.
pub fn stream(path: &str, mode: &str, data: &[u8]) -> Outcome<Vec<u8>> {
    let (path, mode) = (c(path), c(mode));
    // SAFETY: the stream is used until it is closed; the buffers have the lengths given.
    unsafe {
        let file = libc::fopen(path.as_ptr(), mode.as_ptr());
        if file.is_null() {
            return Err(errno());
        }
        let mut bytes = vec![0_u8; 1 << 16];
        if !data.is_empty() {
            libc::fwrite(data.as_ptr().cast(), 1, data.len(), file);
            libc::fflush(file);
        }
        libc::rewind(file);
        let got = libc::fread(bytes.as_mut_ptr().cast(), 1, bytes.len(), file);
        libc::fclose(file);
        bytes.truncate(got);
        Ok(bytes)
    }
}

/// setxattr(2) of `user.a`, or its removal.
pub fn set_xattr(path: &str, value: Option<&[u8]>) -> Outcome {
    let path = c(path);
    // SAFETY: strings end with NUL, the value has the length given.
    of(i64::from(unsafe {
        match value {
            Some(value) => {
                libc::setxattr(path.as_ptr(), c"user.a".as_ptr(), value.as_ptr().cast(), value.len(), 0)
            }
            None => libc::removexattr(path.as_ptr(), c"user.a".as_ptr()),
        }
    }))
}

/// getxattr(2) of `user.a`.
pub fn xattr(path: &str) -> Outcome<Vec<u8>> {
    let path = c(path);
    let mut bytes = vec![0_u8; 4096];
    // SAFETY: the buffer has the length given.
    let got = of(unsafe {
        libc::getxattr(path.as_ptr(), c"user.a".as_ptr(), bytes.as_mut_ptr().cast(), bytes.len())
    } as i64)?;
    bytes.truncate(got as usize);
    Ok(bytes)
}

/// fork(2): true in the child. The process has one thread.
pub fn fork() -> Outcome<Option<i32>> {
    // SAFETY: nothing but this thread holds locks; the child goes on as its parent would.
    of(i64::from(unsafe { libc::fork() })).map(|pid| (pid != 0).then_some(pid as i32))
}

/// SIGKILL to a process group.
pub fn kill_group(group: i32) {
    // SAFETY: takes numbers.
    unsafe { libc::kill(-group, libc::SIGKILL) };
}

/// Waits for a child: its wait status.
pub fn wait(pid: i32) -> c_int {
    let mut status = 0;
    // SAFETY: the status outlives the call.
    unsafe { libc::waitpid(pid, &mut status, 0) };
    status
}

/// Ends a forked child at once.
pub fn leave() -> ! {
    // SAFETY: takes a number and does not return.
    unsafe { libc::_exit(0) }
}
