//! `cargo xtask build`: the binaries that are installed and tested.

use anyhow::{Result, bail};

use crate::{process, workspace};

pub fn run() -> Result<()> {
    release()?;
    let dir = workspace::release();
    for name in workspace::PROGRAMS.into_iter().chain(workspace::SERVICES).chain([workspace::SHIM]) {
        println!("{}", dir.join(name).display());
    }
    Ok(())
}

/// Two calls of cargo: built together, cargo gives all packages one set of features, and the preload
/// library would get `vrift-protocol` and `vrift-manifest` with `std`.
pub fn release() -> Result<()> {
    process::check(&mut process::cargo(&["build", "--release", "--locked", "-p", "vrift-shim"]))?;
    let mut all = vec!["build", "--release", "--locked", "-p", "vrift-cli", "-p", "vrift-daemon"];
    all.extend(workspace::SERVICES.into_iter().flat_map(|name| ["-p", name]));
    process::check(&mut process::cargo(&all))?;
    let dir = workspace::release();
    for name in workspace::PROGRAMS.into_iter().chain(workspace::SERVICES).chain([workspace::SHIM]) {
        if !dir.join(name).is_file() {
            bail!("cargo built everything, but {} is not there", dir.join(name).display());
        }
    }
    Ok(())
}

/// docs/book by mdBook, into target/book; each of its links is followed. mdBook is built in a workspace of its own, with the
/// versions of docs/builder/Cargo.lock: no program of vrift has anything of it.
pub fn book() -> Result<()> {
    let (builder, out) = (workspace::root().join("docs/builder/Cargo.toml"), workspace::target());
    let mut run = process::cargo(&["run", "--quiet", "--locked", "--manifest-path"]);
    run.arg(builder).arg("--target-dir").arg(out.join("book-builder"));
    process::check(run.args(["--", "docs"]).arg(out.join("book")))
}
