//! A C project, compiled in the view.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::{say, vrift};

pub const PROJECT: &str = "/project";
const NATIVE: &str = "/tmp/native";
pub const OUTPUTS: [&str; 8] =
    ["one.o", "two.o", "three.o", "four.o", "five.o", "main.o", "program", "result"];

/// A build from nothing has the bytes that it has without vrift, and the real directory stays as it is. What the
/// round before built is looked for first.
pub fn build(round: u64) -> Result<()> {
    let native = native()?;
    if round > 1 {
        expect(&native, true)?;
        up_to_date()?;
    }
    vrift::ok_in(PROJECT, &["run", "--", "sh", "-c", "make -s clean && make -s"])?;
    ensure!(!Path::new(PROJECT).join("out").exists(), "the real directory has an `out`");
    expect(&native, true)
}

/// The outputs are there over the daemon's death, and make finds nothing to be done.
pub fn persist() -> Result<()> {
    let native = native()?;
    vrift::kill_daemon()?;
    expect(&native, true)?;
    up_to_date()
}

fn up_to_date() -> Result<()> {
    vrift::ok_in(PROJECT, &["run", "--", "make", "-q"]).map(drop).context("make would build again")
}

/// The outputs as they are without vrift.
pub fn native() -> Result<BTreeMap<&'static str, Vec<u8>>> {
    let sh = |text: &str| -> Result<()> {
        let status = std::process::Command::new("sh").arg("-c").arg(text).status()?;
        ensure!(status.success(), "{text}: {status}");
        Ok(())
    };
    if !Path::new(NATIVE).exists() {
        sh(&format!("cp -a {PROJECT} {NATIVE} && cd {NATIVE} && make -s"))?;
    }
    let mut outputs = BTreeMap::new();
    for name in OUTPUTS {
        outputs.insert(name, std::fs::read(format!("{NATIVE}/out/{name}"))?);
    }
    Ok(outputs)
}

/// Each output has the native bytes; or is absent, if `all` need not be there. What is there is said.
pub fn expect(native: &BTreeMap<&'static str, Vec<u8>>, all: bool) -> Result<()> {
    let mut there = 0;
    for (name, bytes) in native {
        let output = vrift::output(vrift::command(&["cat", &format!("out/{name}")]).current_dir(PROJECT))?;
        match output.status.code() {
            Some(0) if output.stdout == *bytes => there += 1,
            Some(0) => {
                bail!("out/{name} has {} bytes that are not those of a native build", output.stdout.len())
            }
            Some(1 | 2) if !all => {}
            code => {
                let why = String::from_utf8_lossy(&output.stderr).into_owned();
                bail!("vrift cat out/{name}: {code:?}: {}", why.trim());
            }
        }
    }
    say::line(&format!("build: {there} of {} outputs are there, with the native bytes", native.len()));
    Ok(())
}
