//! `vrift man`: manual pages.

use super::output::Output;
use crate::args::Cli;
use crate::error::{CliError, Result};
use clap::{Args, CommandFactory};
use std::fs;
use std::path::PathBuf;

/// Prints the manual page of vrift or of a command; or writes all pages to a directory
#[derive(Args, Debug)]
pub struct Man {
    /// The command whose page to print
    #[arg(value_name = "COMMAND", conflicts_with = "to")]
    pub command: Option<String>,
    /// Write vrift.1, vrift-run.1, ... to this directory
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
}

impl Man {
    pub fn run(self) -> Result<u8> {
        let mut root = Cli::command();
        root.build();
        if let Some(dir) = &self.to {
            for (name, command) in pages(&root) {
                let path = dir.join(format!("{name}.1"));
                fs::write(&path, page(command)?).map_err(|source| CliError::path(&path, source))?;
            }
            return Ok(0);
        }
        let wanted = self.command.map_or_else(|| "vrift".to_string(), |command| format!("vrift-{command}"));
        let (_, command) =
            pages(&root).into_iter().find(|(name, _)| *name == wanted).ok_or_else(|| CliError::Usage {
                what: format!("there is no manual page {wanted}"),
                hint: "vrift --help lists the commands".to_string(),
            })?;
        let mut out = Output::new();
        out.bytes(&page(command)?)?;
        out.finish()?;
        Ok(0)
    }
}

/// Every page's name with its command.
fn pages(root: &clap::Command) -> Vec<(String, clap::Command)> {
    let mut pages = vec![("vrift".to_string(), root.clone())];
    for command in root.get_subcommands() {
        pages.push((format!("vrift-{}", command.get_name()), command.clone()));
    }
    pages
}

fn page(command: clap::Command) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text)?;
    Ok(text)
}
