//! `vrift report`: what ran and what it left, as one HTML file that needs nothing else.

mod charts;
mod page;

use super::history::{detail, runs};
use super::output::Output;
use super::stats::sums;
use crate::error::{CliError, Result};
use crate::session::Session;
use crate::text::escape_path;
use clap::Args;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Runs that the page has.
const RUNS_SHOWN: u64 = 200;

/// Writes one HTML page about runs, processes, changes and sizes; it needs no network and no other file
#[derive(Args, Debug)]
pub struct Report {
    /// Where to; '-': standard output
    #[arg(short, long, value_name = "FILE.html", default_value = "vrift-report.html")]
    pub output: PathBuf,
    /// Only runs in this workspace
    #[arg(short = 'w', long = "workspace", value_name = "W")]
    pub workspace: Option<String>,
    /// The run whose processes and files are shown; default: the last
    #[arg(long, value_name = "RUN")]
    pub run: Option<i64>,
}

impl Report {
    pub fn run(self, quiet: bool) -> Result<u8> {
        let mut session = Session::open(quiet)?;
        let rows = runs(&mut session, self.workspace.clone(), RUNS_SHOWN)?;
        let shown = match (&self.run, rows.is_empty()) {
            (None, true) => None,
            _ => Some(detail(&mut session, self.workspace, self.run)?),
        };
        let sums = sums(&mut session)?;
        let html = page::render(&rows, shown.as_ref(), &sums);
        let mut out = Output::new();
        if self.output.as_os_str() == "-" {
            out.text(&html)?;
        } else {
            write(&self.output, &html).map_err(|source| CliError::path(&self.output, source))?;
            out.line(&escape_path(&self.output))?;
        }
        out.finish()?;
        Ok(0)
    }
}

/// Beside, then renamed: nobody sees half a page. Into what is no file (a pipe, a device) it is written as it is: a name of
/// that kind must not become a file.
fn write(path: &Path, html: &str) -> std::io::Result<()> {
    if fs::metadata(path).is_ok_and(|stat| !stat.is_file()) {
        return fs::OpenOptions::new().write(true).open(path)?.write_all(html.as_bytes());
    }
    let mut beside = path.as_os_str().to_os_string();
    beside.push(".new");
    let written = fs::write(&beside, html).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}
