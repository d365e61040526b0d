//! `vrift daemon`, and what happens when there is none and none can be had.

mod common;
use common::{Vrift, assert_refused, stdout};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

#[test]
fn status_of_no_daemon_is_1_and_makes_nothing() {
    let vrift = Vrift::new();
    assert_eq!(vrift.run(["daemon", "status"]).status.code(), Some(1));
    let output = vrift.run(["daemon", "status", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(json["running"], false);
    assert!(json["pid"].is_null());
    assert!(!vrift.home().exists());
}

#[test]
fn stop_without_a_daemon_has_nothing_to_do() {
    let vrift = Vrift::new();
    assert_eq!(vrift.run(["daemon", "stop"]).status.code(), Some(0));
    assert_eq!(vrift.run(["daemon", "logs"]).status.code(), Some(1));
    assert!(!vrift.home().exists());
}

#[test]
fn a_home_that_cannot_be_used_is_named() {
    let vrift = Vrift::new();
    fs::write(vrift.home(), "x").unwrap();
    let home = vrift.home().display().to_string();
    for args in [&["status"][..], &["run", "true"], &["daemon", "start"], &["daemon", "status"]] {
        assert_refused(&vrift.run(args), 3, &home);
    }
}

/// A copy of vrift in a folder of its own, with this script beside it as the daemon. Both are written by
/// other processes: a writable fd of this one, inherited by what another test starts meanwhile, would make
/// executing them fail with ETXTBSY.
fn installed_with(vrift: &Vrift, daemon: &str) -> PathBuf {
    let bin = vrift.dir.path().join("bin");
    let made = std::process::Command::new("sh")
        .args(["-ec", r#"mkdir "$1"; cp "$2" "$1/vrift"; printf '#!/bin/sh\n%s\n' "$3" >"$1/vriftd"; chmod 755 "$1/vriftd""#])
        .args(["sh", bin.to_str().unwrap(), env!("CARGO_BIN_EXE_vrift"), daemon])
        .status();
    assert!(made.unwrap().success());
    bin.join("vrift")
}

fn start_with(vrift: &Vrift, daemon: &str) -> std::process::Output {
    let own = installed_with(vrift, daemon);
    let mut command = std::process::Command::new(own);
    command.env("VRIFT_HOME", vrift.home()).env("XDG_RUNTIME_DIR", vrift.dir.path().join("run"));
    command.args(["daemon", "start"]).output().unwrap()
}

#[test]
fn a_missing_daemon_is_named() {
    let vrift = Vrift::new();
    let own = installed_with(&vrift, "");
    fs::remove_file(own.with_file_name("vriftd")).unwrap();
    let output =
        std::process::Command::new(own).env("VRIFT_HOME", vrift.home()).arg("status").output().unwrap();
    assert_refused(&output, 3, "vriftd is not installed");
}

#[test]
fn what_a_daemon_says_that_cannot_start_is_shown() {
    let vrift = Vrift::new();
    let output = start_with(&vrift, r#"eval "echo 'store.img is damaged' >&$4"; exit 3"#);
    assert_refused(&output, 3, "store.img is damaged");
}

#[test]
fn what_it_says_on_stderr_is_shown_too() {
    let vrift = Vrift::new();
    assert_refused(&start_with(&vrift, "echo 'vriftd: no such folder' >&2; exit 3"), 3, "no such folder");
}

#[test]
fn a_daemon_that_dies_without_a_word_is_an_error() {
    let vrift = Vrift::new();
    assert_refused(&start_with(&vrift, "kill -KILL $$"), 3, "signal: 9");
}

#[test]
fn the_daemon_is_found_through_a_symlink_to_vrift() {
    let vrift = Vrift::new();
    let own = installed_with(&vrift, "echo found me >&2; exit 3");
    let link = vrift.dir.path().join("link");
    symlink(own, &link).unwrap();
    let output =
        std::process::Command::new(link).env("VRIFT_HOME", vrift.home()).arg("status").output().unwrap();
    assert_refused(&output, 3, "found me");
}
