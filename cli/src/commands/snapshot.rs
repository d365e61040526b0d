//! `vrift snapshot`, `log`, `rollback`: a workspace's tree over time.

use super::key;
use super::output::Output;
use crate::error::{CliError, Result};
use crate::session::Session;
use crate::target::{Chosen, Which};
use crate::text::{escape, say};
use crate::times;
use clap::Args;
use serde::Serialize;
use vrift_protocol::admin::{AdminReply, AdminRequest, SnapshotInfo};
use vrift_protocol::keystore::Verdict;
use vrift_protocol::time::Settings;

/// Digits of a root that are shown.
const ROOT_DIGITS: usize = 12;

/// Keeps the workspace's tree as it is now, build outputs and times included
#[derive(Args, Debug)]
pub struct Snapshot {
    #[command(flatten)]
    pub which: Which,
    /// What it is about
    #[arg(short, long, value_name = "TEXT", default_value = "")]
    pub message: String,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Lists the workspace's snapshots, newest first
#[derive(Args, Debug)]
pub struct Log {
    #[command(flatten)]
    pub which: Which,
    /// Say of each by which key it is signed; exit code 1 if one is not, or wrongly
    #[arg(long)]
    pub verify: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Makes the workspace's tree that of a snapshot again; what was there before is kept as a snapshot
#[derive(Args, Debug)]
pub struct Rollback {
    #[command(flatten)]
    pub which: Which,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Its number or the first digits of its root, as vrift log shows them; default: the last
    #[arg(value_name = "SNAP")]
    pub snapshot: Option<String>,
}

/// A row of the log as JSON.
#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    snapshot: SnapshotInfo,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed: Option<Verdict>,
}

impl Snapshot {
    pub fn run(self, quiet: bool) -> Result<u8> {
        let mut session = Session::open(quiet)?;
        let chosen = Chosen::find(&mut session, &self.which)?;
        let request = AdminRequest::Snapshot { target: chosen.target(), message: self.message };
        // Asked twice it would be taken twice.
        let (AdminReply::Snapshots(rows), _) = session.once(&request, &mut |_| {})? else {
            return Err(CliError::Unexpected { request: "Snapshot" });
        };
        let [taken] = &rows[..] else { return Err(CliError::Unexpected { request: "Snapshot" }) };
        // It is there, and signed when the command says nothing else.
        let signed = key::sign_snapshot(&session, taken);
        let mut out = Output::new();
        if self.json {
            out.json(taken)?;
        } else {
            out.line(&format!(
                "snapshot {} of {}: {}",
                taken.number,
                escape(taken.workspace.as_bytes()),
                short(taken)
            ))?;
        }
        out.finish()?;
        match signed {
            Ok(_) => Ok(0),
            Err(error) => {
                say!("vrift: the snapshot was taken, and is not signed:");
                Err(error)
            }
        }
    }
}

impl Log {
    pub fn run(self, quiet: bool) -> Result<u8> {
        let mut session = Session::open(quiet)?;
        let chosen = Chosen::find(&mut session, &self.which)?;
        let mut rows = snapshots(&mut session, &chosen)?;
        rows.reverse();
        let verdicts = match self.verify {
            true => key::verify_snapshots(&session, &rows)?,
            false => Vec::new(),
        };
        let settings = times::settings(&mut session)?;
        let mut out = Output::new();
        if self.json {
            let with = |(index, row): (usize, &SnapshotInfo)| Row {
                snapshot: row.clone(),
                signed: verdicts.get(index).cloned(),
            };
            out.json(&rows.iter().enumerate().map(with).collect::<Vec<_>>())?;
        } else {
            for (index, row) in rows.iter().enumerate() {
                match verdicts.get(index) {
                    Some(verdict) => {
                        out.line(&format!("{}  [{}]", line(row, &settings), key::describe(verdict)))?
                    }
                    None => out.line(&line(row, &settings))?,
                }
            }
        }
        out.finish()?;
        Ok(u8::from(verdicts.iter().any(|verdict| !matches!(verdict, Verdict::Right { .. }))))
    }
}

impl Rollback {
    pub fn run(self, quiet: bool) -> Result<u8> {
        let mut session = Session::open(quiet)?;
        let chosen = Chosen::find(&mut session, &self.which)?;
        let request = AdminRequest::Rollback { target: chosen.target(), snapshot: self.snapshot };
        let (AdminReply::RolledBack(done), _) = session.once(&request, &mut |_| {})? else {
            return Err(CliError::Unexpected { request: "Rollback" });
        };
        let mut out = Output::new();
        if self.json {
            out.json(&done)?;
        } else {
            let name = escape(done.to.workspace.as_bytes());
            out.line(&match &done.before {
                Some(before) => format!(
                    "{name} is as in snapshot {}; what was there before is snapshot {}",
                    done.to.number, before.number
                ),
                None => format!("{name} was as in snapshot {} already", done.to.number),
            })?;
        }
        out.finish()?;
        Ok(0)
    }
}

/// Snapshots of a workspace, oldest first.
pub fn snapshots(session: &mut Session, chosen: &Chosen) -> Result<Vec<SnapshotInfo>> {
    let mut all = Vec::new();
    session.ask(&AdminRequest::Log { target: chosen.target() }, &mut |reply| {
        if let AdminReply::Snapshots(rows) = reply {
            all.extend_from_slice(rows);
        }
    })?;
    Ok(all)
}

fn short(snapshot: &SnapshotInfo) -> &str {
    snapshot.root.get(..ROOT_DIGITS).unwrap_or(&snapshot.root)
}

/// Number (a star: the workspace was that last), root, time to the second, message.
fn line(snapshot: &SnapshotInfo, settings: &Settings) -> String {
    let time = times::shown(settings, snapshot.time_ns);
    let mark = if snapshot.current { '*' } else { ' ' };
    let text = format!(
        "{mark}{:>4}  {}  {time}  {}",
        snapshot.number,
        short(snapshot),
        escape(snapshot.message.as_bytes())
    );
    text.trim_end().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_number_root_time_and_message() {
        let mut row = SnapshotInfo {
            workspace: "w".into(),
            number: 3,
            root: "0123456789abcdef".into(),
            time_ns: 1_709_164_800_000_000_005,
            current: false,
            message: "a\nb".into(),
        };
        assert_eq!(
            line(&row, &Settings::default()),
            "    3  0123456789ab  2024-02-29 00:00:00Z  a\\x0ab".replace("\\\\", "\\")
        );
        row.message.clear();
        row.current = true;
        assert_eq!(line(&row, &Settings::default()), "*   3  0123456789ab  2024-02-29 00:00:00Z");
    }
}
