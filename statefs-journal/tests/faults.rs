//! Failing writes and flushes, and full devices.

mod common;

use std::sync::Arc;

use common::{DEVICE_MAX_BYTES, checkpoint, content, open, strings};
use statefs_journal::device::{Fault, FaultDevice};
use statefs_journal::layout::DEVICE_LEN_MIN_BYTES;
use statefs_journal::layout::chunk::CHUNK_LEN;
use statefs_journal::layout::segment::SEGMENT_LEN;
use statefs_journal::{BlobHash, BlockDevice, FormatOptions, Key, MemDevice, StateOp, Store, StoreError};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

fn state_key(name: &str) -> Key {
    Key::new(format!("/state/{name}").as_bytes()).unwrap()
}

/// Whole transactions, none older than the last sync of `synced` rounds.
fn check_state(store: &Store, synced: usize) {
    let get = |name: &str| store.state_get(&state_key(name)).unwrap();
    let (one, long) = (get("one"), get("long"));
    assert_eq!(one.is_some(), long.is_some());
    if let (Some(one), Some(long)) = (&one, &long) {
        assert_eq!(*long, vec![one[0]; 100_000]);
    }
    assert!(one.is_none_or(|one| one[0] as usize + 1 >= synced) || synced == 0);
    assert!(get("short").is_some() || synced == 0);
}

/// Runs the script; returns how many records were appended and how many of them synced.
fn script(store: &Store) -> (usize, usize, Result<(), StoreError>) {
    let (mut appended, mut synced) = (0, 0);
    let mut run = || {
        for i in 0..3 {
            for len in [500, 90_000] {
                let (hash, bytes) = content(i * 10 + len as u64, len);
                store.put_blob(&hash, &bytes)?;
            }
            let (long, _) = (state_key("long"), store.state_put(&state_key("short"), &[i as u8; 60])?);
            store.state_apply(vec![
                StateOp::Put(state_key("one"), vec![i as u8]),
                StateOp::Put(long, vec![i as u8; 100_000]),
            ])?;
            store.append(7, format!("record {i}").as_bytes())?;
            appended = i as usize + 1;
            store.sync()?;
            synced = appended;
            if i == 1 {
                checkpoint(store, &strings(&["record 0", "record 1"]))?;
            }
        }
        Ok(())
    };
    let outcome = run();
    (appended, synced, outcome)
}

#[test]
fn the_nth_failure_poisons_or_is_refused_and_loses_nothing_synced() {
    for fault in [Fault::Fail(EIO), Fault::Fail(ENOSPC), Fault::Short(0), Fault::Short(1)] {
        for nth in 0.. {
            let dev = Arc::new(FaultDevice::new(DEVICE_MAX_BYTES));
            Store::format(&*dev, &FormatOptions::default()).unwrap();
            let (store, _) = open(dev.clone()).unwrap();
            dev.fault_nth(nth, fault);
            let (appended, synced, outcome) = script(&store);
            if dev.fault_pending() {
                outcome.unwrap();
                assert!(nth > 20);
                break;
            }
            let error = outcome.expect_err("a failure must be told");
            if store.poisoned().is_some() {
                let attempts = dev.attempts();
                assert!(matches!(store.append(7, b"x"), Err(StoreError::Poisoned { .. })));
                assert!(matches!(store.sync(), Err(StoreError::Poisoned { .. })));
                assert!(matches!(store.put_blob(&content(77, 9).0, b""), Err(StoreError::Poisoned { .. })));
                assert!(matches!(checkpoint(&store, &Vec::new()), Err(StoreError::Poisoned { .. })));
                assert_eq!(dev.attempts(), attempts, "no write or flush is tried again");
            } else {
                assert!(error.is_no_space(), "{error}");
                store.append(7, b"goes on").unwrap();
                store.sync().unwrap();
            }
            store.for_each_blob(&mut |_, _| {});
            drop(store);
            let (store, records) = open(Arc::new(dev.killed_image())).unwrap();
            assert!(records.len() >= synced, "nth {nth}: {} of {synced} ({appended})", records.len());
            check_state(&store, synced);
        }
    }
}

