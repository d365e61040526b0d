//! Taking in what changed in a large directory, and comparing large trees.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::playground::{Playground, run};
use crate::report::Row;
use crate::trees;

const FILES: u32 = 100_000;
const FILES_OF_DIFF: u32 = 1_000_000;
const CHANGED: u32 = 10;
const SIZE_BYTES: usize = 64;
/// The daemon writes ahead what the next snapshot needs.
const REST: Duration = Duration::from_secs(5);

/// 100,000 files: looked at as a whole, noticed, one of them changed.
pub fn measure(playground: &Playground, pairs: u32) -> Result<Vec<Row>> {
    let project = playground.path("synced");
    trees::make(&project, FILES, SIZE_BYTES)?;
    playground.ingest(&project)?;
    sleep(REST);
    let vrift = |args: &[&str]| playground.vrift(&project, args);
    let ms = |command: &mut Command| playground.measure(command).map(|cost| cost.wall_s * 1000.0);
    let mut find = Command::new("find");
    find.arg(&project).args(["-newermt", "2100-01-01"]);
    let mut cold = Row::new("sync of 100,000 unchanged files, new daemon", "ms", "at most 500 ms")
        .against("find -newer");
    let mut all = Row::new("the same, everything looked at", "ms", "at most 500 ms").against("find -newer");
    let mut watched = Row::new("the same, noticed", "ms", "-").against("find -newer");
    let mut edit = Row::new("sync of one edit, noticed", "ms", "-").against("find -newer");
    for pair in 0..pairs {
        run(&mut vrift(&["daemon", "stop"]))?;
        run(&mut vrift(&["daemon", "start"]))?;
        // The table of what was taken in is read from the store by the first one.
        cold.push(ms(&mut find)?, ms(&mut vrift(&["sync"]))?);
        all.push(ms(&mut find)?, ms(&mut vrift(&["sync", "--all"]))?);
        watched.push(ms(&mut find)?, ms(&mut vrift(&["sync"]))?);
        fs::write(project.join("d0007/f000700"), format!("edit {pair}\n"))?;
        edit.push(ms(&mut find)?, ms(&mut vrift(&["sync"]))?);
    }
    Ok(vec![cold, all, watched, edit])
}

/// Two snapshots of 1,000,000 files that differ in ten.
pub fn measure_diff(playground: &Playground, pairs: u32) -> Result<Vec<Row>> {
    let project = playground.path("compared");
    trees::make(&project, FILES_OF_DIFF, SIZE_BYTES)?;
    let script =
        format!("for n in $(seq -w 0 {}); do echo more >>d0${{n}}99/f0${{n}}9900; done", CHANGED - 1);
    playground.ingest(&project)?;
    sleep(REST);
    let vrift = |args: &[&str]| playground.vrift(&project, args);
    run(&mut vrift(&["snapshot"]))?;
    run(&mut vrift(&["run", "-q", "--", "sh", "-c", &script]))?;
    run(&mut vrift(&["snapshot"]))?;
    let copy = playground.path("other");
    run(Command::new("cp").arg("-al").arg(&project).arg(&copy))?;
    let mut row = Row::new("diff of 1,000,000 files, 10 changed", "ms", "at most 50 ms").against("diff -rq");
    let ms = |command: &mut Command| playground.measure(command).map(|cost| cost.wall_s * 1000.0);
    let native = ms(Command::new("diff").args(["-rq"]).arg(&project).arg(&copy))?;
    for _ in 0..pairs.max(5) {
        let start = Instant::now();
        let output = vrift(&["diff", "compared@1", "compared@2"]).output()?;
        row.push(native, start.elapsed().as_secs_f64() * 1000.0);
        let lines = String::from_utf8_lossy(&output.stdout).lines().count();
        anyhow::ensure!(lines == CHANGED as usize, "{lines} differences");
    }
    Ok(vec![row])
}
