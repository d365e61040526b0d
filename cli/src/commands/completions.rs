//! `vrift completions`: completion scripts for shells.

use super::output::Output;
use crate::args::Cli;
use crate::error::Result;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// Prints a completion script: vrift completions bash > ~/.local/share/bash-completion/completions/vrift
#[derive(Args, Debug)]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

impl Completions {
    pub fn run(self) -> Result<u8> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "vrift", &mut script);
        let mut out = Output::new();
        out.bytes(&script)?;
        out.finish()?;
        Ok(0)
    }
}
