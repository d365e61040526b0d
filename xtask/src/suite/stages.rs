//! The stages: which commands each runs and how it is judged.

use std::process::Command;

use anyhow::{Context, Result};

use super::Stage;
use super::evidence::Evidence;
use super::tally::{self, Tally};
use crate::{bench, build, checks, coverage, demo, packages, process, workspace};

/// Cargo unifies features over the packages of one call, and the preload library must not get `std`
/// through the others: it is always built and checked on its own.
const ALL_BUT_SHIM: [&str; 3] = ["--workspace", "--exclude", "vrift-shim"];
const SHIM: [&str; 2] = ["-p", "vrift-shim"];

/// Several times what the slowest stage of tests takes on two cores, its compilation included.
const STAGE_LIMIT_S: u32 = 900;
/// Six starts of a guest whose instructions are translated: some four minutes on two idle cores.
const GUEST_STAGE_LIMIT_S: u32 = 3600;
/// The same with --long: fsx alone has 20 seeds of 100,000 operations.
const LONG_STAGE_LIMIT_S: u32 = 4 * 3600;

pub fn all(long: bool) -> Vec<Stage> {
    let mut stages: Vec<Stage> = vec![
        ("programs the tests need", Box::new(|_| passed(packages::ensure()))),
        ("cargo fmt --check", Box::new(|_| passed(process::check(&mut process::cargo(&["fmt", "--check"]))))),
        ("cargo clippy", Box::new(clippy)),
        ("workspace rules", Box::new(rules)),
        ("licences, duplicates, origins", Box::new(|_| passed(checks::licences()))),
        ("cargo test", Box::new(|evidence| unit_tests(&[], evidence))),
        ("power cuts", Box::new(power_cuts)),
        ("memory orderings of the virtqueue", Box::new(orderings)),
        ("release build", Box::new(|_| passed(build::release()))),
        ("hooks and exports", Box::new(|_| passed(coverage::check()))),
        ("what the book shows", Box::new(book)),
        ("the book is built", Box::new(|_| passed(build::book()))),
        ("tests/shell", Box::new(|evidence| shell_tests(&[], evidence))),
        ("tests/sequences", Box::new(move |evidence| sequences(long, evidence))),
        ("tests/kills", Box::new(move |evidence| kills(long, evidence))),
        ("tests/real", Box::new(move |evidence| real_tests(long, evidence))),
        ("tests/suites", Box::new(move |evidence| foreign_suites(long, evidence))),
        ("tests/qemu", Box::new(move |evidence| guest_tests(long, evidence))),
        ("demo", Box::new(|_| passed(demo::run()))),
    ];
    if long {
        stages.push(("the report in a browser", Box::new(browser)));
        stages.push(("the Debian package", Box::new(package)));
        stages.push(("the virtqueue under Miri", Box::new(miri)));
        stages.push(("slow tests", Box::new(|evidence| unit_tests(&["--ignored"], evidence))));
        stages.push(("tests/shell as an ordinary user", Box::new(|evidence| shell_tests(&["-u"], evidence))));
        stages.push((
            "tests/shell on the plain file system",
            Box::new(|evidence| shell_tests(&["--native"], evidence)),
        ));
    }
    stages
}

pub fn tidy(advisories: bool) -> Vec<Stage> {
    let mut stages: Vec<Stage> = vec![
        ("cargo fmt", Box::new(|_| passed(process::check(&mut process::cargo(&["fmt"]))))),
        ("cargo clippy", Box::new(clippy)),
        ("workspace rules", Box::new(rules)),
        ("licences, duplicates, origins", Box::new(|_| passed(checks::licences()))),
    ];
    if advisories {
        stages.push(("advisories", Box::new(|_| passed(checks::advisories()))));
    }
    stages
}

fn passed(result: Result<()>) -> Result<Tally> {
    result.map(|()| Tally::PASSED)
}

