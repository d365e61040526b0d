//! Where the daemon and the preload library are installed, seen from this binary.

use crate::error::{CliError, Result};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use vrift_protocol::names;

/// The daemon's file name.
pub const DAEMON_FILE: &str = "vriftd";
/// Folders that are searched, relative to this binary's.
const DAEMON_DIRS: [&str; 4] = ["", "../lib/vrift", "../libexec/vrift", "../libexec"];
const SHIM_DIRS: [&str; 2] = ["", "../lib/vrift"];

/// This binary, to start itself again.
pub fn own_binary() -> Result<PathBuf> {
    std::env::current_exe().map_err(|source| CliError::Spawn { path: "/proc/self/exe".into(), source })
}

pub fn daemon_binary() -> Result<PathBuf> {
    find(DAEMON_FILE, &DAEMON_DIRS)
}

/// The preload library, by a path that ld.so(8) can take from LD_PRELOAD.
pub fn shim_library() -> Result<PathBuf> {
    let path = find(names::SHIM_FILE, &SHIM_DIRS)?;
    if path.as_os_str().as_bytes().iter().any(|byte| *byte == b':' || byte.is_ascii_whitespace()) {
        return Err(CliError::Unpreloadable { path });
    }
    Ok(path)
}

fn find(name: &'static str, dirs: &[&str]) -> Result<PathBuf> {
    let own = own_binary()?;
    let beside = own.parent().unwrap_or(Path::new("/"));
    dirs.iter()
        .map(|dir| beside.join(dir).join(name))
        .find(|path| path.is_file())
        .and_then(|path| path.canonicalize().ok())
        .ok_or_else(|| CliError::NotInstalled { name, beside: beside.to_path_buf() })
}
