//! `vrift diff`: a workspace against the real directory, or two trees against each other.

use super::changes::Changes;
use super::output::Output;
use crate::error::Result;
use crate::session::Session;
use crate::target::{Chosen, Which, side};
use clap::Args;
use vrift_protocol::admin::{AdminRequest, Side};

/// Lists how a workspace differs from the real directory, from a snapshot, or how two trees differ; exit code 1 if so
#[derive(Args, Debug)]
pub struct Diff {
    #[command(flatten)]
    pub which: Which,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// A snapshot (its number, or W@SNAP), or another workspace; without it the real directory
    #[arg(value_name = "A")]
    pub old: Option<String>,
    /// The same; without it the workspace as it is now
    #[arg(value_name = "B")]
    pub new: Option<String>,
}

impl Diff {
    pub fn run(self, quiet: bool) -> Result<u8> {
        let mut session = Session::open(quiet)?;
        let chosen = Chosen::find(&mut session, &self.which)?;
        let request = match &self.old {
            None => AdminRequest::Diff { target: chosen.target(), against_real: true },
            Some(old) => {
                let old = side(&mut session, &self.which, old)?;
                let new = match &self.new {
                    Some(new) => side(&mut session, &self.which, new)?,
                    None => Side { workspace: chosen.target(), snapshot: None },
                };
                AdminRequest::Compare { old, new }
            }
        };
        let changes = Changes::ask(&mut session, &chosen, &request)?;
        let mut out = Output::new();
        if self.json {
            out.json(&changes)?;
        } else {
            changes.print(&mut out)?;
        }
        out.finish()?;
        Ok(u8::from(!changes.changes.is_empty()))
    }
}
