//! Where the store's drive comes from.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::machine::Cache;

/// Of a drive that is made for a test. Sparse: it takes what is written.
pub const LEN_BYTES: u64 = 512 << 20;

pub enum Source {
    /// The machine has no such device.
    None,
    /// A file of this machine.
    File { path: PathBuf, cache: Cache },
    /// The same, which the guest cannot write to.
    ReadOnly { path: PathBuf },
    /// A server at this socket, which loses what was not flushed when the power is cut.
    Nbd { socket: PathBuf },
}

impl Source {
    /// For `-drive`; None: there is none.
    pub fn option(&self) -> Option<String> {
        match self {
            Source::None => None,
            Source::File { path, cache } => {
                Some(format!("format=raw,discard=unmap,cache={},file={}", cache.name(), path.display()))
            }
            Source::ReadOnly { path } => Some(format!("format=raw,readonly=on,file={}", path.display())),
            // writeback: flushes are passed on when the guest asks for one, and only then.
            Source::Nbd { socket } => Some(format!(
                "format=raw,discard=unmap,cache=writeback,file=nbd+unix:///?socket={}",
                socket.display()
            )),
        }
    }
}

/// An empty drive.
pub fn empty(path: &Path, len_bytes: u64) -> Result<PathBuf> {
    let file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
    file.set_len(len_bytes)?;
    Ok(path.to_path_buf())
}
