//! `vrift sync`: takes in changes of the real directory.

use super::output::Output;
use super::taken;
use crate::error::{CliError, Result};
use crate::session::Session;
use crate::target::{Chosen, Which};
use crate::text::{count, path_text, size};
use clap::Args;
use vrift_protocol::admin::{AdminReply, AdminRequest, Settle};

/// Takes in what changed in the real directory; what changed on both sides is named and stays as it is
#[derive(Args, Debug)]
pub struct Sync {
    #[command(flatten)]
    pub which: Which,
    /// What changed on both sides stays as the workspace has it, and is no conflict any more
    #[arg(long, conflicts_with = "theirs")]
    pub ours: bool,
    /// What changed on both sides becomes what the real directory has
    #[arg(long)]
    pub theirs: bool,
    /// Look at every file, also where changes are noticed as they happen
    #[arg(long)]
    pub all: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

impl Sync {
    pub fn run(self, quiet: bool) -> Result<u8> {
        let mut session = Session::open(quiet)?;
        let chosen = Chosen::find(&mut session, &self.which)?;
        let settle = match (self.ours, self.theirs) {
            (true, _) => Some(Settle::Ours),
            (_, true) => Some(Settle::Theirs),
            _ => None,
        };
        let request = AdminRequest::Sync { target: chosen.target(), settle, all: self.all };
        let (AdminReply::Taken(taken), _) = session.ask(&request, &mut |_| {})? else {
            return Err(CliError::Unexpected { request: "Sync" });
        };
        let mut out = Output::new();
        if self.json {
            out.json(&taken)?;
        } else if taken::has_changes(&taken) {
            let place = path_text(&taken.view);
            out.line(&format!("{}: {}; {} new", place, taken::changes(&taken), size(taken.new_bytes)))?;
        } else {
            out.line(&format!("{}: nothing changed", path_text(&taken.view)))?;
        }
        if !self.json && taken.settled > 0 {
            let side = if self.ours { "the workspace" } else { "the real directory" };
            out.line(&format!("{} settled for {side}", count(taken.settled, "conflict", "conflicts")))?;
        }
        out.finish()?;
        taken::name_all_problems(&taken);
        Ok(u8::from(!taken.skipped.is_empty() || !taken.conflicts.is_empty()))
    }
}
