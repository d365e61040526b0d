//! `vrift fork` and `vrift rm`: workspaces that share a tree until something changes, and their end.

use super::output::Output;
use crate::error::{CliError, Result};
use crate::session::Session;
use crate::target::{Chosen, Which, side};
use crate::text::{escape, path_text};
use clap::Args;
use vrift_protocol::admin::{AdminReply, AdminRequest, Side};

/// Stands for the tree that `vrift boot` has in use.
const ACTIVE: &str = "boot:active";

/// Makes a new workspace with the tree of another, build outputs and times included, seen at the same path
#[derive(Args, Debug)]
pub struct Fork {
    /// The workspace that it starts from, and the name of the new one; with --from boot:active the new one alone
    #[arg(value_names = ["W", "NEW"], num_args = 1..=2, required = true)]
    pub names: Vec<String>,
    /// Start from this snapshot of W (its number or the first digits of its root) instead of what W is now;
    /// boot:active: from the tree that vrift boot has in use
    #[arg(long, value_name = "SNAP")]
    pub from: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Removes a workspace with its snapshots, or one snapshot (W@SNAP); the real directory is not touched
#[derive(Args, Debug)]
pub struct Rm {
    #[arg(value_name = "W", required = true)]
    pub names: Vec<String>,
}

impl Fork {
    pub fn run(self, quiet: bool) -> Result<u8> {
        if self.names.len() < 2 && self.from.as_deref() != Some(ACTIVE) {
            return Err(usage("the name of the new workspace is missing".into()));
        }
        let mut session = Session::open(quiet)?;
        let (origin, name, snapshot) = origin(&mut session, self.names, self.from)?;
        let chosen = Chosen::find(&mut session, &Which { workspace: Some(origin) })?;
        let request = AdminRequest::Fork { target: chosen.target(), snapshot, name };
        // Asked twice it would find its own work in the way.
        let (AdminReply::Workspaces(rows), _) = session.once(&request, &mut |_| {})? else {
            return Err(CliError::Unexpected { request: "Fork" });
        };
        let [made] = &rows[..] else { return Err(CliError::Unexpected { request: "Fork" }) };
        let mut out = Output::new();
        if self.json {
            out.json(made)?;
        } else {
            let name = escape(made.name.as_bytes());
            let origin = escape(made.origin.as_deref().unwrap_or_default().as_bytes());
            out.line(&format!("{name}: forked from {origin}, seen at {}", path_text(&made.view)))?;
        }
        out.finish()?;
        Ok(0)
    }
}

fn usage(what: String) -> CliError {
    CliError::Usage { what, hint: "usage: vrift fork W NEW [--from SNAP]".into() }
}

/// The workspace to start from, the new name, the snapshot.
fn origin(
    session: &mut Session,
    mut names: Vec<String>,
    from: Option<String>,
) -> Result<(String, String, Option<String>)> {
    let name = names.pop().unwrap_or_default();
    let origin = names.pop();
    if from.as_deref() != Some(ACTIVE) {
        return Ok((origin.unwrap_or_default(), name, from));
    }
    let tree = super::boot::in_use(session)?;
    if origin.is_some_and(|origin| origin != tree.workspace) {
        let workspace = escape(tree.workspace.as_bytes());
        return Err(usage(format!("the tree in use is one of {workspace}: leave W out, or name that")));
    }
    Ok((tree.workspace, name, Some(tree.root)))
}

impl Rm {
    pub fn run(self, quiet: bool) -> Result<u8> {
        let mut session = Session::open(quiet)?;
        let mut code = 0;
        for name in &self.names {
            if let Err(error) = remove(&mut session, name) {
                error.report();
                code = code.max(error.exit_code());
            }
        }
        Ok(code)
    }
}

fn remove(session: &mut Session, name: &str) -> Result<()> {
    let Side { workspace, snapshot } = match name.contains('@') {
        true => side(session, &Which::default(), name)?,
        false => Side {
            workspace: Chosen::find(session, &Which { workspace: Some(name.into()) })?.target(),
            snapshot: None,
        },
    };
    match session.once(&AdminRequest::Remove { target: workspace, snapshot }, &mut |_| {})? {
        (AdminReply::Done, _) => Ok(()),
        _ => Err(CliError::Unexpected { request: "Remove" }),
    }
}
