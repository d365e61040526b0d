//! Calls that change names: creating, renaming and removing files, making directories.
//!
//! Each step is a run of its own, and all rounds of one come before the next: ext4 looks long for an inode when many were freed
//! within the last minute, whoever freed them.

use std::fs;

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
    Ok(rows)
}

fn microseconds(printed: &str) -> Result<f64> {
    let ns: f64 = printed.trim().parse().with_context(|| format!("names printed `{printed}`"))?;
    Ok(ns / 1000.0)
}
