//! Calls that change names: creating, renaming and removing files, making directories.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::playground::{Playground, native, run};
use crate::report::Row;

/// Of each call in one run.
const COUNT: &str = "3000";
/// In the order in which `names` prints them.
const STEPS: [(&str, &str); 4] = [
    ("create", "create, write 1 KiB and close"),
    ("rename", "rename of a file"),
    ("mkdir", "mkdir"),
    ("unlink", "unlink"),
];

pub fn measure(playground: &Playground, pairs: u32) -> Result<Vec<Row>> {
    let names = playground.compile("names")?;
    let project = playground.path("names-project");
    fs::create_dir(&project)?;
    playground.ingest(&project)?;
    let mut rows: Vec<Row> = STEPS.iter().map(|(_, what)| Row::new(what, "us", "at most 1.2")).collect();
    for _ in 0..pairs {
        let plain = microseconds(&run(&mut native(&project, &names, &[COUNT]))?)?;
        let viewed = microseconds(&run(&mut playground.in_view(&project, &names, &[COUNT]))?)?;
        for (row, (plain, viewed)) in rows.iter_mut().zip(plain.into_iter().zip(viewed)) {
            row.push(plain, viewed);
        }
    }
    Ok(rows)
}

fn microseconds(printed: &str) -> Result<Vec<f64>> {
    let mut numbers = Vec::new();
    for (line, (step, _)) in printed.lines().zip(STEPS) {
        let number = line.strip_prefix(step).with_context(|| format!("names printed `{line}`"))?;
        numbers.push(number.trim().parse::<f64>()? / 1000.0);
    }
    ensure!(numbers.len() == STEPS.len(), "names printed `{printed}`");
    Ok(numbers)
}
