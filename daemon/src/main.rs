//! `vriftd`: the one process that owns a state folder.
//!
//! Lives here: sessions with clients, the authority over namespaces (journal first, then the index), staging and
//! sealing, taking in and writing out real directories, recovery. May be imported: nothing imports this crate;
//! it may use protocol, manifest, cas and statefs-journal. Must never appear here: path resolution for the
//! preload library (it does its own), bytes on the block device (the store's), command-line output.
//!
//! `unsafe` is confined to `sys`.
#![deny(unsafe_code)]

mod admin;
mod ahead;
mod args;
mod audit;
mod base;
mod burst;
mod change;
mod checkpoint;
mod clock;
mod codec;
mod config;
mod connection;
mod copying;
mod daemon;
mod damage;
mod diff;
mod doctor;
mod executing;
mod export;
mod failing;
mod flush;
mod folders;
mod fresh;
mod fsck;
mod gc;
mod history;
mod ignored;
mod in_place;
mod ingest;
mod kill_points;
mod listening;
mod look;
mod namespace;
mod noticed;
mod open;
mod open_real;
mod owner;
mod patience;
mod place;
mod policy;
#[cfg(test)]
mod power_cuts;
mod real_things;
mod real_tree;
mod real_xattrs;
mod record;
mod recover;
mod removed;
mod retry;
mod run;
mod scrub;
mod seal;
mod sealing;
mod serve;
mod server;
mod services;
mod set_id;
mod slots;
mod snapshots;
mod sockets;
mod spare;
mod state;
mod supervise;
mod sys;
mod tables;
mod take_in;
mod times;
mod tree;
mod unnamed;
mod vnode_ops;
mod walk;
mod watch;
mod wiring;
mod workers;
mod workspace;
mod worktree;
mod worktree_update;
mod xattrs;

use anyhow::{Context, Result};
use args::Args;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;
use vrift_protocol::names;

/// Exit code for bad usage.
const BAD_USAGE: u8 = 2;
/// Exit code when the daemon cannot serve.
const UNUSABLE: u8 = 3;

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args_os().skip(1)) {
        Ok(args) => args,
        Err(error) => {
            eprintln!("vriftd: {error}\n{}", args::USAGE);
            return ExitCode::from(BAD_USAGE);
        }
    };
    if args.help {
        println!("{}", args::USAGE);
        return ExitCode::SUCCESS;
    }
    match run(&args) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(UNUSABLE)),
        Err(error) => {
            eprintln!("vriftd: {error:#}");
            ExitCode::from(UNUSABLE)
        }
    }
}

fn run(args: &Args) -> Result<i32> {
    let home = match &args.home {
        Some(home) => std::path::absolute(home).context("--home is not a path")?,
        None => vrift_protocol::locate::home_dir().context("cannot tell where the state folder is")?,
    };
    sys::share_one_heap();
    if args.show_config {
        println!("{}", serde_json::to_string(&config::settings(&home)?)?);
        return Ok(0);
    }
    if args.init {
        let place = place::Place::choose(args, &config::read(&home)?, &home)?;
        println!("{}", place.init(args.overwrite.as_deref())?);
        return Ok(0);
    }
    if args.wiring {
        let folders = folders::Folders::prepare(&home).context("cannot use the state folder")?;
        println!("{}", serde_json::to_string(&wiring::table(&wiring::Ground::of(&folders, args)))?);
        return Ok(0);
    }
    if args.fsck {
        return Ok(if fsck::run(args, &home)? { 0 } else { names::EXIT_SERVED });
    }
    // What passes through may be a secret: in no core dump, and not to be read by other processes of the user.
    nix::sys::prctl::set_dumpable(false).context("cannot do without core dumps")?;
    if args.foreground || args.serve {
        let filter = EnvFilter::try_from_env("VRIFT_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(false)
            .init();
        serve::serve(args, &home)?;
        return Ok(0);
    }
    let folders = folders::Folders::prepare(&home).context("cannot use the state folder")?;
    let log = folders.in_runtime(vrift_protocol::names::LOG_FILE);
    match serve::refuse_second(&folders) {
        // Said here, where somebody reads it: the serving process writes to the log.
        Err(error) if args.ready_fd.is_none() => return Err(error),
        Ok(()) if std::fs::metadata(&log).is_ok_and(|stat| stat.len() > supervise::LOG_LEN_MAX_BYTES) => {
            let _ = std::fs::rename(&log, log.with_extension("old"));
        }
        _ => {}
    }
    supervise::supervise(args, &folders.home, &log)
}