#[test]
fn short_misdirected_and_flipped_writes_are_told_or_harmless_and_never_give_wrong_bytes() {
    let mut seen = [0_u64; 2];
    for seed in 0_u64..240 {
        let dev = Arc::new(FaultDevice::new(DEVICE_MAX_BYTES));
        Store::format(&*dev, &FormatOptions::default()).unwrap();
        let (store, _) = open(dev.clone()).unwrap();
        let nth = seed / 4 % 60;
        dev.fault_nth(
            nth,
            match seed % 4 {
                0 => Fault::Short((seed / 8 % 3) as usize),
                1 => Fault::Misdirected(1 + seed / 4 % 700),
                _ => Fault::BitFlip(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40),
            },
        );
        let (_, _, outcome) = script(&store);
        // A device that lies is found out by reading, one that fails at once.
        assert!(outcome.is_ok() || seed % 4 == 0 || store.poisoned().is_none(), "seed {seed}: {outcome:?}");
        drop(store);
        let Ok((store, records)) = open(Arc::new(dev.killed_image())) else {
            seen[0] += 1;
            continue;
        };
        seen[1] += 1;
        let expected = strings(&["record 0", "record 1", "record 2"]);
        assert!(expected.starts_with(&records), "seed {seed}: {records:?}");
        let mut blobs = Vec::new();
        store.for_each_blob(&mut |hash, _| blobs.push(*hash));
        for hash in blobs {
            if let Ok(bytes) = store.read_blob_vec(&hash) {
                assert_eq!(BlobHash::of(&bytes), hash);
            }
        }
        for name in ["one", "short", "long"] {
            if let Ok(Some(value)) = store.state_get(&state_key(name)) {
                assert!(value.iter().all(|byte| *byte < 3), "seed {seed}: {name}");
            }
        }
    }
    println!("{} refused, {} opened", seen[0], seen[1]);
    assert!(seen[0] > 3 && seen[1] > 20);
}

#[test]
fn a_full_device_refuses_blobs_but_still_syncs_deletes_and_checkpoints() {
    let dev = Arc::new(MemDevice::new(0, DEVICE_LEN_MIN_BYTES + (2 << 20)));
    Store::format(&*dev, &FormatOptions::default()).unwrap();
    let (store, _) = open(dev.clone()).unwrap();
    let mut kept = Vec::new();
    let refused = (0..).find_map(|i| {
        let (hash, bytes) = content(i, 100_000);
        match store.put_blob(&hash, &bytes) {
            Ok(_) => {
                kept.push(hash);
                None
            }
            Err(error) => Some(error),
        }
    });
    assert!(matches!(refused, Some(StoreError::NoSpace { .. })), "{refused:?}");
    assert!(store.poisoned().is_none());
    store.append(7, b"still here").unwrap();
    store.sync().unwrap();
    checkpoint(&store, &strings(&["still here"])).unwrap();
    store.remove_blobs(&kept[1..]).unwrap();
    store.sync().unwrap();
    let (hash, bytes) = content(1000, 500_000);
    assert!(store.put_blob(&hash, &bytes).unwrap());
    store.sync().unwrap();
    drop(store);
    let (store, records) = open(dev.clone()).unwrap();
    assert_eq!(records, strings(&["still here"]));
    assert_eq!(store.read_blob_vec(&hash).unwrap(), bytes);
    assert!(store.read_blob_vec(&kept[0]).is_ok());
    assert!(dev.len_bytes() <= DEVICE_LEN_MIN_BYTES + (2 << 20));
}

