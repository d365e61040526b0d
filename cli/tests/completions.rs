//! `vrift completions`.

mod common;
use common::{Vrift, stdout};
use std::process::Command;

#[test]
fn bash_reads_its_completions() {
    let output = Vrift::new().run(["completions", "bash"]);
    assert_eq!(output.status.code(), Some(0));
    let script = stdout(&output);
    assert!(script.contains("doctor"));
    assert!(!script.contains("__exec") && !script.contains("__probe"));
    assert!(Command::new("bash").args(["-n", "-c", &script]).status().unwrap().success());
}

#[test]
fn there_are_completions_for_other_shells() {
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        assert!(stdout(&Vrift::new().run(["completions", shell])).contains("ingest"), "{shell}");
    }
}
