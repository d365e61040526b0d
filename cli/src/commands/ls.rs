//! `vrift ls`: names in a workspace.

use super::output::Output;
use crate::error::Result;
use crate::session::Session;
use crate::target::{Chosen, Spot, Which};
use crate::text::{escape, mode, path_text, time};
use clap::Args;
use std::path::{Path, PathBuf};
use vrift_protocol::admin::{AdminReply, AdminRequest, Entry, PathBytes};

/// Lists a directory of a workspace, or one entry
#[derive(Args, Debug)]
pub struct Ls {
    #[command(flatten)]
    pub which: Which,
    /// One line each: mode, links, owner, group, size, time (UTC), name
    #[arg(short = 'l', long)]
    pub long: bool,
    /// Everything below it too, with paths relative to the workspace
    #[arg(short = 'R', long)]
    pub recursive: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Relative to the current directory in the workspace; W@SNAP:PATH looks into a snapshot
    #[arg(value_name = "PATH", default_value = ".")]
    pub path: PathBuf,
}

impl Ls {
    pub fn run(self, quiet: bool) -> Result<u8> {
        let mut session = Session::open(quiet)?;
        let Spot { target, snapshot, path } = Chosen::spot(&mut session, &self.which, &self.path)?;
        let request = AdminRequest::List { target, snapshot, path, recursive: self.recursive };
        let mut entries = Vec::new();
        session.ask(&request, &mut |reply| {
            if let AdminReply::Entries(rows) = reply {
                entries.extend_from_slice(rows);
            }
        })?;
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        let mut out = Output::new();
        if self.json {
            out.json(&entries)?;
        } else {
            self.print(&mut out, &entries)?;
        }
        out.finish()?;
        Ok(0)
    }

    fn print(&self, out: &mut Output, entries: &[Entry]) -> Result<()> {
        let name = |path: &PathBytes| match self.recursive {
            true => path_text(path),
            false => last_name(path),
        };
        if !self.long {
            return entries.iter().try_for_each(|entry| out.line(&name(&entry.path)));
        }
        let width = |text: fn(&Entry) -> u64| {
            entries.iter().map(|entry| text(entry).to_string().len()).max().unwrap_or(1)
        };
        let widths = [
            width(|entry| entry.nlink.into()),
            width(|entry| entry.uid.into()),
            width(|entry| entry.gid.into()),
            width(|entry| entry.size),
        ];
        for entry in entries {
            let target =
                entry.target.as_ref().map_or_else(String::new, |target| format!(" -> {}", path_text(target)));
            out.line(&format!(
                "{} {:>links$} {:>uid$} {:>gid$} {:>size$} {} {}{target}",
                mode(&entry.file_type, entry.mode),
                entry.nlink,
                entry.uid,
                entry.gid,
                entry.size,
                time(entry.mtime_ns),
                name(&entry.path),
                links = widths[0],
                uid = widths[1],
                gid = widths[2],
                size = widths[3],
            ))?;
        }
        Ok(())
    }
}

/// The last component; of the root, whose path is empty, a dot.
fn last_name(path: &PathBytes) -> String {
    let path: &Path = path.as_path();
    path.file_name().map_or_else(|| ".".to_string(), |name| escape(name.as_encoded_bytes()))
}
