//! Wrong usage is exit code 2 and changes nothing.

mod common;
use common::{Vrift, assert_refused};

#[test]
fn wrong_usage_is_named_in_at_most_three_lines() {
    let vrift = Vrift::new();
    for (args, named) in [
        (&["no-such-command"][..], "no-such-command"),
        (&["ingest", "--no-such-option"], "--no-such-option"),
        (&["ingest", "a", "b"], "b"),
        (&["run"], "CMD"),
        (&["run", "-w"], "-w"),
        (&["cat"], "PATH"),
        (&["stat"], "PATH"),
        (&["stat", "a", "b"], "b"),
        (&["diff", "a", "b", "c"], "c"),
        (&["tree", "a", "b"], "b"),
        (&["snapshot", "a"], "a"),
        (&["rollback", "1", "2"], "2"),
        (&["fork", "a"], "NEW"),
        (&["fork", "a", "b", "--from"], "--from"),
        (&["rm"], "W"),
        (&["sync", "--ours", "--theirs"], "--theirs"),
        (&["daemon"], "a command is missing"),
        (&["daemon", "jump"], "jump"),
        (&["daemon", "logs", "-n", "x"], "x"),
        (&["completions"], "SHELL"),
        (&["completions", "tcsh"], "tcsh"),
        (&["man", "no-such-command"], "no-such-command"),
        (&["help"], "help"),
    ] {
        assert_refused(&vrift.run(args), 2, named);
    }
    assert!(!vrift.home().exists());
}

#[test]
fn commands_of_later_versions_are_not_known() {
    let vrift = Vrift::new();
    for command in ["why", "key", "boot"] {
        assert_refused(&vrift.run([command]), 2, command);
    }
}
