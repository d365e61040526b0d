//! One file per command. Each returns its exit code or an error that has one.

pub mod audit;
pub mod boot;
pub mod cat;
pub mod changes;
pub mod completions;
pub mod config;
pub mod daemon;
pub mod diff;
pub mod doctor;
pub mod env;
pub mod export;
pub mod fork;
pub mod fsck;
pub mod gc;
pub mod history;
pub mod host;
pub mod identity;
mod import;
pub mod ingest;
pub mod key;
pub mod ls;
pub mod man;
pub mod output;
pub mod report;
pub mod run;
pub mod shell;
pub mod snapshot;
pub mod stat;
pub mod state;
pub mod stats;
pub mod status;
pub mod sync;
pub mod taken;
pub mod time;
mod tour;
pub mod tree;

use crate::args::{Cli, Command};
use crate::error::Result;

pub fn run(cli: Cli) -> Result<u8> {
    let quiet = cli.quiet;
    match cli.command {
        None => tour::print(),
        Some(Command::Ingest(args)) => args.run(quiet),
        Some(Command::Run(args)) => args.run(quiet),
        Some(Command::Env(args)) => args.run(quiet),
        Some(Command::Shell(args)) => args.run(quiet),
        Some(Command::Status(args)) => args.run(quiet),
        Some(Command::Diff(args)) => args.run(quiet),
        Some(Command::Ls(args)) => args.run(quiet),
        Some(Command::Cat(args)) => args.run(quiet),
        Some(Command::Stat(args)) => args.run(quiet),
        Some(Command::Stats(args)) => args.run(quiet),
        Some(Command::Report(args)) => args.run(quiet),
        Some(Command::History(args)) => args.run(quiet),
        Some(Command::State(args)) => args.run(quiet),
        Some(Command::Key(args)) => args.run(quiet),
        Some(Command::Identity(args)) => args.run(quiet),
        Some(Command::Time(args)) => args.run(quiet),
        Some(Command::Boot(args)) => args.run(quiet),
        Some(Command::Audit(args)) => args.run(quiet),
        Some(Command::Tree(args)) => args.run(quiet),
        Some(Command::Export(args)) => args.run(quiet),
        Some(Command::Sync(args)) => args.run(quiet),
        Some(Command::Snapshot(args)) => args.run(quiet),
        Some(Command::Log(args)) => args.run(quiet),
        Some(Command::Rollback(args)) => args.run(quiet),
        Some(Command::Fork(args)) => args.run(quiet),
        Some(Command::Rm(args)) => args.run(quiet),
        Some(Command::Fsck(args)) => args.run(quiet),
        Some(Command::Scrub(args)) => args.run(quiet),
        Some(Command::Gc(args)) => args.run(quiet),
        Some(Command::Daemon(args)) => args.run(quiet),
        Some(Command::Config(args)) => args.run(),
        Some(Command::Doctor(args)) => args.run(quiet),
        Some(Command::Completions(args)) => args.run(),
        Some(Command::Man(args)) => args.run(),
    }
}
