//! `cargo xtask package`: a Debian package, by cargo-deb.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{build, install, process, workspace};

/// The version that is known to work; it reads `[package.metadata.deb]` of the command line's Cargo.toml.
const CARGO_DEB: &str = "3.8.0";

/// Builds everything and then the package; where it is, is printed last.
pub fn run() -> Result<()> {
    build::release()?;
    let folder = workspace::target().join("package");
    // What Cargo.toml names beside the programs.
    let _ = std::fs::remove_dir_all(folder.join("share"));
    install::described(&workspace::release().join("vrift"), &folder.join("share"))?;
    let deb = folder.join("vrift.deb");
    let mut command = deb_program()?;
    command.args(["--no-build", "--fast", "-p", "vrift-cli", "--output"]).arg(&deb);
    process::check(command.current_dir(workspace::root()))?;
    std::fs::metadata(&deb).with_context(|| format!("{} was not made", deb.display()))?;
    println!("{}", deb.display());
    Ok(())
}

/// cargo-deb of the user, or our own copy of the known version under `target`.
fn deb_program() -> Result<Command> {
    let installed = process::cargo(&["deb", "--version"]).output().is_ok_and(|out| out.status.success());
    if installed {
        return Ok(process::cargo(&["deb"]));
    }
    let tools = workspace::root().join("target/tools");
    let program: PathBuf = tools.join("bin/cargo-deb");
    let current = process::output(process::program(&program).arg("--version"));
    if !current.is_ok_and(|text| text.trim().ends_with(CARGO_DEB)) {
        println!("  cargo-deb is not there yet; this takes some minutes, once");
        let mut install =
            process::cargo(&["install", "--quiet", "--locked", "--version", CARGO_DEB, "--root"]);
        process::check(install.arg(&tools).arg("cargo-deb"))?;
    }
    Ok(process::program(program))
}
