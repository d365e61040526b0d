//! `vrift tree`: a workspace's names as a drawing.

use super::output::Output;
use crate::error::Result;
use crate::session::Session;
use crate::target::{Chosen, Spot, Which};
use crate::text::{count, escape, path_text};
use clap::Args;
use std::path::PathBuf;
use vrift_protocol::admin::{AdminReply, AdminRequest, Entry};

/// Draws everything below a directory of a workspace
#[derive(Args, Debug)]
pub struct Tree {
    #[command(flatten)]
    pub which: Which,
    /// Show only this many levels
    #[arg(short = 'L', long, value_name = "N")]
    pub levels: Option<usize>,
    /// Print the entries as JSON
    #[arg(long)]
    pub json: bool,
    /// Relative to the current directory in the workspace; W@SNAP:PATH looks into a snapshot
    #[arg(value_name = "PATH", default_value = ".")]
    pub path: PathBuf,
}

impl Tree {
    pub fn run(self, quiet: bool) -> Result<u8> {
        let mut session = Session::open(quiet)?;
        let Spot { target, snapshot, path } = Chosen::spot(&mut session, &self.which, &self.path)?;
        let request = AdminRequest::List { target, snapshot, path, recursive: true };
        let mut entries = Vec::new();
        session.ask(&request, &mut |reply| {
            if let AdminReply::Entries(rows) = reply {
                entries.extend_from_slice(rows);
            }
        })?;
        let first = entries.iter().map(depth).min().unwrap_or(0);
        if let Some(levels) = self.levels {
            entries.retain(|entry| depth(entry) < first + levels);
        }
        let mut out = Output::new();
        if self.json {
            out.json(&entries)?;
        } else {
            out.line(&escape(self.path.as_os_str().as_encoded_bytes()))?;
            for line in draw(&entries, first) {
                out.line(&line)?;
            }
            let directories = entries.iter().filter(|entry| entry.file_type == "directory").count() as u64;
            out.line("")?;
            out.line(&format!(
                "{}, {}",
                count(directories, "directory", "directories"),
                count(entries.len() as u64 - directories, "file", "files")
            ))?;
        }
        out.finish()?;
        Ok(0)
    }
}

/// How many directories lead to it.
fn depth(entry: &Entry) -> usize {
    entry.path.0.iter().filter(|byte| **byte == b'/').count()
}

/// One line an entry, which are in the order of a walk.
fn draw(entries: &[Entry], first: usize) -> Vec<String> {
    let mut lines = Vec::with_capacity(entries.len());
    // From the end: whether a level goes on below is known then.
    let mut goes_on: Vec<bool> = Vec::new();
    for entry in entries.iter().rev() {
        let level = depth(entry) - first;
        goes_on.resize(level + 1, false);
        let mut line = String::new();
        for more in &goes_on[..level] {
            line.push_str(if *more { "│   " } else { "    " });
        }
        line.push_str(if goes_on[level] { "├── " } else { "└── " });
        goes_on[level] = true;
        let name = entry.path.0.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        line.push_str(&escape(name));
        match (&entry.target, entry.file_type.as_str()) {
            (Some(target), _) => line.push_str(&format!(" -> {}", path_text(target))),
            (None, "directory") => line.push('/'),
            _ => {}
        }
        lines.push(line);
    }
    lines.reverse();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use vrift_protocol::admin::PathBytes;

    #[test]
    fn lines_show_what_is_in_what() {
        let entry = |path: &str, file_type: &str| Entry {
            path: PathBytes(path.into()),
            file_type: file_type.into(),
            mode: 0,
            uid: 0,
            gid: 0,
            nlink: 1,
            size: 0,
            mtime_ns: 0,
            ctime_ns: 0,
            atime_ns: 0,
            vnode: 1,
            hash: None,
            staged: false,
            target: None,
        };
        let entries = [
            ("s/a", "directory"),
            ("s/a/b", "directory"),
            ("s/a/b/c", "file"),
            ("s/a/d", "file"),
            ("s/e", "file"),
        ];
        let entries = entries.map(|(path, file_type)| entry(path, file_type));
        let expected = ["├── a/", "│   ├── b/", "│   │   └── c", "│   └── d", "└── e"];
        assert_eq!(draw(&entries, 1), expected);
    }
}
