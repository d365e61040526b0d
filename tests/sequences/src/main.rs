//! Random sequences of file calls, made by one program in a view and in a plain directory, must give the same:
//! errno, bytes, links, sizes, modes, owners, listings, times that were set, and the order of those that were not.
//!
//! Lives here: the generator, the program that makes the calls, the comparison, and what makes a failing sequence
//! short and keeps it in `kept`. May be imported: nothing of vrift; its programs are used as a user would.
//! Must never appear here: knowledge of what a call ought to give; the plain directory says it.
#![deny(unsafe_code)]

mod campaign;
mod compare;
mod generate;
mod machine;
mod pair;
mod shrink;
mod start;
mod sys;
mod text;
mod worker;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use campaign::Plan;
use pair::Places;

const USAGE: &str =
    "usage: sequences [--count N] [--first N] [--seed N] [--user] [--bin DIR] [--kept DIR] [--keep]
  --count N   how many sequences (default 10000), from number --first on (default 0)
  --seed N    another seed, other sequences (default 1)
  --user      as an ordinary user, when root calls
  --bin DIR   vrift, vriftd and libvrift_shim.so (default: where this program is)
  --kept DIR  sequences that failed once; new ones are written there
  --keep      leave the temporary folder
sequences show SEED NUMBER prints one sequence; sequences worker is what makes the calls";
const NOBODY: u32 = 65534;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match args.first().map(String::as_str) {
        Some("worker") => worker::run().map(|()| true),
        Some("show") => show(&args[1..]).map(|()| true),
        _ => run(&args),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("sequences: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn show(args: &[String]) -> Result<()> {
    let [seed, number] = args else { bail!("{USAGE}") };
    for op in generate::sequence(seed.parse()?, number.parse()?) {
        println!("{op}");
    }
    Ok(())
}

fn run(args: &[String]) -> Result<bool> {
    let program = std::env::current_exe()?;
    let mut plan = Plan { seed: 1, first: 0, count: 10_000, kept: "tests/sequences/kept".into(), user: None };
    let mut bin = program.parent().context("no folder")?.to_path_buf();
    let (mut as_user, mut keep) = (false, false);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--count" => plan.count = value()?.parse()?,
            "--first" => plan.first = value()?.parse()?,
            "--seed" => plan.seed = value()?.parse()?,
            "--bin" => bin = fs::canonicalize(value()?)?,
            "--kept" => plan.kept = value()?.into(),
            "--user" => as_user = true,
            "--keep" => keep = true,
            _ => bail!("{USAGE}"),
        }
    }
    // Sockets have short names, so the folder does too.
    let dir = std::env::temp_dir().join(format!("vsq.{}", std::process::id()));
    fs::create_dir(&dir)?;
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))?;
    let mut places = Places { dir: dir.clone(), bin, program, user: None };
    prepare(&mut places, &mut plan, as_user)?;
    let start = Instant::now();
    let report = campaign::run(&places, &plan);
    let _ = places.vrift(&["daemon", "stop"]).output();
    if keep {
        println!("# kept: {}", dir.display());
    } else {
        fs::remove_dir_all(&dir)?;
    }
    let report = report?;
    let who = if as_user { " as an ordinary user" } else { "" };
    println!(
        "seed {}: {} sequences{who}, {} kept ones, {} calls in {:.1} s",
        plan.seed,
        report.sequences,
        report.kept_passed,
        report.calls,
        start.elapsed().as_secs_f64()
    );
    let passed = report.sequences + report.kept_passed;
    let failed = report.failures.len() as u64;
    println!("{} passed, {failed} failed", passed.saturating_sub(failed));
    Ok(failed == 0)
}

/// Folders for state and sockets; for an ordinary user also programs that he can reach.
fn prepare(places: &mut Places, plan: &mut Plan, as_user: bool) -> Result<()> {
    for name in ["home", "run"] {
        let path = places.dir.join(name);
        fs::create_dir(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
        if as_user {
            chown(&path, Some(NOBODY), Some(NOBODY))?;
        }
    }
    if as_user {
        let bin = places.dir.join("bin");
        fs::create_dir(&bin)?;
        for name in ["vrift", "vriftd", "libvrift_shim.so"] {
            fs::copy(places.bin.join(name), bin.join(name))?;
        }
        fs::copy(&places.program, bin.join("sequences"))?;
        places.program = bin.join("sequences");
        places.bin = bin;
        places.user = Some(NOBODY);
        plan.user = Some(NOBODY);
    }
    Ok(())
}
