//! Taking in a tree, against copying it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::playground::{Playground, remove_tree};
use crate::report::Row;

const FILES: u32 = 10_000;
const FILES_IN_A_FOLDER: u32 = 100;

pub fn measure(playground: &Playground, pairs: u32) -> Result<Vec<Row>> {
    let project = playground.path("tree");
    make(&project, FILES, 4096)?;
    let copy = playground.path("copy");
    let mut first = Row::new("first ingest of 10,000 files", "s", "at most 1.2").against("cp -a");
    let mut stored = Row::new("the same, until it is on the device", "s", "-").against("cp -a; sync -f");
    let mut again = Row::new("ingest again, nothing changed", "s", "at most 0.3").against("first ingest");
    for _ in 0..pairs {
        remove_tree(&copy)?;
        playground.fresh()?;
        // What was written and removed before must not be paid for below.
        playground.measure(&mut Command::new("sync"))?;
        let copied = playground.measure(Command::new("cp").arg("-a").arg(&project).arg(&copy))?;
        let synced = playground.measure(Command::new("sync").arg("-f").arg(&copy))?;
        // The start of the daemon is no part of it.
        playground.measure(&mut playground.vrift(&project, &["daemon", "start"]))?;
        let taken = playground.measure(&mut playground.vrift(&project, &["ingest"]))?;
        // A run syncs at its end; one that does nothing does that alone.
        let kept = playground.measure(&mut playground.in_view(&project, Path::new("true"), &[]))?;
        let retaken = playground.measure(&mut playground.vrift(&project, &["ingest"]))?;
        first.push(copied.wall_s, taken.wall_s);
        stored.push(copied.wall_s + synced.wall_s, taken.wall_s + kept.wall_s);
        again.push(taken.wall_s, retaken.wall_s);
    }
    Ok(vec![first, stored, again])
}

/// A tree of files with different bytes, about `size_bytes` long each.
pub fn make(root: &Path, files: u32, size_bytes: usize) -> Result<()> {
    let mut seed = 1_u64;
    for number in 0..files {
        let folder = root.join(format!("d{:04}", number / FILES_IN_A_FOLDER));
        if number % FILES_IN_A_FOLDER == 0 {
            fs::create_dir_all(&folder)?;
        }
        let mut bytes = format!("file {number}\n").into_bytes();
        while bytes.len() < size_bytes {
            // Knuth's MMIX generator: the bytes must differ, nothing more.
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            bytes.extend_from_slice(format!("{seed:016x}\n").as_bytes());
        }
        fs::write(folder.join(format!("f{number:06}")), bytes)?;
    }
    Ok(())
}