fn clippy(evidence: &mut Evidence) -> Result<Tally> {
    let mut sum = Tally::default();
    for packages in [&ALL_BUT_SHIM[..], &SHIM[..]] {
        let mut command = process::cargo(&["clippy", "--locked", "--all-targets"]);
        command.args(packages).args(["--", "-D", "warnings"]);
        sum.add(counted(process::check(&mut command), evidence));
    }
    Ok(sum)
}

fn rules(evidence: &mut Evidence) -> Result<Tally> {
    let mut sum = Tally::default();
    for rule in &checks::RULES {
        sum.add(counted(checks::hold(rule), evidence));
    }
    Ok(sum)
}

fn counted(result: Result<()>, evidence: &mut Evidence) -> Tally {
    match result {
        Ok(()) => Tally::PASSED,
        Err(error) => {
            println!("FAILED: {error:#}");
            evidence.add(&format!("{error:#}"));
            Tally::FAILED
        }
    }
}

fn unit_tests(args: &[&str], evidence: &mut Evidence) -> Result<Tally> {
    let mut command = process::cargo(&["test", "--locked", "--no-fail-fast"]);
    command.args(ALL_BUT_SHIM);
    if !args.is_empty() {
        command.arg("--").args(args).env("VRIFT_BIN_DIR", workspace::release());
    }
    watched(&command, evidence, tally::of_cargo)
}

/// Each command that the documentation shows, and what it prints.
fn book(evidence: &mut Evidence) -> Result<Tally> {
    let mut command =
        process::cargo(&["test", "--locked", "-p", "vrift-cli", "--test", "book", "--", "--ignored"]);
    command.env("VRIFT_BIN_DIR", workspace::release());
    watched(&command, evidence, tally::of_cargo)
}

/// Every state that a power cut may leave of many histories, and planted bugs that this must find: optimised, and in
/// a tiny geometry that the other tests do not have.
fn power_cuts(evidence: &mut Evidence) -> Result<Tally> {
    let mut command = process::cargo(&["test", "--locked", "--release", "-p", "statefs-journal"]);
    command.args(["--features", "tiny,mutants", "--test", "powercut", "--", "--nocapture"]);
    watched(&command, evidence, tally::of_cargo)
}

/// Loom's model of memory, with a folder of its own: the flag is one for all crates.
fn orderings(evidence: &mut Evidence) -> Result<Tally> {
    let mut command = process::cargo(&["test", "--locked", "-p", "vrift-virtio-backend", "--lib", "loom"]);
    command.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", workspace::root().join("target/loom"));
    watched(&command, evidence, tally::of_cargo)
}

/// What of the driver does not need hours there. Not the compiler that builds everything else.
fn miri(evidence: &mut Evidence) -> Result<Tally> {
    let mut probe = Command::new("cargo");
    process::check(probe.args(["+nightly", "miri", "--version"]))
        .context("needs `rustup toolchain install nightly --component miri,rust-src`")?;
    let mut command = Command::new("cargo");
    command.args(["+nightly", "miri", "test", "--locked", "-p", "vrift-virtio-backend", "--lib", "--"]);
    command.args(["queue", "block", "pci", "address", "fake::tests_negotiation"]);
    command.current_dir(workspace::root()).env("MIRIFLAGS", "-Zmiri-disable-isolation");
    command.env("CARGO_TARGET_DIR", workspace::root().join("target/miri"));
    watched(&command, evidence, tally::of_cargo)
}

fn shell_tests(args: &[&str], evidence: &mut Evidence) -> Result<Tally> {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    let mut command = process::program(workspace::root().join("tests/shell/run"));
    command.args(["-j", &jobs]).args(args).env("VRIFT_BIN_DIR", workspace::release());
    watched(&command, evidence, tally::of_script)
}

