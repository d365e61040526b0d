//! `vrift status`: what the workspace changed.

use super::changes::Changes;
use super::output::Output;
use crate::error::Result;
use crate::session::Session;
use crate::target::{Chosen, Which};
use crate::text::path_text;
use clap::Args;

/// Lists what the workspace added, modified and deleted since it was taken in
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
        let changes = Changes::ask(&mut session, &chosen, false)?;
        let mut out = Output::new();
        if self.json {
            out.json(&changes)?;
        } else {
            out.line(&format!("workspace {} at {}", changes.workspace, path_text(&changes.view)))?;
            changes.print(&mut out)?;
            out.line(&match changes.changes.is_empty() {
                true => "nothing changed since it was taken in".to_string(),
                false => format!("{} since it was taken in", changes.summary()),
            })?;
        }
        out.finish()?;
        Ok(0)
    }
}
