//! `vrift __exec`: a process that is already in the view becomes the command, so that the preload library
//! decides what the command's name means. Started by `vrift run`; not for users.

use crate::text::say;
use nix::errno::Errno;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use vrift_protocol::names;

/// First argument of the hidden command.
pub const EXEC: &str = "__exec";
/// As a shell: the command was found but cannot be executed.
pub const NOT_EXECUTABLE: u8 = 126;
/// As a shell: there is no such command.
pub const NOT_FOUND: u8 = 127;

/// `DIR CMD ARGS...`: makes DIR the working directory (empty: stays where it is) and becomes CMD. Returns
/// only when that failed: the exit code.
pub fn become_command(args: &[OsString]) -> u8 {
    let [dir, program, args @ ..] = args else {
        say!("vrift: {EXEC} is started by vrift run");
        return 2;
    };
    let mut command = Command::new(program);
    command.args(args);
    // A directory that is not in the workspace: the view's root, where this process was started.
    if !dir.is_empty() {
        let root = std::env::var_os(names::ENV_VIEW).unwrap_or_default();
        command.env("PWD", if std::env::set_current_dir(dir).is_ok() { dir.clone() } else { root });
    }
    let error = command.exec();
    explain(program, &error)
}

/// Says why `program` did not start; its exit code.
pub fn explain(program: &OsStr, error: &io::Error) -> u8 {
    let name = crate::text::escape(program.as_bytes());
    let is_path = program.as_bytes().contains(&b'/');
    // execvp(3) says EACCES too when it was not allowed to look into one of PATH's folders.
    let errno = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EACCES) if !is_path && !is_somewhere_in_path(program) => Some(Errno::ENOENT),
        errno => errno,
    };
    match errno {
        Some(Errno::ENOENT) if is_path && Path::new(program).is_file() => {
            say!("vrift: {name}: its interpreter was not found");
        }
        Some(Errno::ENOENT) if is_path => say!("vrift: {name}: no such file"),
        Some(Errno::ENOENT) => say!("vrift: {name}: command not found"),
        Some(Errno::EACCES) if Path::new(program).is_dir() => say!("vrift: {name}: is a directory"),
        Some(errno) => say!("vrift: {name}: {}", errno.desc().to_lowercase()),
        None => say!("vrift: {name}: {error}"),
    }
    if matches!(errno, Some(Errno::ENOENT | Errno::ENOTDIR)) { NOT_FOUND } else { NOT_EXECUTABLE }
}

fn is_somewhere_in_path(name: &OsStr) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(name).symlink_metadata().is_ok())
}
