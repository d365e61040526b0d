//! Licences, origins and duplicates of dependencies, by cargo-deny and the rules in `deny.toml`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::{process, workspace};

/// The version that `deny.toml` is written for.
const CARGO_DENY: &str = "0.20.2";

pub fn licences() -> Result<()> {
    process::check(deny()?.args(["--locked", "check", "licenses", "bans", "sources"]))?;
    println!("  covered: licences, duplicates and origins of every dependency");
    println!("  not covered: advisories, whose database is fetched with git: cargo xtask tidy --advisories");
    Ok(())
}

pub fn advisories() -> Result<()> {
    process::check(deny()?.args(["--locked", "check", "advisories"]))
}

/// cargo-deny of the user, or our own copy of the known version under `target`.
fn deny() -> Result<Command> {
    let installed = process::cargo(&["deny", "--version"]).output().is_ok_and(|out| out.status.success());
    if installed {
        return Ok(process::cargo(&["deny"]));
    }
    let tools = workspace::root().join("target/tools");
    let program: PathBuf = tools.join("bin/cargo-deny");
    let current = process::output(process::program(&program).arg("--version"));
    if !current.is_ok_and(|text| text.trim().ends_with(CARGO_DENY)) {
        println!("  cargo-deny is not there yet; this takes some minutes, once");
        let mut install =
            process::cargo(&["install", "--quiet", "--debug", "--locked", "--version", CARGO_DENY, "--root"]);
        install.arg(&tools).arg("cargo-deny");
        process::check(&mut install)?;
    }
    // As a cargo subcommand it would be called with its own name first.
    Ok(process::program(program))
}