/// Random sequences of file calls, in the view and in a real directory; most as root, where root runs them.
fn sequences(long: bool, evidence: &mut Evidence) -> Result<Tally> {
    let times = if long { 10 } else { 1 };
    let mut sum = Tally::default();
    process::check(&mut process::cargo(&["build", "--release", "--locked", "-p", "vrift-sequences"]))?;
    for (args, count) in [(&[][..], 7_500 * times), (&["--user", "--seed", "2"][..], 2_500 * times)] {
        let mut command = process::program(workspace::release().join("sequences"));
        command.args(["--count", &count.to_string()]).args(args);
        sum.add(watched(&command, evidence, tally::of_script)?);
    }
    Ok(sum)
}

/// The daemon dies at random instants and at every named step while a build runs.
fn kills(long: bool, evidence: &mut Evidence) -> Result<Tally> {
    let mut command = process::program(workspace::root().join("tests/kills/run"));
    command.args(long.then_some("--long")).env("VRIFT_BIN_DIR", workspace::release());
    watched(&command, evidence, tally::of_script)
}

/// vrift in a guest: its self-test by both drivers, and power cuts, many of them in the long form.
fn guest_tests(long: bool, evidence: &mut Evidence) -> Result<Tally> {
    packages::ensure_guest()?;
    let mut command = process::program(workspace::root().join("tests/qemu/run"));
    command.arg(if long { "--long" } else { "--short" });
    // Each guest has limits of its own.
    let limit_s = if long { LONG_STAGE_LIMIT_S } else { GUEST_STAGE_LIMIT_S };
    watched_for(&command, limit_s, evidence, tally::of_script)
}

/// Each fuzz target for so many seconds, from a seed.
pub fn fuzz(seconds: u64, seed: u64) -> Result<()> {
    let args = ["run", "--release", "--locked", "-p", "vrift-fuzz", "--"];
    process::check(process::cargo(&args).args([seconds.to_string(), seed.to_string()]))
}

fn real_tests(long: bool, evidence: &mut Evidence) -> Result<Tally> {
    let mut command = process::program(workspace::root().join("tests/real/run"));
    command.args(long.then_some("--long"));
    command.env("VRIFT_BIN_DIR", workspace::release()).env("REAL_SRC", bench::real_sources());
    watched_for(&command, if long { LONG_STAGE_LIMIT_S } else { STAGE_LIMIT_S }, evidence, tally::of_script)
}

fn browser(evidence: &mut Evidence) -> Result<Tally> {
    packages::ensure_browser()?;
    let mut command = process::program(workspace::root().join("tests/browser/run"));
    command.env("VRIFT_BIN_DIR", workspace::release());
    watched(&command, evidence, tally::of_script)
}

fn package(evidence: &mut Evidence) -> Result<Tally> {
    packages::ensure_package()?;
    crate::package::run()?;
    watched(&process::program(workspace::root().join("tests/package/run")), evidence, tally::of_script)
}

fn foreign_suites(long: bool, evidence: &mut Evidence) -> Result<Tally> {
    let mut command = process::program(workspace::root().join("tests/suites/run"));
    command.args(long.then_some("--long")).env("VRIFT_BIN_DIR", workspace::release());
    watched_for(&command, if long { LONG_STAGE_LIMIT_S } else { STAGE_LIMIT_S }, evidence, tally::of_script)
}

fn watched(command: &Command, evidence: &mut Evidence, counts: fn(&str) -> Option<Tally>) -> Result<Tally> {
    watched_for(command, STAGE_LIMIT_S, evidence, counts)
}

fn watched_for(
    command: &Command,
    limit_s: u32,
    evidence: &mut Evidence,
    counts: fn(&str) -> Option<Tally>,
) -> Result<Tally> {
    let mut sum = Tally::default();
    let succeeded = process::watch(&mut process::limited(command, limit_s), |line| {
        evidence.look_at(line);
        if let Some(tally) = counts(line) {
            sum.add(tally);
        }
    })?;
    if !succeeded && evidence.is_empty() {
        evidence.add(&format!("`{}` failed and named no test", process::shown(command)));
    }
    Ok(sum.judged(succeeded))
}
