//! Developer commands of vrift: `cargo xtask build|demo|test|fuzz|bench|book|coverage|guest|install|uninstall|package|tidy`.
//!
//! Lives here: what runs cargo, the test programs and the built binaries, and the static checks of the
//! workspace. May be imported: nothing of vrift itself; the binaries are used as a user would.
#![forbid(unsafe_code)]

mod bench;
mod build;
mod checks;
mod coverage;
mod demo;
mod guest;
mod guided;
mod install;
mod package;
mod packages;
mod process;
mod suite;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Developer commands of vrift")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build vrift, vriftd and libvrift_shim.so with optimisation
    Build,
    /// Build an example in a view and prove that its own directory stays as it is
    Demo,
    /// Run every test there is
    Test {
        /// Also run what is marked as slow, and the shell tests as an ordinary user
        #[arg(long)]
        long: bool,
    },
    /// Feed mutated bytes to everything that reads bytes of others
    Fuzz {
        /// For each target
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// By libFuzzer, which coverage guides: needs a nightly compiler
        #[arg(long)]
        guided: bool,
    },
    /// Measure vrift against the plain file system, side by side
    Bench {
        /// Passed on to the harness; `cargo xtask bench -- --help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Write docs/coverage.md from the table of hooks
    Coverage {
        /// Write nothing: compare table, page, built library and the machine's C library
        #[arg(long)]
        check: bool,
    },
    /// Make a small Linux guest with vrift in it, from Debian's packages, below target/guest
    Guest {
        #[command(subcommand)]
        action: Option<Guest>,
    },
    /// Install bin/vrift, bin/vriftd, lib/vrift/libvrift_shim.so, manual pages, completions and systemd's user units
    Install {
        #[arg(long, value_name = "DIR")]
        prefix: PathBuf,
    },
    /// Remove what `install` put there; what users have in workspaces stays
    Uninstall {
        #[arg(long, value_name = "DIR")]
        prefix: PathBuf,
    },
    /// Make a Debian package, target/package/vrift.deb
    Package,
    /// Build docs/book with mdBook, into target/book, and follow its links
    Book,
    /// Format the code and run the static checks alone
    Tidy {
        /// Ask the advisory database as well; it is fetched with git
        #[arg(long)]
        advisories: bool,
    },
}

#[derive(Subcommand)]
enum Guest {
    /// Start it under qemu and show its serial console; `cargo xtask guest run -- --help` lists what there is
    Run {
        /// Passed on, for example `--backend vfio`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Build => build::run(),
        Command::Demo => demo::run(),
        Command::Test { long } => return exit_code(suite::test(long)),
        Command::Fuzz { seconds, seed, guided: true } => guided::run(seconds, seed),
        Command::Fuzz { seconds, seed, guided: false } => suite::fuzz(seconds, seed),
        Command::Bench { args } => bench::run(&args),
        Command::Coverage { check: false } => coverage::write(),
        Command::Coverage { check: true } => coverage::check(),
        Command::Guest { action: None } => guest::make(),
        Command::Guest { action: Some(Guest::Run { args }) } => guest::run(&args),
        Command::Install { prefix } => install::run(&prefix),
        Command::Uninstall { prefix } => install::undo(&prefix),
        Command::Book => build::book(),
        Command::Package => package::run(),
        Command::Tidy { advisories } => return exit_code(suite::tidy(advisories)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn exit_code(passed: bool) -> ExitCode {
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
