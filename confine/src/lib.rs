//! What a service gives up before it answers anything: writing any path, the network, other programs, core dumps.
//!
//! Two layers that do not know of each other: landlock(7) by path, seccomp(2) by system call. Where the kernel has no
//! landlock the second one stands alone, and [`Confined`] says so. Nothing is taken on trust: the process then tries to
//! make a file, and does not go on if that works. May be imported by services; imports nothing of vrift.
#![forbid(unsafe_code)]

mod calls;
mod paths;

pub use paths::Landlock;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::Mode;
use std::path::Path;

/// What holds from now on.
#[derive(Clone, Debug)]
pub struct Confined {
    pub landlock: Landlock,
    /// How the kernel refused to make a file.
    pub refused: Errno,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    #[error("cannot do without core dumps: {0}")]
    Dumps(Errno),
    #[error("cannot give up new privileges: {0}")]
    Privileges(Errno),
    #[error("landlock: {0}")]
    Landlock(String),
    #[error("seccomp: {0}")]
    Seccomp(String),
    #[error("a file could be made at {0} although nothing may be written")]
    Writable(String),
}

/// Folders that are there on every machine; one of them is writable for everybody.
const TRIED: [&str; 4] = ["/tmp", "/dev/shm", "/var/tmp", "/"];

/// Secrets of this process are in no core dump, and no other process of the same user reads its memory.
///
/// # Errors
/// [`ConfineError::Dumps`].
pub fn no_dumps() -> Result<(), ConfineError> {
    nix::sys::prctl::set_dumpable(false).map_err(ConfineError::Dumps)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(ConfineError::Dumps)
}

/// Confines this process, which has one thread, for good; below `readable` files can be read.
///
/// # Errors
/// [`ConfineError`]; how much is given up then is unknown, and the process should end.
pub fn confine(readable: &[&Path]) -> Result<Confined, ConfineError> {
    no_dumps()?;
    nix::sys::prctl::set_no_new_privs().map_err(ConfineError::Privileges)?;
    let landlock = paths::restrict(readable)?;
    calls::restrict()?;
    let mut refused = Errno::UnknownErrno;
    for folder in TRIED {
        refused = prove(Path::new(folder))?;
    }
    Ok(Confined { landlock, refused })
}

/// Only the layer of paths, to see by itself that it holds.
#[doc(hidden)]
pub fn restrict_paths(readable: &[&Path]) -> Result<Landlock, ConfineError> {
    nix::sys::prctl::set_no_new_privs().map_err(ConfineError::Privileges)?;
    paths::restrict(readable)
}

/// Only the layer of system calls.
#[doc(hidden)]
pub fn restrict_calls() -> Result<(), ConfineError> {
    nix::sys::prctl::set_no_new_privs().map_err(ConfineError::Privileges)?;
    calls::restrict()
}

/// Tries to make a file without a name in `folder`: nothing is left if that works. How it was refused.
///
/// # Errors
/// [`ConfineError::Writable`].
pub fn prove(folder: &Path) -> Result<Errno, ConfineError> {
    let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    match open(folder, flags, Mode::from_bits_truncate(0o600)) {
        Ok(_) => Err(ConfineError::Writable(folder.display().to_string())),
        Err(errno) => Ok(errno),
    }
}
