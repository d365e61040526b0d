//! Side-by-side measurements of vrift against the plain file system. Every number is taken in pairs,
//! one run natively and one in the view, in turns; medians and ratios are printed, never a verdict.
//!
//! Lives here: the harness and the C programs that make the calls. May be imported: of vrift the store alone, which
//! is measured beside others of its kind; else its binaries are used as a user would.
#![forbid(unsafe_code)]

mod builds;
mod calls;
mod configure;
mod forks;
mod large;
mod machine;
mod memory;
mod names;
mod playground;
mod report;
mod store;
mod sync;
mod trees;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Parser;

use playground::Playground;
use report::Row;

#[derive(Parser)]
#[command(about = "Measures vrift against the plain file system")]
struct Args {
    /// Pairs of runs for each number
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pairs: u32,
    /// Only these groups of measurements: calls, names, large, builds, configure, trees, sync, diff, forks, memory, store
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Also write machine and rows as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where to work; several GB are needed
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
}

type Group = (&'static str, fn(&Playground, u32) -> Result<Vec<Row>>);

const GROUPS: [Group; 11] = [
    ("calls", calls::measure),
    ("names", names::measure),
    ("large", large::measure),
    ("builds", builds::measure),
    ("configure", configure::measure),
    ("trees", trees::measure),
    ("sync", sync::measure),
    ("diff", sync::measure_diff),
    ("forks", forks::measure),
    ("memory", memory::measure),
    ("store", store::measure),
];

fn main() -> Result<()> {
    let args = Args::parse();
    if let Some(unknown) = args.only.iter().find(|name| !GROUPS.iter().any(|(known, _)| known == name)) {
        bail!(
            "there is no group `{unknown}`; there are calls, names, large, builds, configure, trees, sync, diff, forks, memory and store"
        );
    }
    let machine = machine::describe(&args.dir);
    println!("{machine}");
    let mut rows = Vec::new();
    for (name, measure) in GROUPS {
        if !args.only.is_empty() && !args.only.iter().any(|only| only == name) {
            continue;
        }
        let playground = Playground::new(&args.dir)?;
        eprintln!("measuring {name}");
        rows.extend(measure(&playground, args.pairs).with_context(|| format!("measuring {name}"))?);
        playground.stop()?;
    }
    print!("{}", report::table(&rows));
    if let Some(file) = args.json {
        let text = serde_json::to_string_pretty(&report::Report { machine, rows })?;
        fs::write(&file, text + "\n").with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
