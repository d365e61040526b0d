//! `vrift ingest`: reads a directory into a workspace.

use super::output::Output;
use super::taken;
use crate::error::{CliError, Result};
use crate::session::Session;
use crate::text::{count, path_text, size};
use clap::Args;
use std::fs;
use std::io;
use std::path::PathBuf;
use vrift_protocol::admin::{AdminReply, AdminRequest, PathBytes, Taken};

/// Reads a directory into a workspace; again: only what changed. Never changes the directory
#[derive(Args, Debug)]
pub struct Ingest {
    /// The directory
    #[arg(value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Name of the workspace; default: the directory's name
    #[arg(long, value_name = "W")]
    pub name: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

impl Ingest {
    pub fn run(self, quiet: bool) -> Result<u8> {
        let at = |source: io::Error| CliError::path(&self.dir, source);
        let dir = self.dir.canonicalize().map_err(at)?;
        // Says now what the daemon, whose rights are the same, would find later.
        fs::read_dir(&dir).map_err(at)?;
        let mut session = Session::open(quiet)?;
        let request = AdminRequest::Ingest { dir: PathBytes::from(dir), name: self.name };
        let (AdminReply::Taken(taken), _) = session.ask(&request, &mut |_| {})? else {
            return Err(CliError::Unexpected { request: "Ingest" });
        };
        let mut out = Output::new();
        if self.json {
            out.json(&taken)?;
        } else {
            print(&mut out, &taken)?;
        }
        out.finish()?;
        taken::name_all_problems(&taken);
        Ok(u8::from(!taken.skipped.is_empty() || !taken.conflicts.is_empty()))
    }
}

fn print(out: &mut Output, taken: &Taken) -> Result<()> {
    out.line(&format!("workspace {} at {}", taken.workspace, path_text(&taken.view)))?;
    out.line(&format!(
        "{}, {}, {}; {}",
        count(taken.files, "file", "files"),
        count(taken.directories, "directory", "directories"),
        count(taken.symlinks, "symlink", "symlinks"),
        size(taken.bytes)
    ))?;
    if !taken.created {
        out.line(&format!("{} since it was last taken in", taken::changes(taken)))?;
    }
    if let Some(text) = taken::left_out(taken) {
        out.line(&text)?;
    }
    let seconds = taken.elapsed_ms.max(1) as f64 / 1000.0;
    out.line(&format!(
        "{} new, {}, {seconds:.2} s, {:.0} files/s",
        size(taken.new_bytes),
        count(taken.duplicates, "duplicate", "duplicates"),
        taken.files as f64 / seconds
    ))
}
