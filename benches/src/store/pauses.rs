//! How long a writer waits at most while checkpoints and collections run.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use statefs_journal::{BlobHash, StateOp};

use super::{create, key, value};
use crate::report::Row;

const KEYS: u64 = 1_000_000;
const BLOBS: u64 = 100_000;
const BATCH: u64 = 1000;
const CHECKPOINTS: usize = 5;
/// A writer that is not the only one leaves some of the processor to others.
const PAUSE: Duration = Duration::from_micros(200);

pub fn measure(dir: &Path) -> Result<Vec<Row>> {
    let store = create(&dir.join("pauses.img"))?;
    for first in (0..KEYS).step_by(BATCH as usize) {
        let put = |number| Ok(StateOp::Put(key(number)?, value(number).to_vec()));
        store.state_apply((first..first + BATCH).map(put).collect::<Result<_>>()?)?;
    }
    let mut hashes = Vec::new();
    for number in 0..BLOBS {
        let bytes = value(number);
        hashes.push(BlobHash::of(&bytes));
        store.put_blob(&hashes[hashes.len() - 1], &bytes)?;
    }
    store.sync()?;
    let longest = |over: &AtomicBool| -> Result<(f64, f64)> {
        let mut all = Vec::new();
        let mut number = 0;
        while !over.load(Ordering::Acquire) {
            number += 1;
            let started = Instant::now();
            store.state_put(&key(number % KEYS)?, &value(number))?;
            all.push(started.elapsed().as_secs_f64() * 1e3);
            std::thread::sleep(PAUSE);
        }
        all.sort_by(f64::total_cmp);
        ensure!(!all.is_empty(), "nothing was written");
        Ok((all[all.len() - 1], all[all.len() * 999 / 1000]))
    };
    let stop_after = |work: &(dyn Fn() -> Result<()> + Sync)| -> Result<(f64, f64)> {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| longest(&over));
            let worked = work();
            over.store(true, Ordering::Release);
            worked?;
            writer.join().unwrap_or_else(|_| anyhow::bail!("the writer panicked"))
        })
    };
    let nothing = stop_after(&|| {
        std::thread::sleep(Duration::from_secs(3));
        Ok(())
    })?;
    let checkpoints = stop_after(&|| {
        for _ in 0..CHECKPOINTS {
            store.begin_checkpoint()?.finish(&mut |_| Ok(()))?;
        }
        Ok(())
    })?;
    let collection = stop_after(&|| {
        let Some(collection) = store.collect() else { anyhow::bail!("a collection is under way") };
        let swept = collection.sweep(&hashes, &mut |_| true)?;
        ensure!(swept.blobs == BLOBS, "not all were removed");
        store.sync()?;
        store.begin_checkpoint()?.finish(&mut |_| Ok(()))?;
        Ok(())
    })?;
    let mut rows = Vec::new();
    for (what, found) in [
        ("longest put during 5 checkpoints of 1,000,000 keys, 100,000 blobs", checkpoints),
        ("longest put while 100,000 blobs are collected", collection),
    ] {
        let mut row = Row::new(what, "ms", "at most 50").against("the longest without");
        row.push(nothing.0, found.0);
        rows.push(row);
        let mut row = Row::new("the same, 999 of 1000", "ms", "-").against("without");
        row.push(nothing.1, found.1);
        rows.push(row);
    }
    Ok(rows)
}
