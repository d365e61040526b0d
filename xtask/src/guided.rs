//! The fuzz targets under libFuzzer, which coverage guides: `cargo xtask fuzz --guided`. Needs a nightly compiler and g++.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{process, workspace};

const TARGET: &str = "x86_64-unknown-linux-gnu";
/// What `cargo fuzz build --sanitizer none` gives the compiler: counters and comparisons that libFuzzer looks at.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Ccodegen-units=1 -Cllvm-args=-sanitizer-coverage-level=4 \
                     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
                     -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0";
/// As the targets' own driver has it.
const INPUT_LEN_MAX: u32 = 4096;
/// One input for longer than this is a flaw.
const INPUT_TIME_MAX_S: u32 = 20;

/// Each target for so many seconds. What covers something new is kept in `target/guided/found`, what is bad beside the
/// corpus.
pub fn run(seconds: u64, seed: u64) -> Result<()> {
    let guided = workspace::root().join("fuzz/guided");
    let built = workspace::root().join("target/guided");
    // Not the compiler that builds everything else.
    let mut build = Command::new("cargo");
    build.arg("+nightly").args(["build", "--release", "--locked", "--target", TARGET, "--target-dir"]);
    build.arg(&built).current_dir(&guided).env("RUSTFLAGS", FLAGS);
    process::check(&mut build).context("coverage needs `rustup toolchain install nightly`")?;
    let corpus = workspace::root().join("fuzz/corpus");
    let mut failed = Vec::new();
    let mut targets = fs::read_dir(guided.join("targets"))?
        .map(|entry| Ok(entry?.path().file_stem().unwrap_or_default().to_string_lossy().into_owned()))
        .collect::<Result<Vec<String>>>()?;
    targets.sort();
    for target in &targets {
        let found = built.join("found").join(target);
        fs::create_dir_all(&found)?;
        let mut command = process::program(built.join(TARGET).join("release").join(target));
        command.arg(format!("-max_total_time={seconds}")).arg(format!("-seed={seed}"));
        command.arg(format!("-max_len={INPUT_LEN_MAX}")).arg(format!("-timeout={INPUT_TIME_MAX_S}"));
        command.args(["-verbosity=0", "-print_final_stats=1"]);
        command.arg(format!("-artifact_prefix={}/found-", corpus.join(target).display()));
        command.arg(&found).arg(corpus.join(target));
        match process::check(&mut command) {
            Ok(()) => println!("ok - {target}"),
            Err(error) => {
                println!("not ok - {target}: {error:#}");
                failed.push(target.as_str());
            }
        }
    }
    println!("{} passed, {} failed", targets.len() - failed.len(), failed.len());
    ensure!(failed.is_empty() && !targets.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}
