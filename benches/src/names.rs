//! Calls that change names: creating, renaming and removing files, making directories.
//!
//! Once with each step as a run of its own, all rounds of one before the next; once with all steps in one process, round after
//! round. ext4 looks long for an inode when many were freed within the last minutes, so making files is slow in the
//! second way from the second round on: natively, and wherever inodes of removed files are freed.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::playground::{Playground, native, run};
use crate::report::Row;

/// Of each call in one run.
const COUNT: &str = "3000";
/// As `names` calls them, in the order in which each finds what the one before left.
const STEPS: [(&str, &str); 4] = [
    ("create", "create, write 1 KiB and close"),
    ("rename", "rename of a file"),
    ("mkdir", "mkdir"),
    ("unlink", "unlink"),
];
/// The same when one process makes all of them.
const TOGETHER: [&str; 4] = [
    "create, write 1 KiB and close; all steps in one process",
    "rename of a file; all steps in one process",
    "mkdir; all steps in one process",
    "unlink; all steps in one process",
];

pub fn measure(playground: &Playground, pairs: u32) -> Result<Vec<Row>> {
    let names = playground.compile("names")?;
    let (bare, project) = (playground.path("names-native"), playground.path("names-project"));
    fs::create_dir(&bare)?;
    fs::create_dir(&project)?;
    playground.ingest(&project)?;
    let mut rows = Vec::new();
    for (step, what) in STEPS {
        let mut row = Row::new(what, "us", "at most 1.2");
        for round in 0..pairs {
            let folder = format!("round-{round}");
            let args = [step, COUNT, &folder];
            let plain = microseconds(&run(&mut native(&bare, &names, &args))?)?;
            let viewed = microseconds(&run(&mut playground.in_view(&project, &names, &args))?)?;
            row.push(plain, viewed);
        }
        rows.push(row);
    }
    rows.extend(together(playground, &names, pairs)?);
    Ok(rows)
}

/// All steps in one process.
fn together(playground: &Playground, names: &Path, pairs: u32) -> Result<[Row; 4]> {
    let (bare, project) = (playground.path("together-native"), playground.path("together-project"));
    fs::create_dir(&bare)?;
    fs::create_dir(&project)?;
    playground.ingest(&project)?;
    let mut rows = TOGETHER.map(|what| Row::new(what, "us", "at most 1.2"));
    for round in 0..pairs {
        let folder = format!("round-{round}");
        let args = ["together", COUNT, &folder];
        let plain = run(&mut native(&bare, names, &args))?;
        let viewed = run(&mut playground.in_view(&project, names, &args))?;
        for (row, (plain, viewed)) in rows.iter_mut().zip(plain.lines().zip(viewed.lines())) {
            row.push(microseconds(plain)?, microseconds(viewed)?);
        }
    }
    Ok(rows)
}

fn microseconds(printed: &str) -> Result<f64> {
    let ns: f64 = printed.trim().parse().with_context(|| format!("names printed `{printed}`"))?;
    Ok(ns / 1000.0)
}
