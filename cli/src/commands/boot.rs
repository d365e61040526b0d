//! `vrift boot`: A/B control of trees that are replaced as a whole.

use super::output::Output;
use super::snapshot::snapshots;
use crate::error::{CliError, Result};
use crate::services::{ask, connect};
use crate::session::Session;
use crate::target::{Chosen, Which};
use crate::text::escape;
use clap::{Args, Subcommand};
use vrift_protocol::admin::{Failure, SnapshotInfo};
use vrift_protocol::boot::{Boot as Record, Request, Slot};
use vrift_protocol::keystore::{self, Reply, Snapshot};
use vrift_protocol::pipeline::Blocking;
use vrift_protocol::service::{Need, Service};

/// Two slots for a tree that is replaced as a whole: stage, try, keep or fall back
#[derive(Args, Debug)]
pub struct Boot {
    #[command(subcommand)]
    pub action: Action,
    /// Print the result as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Subcommand, Debug)]
pub enum Action {
    /// Shows both slots; exit code 1 if nothing is in use
    Status,
    /// Puts a signed snapshot into the slot that is not active
    Stage {
        /// W@SNAP: a workspace and the number or the first digits of the root of a snapshot
        #[arg(value_name = "SNAPSHOT")]
        snapshot: String,
        /// Also one that is older than the active
        #[arg(long)]
        force: bool,
    },
    /// Has the staged tree tried by the next attempts
    Switch {
        /// So many attempts may begin until one is declared healthy
        #[arg(long, value_name = "N", default_value_t = 3)]
        tries: u32,
    },
    /// A start begins: counts it, and says which tree to use
    Attempt,
    /// Declares what is in use healthy: it becomes the active tree
    HealthOk,
    /// Ends a trial; without one, goes back to the tree that was active before
    Rollback,
    /// Makes the keystore's key the one whose signatures count; the first stage does that by itself
    Pin,
}

impl Boot {
    pub fn run(self, quiet: bool) -> Result<u8> {
        let mut session = Session::open(quiet)?;
        let mut to = connect(&session);
        let is_status = matches!(self.action, Action::Status);
        let request = match self.action {
            Action::Status => Request::Status,
            Action::Stage { snapshot, force } => {
                if updated(&mut to, &Request::Status)?.pinned.is_none() {
                    pin(&mut to)?;
                }
                Request::Stage { snapshot: find(&mut session, &snapshot)?, force }
            }
            Action::Switch { tries } => Request::Switch { tries },
            Action::Attempt => Request::Attempt,
            Action::HealthOk => Request::HealthOk,
            Action::Rollback => Request::Rollback,
            Action::Pin => Request::Pin { public: public(&mut to)? },
        };
        let record = updated(&mut to, &request)?;
        let mut out = Output::new();
        if self.json {
            out.json(&record)?;
        } else {
            print(&mut out, &record)?;
        }
        out.finish()?;
        Ok(u8::from(is_status && record.in_use().is_none()))
    }
}

fn updated(to: &mut Blocking, request: &Request) -> Result<Record> {
    ask(to, Service::Boot, request.need(), request)
}

/// The key that the keystore signs with.
fn public(to: &mut Blocking) -> Result<String> {
    let reply = ask(to, Service::Keystore, Need::Read, &keystore::Request::Show)?;
    match reply {
        Reply::Keys { keys, .. } if !keys.is_empty() => Ok(keys[0].public.clone()),
        _ => Err(CliError::Unexpected { request: "keystored" }),
    }
}

fn pin(to: &mut Blocking) -> Result<Record> {
    let public = public(to)?;
    updated(to, &Request::Pin { public })
}

/// The snapshot that `W@SNAP` names.
fn find(session: &mut Session, text: &str) -> Result<Snapshot> {
    let usage = || CliError::Usage {
        what: format!("{text} is no snapshot"),
        hint: "as in: vrift boot stage W@3".into(),
    };
    let (workspace, which) = text.rsplit_once('@').ok_or_else(usage)?;
    let chosen = Chosen::find(session, &Which { workspace: Some(workspace.to_string()) })?;
    let rows = snapshots(session, &chosen)?;
    let is = |row: &&SnapshotInfo| {
        row.number.to_string() == which || (which.len() >= 4 && row.root.starts_with(which))
    };
    let row = rows.iter().rev().find(is).ok_or_else(|| CliError::Refused {
        failure: Failure::Negative,
        what: format!("there is no snapshot {text}"),
        hint: format!("there are those of: vrift log -w {workspace}"),
    })?;
    Ok(super::key::statement(row))
}

/// What is in use: workspace, and root of its snapshot.
pub fn in_use(session: &Session) -> Result<Snapshot> {
    let record = updated(&mut connect(session), &Request::Status)?;
    record.in_use().map(|(_, tree)| tree.clone()).ok_or_else(|| CliError::Refused {
        failure: Failure::Negative,
        what: "no slot is active".into(),
        hint: "see: vrift boot status".into(),
    })
}

fn print(out: &mut Output, record: &Record) -> Result<()> {
    let used = record.in_use().map(|(slot, _)| slot);
    for slot in [Slot::A, Slot::B] {
        let mut words = Vec::new();
        if used == Some(slot) {
            words.push("in use".to_string());
        }
        if record.active == Some(slot) {
            words.push("active".to_string());
        }
        if let Some(trial) = record.trial.filter(|trial| trial.slot == slot) {
            words.push(format!(
                "on trial, {} left",
                crate::text::count(u64::from(trial.tries_left), "try", "tries")
            ));
        }
        let tree = record.tree(slot).map_or_else(
            || "empty".to_string(),
            |tree| {
                format!(
                    "{}@{} {}",
                    escape(tree.workspace.as_bytes()),
                    tree.number,
                    tree.root.get(..12).unwrap_or("")
                )
            },
        );
        out.line(format!("{}  {tree}  {}", slot.name(), words.join(", ")).trim_end())?;
    }
    Ok(())
}
