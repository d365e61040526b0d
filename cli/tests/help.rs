//! The tour, help and version.

mod common;
use common::{Vrift, stdout};

const COMMANDS: &[&str] = &[
    "ingest",
    "run",
    "env",
    "shell",
    "status",
    "diff",
    "ls",
    "cat",
    "stat",
    "tree",
    "export",
    "sync",
    "snapshot",
    "log",
    "rollback",
    "fork",
    "rm",
    "history",
    "stats",
    "report",
    "state",
    "key",
    "identity",
    "audit",
    "time",
    "boot",
    "gc",
    "fsck",
    "scrub",
    "daemon",
    "config",
    "doctor",
    "completions",
    "man",
];

#[test]
fn vrift_alone_prints_a_tour_of_ten_lines() {
    let output = Vrift::new().run::<&str>([]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stdout(&output).lines().count(), 10);
}

#[test]
fn the_version_names_protocol_and_store_format() {
    let output = Vrift::new().run(["--version"]);
    let expected = format!(
        "vrift {} (protocol {}, store format {})\n",
        env!("CARGO_PKG_VERSION"),
        vrift_protocol::PROTOCOL_VERSION,
        vrift_protocol::names::STORE_FORMAT_VERSION
    );
    assert_eq!(stdout(&output), expected);
}

#[test]
fn help_lists_every_command_and_the_exit_codes() {
    let output = Vrift::new().run(["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = stdout(&output);
    let listed: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(listed, COMMANDS);
    for text in ["Exit codes: 0 done", "VRIFT_HOME"] {
        assert!(help.contains(text), "{text}");
    }
}

#[test]
fn every_command_has_help_and_starts_nothing_for_it() {
    let vrift = Vrift::new();
    for command in COMMANDS {
        let output = vrift.run([command, "--help"]);
        assert_eq!(output.status.code(), Some(0), "{command}");
        assert!(stdout(&output).contains("Usage: vrift "), "{command}");
    }
    assert!(!vrift.home().exists());
}

#[test]
fn every_command_that_reports_has_json() {
    let vrift = Vrift::new();
    for command in ["ingest", "status", "diff", "ls", "stat", "export", "sync", "doctor"] {
        assert!(stdout(&vrift.run([command, "--help"])).contains("--json"), "{command}");
    }
    assert!(stdout(&vrift.run(["daemon", "status", "--help"])).contains("--json"));
}

#[test]
fn a_closed_pipe_is_no_error() {
    let vrift = Vrift::new();
    let mut command = vrift.command();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command.args(["completions", "bash"]).stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());
}

#[test]
fn a_full_disk_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let vrift = Vrift::new();
    let output = vrift.command().args(["completions", "bash"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(common::stderr(&output).contains("No space left"));
}
