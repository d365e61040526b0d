//! Sequential writing of long blobs beside dd with the same pattern of syncs.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, ensure};
use statefs_journal::BlobHash;

use super::{create, random};
use crate::report::Row;

/// Written between two syncs.
const LEN: usize = 256 << 20;

pub fn measure(dir: &Path, pairs: u32) -> Result<Vec<Row>> {
    let source = dir.join("dd.source");
    let target = dir.join("dd.target");
    let store = create(&dir.join("blobs.img"))?;
    let mut row =
        Row::new("writing 256 MiB, then a sync", "MB/s", "at least 0.8").against("dd bs=1M conv=fdatasync");
    let mut compressed = Row::new("the same, compressed by zstd -1", "MB/s", "-").against("dd");
    for pair in 0..pairs {
        let bytes = random(u64::from(pair), LEN);
        std::fs::write(&source, &bytes)?;
        let hash = BlobHash::of(&bytes);
        let mb = LEN as f64 / 1e6;
        let _none_yet = std::fs::remove_file(&target);
        Command::new("sync").arg("-f").arg(dir).status()?;
        let started = Instant::now();
        let dd = Command::new("dd")
            .arg(format!("if={}", source.display()))
            .arg(format!("of={}", target.display()))
            .args(["bs=1M", "conv=fdatasync", "status=none"])
            .status()?;
        ensure!(dd.success(), "dd failed");
        let native = mb / started.elapsed().as_secs_f64();
        std::fs::remove_file(&target)?;
        for (level, row) in [(None, &mut row), (Some(1), &mut compressed)] {
            store.set_compression(level);
            Command::new("sync").arg("-f").arg(dir).status()?;
            let mut file = std::fs::File::open(&source)?;
            let started = Instant::now();
            ensure!(store.put_blob_from(&hash, &mut file, LEN as u64)?, "it was there already");
            store.sync()?;
            row.push(native, mb / started.elapsed().as_secs_f64());
            store.remove_blob(&hash)?;
            store.sync()?;
        }
    }
    Ok(vec![row, compressed])
}
