//! Large trees: listing, looking at and opening many files, and the tools that do so.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::playground::{Playground, native, run};
use crate::report::Row;
use crate::trees;

const FILES: u32 = 100_000;
const LISTED: u32 = 10_000;
const IN_GIT: u32 = 50_000;
const THREADS: &str = "16";

pub fn measure(playground: &Playground, pairs: u32) -> Result<Vec<Row>> {
    let large = playground.compile("large")?;
    let mut rows = many_files(playground, pairs, &large)?;
    playground.fresh()?;
    rows.push(listing(playground, pairs, &large)?);
    playground.fresh()?;
    rows.push(git_status(playground, pairs)?);
    Ok(rows)
}

fn many_files(playground: &Playground, pairs: u32, large: &Path) -> Result<Vec<Row>> {
    let project = playground.path("large-tree");
    trees::make(&project, FILES, 64)?;
    let list = playground.path("large-list");
    fs::write(&list, shuffled_paths(&project)?)?;
    playground.ingest(&project)?;
    let list = list.to_str().context("the working folder's name is no text")?;
    let mut stat = Row::new("stat of 100,000 paths in random order, each", "us", "at most 0.4");
    let mut open = Row::new("16 threads opening and closing 100,000 files, each", "us", "as native");
    let mut alone = Row::new("one thread opening and closing 100,000 files, each", "us", "-");
    let mut scaling = Row::new("time of an open with 16 threads to that with one", "", "as native");
    let mut find = Row::new("find over 100,000 files", "s", "at most 0.8");
    let mut du = Row::new("du over 100,000 files", "s", "at most 0.8");
    for _ in 0..pairs {
        for (row, args) in [
            (&mut stat, vec!["stat", list]),
            (&mut alone, vec!["open", list, "1"]),
            (&mut open, vec!["open", list, THREADS]),
        ] {
            let plain = run(&mut native(&project, large, &args))?;
            let viewed = run(&mut playground.in_view(&project, large, &args))?;
            row.push(nanoseconds(&plain)? / 1e3, nanoseconds(&viewed)? / 1e3);
        }
        let last = |series: &[f64]| series.last().copied().unwrap_or(f64::NAN);
        scaling.push(last(&open.native) / last(&alone.native), last(&open.vrift) / last(&alone.vrift));
        // The start of the run is no part of it: `time` inside the view would be; so each goes over the tree often.
        for (row, script) in [
            (&mut find, "for i in 1 2 3 4 5; do find . -newer /nowhere 2>/dev/null; find . -size +1k; done"),
            (&mut du, "for i in 1 2 3 4 5; do du -s . >/dev/null; done"),
        ] {
            let args = ["-c", script];
            let plain = playground.measure(&mut native(&project, Path::new("sh"), &args))?;
            let viewed = playground.measure(&mut playground.in_view(&project, Path::new("sh"), &args))?;
            row.push(plain.wall_s, viewed.wall_s);
        }
    }
    Ok(vec![stat, alone, open, scaling, find, du])
}

fn listing(playground: &Playground, pairs: u32, large: &Path) -> Result<Row> {
    let project = playground.path("wide");
    fs::create_dir(&project)?;
    for number in 0..LISTED {
        fs::write(project.join(format!("file-{number:05}")), b"")?;
    }
    playground.ingest(&project)?;
    let mut row = Row::new("readdir of 10,000 entries", "us", "at most 0.5");
    for _ in 0..pairs {
        let args = ["readdir", ".", "50"];
        let plain = run(&mut native(&project, large, &args))?;
        let viewed = run(&mut playground.in_view(&project, large, &args))?;
        row.push(nanoseconds(&plain)? / 1e3, nanoseconds(&viewed)? / 1e3);
    }
    Ok(row)
}

fn git_status(playground: &Playground, pairs: u32) -> Result<Row> {
    let project = playground.path("git-tree");
    trees::make(&project, IN_GIT, 64)?;
    let git = |args: &[&str]| run(&mut native(&project, Path::new("git"), args));
    git(&["init", "-q"])?;
    git(&["add", "."])?;
    git(&["-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "-q", "-m", "all"])?;
    playground.ingest(&project)?;
    // The first one in the view finds other inode numbers in git's index and writes it anew.
    let args = ["-c", "for i in 1 2 3 4 5; do git status --porcelain; done"];
    run(&mut playground.in_view(&project, Path::new("sh"), &args))?;
    let mut row = Row::new("git status of 50,000 files", "s", "at most 0.8");
    for _ in 0..pairs {
        let plain = playground.measure(&mut native(&project, Path::new("sh"), &args))?;
        let viewed = playground.measure(&mut playground.in_view(&project, Path::new("sh"), &args))?;
        row.push(plain.wall_s, viewed.wall_s);
    }
    Ok(row)
}

/// All files below a folder in an order that has nothing to do with where they are.
fn shuffled_paths(root: &Path) -> Result<String> {
    let found = run(Command::new("find").arg(root).args(["-type", "f"]))?;
    let mut paths: Vec<&str> = found.lines().collect();
    let mut seed = 1_u64;
    for at in (1..paths.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let other = usize::try_from(seed >> 33)? % (at + 1);
        paths.swap(at, other);
    }
    let mut text = String::new();
    for path in paths {
        writeln!(text, "{path}")?;
    }
    Ok(text)
}

fn nanoseconds(printed: &str) -> Result<f64> {
    printed.trim().parse().with_context(|| format!("large printed `{printed}`"))
}
