//! Single file calls and process starts: one C program, natively on the real file and in the view at the
//! same path.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::playground::{Playground, native, run};
use crate::report::Row;

/// Calls of one run; a run takes some tenths of a second.
const CALLS: &str = "100000";
const STARTS: &str = "500";

pub fn measure(playground: &Playground, pairs: u32) -> Result<Vec<Row>> {
    let calls = playground.compile("calls")?;
    let nothing = playground.compile("nothing")?;
    let project = playground.path("project");
    let folder = project.join("some/deep/folder");
    fs::create_dir_all(&folder)?;
    let file = folder.join("file");
    fs::write(&file, vec![b'x'; 4096])?;
    playground.ingest(&project)?;

    let missing = folder.join("missing");
    let plan: [(&str, &Path, &str, Row); 4] = [
        ("spawn", &nothing, STARTS, Row::new("process start", "us", "at most +80 us").difference()),
        ("stat", &file, CALLS, Row::new("stat of a file", "us", "at most 0.4")),
        ("missing", &missing, CALLS, Row::new("stat of a missing name", "us", "at most 0.4")),
        ("read", &file, CALLS, Row::new("open, read and close of 4 KiB", "us", "at most 1.3")),
    ];
    let mut rows = Vec::new();
    for (what, path, count, mut row) in plan {
        let path = path.to_str().context("the working folder's name is no text")?;
        for _ in 0..pairs {
            let args = [what, path, count];
            let plain = run(&mut native(&project, &calls, &args))?;
            let viewed = run(&mut playground.in_view(&project, &calls, &args))?;
            row.push(microseconds(&plain)?, microseconds(&viewed)?);
        }
        rows.push(row);
    }
    Ok(rows)
}

fn microseconds(printed: &str) -> Result<f64> {
    let ns: f64 = printed.trim().parse().with_context(|| format!("calls printed `{printed}`"))?;
    Ok(ns / 1000.0)
}