#[test]
fn a_checkpoint_that_finds_no_room_costs_nothing_however_often_it_is_tried() {
    let dev = Arc::new(MemDevice::new(0, 40 << 20));
    Store::format(&*dev, &FormatOptions::default()).unwrap();
    let (store, _) = open(dev.clone()).unwrap();
    let too_long = vec![7; 40 << 20];
    let mut used = Vec::new();
    for number in 0..40_u64 {
        // Every second one finds records that are newer than the last try.
        if number % 2 == 0 {
            store.append(7, &number.to_le_bytes()).unwrap();
        }
        let refused = store.checkpoint(&mut |out: &mut dyn std::io::Write| out.write_all(&too_long));
        assert!(matches!(refused, Err(StoreError::NoSpace { .. })), "{refused:?}");
        used.push(store.stats().used_bytes);
    }
    assert_eq!(used[1], used[39], "{used:?}");
    // Nor one that fails for another reason, as long as nothing is appended in between.
    let failing = |store: &Store| store.checkpoint(&mut |_| Err(std::io::Error::other("no")));
    store.sync().unwrap();
    drop(store);
    let (store, _) = open(dev.clone()).unwrap();
    assert!(failing(&store).is_err());
    let used = store.stats().used_bytes;
    for _ in 0..20 {
        store.sync().unwrap();
        assert!(failing(&store).is_err());
    }
    assert_eq!(store.stats().used_bytes, used);
    store.append(7, b"after").unwrap();
    checkpoint(&store, &vec![b"all".to_vec()]).unwrap();
    store.append(7, b"later").unwrap();
    store.sync().unwrap();
    drop(store);
    assert_eq!(open(dev).unwrap().1, common::strings(&["all", "later"]));
}

#[test]
fn a_put_under_way_does_not_keep_a_checkpoint_nor_what_comes_behind_it() {
    /// Stands still in the middle until it is told to go on.
    struct Slow<'a> {
        rest: &'a [u8],
        told: std::sync::mpsc::Receiver<()>,
        begun: std::sync::mpsc::Sender<()>,
    }
    impl std::io::Read for Slow<'_> {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            self.begun.send(()).unwrap();
            self.told.recv().unwrap();
            std::io::Read::read(&mut self.rest, buf)
        }
    }
    let dev = common::memory();
    let (store, _) = open(dev.clone()).unwrap();
    let (hash, bytes) = common::content(1, 200_000);
    let (tell, told) = std::sync::mpsc::channel();
    let (begun, begins) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let mut slow = Slow { rest: &bytes, told, begun };
        let (store, hash) = (&store, &hash);
        let put = scope.spawn(move || store.put_blob_from(hash, &mut slow, 200_000).unwrap());
        begins.recv().unwrap();
        // Each of these would wait for ever.
        let pending = store.begin_checkpoint().unwrap();
        store.append(7, b"meanwhile").unwrap();
        pending.finish(&mut |_| Ok(())).unwrap();
        (0..64).for_each(|_| _ = tell.send(()));
        assert!(put.join().unwrap());
    });
    store.sync().unwrap();
    let (again, records) = open(Arc::new(dev.fork())).unwrap();
    assert_eq!(records, common::strings(&["meanwhile"]));
    assert!(again.read_blob_vec(&hash).unwrap() == bytes);
}

#[test]
fn a_client_that_fails_its_checkpoint_leaves_the_old_state_in_force() {
    let (dev, used) = (common::memory(), |s: &Store| s.stats().used_bytes);
    let (store, _) = open(dev.clone()).unwrap();
    store.append(7, b"one").unwrap();
    let before = used(&store);
    let failed = store.checkpoint(&mut |out| {
        out.write_all(&[1; 1_000_000])?;
        Err(std::io::Error::other("no"))
    });
    assert!(matches!(failed, Err(StoreError::Client(_))));
    // The journal has moved on to a segment of the next epoch, which the next checkpoint makes good again.
    assert_eq!(used(&store), before + SEGMENT_LEN as u64);
    store.append(7, b"two").unwrap();
    drop(store);
    let (store, records) = open(dev.clone()).unwrap();
    assert_eq!(records, strings(&["one", "two"]));
    checkpoint(&store, &records).unwrap();
    assert_eq!(used(&store), before + CHUNK_LEN as u64);
    drop(store);
    assert_eq!(open(dev).unwrap().1, strings(&["one", "two"]));
}
