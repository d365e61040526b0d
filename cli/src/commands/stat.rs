//! `vrift stat`: one entry's attributes.

use super::output::Output;
use crate::error::{CliError, Result};
use crate::session::Session;
use crate::target::{Chosen, Spot, Which};
use crate::text::{mode, path_text, time};
use clap::Args;
use std::path::PathBuf;
use vrift_protocol::admin::{AdminReply, AdminRequest, Entry};

/// Prints an entry's type, mode, size, times and content hash
#[derive(Args, Debug)]
pub struct Stat {
    #[command(flatten)]
    pub which: Which,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Relative to the current directory in the workspace; W@SNAP:PATH looks into a snapshot. A symlink is not followed
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
}

impl Stat {
    pub fn run(self, quiet: bool) -> Result<u8> {
        let mut session = Session::open(quiet)?;
        let Spot { target, snapshot, path } = Chosen::spot(&mut session, &self.which, &self.path)?;
        let mut entries = Vec::new();
        session.ask(&AdminRequest::Stat { target, snapshot, path }, &mut |reply| {
            if let AdminReply::Entries(rows) = reply {
                entries.extend_from_slice(rows);
            }
        })?;
        let [entry] = &entries[..] else { return Err(CliError::Unexpected { request: "Stat" }) };
        let mut out = Output::new();
        if self.json {
            out.json(entry)?;
        } else {
            for (name, value) in rows(entry) {
                out.line(&format!("{name:<9} {value}"))?;
            }
        }
        out.finish()?;
        Ok(0)
    }
}

fn rows(entry: &Entry) -> Vec<(&'static str, String)> {
    let path = if entry.path.0.is_empty() { ".".to_string() } else { path_text(&entry.path) };
    let mut rows = vec![
        ("path", path),
        ("type", entry.file_type.clone()),
        ("mode", format!("{:04o} {}", entry.mode & 0o7777, mode(&entry.file_type, entry.mode))),
        ("owner", format!("{}:{}", entry.uid, entry.gid)),
        ("links", entry.nlink.to_string()),
        ("size", entry.size.to_string()),
        ("vnode", entry.vnode.to_string()),
        ("modified", time(entry.mtime_ns)),
        ("changed", time(entry.ctime_ns)),
        ("accessed", time(entry.atime_ns)),
    ];
    if let Some(target) = &entry.target {
        rows.push(("target", path_text(target)));
    }
    match &entry.hash {
        Some(hash) => rows.push(("blake3", hash.clone())),
        None if entry.staged => rows.push(("content", "being written".to_string())),
        None => {}
    }
    rows
}
