//! Power cuts at every operation of a scripted history, with every subset of what was not flushed.

mod common;

use std::collections::HashMap;
use std::sync::Arc;

use common::{DEVICE_MAX_BYTES, Records, checkpoint, content, open};
use statefs_journal::device::{FaultDevice, Op};
use statefs_journal::layout::BLOCK_LEN_BYTES;
use statefs_journal::{BlobHash, FormatOptions, MemDevice, Store};

/// What is promised from operation `from` of the log on.
struct Promise {
    from: usize,
    records: usize,
    blobs: Vec<BlobHash>,
}

struct History {
    dev: Arc<FaultDevice>,
    start: usize,
    records: Records,
    blobs: HashMap<BlobHash, Vec<u8>>,
    promises: Vec<Promise>,
}

fn history() -> History {
    let dev = Arc::new(FaultDevice::new(DEVICE_MAX_BYTES));
    Store::format(&*dev, &FormatOptions::default()).unwrap();
    let start = dev.log_len();
    let (store, _) = open(dev.clone()).unwrap();
    let mut h = History { dev, start, records: Vec::new(), blobs: HashMap::new(), promises: Vec::new() };
    let mut live: Vec<BlobHash> = Vec::new();
    let mut seed = 0;
    for round in 0..3 {
        for len in [100, 5000, if round == 1 { 70_000 } else { 200 }] {
            seed += 1;
            let (hash, bytes) = content(seed, len);
            store.put_blob(&hash, &bytes).unwrap();
            h.blobs.insert(hash, bytes);
            live.push(hash);
            append(&store, &mut h, &format!("refers to {hash}"));
        }
        append(&store, &mut h, &"long ".repeat(1500));
        sync(&store, &mut h, &live);
        let gone = live.remove(0);
        // From here on the blob may be there or not.
        h.promises.push(Promise { from: h.dev.log_len(), records: h.records.len(), blobs: live.clone() });
        store.remove_blob(&gone).unwrap();
        append(&store, &mut h, "removed one");
        if round == 1 {
            checkpoint(&store, &h.records).unwrap();
            h.promises.push(Promise { from: h.dev.log_len(), records: h.records.len(), blobs: live.clone() });
        } else {
            sync(&store, &mut h, &live);
        }
    }
    append(&store, &mut h, "never synced");
    h
}

fn append(store: &Store, h: &mut History, text: &str) {
    store.append(7, text.as_bytes()).unwrap();
    h.records.push(text.as_bytes().to_vec());
}

fn sync(store: &Store, h: &mut History, live: &[BlobHash]) {
    store.sync().unwrap();
    h.promises.push(Promise { from: h.dev.log_len(), records: h.records.len(), blobs: live.to_vec() });
}

fn check(h: &History, prefix: usize, image: MemDevice, what: &str) {
    let promise = h.promises.iter().rev().find(|p| p.from <= prefix);
    let image = Arc::new(image);
    let (store, found) = open(image.clone()).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert!(h.records.starts_with(&found), "{what}: not a prefix of what was appended");
    if let Some(promise) = promise {
        assert!(found.len() >= promise.records, "{what}: {} of {} records", found.len(), promise.records);
        for hash in &promise.blobs {
            assert_eq!(store.read_blob_vec(hash).unwrap(), h.blobs[hash], "{what}");
        }
    }
    let mut all = Vec::new();
    store.for_each_blob(&mut |hash, _| all.push(*hash));
    for hash in all {
        assert_eq!(store.read_blob_vec(&hash).unwrap(), h.blobs[&hash], "{what}: a blob in the table");
    }
    // Life goes on, and what lies behind the cut is never taken for something new.
    let (hash, bytes) = content(999, 3000);
    store.put_blob(&hash, &bytes).unwrap();
    store.append(7, b"after").unwrap();
    store.sync().unwrap();
    drop(store);
    let (store, again) = open(image).unwrap_or_else(|e| panic!("{what}, second time: {e}"));
    assert_eq!(again[..found.len()], found[..], "{what}");
    assert_eq!(again[found.len()..], [b"after".to_vec()], "{what}");
    assert_eq!(store.read_blob_vec(&hash).unwrap(), bytes, "{what}");
}

