//! What puts that nobody waits for cost at the device.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Result;
use statefs_journal::FileDevice;

use super::counting::Counting;
use super::{create, key, open_on, value};
use crate::report::Row;

const PUTS: u64 = 200_000;

pub fn measure(dir: &Path) -> Result<Vec<Row>> {
    let path = dir.join("puts.img");
    drop(create(&path)?);
    let device = Arc::new(Counting::new(Arc::new(FileDevice::open(&path)?)));
    let store = open_on(device.clone())?;
    let before = device.written_bytes.load(Ordering::Relaxed);
    let started = std::time::Instant::now();
    for number in 0..PUTS {
        store.state_put(&key(number)?, &value(number))?;
    }
    let elapsed_us = started.elapsed().as_secs_f64() * 1e6 / PUTS as f64;
    // What is still to come belongs to it.
    store.sync()?;
    let written = device.written_bytes.load(Ordering::Relaxed) - before;
    let (values, keys) = (PUTS * 64, PUTS * key(0)?.as_bytes().len() as u64);
    let mut bytes = Row::new("bytes at the device for 64-byte puts without sync", "B", "at most 3")
        .against("bytes of the values");
    bytes.push(values as f64, written as f64);
    let mut with_keys = Row::new("the same", "B", "at most 3").against("bytes of keys and values");
    with_keys.push((values + keys) as f64, written as f64);
    eprintln!("{elapsed_us:.2} us a put");
    Ok(vec![bytes, with_keys])
}
