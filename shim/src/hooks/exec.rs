//! execve(2), execveat, fexecve and the exec(3) family. The new program stays in the view whatever environment
//! it is given; programs and scripts of the view run by the real names that they get for it.

use super::hook;
use crate::arena::{Arena, entries};
use crate::envp;
use crate::errno;
use crate::exec_prep::{Image, Prepared, SHELL, Target, prepare, shell_arguments};
use crate::init;
use crate::libraries::carrying_libraries;
use crate::raw::Errno;
use crate::real::real;
use crate::roll;
use crate::text::{PathText, bytes_of};
use core::ffi::{CStr, c_char, c_int};
use libc::AT_EMPTY_PATH;

type Strings = *const *const c_char;

/// Where programs are searched when PATH is not set, as the C library does.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";
const NAME_MAX: usize = 255;

/// The program, its arguments and its whole environment.
///
/// # Safety
/// As execveat(2)'s arguments.
unsafe fn prepare_all(
    target: Target,
    argv: Strings,
    envp: Strings,
    image: &mut Image,
    arena: &Arena,
) -> Result<(Prepared, Strings), Errno> {
    // SAFETY: by contract.
    unsafe {
        let envp = envp::carrying_view(envp, arena)?;
        let prepared = prepare(target, argv, image, arena)?;
        Ok((prepared, carrying_libraries(image, envp, arena)?))
    }
}

/// Executes `path`; `envp` carries the view already. Returns only with an error.
///
/// # Safety
/// As execve(2)'s arguments.
unsafe fn run(path: *const c_char, argv: Strings, envp: Strings, arena: &Arena) -> Errno {
    let mut image = Image::new();
    // SAFETY: by contract.
    let prepared = unsafe { prepare(Target::path(path), argv, &mut image, arena) }.and_then(|prepared| {
        // SAFETY: by contract.
        unsafe { carrying_libraries(&image, envp, arena) }.map(|envp| (prepared, envp))
    });
    let (path, argv, envp) = match prepared {
        Ok((Prepared::AsGiven, envp)) => (path, argv, envp),
        Ok((Prepared::At(argv), envp)) => (image.path.as_ptr(), argv, envp),
        Err(errno) => return errno,
    };
    roll::end();
    real!(execve(path: *const c_char, argv: Strings, envp: Strings) -> c_int);
    errno::get()
}

/// As [`run`], with the shell for a file that has no magic.
///
/// # Safety
/// As execve(2)'s arguments.
unsafe fn run_or_shell(path: *const c_char, argv: Strings, envp: Strings, arena: &Arena) -> Errno {
    // SAFETY: by contract.
    unsafe {
        match run(path, argv, envp, arena) {
            libc::ENOEXEC => match shell_arguments(path, argv, arena) {
                Ok(argv) => run(SHELL.as_ptr(), argv, envp, arena),
                Err(errno) => errno,
            },
            errno => errno,
        }
    }
}

/// Tries `file` in the folders of PATH in turn, by execvp(3)'s rules; `attempt` gives an errno, or 0 when it is
/// done. In the view's terms: entries may lie in it, and be relative.
pub fn search(file: &[u8], mut attempt: impl FnMut(&CStr) -> Errno) -> Errno {
    let mut candidate = PathText::new();
    if file.is_empty() {
        return libc::ENOENT;
    }
    if file.contains(&b'/') {
        candidate.push(file);
        return if candidate.overflowed() { libc::ENAMETOOLONG } else { attempt(candidate.as_c_str()) };
    }
    if file.len() > NAME_MAX {
        return libc::ENAMETOOLONG;
    }
    let (mut denied, mut last) = (false, libc::ENOENT);
    for folder in envp::get("PATH").unwrap_or(DEFAULT_PATH).split(|byte| *byte == b':') {
        candidate.clear();
        candidate.push(folder);
        candidate.push(if folder.is_empty() { b"" } else { b"/" });
        candidate.push(file);
        if candidate.overflowed() {
            continue;
        }
        last = attempt(candidate.as_c_str());
        match last {
            libc::EACCES => denied = true,
            libc::ENOENT | libc::ESTALE | libc::ENOTDIR | libc::ENODEV | libc::ETIMEDOUT => {}
            done => return done,
        }
    }
    if denied { libc::EACCES } else { last }
}

/// The whole of execve and execv.
///
/// # Safety
/// As execve(2)'s arguments.
unsafe fn exec(path: *const c_char, argv: Strings, envp: Strings) -> c_int {
    if !init::in_view() {
        return real!(execve(path: *const c_char, argv: Strings, envp: Strings) -> c_int);
    }
    let arena = Arena::new();
    // SAFETY: by contract.
    errno::fail(unsafe {
        match envp::carrying_view(envp, &arena) {
            Ok(envp) => run(path, argv, envp, &arena),
            Err(errno) => errno,
        }
    })
}

/// The whole of execvpe and execvp.
///
/// # Safety
/// As execvpe(3)'s arguments.
unsafe fn exec_searching(file: *const c_char, argv: Strings, envp: Strings) -> c_int {
    // SAFETY: by contract.
    let name = unsafe { bytes_of(file) };
    let (true, Some(name)) = (init::in_view(), name) else {
        return real!(execvpe(file: *const c_char, argv: Strings, envp: Strings) -> c_int);
    };
    let arena = Arena::new();
    // SAFETY: by contract.
    errno::fail(unsafe {
        match envp::carrying_view(envp, &arena) {
            Ok(envp) => search(name, |path| run_or_shell(path.as_ptr(), argv, envp, &arena)),
            Err(errno) => errno,
        }
    })
}

