//! Opening a store with many keys and blobs, and listing some of the keys.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use statefs_journal::{BlobHash, StateOp};

use super::{create, key, open_file, value};
use crate::report::Row;

const KEYS: u64 = 1_000_000;
const BLOBS: u64 = 100_000;
/// Keys changed with one record.
const BATCH: u64 = 1000;
/// Behind the last checkpoint.
const LATER: u64 = 10_000;

pub fn measure(dir: &Path, pairs: u32) -> Result<Vec<Row>> {
    let path = dir.join("open.img");
    let store = create(&path)?;
    for first in (0..KEYS).step_by(BATCH as usize) {
        let put = |number| Ok(StateOp::Put(key(number)?, value(number).to_vec()));
        store.state_apply((first..first + BATCH).map(put).collect::<Result<_>>()?)?;
    }
    for number in 0..BLOBS {
        let bytes = value(number);
        store.put_blob(&BlobHash::of(&bytes), &bytes)?;
    }
    store.checkpoint(&mut |_| Ok(()))?;
    for number in 0..LATER {
        store.state_put(&key(number)?, &value(number + 1))?;
    }
    store.sync()?;
    let mut list = Row::new("list of 100 keys among 1,000,000", "us", "at most 50").against("the bound");
    for pair in 0..pairs.max(5) {
        let first = key(u64::from(pair) * 190_000)?;
        let started = Instant::now();
        let page = store.state_list(b"/state/k/", Some(first.as_bytes()), 100, &|_| true);
        list.push(50.0, started.elapsed().as_secs_f64() * 1e6);
        ensure!(page.rows.len() == 100 && page.more, "not the keys that were put");
    }
    drop(store);
    let mut open = Row::new("open with 1,000,000 keys, 100,000 blobs, 10,000 records", "ms", "at most 1000")
        .against("the bound");
    for _ in 0..pairs {
        let started = Instant::now();
        let store = open_file(&path)?;
        open.push(1000.0, started.elapsed().as_secs_f64() * 1e3);
        ensure!(store.stats().state_keys == KEYS && store.stats().blobs == BLOBS, "not what was put");
        drop(store);
    }
    Ok(vec![open, list])
}
