//! `vrift diff`: the workspace against the real directory.

use super::changes::Changes;
use super::output::Output;
use crate::error::Result;
use crate::session::Session;
use crate::target::{Chosen, Which};
use clap::Args;

/// Lists how the workspace differs from the real directory as it is now; exit code 1 if it does
#[derive(Args, Debug)]
pub struct Diff {
    #[command(flatten)]
    pub which: Which,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

impl Diff {
    pub fn run(self, quiet: bool) -> Result<u8> {
        let mut session = Session::open(quiet)?;
        let chosen = Chosen::find(&mut session, &self.which)?;
        let changes = Changes::ask(&mut session, &chosen, true)?;
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