hook! {
    fn execve(path: *const c_char, argv: Strings, envp: Strings) -> c_int {
        // SAFETY: C's arguments.
        unsafe { exec(path, argv, envp) }
    }
}

hook! {
    fn execv(path: *const c_char, argv: Strings) -> c_int {
        if !init::in_view() {
            return real!(execv(path: *const c_char, argv: Strings) -> c_int);
        }
        // SAFETY: C's arguments.
        unsafe { exec(path, argv, envp::current()) }
    }
}

hook! {
    fn execvpe(file: *const c_char, argv: Strings, envp: Strings) -> c_int {
        // SAFETY: C's arguments.
        unsafe { exec_searching(file, argv, envp) }
    }
}

hook! {
    fn execvp(file: *const c_char, argv: Strings) -> c_int {
        if !init::in_view() {
            return real!(execvp(file: *const c_char, argv: Strings) -> c_int);
        }
        // SAFETY: C's arguments.
        unsafe { exec_searching(file, argv, envp::current()) }
    }
}

hook! {
    fn execveat(dirfd: c_int, path: *const c_char, argv: Strings, envp: Strings, flags: c_int) -> c_int {
        if !init::in_view() {
            return real!(execveat(dirfd: c_int, path: *const c_char, argv: Strings, envp: Strings, flags: c_int) -> c_int);
        }
        let arena = Arena::new();
        let mut image = Image::new();
        // SAFETY: C's arguments.
        match unsafe { prepare_all(Target { dirfd, path, flags }, argv, envp, &mut image, &arena) } {
            Ok((Prepared::AsGiven, envp)) => {
                roll::end();
                real!(execveat(dirfd: c_int, path: *const c_char, argv: Strings, envp: Strings, flags: c_int) -> c_int)
            }
            Ok((Prepared::At(argv), envp)) => {
                let path = image.path.as_ptr();
                roll::end();
                real!(execve(path: *const c_char, argv: Strings, envp: Strings) -> c_int)
            }
            Err(errno) => errno::fail(errno),
        }
    }
}

hook! {
    fn fexecve(fd: c_int, argv: Strings, envp: Strings) -> c_int {
        let invalid = fd < 0 || argv.is_null() || envp.is_null();
        if invalid || !init::in_view() {
            return real!(fexecve(fd: c_int, argv: Strings, envp: Strings) -> c_int);
        }
        let arena = Arena::new();
        let mut image = Image::new();
        let target = Target { dirfd: fd, path: c"".as_ptr(), flags: AT_EMPTY_PATH };
        // SAFETY: C's arguments.
        match unsafe { prepare_all(target, argv, envp, &mut image, &arena) } {
            Ok((Prepared::AsGiven, envp)) => {
                roll::end();
                real!(fexecve(fd: c_int, argv: Strings, envp: Strings) -> c_int)
            }
            Ok((Prepared::At(argv), envp)) => {
                let path = image.path.as_ptr();
                roll::end();
                real!(execve(path: *const c_char, argv: Strings, envp: Strings) -> c_int)
            }
            Err(errno) => errno::fail(errno),
        }
    }
}

/// A C-variadic exec function: Rust cannot define one, and `va_list` is not needed. Of the arguments after the
/// first, five are in registers and the others on the stack above the return address; with the registers
/// pushed in its place they are one array, which `$body(first, array)` gets. The return address goes below.
macro_rules! variadic_hooks {
    ($($(#[$meta:meta])* $name:ident => $body:ident;)*) => {$(
        super::listed!($name);
        $(#[$meta])*
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        #[allow(clippy::missing_safety_doc, reason = "the C prototype's contract, see the manual page")]
        pub unsafe extern "C" fn $name() -> c_int {
            // At entry rsp is 8 off a multiple of 16; pop and six pushes make it a multiple, as a call needs.
            core::arch::naked_asm!(
                ".cfi_startproc",
                "pop rax",
                ".cfi_adjust_cfa_offset -8",
                ".cfi_register rip, rax",
                "push r9",
                "push r8",
                "push rcx",
                "push rdx",
                "push rsi",
                ".cfi_adjust_cfa_offset 40",
                "mov rsi, rsp",
                "push rax",
                ".cfi_adjust_cfa_offset 8",
                ".cfi_offset rip, -48",
                "call {body}",
                "pop rcx",
                ".cfi_adjust_cfa_offset -8",
                ".cfi_register rip, rcx",
                "add rsp, 40",
                ".cfi_adjust_cfa_offset -40",
                "push rcx",
                ".cfi_adjust_cfa_offset 8",
                ".cfi_offset rip, -8",
                "ret",
                ".cfi_endproc",
                body = sym $body,
            )
        }
    )*};
}

variadic_hooks! {
    execl => execl_array;
    execlp => execlp_array;
    execle => execle_array;
}

unsafe extern "C" fn execl_array(path: *const c_char, argv: Strings) -> c_int {
    // SAFETY: the caller's arguments, ended by a null pointer.
    unsafe { execv(path, argv) }
}

unsafe extern "C" fn execlp_array(file: *const c_char, argv: Strings) -> c_int {
    // SAFETY: the caller's arguments, ended by a null pointer.
    unsafe { execvp(file, argv) }
}

unsafe extern "C" fn execle_array(path: *const c_char, argv: Strings) -> c_int {
    // SAFETY: the caller's arguments, ended by a null pointer; the environment comes after it.
    unsafe {
        let envp = *argv.add(entries(argv).count() + 1);
        exec(path, argv, envp.cast())
    }
}
