//! Runs the guest under qemu and judges what it prints on its serial console.
#![forbid(unsafe_code)]

mod cuts;
mod devices;
mod drive;
mod guest;
mod judge;
mod machine;
mod moves;
mod nbd;
mod qmp;
mod random;
mod report;
mod suite;
mod volatile;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};
use machine::{Backend, Cache, Machine};

#[derive(Parser)]
#[command(name = "guest-tests", about = "vrift in a guest under qemu")]
struct Args {
    /// Folder with `vmlinuz` and `initramfs.cpio`, as `cargo xtask guest` makes them
    #[arg(long, value_name = "DIR")]
    image: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// One start of the guest with its console shown: the self-test, or a shell
    Boot {
        /// How the guest reaches the store's device
        #[arg(long, value_enum, default_value_t = Backend::Kernel)]
        backend: Backend,
        /// A shell on the console instead of the self-test; Ctrl-A X ends it
        #[arg(long)]
        shell: bool,
        /// The store's drive; without it an empty one for this run
        #[arg(long, value_name = "FILE")]
        drive: Option<PathBuf>,
        /// What else the guest is to do, as `vrift.NAME=VALUE`
        arguments: Vec<String>,
    },
    /// All tests, in the form of the other suites
    Test {
        /// Many power cuts instead of three
        #[arg(long, conflicts_with = "short")]
        long: bool,
        /// The markers by both drivers and three power cuts alone
        #[arg(long)]
        short: bool,
        /// Other cuts (default: printed)
        #[arg(long)]
        seed: Option<u64>,
        /// Only tests whose name has this in it
        #[arg(long)]
        only: Option<String>,
        /// Keep consoles and drives
        #[arg(short, long)]
        keep: bool,
    },
}

fn main() -> ExitCode {
    let args = Args::parse();
    let result = match args.command {
        Command::Boot { backend, shell, drive, arguments } => {
            boot(args.image, backend, shell, drive, arguments).map(|()| true)
        }
        Command::Test { long, short, seed, only, keep } => {
            let seed = seed.unwrap_or_else(random::fresh_seed);
            suite::run(suite::Options { image: args.image, long, short, seed, only, keep })
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("guest-tests: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn boot(
    image: PathBuf,
    backend: Backend,
    shell: bool,
    drive: Option<PathBuf>,
    arguments: Vec<String>,
) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let empty = drive.is_none();
    let drive = match drive {
        Some(drive) => drive,
        None => drive::empty(&folder.path().join("store.img"), drive::LEN_BYTES)?,
    };
    let mut machine = Machine::new(image, backend);
    machine.drive = drive::Source::File { path: drive, cache: Cache::Writeback };
    let mode = if shell { "shell" } else { "selftest" };
    machine.arguments = vec![format!("mode={mode}")];
    machine.arguments.extend(empty.then(|| "init".to_string()));
    let strip = |word: String| word.strip_prefix("vrift.").map_or(word.clone(), str::to_string);
    machine.arguments.extend(arguments.into_iter().map(strip));
    if shell {
        return machine.on_this_terminal(folder.path());
    }
    let mut guest = guest::Guest::start(&machine, folder.path(), "console", true)?;
    guest.await_end(guest::SELFTEST_LIMIT)?;
    let mut rounds = judge::Rounds::default();
    guest.lines().iter().for_each(|line| rounds.line(line));
    ensure!(rounds.finish() >= 1, "{}", rounds.complaint());
    Ok(())
}
