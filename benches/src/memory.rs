//! What the daemon holds in memory after it took in many files.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::playground::{Playground, run};
use crate::report::Row;
use crate::trees;

const MIB: f64 = 1024.0 * 1024.0;
/// The bound of the design: a fixed part and so many bytes a file.
const FIXED_BYTES: f64 = 64.0 * MIB;
const BYTES_A_FILE: f64 = 256.0;

/// Small files, so that the tree fits next to others; the daemon's memory does not depend on their size.
const SIZE_BYTES: usize = 256;

/// Each looks at the whole real directory first.
const RUNS: u32 = 10;

pub fn measure(playground: &Playground, _pairs: u32) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (files, what) in [
        (10_000, "daemon memory, 10,000 files, after 10 runs"),
        (100_000, "daemon memory, 100,000 files, after 10 runs"),
    ] {
        let project = playground.path(&format!("tree-{files}"));
        trees::make(&project, files, SIZE_BYTES)?;
        playground.fresh()?;
        playground.ingest(&project)?;
        for _ in 0..RUNS {
            run(&mut playground.in_view(&project, Path::new("true"), &[]))?;
        }
        let mut row = Row::new(what, "MiB", "at most 64 MiB + 256 B a file").against("the bound");
        let bound = FIXED_BYTES + BYTES_A_FILE * f64::from(files);
        row.push(bound / MIB, resident_mib(playground)?);
        rows.push(row);
    }
    Ok(rows)
}

/// Private and shared resident memory of the daemon.
fn resident_mib(playground: &Playground) -> Result<f64> {
    let pid = playground.daemon().context("the daemon is not there")?;
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let mut kib = 0.0;
    for line in text.lines().filter(|line| line.starts_with("Private_") || line.starts_with("Shared_")) {
        // Huge pages of hugetlbfs are counted in lines of their own, which are 0 here.
        let value: f64 =
            line.split_whitespace().nth(1).and_then(|v| v.parse().ok()).context("not a smaps line")?;
        kib += value;
    }
    Ok(kib / 1024.0)
}
