//! What was put comes back, also after reopening.

mod common;

use std::sync::Arc;
use std::time::Instant;

use common::{checkpoint, content, memory, open, strings};
use statefs_journal::{BlobHash, BlockDevice, FileDevice, FormatOptions, Store, StoreError};

#[test]
fn records_and_blobs_survive_reopening() {
    let dev = memory();
    let lens = [0, 1, 7, 8, 4095, 4096, 4097, 65_536, 65_537, 3_000_000];
    let blobs: Vec<_> = lens.iter().enumerate().map(|(i, len)| content(i as u64, *len)).collect();
    {
        let (store, _) = open(dev.clone()).unwrap();
        store.append(7, b"one").unwrap();
        for (hash, bytes) in &blobs {
            assert!(store.put_blob(hash, bytes).unwrap());
            assert!(!store.put_blob(hash, bytes).unwrap());
            assert_eq!(store.read_blob_vec(hash).unwrap(), *bytes, "readable before any sync");
        }
        store.append_batch(&[(7, b"two".as_slice()), (7, b"three")]).unwrap();
        store.sync().unwrap();
    }
    for round in 0..3 {
        let (store, records) = open(dev.clone()).unwrap();
        assert_eq!(records, strings(&["one", "two", "three"]), "round {round}");
        for (hash, bytes) in &blobs {
            assert_eq!(store.read_blob_vec(hash).unwrap(), *bytes);
            assert_eq!(store.blob_len(hash), Some(bytes.len() as u64));
        }
        assert_eq!(store.stats().blobs, blobs.len() as u64);
        if round == 1 {
            checkpoint(&store, &records).unwrap();
        }
    }
}

#[test]
fn a_journal_longer_than_a_segment_and_a_checkpoint_longer_than_a_chunk_are_replayed() {
    let dev = memory();
    let (store, mut records) = open(dev.clone()).unwrap();
    for i in 0..40_u8 {
        let payload = vec![b'a' + i % 20; 300_000];
        store.append(7, &payload).unwrap();
        records.push(payload);
    }
    assert!(store.stats().journal_bytes > 12_000_000);
    drop(store);
    let (store, found) = open(dev.clone()).unwrap();
    assert_eq!(found, records);
    checkpoint(&store, &records).unwrap();
    assert!(store.stats().journal_bytes < 10_000);
    let (_, found) = open(dev).unwrap();
    assert_eq!(found, records);
}

#[test]
fn ten_thousand_small_files_are_packed_and_cheap() {
    let dev = memory();
    let (store, _) = open(dev.clone()).unwrap();
    let blobs: Vec<_> = (0..10_000).map(|i| content(i, 300)).collect();
    let start = Instant::now();
    for (hash, bytes) in &blobs {
        store.put_blob(hash, bytes).unwrap();
    }
    store.sync().unwrap();
    println!("{} ns a blob", start.elapsed().as_nanos() / 10_000);
    assert!(store.stats().used_bytes < 16_000_000, "{:?}", store.stats());
    drop(store);
    let (store, _) = open(dev).unwrap();
    for (hash, bytes) in &blobs {
        assert_eq!(store.read_blob_vec(hash).unwrap(), *bytes);
    }
}

#[test]
fn removed_space_is_used_again_but_only_after_a_sync() {
    let dev = memory();
    let (store, _) = open(dev.clone()).unwrap();
    let blobs: Vec<_> = (0..200).map(|i| content(i, 5000 + i as usize * 1000)).collect();
    let put = || blobs.iter().for_each(|(h, b)| assert!(store.put_blob(h, b).unwrap()));
    put();
    store.sync().unwrap();
    let full = store.stats().used_bytes;
    for _ in 0..5 {
        let hashes: Vec<BlobHash> = blobs.iter().map(|(h, _)| *h).collect();
        assert_eq!(store.remove_blobs(&hashes).unwrap(), 200);
        assert!(store.stats().used_bytes >= full - 1_048_576, "nothing is free before the sync");
        store.sync().unwrap();
        assert!(store.stats().used_bytes < full / 2, "free after the sync");
        put();
        store.sync().unwrap();
    }
    assert!(store.stats().used_bytes < full + 4 * 1_048_576);
    drop(store);
    let (store, _) = open(dev).unwrap();
    blobs.iter().for_each(|(h, b)| assert_eq!(store.read_blob_vec(h).unwrap(), *b));
}

