//! `vrift export`: writes what changed to the real directory.

use super::output::Output;
use super::taken::name_problems;
use crate::error::{CliError, Result};
use crate::session::Session;
use crate::target::{Chosen, Which};
use crate::text::{count, path_text, say, size};
use clap::Args;
use std::path::PathBuf;
use vrift_protocol::admin::{AdminReply, AdminRequest, PathBytes};

/// Writes changed files to the real directory (or to DIR), each atomically, with its times
#[derive(Args, Debug)]
pub struct Export {
    #[command(flatten)]
    pub which: Which,
    /// Write to this directory instead
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// Overwrite files that changed on disk since they were taken in
    #[arg(long)]
    pub force: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// What to write; default: everything that changed
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

impl Export {
    pub fn run(self, quiet: bool) -> Result<u8> {
        let to = match &self.to {
            None => None,
            Some(dir) => Some(std::path::absolute(dir).map_err(|source| CliError::path(dir, source))?),
        };
        let mut session = Session::open(quiet)?;
        let chosen = Chosen::find(&mut session, &self.which)?;
        let request = AdminRequest::Export {
            target: chosen.target(),
            paths: chosen.resolve_all(&self.paths)?,
            to: to.map(PathBytes::from),
            force: self.force,
        };
        let (AdminReply::Exported(exported), _) = session.ask(&request, &mut |_| {})? else {
            return Err(CliError::Unexpected { request: "Export" });
        };
        let refused = !exported.conflicts.is_empty() && !self.force;
        let mut out = Output::new();
        if self.json {
            out.json(&exported)?;
        } else if !refused {
            out.line(&format!(
                "{} written to {} ({}), {} deleted, {} unchanged",
                count(exported.written, "entry", "entries"),
                path_text(&exported.to),
                size(exported.bytes),
                exported.deleted,
                exported.unchanged
            ))?;
        }
        out.finish()?;
        name_problems("failed", &exported.failed);
        if refused {
            name_problems("changed on disk", &exported.conflicts);
            say!("vrift: nothing was written; --force overwrites them, vrift diff shows the differences");
        }
        Ok(u8::from(refused || !exported.failed.is_empty()))
    }
}
