//! A mount namespace in which the worktree is at the view path, so that a program which the preload library cannot
//! reach finds the workspace there by absolute paths too. Made with a user namespace where that is needed.

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use vrift_protocol::names;

/// First argument of the hidden command that tries it.
pub const PROBE: &str = "__namespace";
/// The value of [`names::ENV_NAMESPACE`] that forbids them.
const OFF: &str = "off";

/// Why there is no namespace.
#[derive(Debug, PartialEq, Eq)]
pub enum Missing {
    SwitchedOff,
    /// user_namespaces(7) are not allowed to this user.
    NotAllowed(Errno),
    /// mount(2) is not, in one of one's own.
    NoMount(Errno),
}

/// Puts this process, and what it starts, into a namespace in which `tree` is at `view`. It must have one thread.
pub fn show_at(tree: &Path, view: &Path) -> Result<(), Missing> {
    if std::env::var_os(names::ENV_NAMESPACE).as_deref() == Some(OsStr::new(OFF)) {
        return Err(Missing::SwitchedOff);
    }
    enter().map_err(Missing::NotAllowed)?;
    let bind = || {
        // What is mounted here must not be seen elsewhere.
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
        mount(Some(tree), view, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
    };
    bind().map_err(Missing::NoMount)
}

fn enter() -> Result<(), Errno> {
    // Root needs no user namespace, and keeps all its rights without one.
    if geteuid().is_root() && unshare(CloneFlags::CLONE_NEWNS).is_ok() {
        return Ok(());
    }
    let (uid, gid) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
    // Everybody else is nobody in it; user_namespaces(7) asks for the first line before the last.
    let write = |file: &str, text: String| {
        fs::write(format!("/proc/self/{file}"), text)
            .map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
    };
    write("setgroups", "deny".into())?;
    write("uid_map", format!("{uid} {uid} 1"))?;
    write("gid_map", format!("{gid} {gid} 1"))
}

/// Tries it, and says what is missing; the exit code: 0 when nothing is.
pub fn probe() -> u8 {
    let dir = std::env::temp_dir();
    match show_at(&dir, &dir) {
        Ok(()) => 0,
        Err(missing) => {
            println!("{missing}");
            1
        }
    }
}

impl std::fmt::Display for Missing {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Missing::SwitchedOff => write!(to, "{}={OFF}", names::ENV_NAMESPACE),
            Missing::NotAllowed(errno) => write!(to, "user namespaces: {}", errno.desc()),
            Missing::NoMount(errno) => write!(to, "mount in a user namespace: {}", errno.desc()),
        }
    }
}