#[test]
fn every_power_cut_of_a_scripted_history_keeps_what_was_synced() {
    let h = history();
    let mut images = 0;
    for prefix in h.start..=h.dev.log_len() {
        let units = h.dev.unflushed(prefix).len();
        // All subsets of few units; of many: every single one lost, every single one kept, and a pseudo-random lot.
        let masks: Vec<u128> = if units <= 6 {
            (0..1 << units).collect()
        } else {
            let ones = (1_u128 << units) - 1;
            let singles = (0..units).flat_map(|i| [1 << i, ones & !(1 << i)]);
            let mixed =
                (1..16_u128).map(|i| ones & i.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
            [0, ones].into_iter().chain(singles).chain(mixed).collect()
        };
        for mask in masks {
            let image = h.dev.crash_image(prefix, &|at| mask >> at & 1 == 1);
            check(&h, prefix, image, &format!("cut behind operation {prefix}, kept {mask:#b} of {units}"));
            images += 1;
        }
    }
    println!("{images} images of {} operations", h.dev.log_len());
    assert!(images > 500);
}

#[test]
fn kill_9_loses_no_appended_record() {
    let h = history();
    let (_, found) = open(Arc::new(h.dev.killed_image())).unwrap();
    assert_eq!(found, h.records);
}

#[test]
fn a_block_with_synced_records_is_never_written_again() {
    let h = history();
    let mut flushed: HashMap<u64, Vec<u8>> = HashMap::new();
    let mut dirty: HashMap<u64, Vec<u8>> = HashMap::new();
    for op in h.dev.log() {
        match op {
            Op::Flush => flushed.extend(dirty.drain()),
            Op::Write { offset, bytes } => {
                for (i, block) in bytes.chunks(BLOCK_LEN_BYTES as usize).enumerate() {
                    let number = offset.0 / BLOCK_LEN_BYTES + i as u64;
                    if number >= 32 {
                        assert!(!flushed.contains_key(&number), "block {number} was synced, then written");
                    }
                    dirty.insert(number, block.to_vec());
                }
            }
            // What a checkpoint or a synced removal made free may be used again.
            Op::Discard { offset, len_bytes } => {
                let first = offset.0 / BLOCK_LEN_BYTES;
                flushed.retain(|n, _| *n < first || *n >= first + len_bytes / BLOCK_LEN_BYTES);
            }
            Op::Grow { .. } => {}
        }
    }
}

#[test]
fn records_of_an_earlier_epoch_are_never_replayed() {
    let dev = common::memory();
    for round in 0..6 {
        let (store, mut records) = open(dev.clone()).unwrap();
        assert_eq!(records.len(), round * 50, "round {round}");
        for i in 0..50 {
            let record = format!("{round} {i}").into_bytes();
            store.append(7, &record).unwrap();
            records.push(record);
        }
        checkpoint(&store, &records).unwrap();
        if round % 2 == 0 {
            checkpoint(&store, &records).unwrap();
        }
        let (_, found) = open(Arc::new(dev.fork())).unwrap();
        assert_eq!(found, records);
    }
}

#[test]
fn a_removed_blob_whose_blocks_were_used_again_does_not_end_the_journal() {
    let dev = Arc::new(FaultDevice::new(DEVICE_MAX_BYTES));
    Store::format(&*dev, &FormatOptions::default()).unwrap();
    let (store, _) = open(dev.clone()).unwrap();
    let ((first, first_bytes), (second, second_bytes)) = (content(1, 100_000), content(2, 100_000));
    store.put_blob(&first, &first_bytes).unwrap();
    store.append(7, b"one").unwrap();
    store.remove_blob(&first).unwrap();
    store.append(7, b"two").unwrap();
    store.sync().unwrap();
    // Into the blocks of the first one. That the removal was synced is said by a record that no flush covers yet.
    store.put_blob(&second, &second_bytes).unwrap();
    let prefix = dev.log_len();
    let units = dev.unflushed(prefix).len();
    assert!(units > 20, "{units}");
    for kept in 0..units {
        for image in [dev.crash_image(prefix, &|at| at == kept), dev.crash_image(prefix, &|at| at != kept)] {
            let (_, records) = open(Arc::new(image)).unwrap();
            assert_eq!(records, common::strings(&["one", "two"]), "unit {kept} of {units}");
        }
    }
}
