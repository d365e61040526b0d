//! The arguments, defined once: help, man pages and completions come from here.

use crate::commands::*;
use clap::{Parser, Subcommand};
use std::sync::LazyLock;
use vrift_protocol::PROTOCOL_VERSION;
use vrift_protocol::names::STORE_FORMAT_VERSION;

static VERSION: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{} (protocol {PROTOCOL_VERSION}, store format {STORE_FORMAT_VERSION})",
        env!("CARGO_PKG_VERSION")
    )
});

const AFTER_HELP: &str = "\
Exit codes: 0 done; 1 what was asked about is false (differs, unhealthy, not there); 2 wrong usage or bad input; \
3 the daemon or the store cannot be used. `run` and `shell` return the command's own code, 126 or 127 as a shell \
does, 128 + n after signal n.

Environment: VRIFT_HOME (state folder, default ~/.local/state/vrift), VRIFT_WORKSPACE (default of -w), VRIFT_LOG \
(what the daemon logs, e.g. debug), NO_COLOR.";

/// Runs builds in a copy-on-write, content-addressed view of a project; the project itself is not touched
#[derive(Parser, Debug)]
#[command(name = "vrift", version = VERSION.as_str(), after_help = AFTER_HELP, disable_help_subcommand = true)]
pub struct Cli {
    /// No progress and no summary on stderr; problems are still named
    #[arg(short, long, global = true)]
    pub quiet: bool,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    Ingest(ingest::Ingest),
    Run(run::Run),
    Env(env::Env),
    Shell(shell::Shell),
    Status(status::Status),
    Diff(diff::Diff),
    Ls(ls::Ls),
    Cat(cat::Cat),
    Stat(stat::Stat),
    Tree(tree::Tree),
    Export(export::Export),
    Sync(sync::Sync),
    Snapshot(snapshot::Snapshot),
    Log(snapshot::Log),
    Rollback(snapshot::Rollback),
    Fork(fork::Fork),
    Rm(fork::Rm),
    History(history::History),
    Stats(stats::Stats),
    Report(report::Report),
    State(state::State),
    Key(key::Key),
    Identity(identity::Identity),
    Audit(audit::Audit),
    Time(time::Time),
    Boot(boot::Boot),
    Gc(gc::Gc),
    Fsck(fsck::Fsck),
    Scrub(fsck::Scrub),
    Daemon(daemon::Daemon),
    Config(config::Config),
    Doctor(doctor::Doctor),
    Completions(completions::Completions),
    Man(man::Man),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_follows_the_command_belongs_to_it() {
        let cli = Cli::try_parse_from(["vrift", "run", "-w", "w", "make", "-q", "--json", "-w"]).unwrap();
        let Some(Command::Run(run)) = cli.command else { panic!("not run") };
        assert_eq!(run.which.workspace.as_deref(), Some("w"));
        assert_eq!(run.command, ["make", "-q", "--json", "-w"]);
        assert!(!cli.quiet);
    }
}