#[test]
fn a_source_that_lies_is_refused_and_leaves_nothing() {
    let (store, _) = open(memory()).unwrap();
    let (hash, bytes) = content(1, 200_000);
    let used = store.stats().used_bytes;
    let short = store.put_blob_from(&hash, &mut &bytes[..100_000], 200_000);
    assert!(matches!(short, Err(StoreError::SourceMismatch { .. })));
    let other = content(2, 200_000).1;
    assert!(matches!(
        store.put_blob_from(&hash, &mut &other[..], 200_000),
        Err(StoreError::SourceMismatch { .. })
    ));
    assert_eq!(store.stats().used_bytes, used);
    assert!(!store.has_blob(&hash));
    assert!(store.put_blob_from(&hash, &mut &bytes[..], 200_000).unwrap());
    assert_eq!(store.read_blob_vec(&hash).unwrap(), bytes);
}

#[test]
fn a_file_store_is_locked_against_a_second_opener() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.img");
    Store::create_file(&path, &FormatOptions::default()).unwrap();
    assert!(matches!(
        Store::create_file(&path, &FormatOptions::default()),
        Err(StoreError::AlreadyFormatted)
    ));
    let dev = Arc::new(FileDevice::open(&path).unwrap());
    assert!(matches!(FileDevice::open(&path), Err(StoreError::Locked { .. })));
    let (hash, bytes) = content(1, 1_000_000);
    let (store, _) = open(dev).unwrap();
    store.put_blob(&hash, &bytes).unwrap();
    store.append(7, b"kept").unwrap();
    store.sync().unwrap();
    drop(store);
    let dev = Arc::new(FileDevice::open(&path).unwrap());
    let (store, records) = open(dev).unwrap();
    assert_eq!(records, strings(&["kept"]));
    assert_eq!(store.read_blob_vec(&hash).unwrap(), bytes);
}

#[test]
fn threads_put_append_and_sync_together() {
    let dev = memory();
    let (store, _) = open(dev.clone()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let store = &store;
            scope.spawn(move || {
                for i in 0..60 {
                    let (hash, bytes) = content(i % 20, 100 + (i as usize % 20) * 6000);
                    store.put_blob(&hash, &bytes).unwrap();
                    store.append(7, format!("{thread} {i}").as_bytes()).unwrap();
                    if i % 7 == thread % 7 {
                        store.sync().unwrap();
                    }
                    assert_eq!(store.read_blob_vec(&hash).unwrap(), bytes);
                }
            });
        }
    });
    store.sync().unwrap();
    drop(store);
    let (store, records) = open(dev.clone()).unwrap();
    assert_eq!(records.len(), 480);
    for thread in 0..8 {
        let mine: Vec<_> =
            records.iter().filter(|r| r.starts_with(format!("{thread} ").as_bytes())).collect();
        let expected: Vec<_> = (0..60).map(|i| format!("{thread} {i}").into_bytes()).collect();
        assert!(mine.into_iter().eq(expected.iter()), "order of thread {thread}");
    }
    assert_eq!(store.stats().blobs, 20);
    assert!(dev.len_bytes() <= 64 << 20);
}

#[test]
fn kinds_and_lengths_beyond_the_bounds_are_refused() {
    let (store, _) = open(memory()).unwrap();
    assert!(matches!(store.append(0xf0, b""), Err(StoreError::ReservedKind { .. })));
    assert!(matches!(store.append(7, &vec![0; 1 << 20]), Err(StoreError::Bound { .. })));
    store.append(7, b"fine").unwrap();
}
