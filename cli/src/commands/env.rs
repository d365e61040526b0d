//! `vrift env`: the lines that put a shell into the view.

use super::output::Output;
use super::run::enter;
use crate::error::Result;
use crate::quote::{fish_quote, shell_quote};
use crate::session::Session;
use crate::target::{Place, Which};
use crate::view_env;
use clap::Args;

/// Prints export lines for a shell: eval "$(vrift env)"; make. In fish: vrift env --fish | source
///
/// Everything that this shell starts from then on is in the view. The shell itself is not: its own redirections
/// and built-in commands still see the real directory. `vrift shell` starts one that is.
#[derive(Args, Debug)]
pub struct Env {
    #[command(flatten)]
    pub which: Which,
    #[command(flatten)]
    pub place: Place,
    /// For fish; bash, zsh and other shells read the lines as they are
    #[arg(long)]
    pub fish: bool,
}

impl Env {
    pub fn run(self, quiet: bool) -> Result<u8> {
        let mut session = Session::open(quiet)?;
        let (view, _) = enter(&mut session, &self.which, &self.place, false, quiet)?;
        let mut out = Output::new();
        for (name, value) in view_env::variables(&view, &session.places)? {
            let value = if self.fish { fish_quote(&value) } else { shell_quote(&value) };
            out.bytes(if self.fish { b"set -gx " } else { b"export " })?;
            out.bytes(name.as_bytes())?;
            out.bytes(if self.fish { b" " } else { b"=" })?;
            out.bytes(&value)?;
            out.bytes(b"\n")?;
        }
        out.finish()?;
        Ok(0)
    }
}
