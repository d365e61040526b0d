//! `vrift`: the command line.
//!
//! Lives here: arguments, output for people and scripts, starting the daemon, starting commands in a view.
//! May be imported: nothing imports this crate; it may use vrift-protocol alone.
//! Must never appear here: storage, policy, path resolution in the view: the daemon and the preload library do
//! that, this program asks.
//!
//! `unsafe` is confined to `sys`.
#![deny(unsafe_code)]

mod args;
mod child;
mod commands;
mod error;
mod in_view;
mod install;
mod namespace;
mod places;
mod probe;
mod program;
mod progress;
mod quick;
mod quote;
mod secret_input;
mod services;
mod session;
mod start;
mod strict;
mod sys;
mod target;
mod text;
mod times;
mod unreached;
mod view_env;
mod watch;

use clap::Parser;
use clap::error::ErrorKind;
use error::CliError;
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let given: Vec<OsString> = std::env::args_os().collect();
    // Started by this program itself, for a process in the view.
    match given.get(1).and_then(|first| first.to_str()) {
        Some(in_view::EXEC) => return ExitCode::from(in_view::become_command(&given[2..])),
        Some(namespace::PROBE) => return ExitCode::from(namespace::probe()),
        Some(unreached::UNREACHED) => return ExitCode::from(unreached::run(&given[2..])),
        Some(probe::PROBE) => return ExitCode::from(probe::report()),
        _ => {}
    }
    if let Some((quiet, run)) = quick::run(&given) {
        return ExitCode::from(finish(run.run(quiet)));
    }
    match args::Cli::try_parse_from(&given) {
        Ok(cli) => ExitCode::from(finish(commands::run(cli))),
        Err(error) => ExitCode::from(refuse(&error)),
    }
}

/// The exit code of a command's result; an error is reported.
fn finish(result: error::Result<u8>) -> u8 {
    match result {
        Ok(code) => code,
        Err(error) if error.is_broken_pipe() => 0,
        Err(error) => {
            error.report();
            error.exit_code()
        }
    }
}

/// What clap has to say: help and version on stdout, bad usage in two lines.
fn refuse(error: &clap::Error) -> u8 {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return finish(error.print().map(|()| 0).map_err(CliError::Output));
    }
    let text = error.render().to_string();
    let mut paragraphs = text.split("\n\n");
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        paragraphs = "a command is missing".split("\n\n");
    }
    // The first paragraph of clap's text says what is wrong, over several lines if there is a list.
    let first = paragraphs.next().unwrap_or_default();
    let what = first.split_whitespace().collect::<Vec<_>>().join(" ");
    let what = what.strip_prefix("error: ").unwrap_or(&what).to_string();
    let usage = text.lines().find_map(|line| line.trim().strip_prefix("Usage: "));
    let hint = match usage {
        Some(usage) => format!("usage: {usage}"),
        None => "vrift --help lists what there is".to_string(),
    };
    finish(Err(CliError::Usage { what, hint }))
}
