//! `vrift history`: the runs that are over.

use super::output::{Colour, Output};
use crate::error::{CliError, Result};
use crate::quote::shell_quote;
use crate::session::Session;
use crate::text::{count, escape, path_text, say, size, time};
use clap::Args;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use vrift_protocol::admin::{AdminReply, AdminRequest, PathBytes};
use vrift_protocol::history::{RunDetail, RunRow};

/// Lists the runs that are over, the last one last; or tells all of one
#[derive(Args, Debug)]
pub struct History {
    /// This run: its processes and the files that it changed
    #[arg(value_name = "RUN")]
    pub number: Option<i64>,
    /// Only runs in this workspace
    #[arg(short = 'w', long = "workspace", value_name = "W")]
    pub workspace: Option<String>,
    /// At most so many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub limit: u64,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

impl History {
    pub fn run(self, quiet: bool) -> Result<u8> {
        let mut session = Session::open(quiet)?;
        let mut out = Output::new();
        match self.number {
            Some(_) => {
                let detail = detail(&mut session, self.workspace, self.number)?;
                if self.json {
                    out.json(&detail)?;
                } else {
                    print_detail(&mut out, &detail)?;
                }
            }
            None => {
                let rows = runs(&mut session, self.workspace, self.limit)?;
                if self.json {
                    out.json(&rows)?;
                } else {
                    rows.iter().try_for_each(|row| print(&mut out, row))?;
                }
            }
        }
        out.finish()?;
        Ok(0)
    }
}

/// What the daemon has to say beside its answer.
pub fn notice(reply: &AdminReply) {
    if let AdminReply::Notice(text) = reply {
        say!("vrift: {}", escape(text.as_bytes()));
    }
}

/// The last `limit` runs, oldest first.
pub fn runs(session: &mut Session, workspace: Option<String>, limit: u64) -> Result<Vec<RunRow>> {
    let mut rows = Vec::new();
    let request = AdminRequest::History { workspace, limit };
    let last = session.ask(&request, &mut |reply| match reply {
        AdminReply::Runs(some) => rows.extend_from_slice(some),
        other => notice(other),
    })?;
    match last.0 {
        AdminReply::Runs(_) => Ok(rows),
        _ => Err(CliError::Unexpected { request: "History" }),
    }
}

/// One run; without a number the last.
pub fn detail(session: &mut Session, workspace: Option<String>, number: Option<i64>) -> Result<RunDetail> {
    let mut detail = RunDetail::default();
    let request = AdminRequest::RunDetail { workspace, number };
    let last = session.ask(&request, &mut |reply| match reply {
        AdminReply::Spans(some) => detail.spans.extend_from_slice(some),
        AdminReply::Touched(some) => detail.touched.extend_from_slice(some),
        other => notice(other),
    })?;
    match last.0 {
        AdminReply::Run(run) => detail.run = run,
        _ => return Err(CliError::Unexpected { request: "RunDetail" }),
    }
    Ok(detail)
}

/// The command as it was typed, more or less.
pub fn command_text(row: &RunRow) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./=+:,@%^".contains(byte);
    let part = |part: &PathBytes| match !part.0.is_empty() && part.0.iter().all(is_plain) {
        true => escape(&part.0),
        false => escape(&shell_quote(OsStr::from_bytes(&part.0))),
    };
    row.command.iter().map(part).collect::<Vec<_>>().join(" ")
}

/// To the second.
pub fn when(ns: i64) -> String {
    time(ns).split('.').next().unwrap_or_default().to_string()
}

fn print(out: &mut Output, row: &RunRow) -> Result<()> {
    let code = format!("{:>3}", row.exit_code);
    let code = if row.exit_code == 0 { code } else { out.paint(Colour::Red, &code) };
    out.line(&format!(
        "{:>4}  {}  {:>9}  {code}  {:>5} {:>10}  {}  {}",
        row.number,
        when(row.began_ns),
        seconds(row.elapsed_ms),
        row.files_changed,
        size(row.new_bytes),
        escape(row.workspace.as_bytes()),
        command_text(row)
    ))
}

/// `1.25 s`.
pub fn seconds(ms: u64) -> String {
    format!("{:.2} s", ms as f64 / 1000.0)
}

fn print_detail(out: &mut Output, detail: &RunDetail) -> Result<()> {
    let run = &detail.run;
    out.line(&format!("run {} in {}: {}", run.number, escape(run.workspace.as_bytes()), command_text(run)))?;
    out.line(&format!(
        "{}Z, {}, exit code {}, in {}",
        when(run.began_ns),
        seconds(run.elapsed_ms),
        run.exit_code,
        path_text(&run.cwd)
    ))?;
    out.line(&format!(
        "{}, {} changed, {} new",
        count(run.processes, "process", "processes"),
        count(run.files_changed, "file", "files"),
        size(run.new_bytes)
    ))?;
    for span in &detail.spans {
        out.line(&format!(
            "  {:>9}  {:>9}  {:>7}  {}",
            format!("+{}", seconds(span.began_us / 1000)),
            if span.open_ended { "?".into() } else { seconds(span.elapsed_us / 1000) },
            span.pid,
            path_text(&span.command)
        ))?;
    }
    if run.unlisted > 0 {
        out.line(&format!("  and {} more", run.unlisted))?;
    }
    for file in &detail.touched {
        out.line(&format!("  {} ({})", path_text(&file.path), size(file.bytes)))?;
    }
    Ok(())
}
