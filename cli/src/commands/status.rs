//! `vrift status`: what the workspace changed.

use super::changes::Changes;
use super::output::Output;
use super::snapshot::snapshots;
use crate::error::Result;
use crate::session::Session;
use crate::target::{Chosen, Which};
use crate::text::path_text;
use clap::Args;
use vrift_protocol::admin::{AdminRequest, Side};

/// Lists what the workspace added, modified and deleted since its last snapshot, or since it was taken in
#[derive(Args, Debug)]
pub struct Status {
    #[command(flatten)]
    pub which: Which,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

impl Status {
    pub fn run(self, quiet: bool) -> Result<u8> {
        let mut session = Session::open(quiet)?;
        let chosen = Chosen::find(&mut session, &self.which)?;
        let all = snapshots(&mut session, &chosen)?;
        let last = all.iter().find(|it| it.current).or(all.last());
        let request = match &last {
            Some(last) => AdminRequest::Compare {
                old: Side { workspace: chosen.target(), snapshot: Some(last.number.to_string()) },
                new: Side { workspace: chosen.target(), snapshot: None },
            },
            None => AdminRequest::Diff { target: chosen.target(), against_real: false },
        };
        let since = last.map_or("it was taken in".to_string(), |last| format!("snapshot {}", last.number));
        let changes = Changes::ask(&mut session, &chosen, &request)?;
        let mut out = Output::new();
        if self.json {
            out.json(&changes)?;
        } else {
            out.line(&format!("workspace {} at {}", changes.workspace, path_text(&changes.view)))?;
            changes.print(&mut out)?;
            out.line(&match changes.changes.is_empty() {
                true => format!("nothing changed since {since}"),
                false => format!("{} since {since}", changes.summary()),
            })?;
        }
        out.finish()?;
        Ok(0)
    }
}
