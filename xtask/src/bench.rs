//! `cargo xtask bench`: builds what is measured and hands over to the harness in `benches`.

use anyhow::Result;

use crate::{build, packages, process, workspace};

pub fn run(args: &[String]) -> Result<()> {
    packages::ensure()?;
    build::release()?;
    process::check(&mut process::cargo(&[
        "build",
        "--release",
        "--locked",
        "-p",
        "vrift-benches",
        "--features",
        "peers",
    ]))?;
    process::check(
        process::program(workspace::root().join("tests/real/fetch")).env("REAL_SRC", real_sources()),
    )?;
    process::check(
        process::program(workspace::release().join("vrift-benches"))
            .args(args)
            .env("VRIFT_BIN_DIR", workspace::release())
            .env("REAL_SRC", real_sources()),
    )
}

/// Where the tarballs of the real projects are kept between runs.
pub fn real_sources() -> std::path::PathBuf {
    workspace::target().join("real-src")
}
