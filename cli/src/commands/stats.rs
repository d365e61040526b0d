//! `vrift stats`: sums over store, workspaces and runs.

use super::history::{notice, seconds};
use super::output::Output;
use crate::error::{CliError, Result};
use crate::session::Session;
use crate::text::{count, escape, size};
use clap::Args;
use vrift_protocol::admin::{AdminReply, AdminRequest};
use vrift_protocol::history::Stats as Sums;

/// Projects that are named for people.
const PROJECTS_NAMED: usize = 10;

/// Prints what is stored, how often equal bytes are shared, and what ran
#[derive(Args, Debug)]
pub struct Stats {
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

impl Stats {
    pub fn run(self, quiet: bool) -> Result<u8> {
        let mut session = Session::open(quiet)?;
        let sums = sums(&mut session)?;
        let mut out = Output::new();
        if self.json {
            out.json(&sums)?;
        } else {
            print(&mut out, &sums)?;
        }
        out.finish()?;
        Ok(0)
    }
}

pub fn sums(session: &mut Session) -> Result<Sums> {
    match session.ask(&AdminRequest::Stats, &mut notice)?.0 {
        AdminReply::Stats(sums) => Ok(sums),
        _ => Err(CliError::Unexpected { request: "Stats" }),
    }
}

/// How many times what is stored once is there: 1.0 when nothing is.
pub fn dedup_ratio(sums: &Sums) -> f64 {
    if sums.blob_bytes == 0 { 1.0 } else { sums.bytes as f64 / sums.blob_bytes as f64 }
}

/// In percent, with one decimal place.
fn share(part: u64, whole: u64) -> String {
    format!("{:.1}%", if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 })
}

fn print(out: &mut Output, sums: &Sums) -> Result<()> {
    out.line(&format!(
        "store: {}, {} of content in {}, {} of journal",
        size(sums.store_bytes),
        size(sums.blob_bytes),
        count(sums.blobs, "blob", "blobs"),
        size(sums.journal_bytes)
    ))?;
    out.line(&format!(
        "workspaces show {} in {}: {:.1} times what is stored; {}",
        size(sums.bytes),
        count(sums.files, "file", "files"),
        dedup_ratio(sums),
        count(sums.snapshots, "snapshot", "snapshots")
    ))?;
    out.line(&format!(
        "hits: {} of {} without the daemon; {} of {} were in the store already",
        share(sums.lookups.saturating_sub(sums.requests), sums.lookups),
        count(sums.lookups, "path look-up", "path look-ups"),
        share(sums.known_contents, sums.contents),
        count(sums.contents, "content", "contents")
    ))?;
    out.line(&format!("{}, {} of them failed", count(sums.runs, "run", "runs"), sums.failed_runs))?;
    for project in sums.projects.iter().take(PROJECTS_NAMED) {
        let holds = match project.asleep {
            true => "not entered yet".to_string(),
            false => format!("{}, {}", count(project.files, "file", "files"), size(project.bytes)),
        };
        out.line(&format!(
            "  {}: {holds}; {} in {}, {} new",
            escape(project.workspace.as_bytes()),
            count(project.runs, "run", "runs"),
            seconds(project.elapsed_ms),
            size(project.new_bytes)
        ))?;
    }
    if sums.projects.len() > PROJECTS_NAMED {
        out.line(&format!("  and {} more; --json names them", sums.projects.len() - PROJECTS_NAMED))?;
    }
    Ok(())
}
