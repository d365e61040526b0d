//! Damage is told from emptiness and from a torn tail, and never read as something else.

mod common;

use std::sync::Arc;

use common::{Records, checkpoint, content, memory, open, strings};
use statefs_journal::device::OverlayDevice;
use statefs_journal::layout::superblock::{CRC_AT, VERSION_AT};
use statefs_journal::{
    BlobHash, BlockDevice, BlockNo, DevOffset, FormatOptions, Key, MemDevice, Store, StoreError,
};

const BLOCK: usize = 4096;

fn flip(dev: &MemDevice, offset: u64, bit: u8) {
    let mut byte = [0];
    dev.read_at(DevOffset(offset), &mut byte).unwrap();
    dev.write_at(DevOffset(offset), &[byte[0] ^ bit]).unwrap();
}

/// Offset of the only place where `needle` lies.
fn find(dev: &MemDevice, needle: &[u8]) -> u64 {
    for block in dev.written_blocks() {
        let mut bytes = [0; BLOCK];
        dev.read_at(BlockNo(block).offset(), &mut bytes).unwrap();
        if let Some(at) = bytes.windows(needle.len()).position(|w| w == needle) {
            return BlockNo(block).offset().0 + at as u64;
        }
    }
    panic!("not on the device");
}

#[test]
fn what_is_not_a_store_is_never_taken_for_an_empty_one() {
    let empty = Arc::new(MemDevice::new(0, 1 << 30));
    assert!(matches!(open(empty), Err(StoreError::Empty)));
    let zeroes = Arc::new(MemDevice::new(64 << 20, 1 << 30));
    assert!(matches!(open(zeroes), Err(StoreError::NotAStore { .. })));
    let small = Arc::new(MemDevice::new(100, 1 << 30));
    assert!(matches!(open(small), Err(StoreError::NotAStore { .. })));
}

#[test]
fn a_store_is_not_formatted_again_by_mistake() {
    let dev = memory();
    assert!(matches!(Store::format(&*dev, &FormatOptions::default()), Err(StoreError::AlreadyFormatted)));
    flip(&dev, 100, 1);
    flip(&dev, 16 * 4096 + 100, 1);
    assert!(matches!(Store::format(&*dev, &FormatOptions::default()), Err(StoreError::AlreadyFormatted)));
    Store::format(&*dev, &FormatOptions { overwrite: true }).unwrap();
    open(dev).unwrap();
}

#[test]
fn one_damaged_superblock_is_repaired_two_are_an_error() {
    for slot in [0, 16 * 4096] {
        let dev = memory();
        let (store, mut records) = open(dev.clone()).unwrap();
        records.push(b"kept".to_vec());
        checkpoint(&store, &records).unwrap();
        drop(store);
        flip(&dev, slot + 50, 4);
        assert_eq!(open(dev.clone()).unwrap().1, records);
        // Repaired: now the other one may go.
        flip(&dev, (16 * 4096 - slot) + 50, 4);
        assert_eq!(open(dev.clone()).unwrap().1, records);
        flip(&dev, 50, 4);
        flip(&dev, 16 * 4096 + 50, 4);
        assert!(matches!(open(dev), Err(StoreError::SuperblocksDamaged { .. })));
    }
}

#[test]
fn a_store_of_a_newer_version_is_refused_by_name() {
    let dev = memory();
    for slot in [0, 16] {
        let mut block = [0; BLOCK];
        dev.read_at(BlockNo(slot).offset(), &mut block).unwrap();
        block[VERSION_AT..VERSION_AT + 4].copy_from_slice(&2_u32.to_le_bytes());
        let crc = crc32fast::hash(&block[..CRC_AT]);
        block[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        dev.write_at(BlockNo(slot).offset(), &block).unwrap();
        let verdict = open(Arc::new(dev.fork()));
        assert!(matches!(verdict, Err(StoreError::NewerVersion { found: 2, supported: 1 })));
    }
}

#[test]
fn a_truncated_store_is_refused_at_every_length() {
    let dev = memory();
    let (store, _) = open(dev.clone()).unwrap();
    // Beyond the first growth, so that the end of the device matters.
    let (hash, bytes) = content(1, 70 << 20);
    store.put_blob(&hash, &bytes).unwrap();
    store.append(7, b"at the end").unwrap();
    store.sync().unwrap();
    drop(store);
    let full = dev.len_bytes();
    for len in [full - 1, full - 4096, 70 << 20, 64 << 20, 1 << 20, 16 * 4096, 4096] {
        let cut = dev.fork();
        cut.truncate(len);
        let verdict = open(Arc::new(cut));
        assert!(matches!(verdict, Err(StoreError::Truncated { .. })), "{len}: {:?}", verdict.err());
    }
}

#[test]
fn a_torn_tail_ends_the_journal_and_damage_before_a_sync_is_an_error() {
    let dev = memory();
    let (store, _) = open(dev.clone()).unwrap();
    for text in ["alpha", "bravo", "charlie"] {
        store.append(7, text.as_bytes()).unwrap();
        store.sync().unwrap();
    }
    store.append(7, b"unsynced delta").unwrap();
    drop(store);
    for (text, torn) in [("alpha", false), ("bravo", false), ("charlie", false), ("unsynced delta", true)] {
        let copy = Arc::new(dev.fork());
        flip(&copy, find(&copy, text.as_bytes()), 1);
        let before = copy.fork();
        match open(copy.clone()) {
            Ok((_, records)) => {
                assert!(torn, "{text}");
                assert_eq!(records, strings(&["alpha", "bravo", "charlie"]));
            }
            Err(StoreError::JournalDamaged { .. }) => {
                assert!(!torn, "{text}");
                assert_eq!(before.written_blocks(), copy.written_blocks());
                for block in before.written_blocks() {
                    let (mut a, mut b) = ([0; BLOCK], [0; BLOCK]);
                    before.read_at(BlockNo(block).offset(), &mut a).unwrap();
                    copy.read_at(BlockNo(block).offset(), &mut b).unwrap();
                    assert_eq!(a, b, "block {block} was overwritten");
                }
            }
            Err(other) => panic!("{text}: {other}"),
        }
    }
}

#[test]
fn a_damaged_header_of_a_later_segment_is_an_error() {
    let dev = memory();
    let (store, _) = open(dev.clone()).unwrap();
    for i in 0..5_u8 {
        store.append(7, &vec![i; 1_000_000]).unwrap();
        store.sync().unwrap();
    }
    drop(store);
    let mut headers: Vec<u64> = Vec::new();
    for block in dev.written_blocks() {
        let mut bytes = [0; 8];
        dev.read_at(BlockNo(block).offset(), &mut bytes).unwrap();
        if &bytes == b"vriftJS\n" {
            headers.push(block);
        }
    }
    assert!(headers.len() >= 3);
    for block in headers {
        let copy = Arc::new(dev.fork());
        flip(&copy, block * 4096 + 40, 1);
        let verdict = open(copy);
        assert!(
            matches!(verdict, Err(StoreError::JournalDamaged { .. } | StoreError::Damaged { .. })),
            "header at block {block}"
        );
    }
}

#[test]
fn a_damaged_blob_is_reported_not_returned() {
    let dev = memory();
    let (store, _) = open(dev.clone()).unwrap();
    let blobs = [content(1, 100), content(2, 5000), content(3, 500_000)];
    blobs.iter().for_each(|(h, b)| assert!(store.put_blob(h, b).unwrap()));
    store.sync().unwrap();
    for (hash, bytes) in &blobs {
        flip(&dev, find(&dev, &bytes[..50]) + 20, 128);
        assert!(matches!(store.read_blob_vec(hash), Err(StoreError::BlobMismatch { .. })));
    }
}

#[test]
fn every_flipped_byte_of_a_small_store_is_detected_or_harmless() {
    let dev = memory();
    let (store, mut records) = open(dev.clone()).unwrap();
    let (small, small_bytes) = content(1, 60);
    let (other, other_bytes) = content(2, 90);
    store.put_blob(&small, &small_bytes).unwrap();
    store.append(7, b"first").unwrap();
    records.push(b"first".to_vec());
    store.state_put(&state_key(0), b"checkpointed").unwrap();
    checkpoint(&store, &records).unwrap();
    store.put_blob(&other, &other_bytes).unwrap();
    store.append(7, b"second").unwrap();
    records.push(b"second".to_vec());
    store.state_put(&state_key(1), b"journaled").unwrap();
    store.sync().unwrap();
    drop(store);
    let (mut detected, mut harmless) = (0, 0);
    for block in dev.written_blocks() {
        let mut bytes = [0; BLOCK];
        dev.read_at(BlockNo(block).offset(), &mut bytes).unwrap();
        // Runs of zero behave alike: their first and last bytes stand for them.
        let used = |at: &usize| bytes[at.saturating_sub(1)..(at + 2).min(BLOCK)].iter().any(|b| *b != 0);
        for at in (0..BLOCK).filter(used) {
            let copy = Arc::new(dev.fork());
            flip(&copy, block * 4096 + at as u64, 1 << (at % 8));
            match survives(copy, &records, &[(small, &small_bytes), (other, &other_bytes)]) {
                true => harmless += 1,
                false => detected += 1,
            }
        }
    }
    println!("{detected} detected, {harmless} harmless");
    assert!(detected > 300 && harmless > 0, "the flips did not reach what they should");
}

fn state_key(number: u8) -> Key {
    Key::new(format!("/state/{number}").as_bytes()).unwrap()
}

/// True: everything is there. False: a typed error said that it is not. Panics on wrong bytes.
fn survives(dev: Arc<MemDevice>, records: &Records, blobs: &[(BlobHash, &Vec<u8>)]) -> bool {
    let Ok((store, found)) = open(dev) else { return false };
    assert_eq!(found, *records);
    assert_eq!(store.state_get(&state_key(0)).unwrap().unwrap(), b"checkpointed");
    assert_eq!(store.state_get(&state_key(1)).unwrap().unwrap(), b"journaled");
    blobs.iter().all(|(hash, bytes)| match store.read_blob_vec(hash) {
        Ok(read) => {
            assert_eq!(read, **bytes);
            true
        }
        Err(_) => false,
    })
}

#[test]
fn a_journal_damaged_in_the_middle_is_cut_by_the_repair_that_says_so_and_by_nothing_else() {
    let dev = memory();
    let (store, _) = open(dev.clone()).unwrap();
    for i in 0..40 {
        store.append(7, format!("record {i:02} {}", "x".repeat(200_000)).as_bytes()).unwrap();
        store.sync().unwrap();
    }
    drop(store);
    let sound = Store::fsck(&*dev, false).unwrap();
    assert!(sound.findings.is_empty() && sound.records > 80, "{sound:?}");
    for damaged in [0, 3, 11, 38] {
        let copy = Arc::new(dev.fork());
        flip(&copy, find(&copy, format!("record {damaged:02}").as_bytes()) + 1000, 4);
        assert!(matches!(open(copy.clone()), Err(StoreError::JournalDamaged { .. })));
        let seen = Store::fsck(&*copy, false).unwrap();
        assert!(!seen.is_sound() && seen.findings[0].remedy.is_some(), "{seen:?}");
        assert!(
            matches!(open(copy.clone()), Err(StoreError::JournalDamaged { .. })),
            "looking changes nothing"
        );
        assert!(Store::fsck(&*copy, true).unwrap().is_sound());
        let (store, records) = open(copy.clone()).unwrap();
        assert_eq!(records.len(), damaged);
        store.append(7, b"after").unwrap();
        store.sync().unwrap();
        drop(store);
        assert_eq!(open(copy.clone()).unwrap().1.len(), damaged + 1);
        assert!(Store::fsck(&*copy, false).unwrap().findings.is_empty());
    }
}

#[test]
fn fsck_names_damaged_superblocks_and_checkpoints() {
    let dev = memory();
    let (store, mut records) = open(dev.clone()).unwrap();
    records.push(b"kept in the checkpoint".to_vec());
    checkpoint(&store, &records).unwrap();
    drop(store);
    let copy = Arc::new(dev.fork());
    flip(&copy, 50, 1);
    let seen = Store::fsck(&*copy, false).unwrap();
    assert_eq!((seen.findings.len(), seen.is_sound()), (1, false));
    assert!(Store::fsck(&*copy, true).unwrap().is_sound());
    assert!(Store::fsck(&*copy, false).unwrap().findings.is_empty());
    let copy = Arc::new(dev.fork());
    flip(&copy, find(&copy, b"kept in the"), 1);
    for repairs in [false, true] {
        let seen = Store::fsck(&*copy, repairs).unwrap();
        assert_eq!((seen.findings.len(), seen.is_sound(), &seen.findings[0].remedy), (1, false, &None));
    }
}

#[test]
fn a_damaged_blob_is_healed_to_another_place() {
    let dev = memory();
    let (store, _) = open(dev.clone()).unwrap();
    for (seed, len) in [(1, 100), (2, 5000), (3, 300_000)] {
        let (hash, bytes) = content(seed, len);
        store.put_blob(&hash, &bytes).unwrap();
        store.sync().unwrap();
        flip(&dev, find(&dev, &bytes[..50]) + 20, 128);
        assert!(matches!(store.verify_blob(&hash), Err(StoreError::BlobMismatch { .. })));
        assert!(matches!(store.heal_blob(&hash, &mut &bytes[1..]), Err(StoreError::SourceMismatch { .. })));
        store.heal_blob(&hash, &mut &bytes[..]).unwrap();
        assert_eq!(store.verify_blob(&hash).unwrap(), len as u64);
    }
    store.sync().unwrap();
    drop(store);
    let (store, _) = open(dev.clone()).unwrap();
    assert_eq!(store.blobs_after(None).len(), 3);
    store.blobs_after(None).iter().for_each(|hash| _ = store.verify_blob(hash).unwrap());
    // Looking at it through an overlay leaves the device as it is.
    drop(store);
    let before = dev.fork();
    let (store, _) = open(Arc::new(OverlayDevice::new(dev.clone()))).unwrap();
    store.append(7, b"nowhere").unwrap();
    store.sync().unwrap();
    drop(store);
    for block in dev.written_blocks() {
        let (mut now, mut then) = ([0; BLOCK], [0; BLOCK]);
        dev.read_at(BlockNo(block).offset(), &mut now).unwrap();
        before.read_at(BlockNo(block).offset(), &mut then).unwrap();
        assert!(now == then, "block {block}");
    }
}

/// Turns one bit of each of these bytes, wherever they lie on the device.
fn turn(dev: &MemDevice, bytes: &[u8]) {
    for block in dev.written_blocks() {
        let mut held = vec![0; BLOCK];
        let at = BlockNo(block).offset();
        dev.read_at(at, &mut held).unwrap();
        if let Some(found) = held.windows(bytes.len()).position(|window| window == bytes) {
            held[found] ^= 1;
            dev.write_at(at, &held).unwrap();
            return;
        }
    }
    panic!("not on the device");
}

#[test]
fn beside_a_running_store_fsck_reads_the_journal_too_and_a_checkpoint_mends_it() {
    let dev = common::memory();
    let (store, _) = open(dev.clone()).unwrap();
    let mut records = Vec::new();
    for number in 0..50_u64 {
        let record = format!("record number {number}");
        store.append(7, record.as_bytes()).unwrap();
        records.push(record.into_bytes());
        let (hash, bytes) = content(number, 3000);
        store.put_blob(&hash, &bytes).unwrap();
    }
    // Gathered blobs and unsynced records are no flaw.
    let sound = store.fsck_live().unwrap();
    assert!(sound.is_sound() && sound.records == 50, "{sound:?}");
    store.sync().unwrap();
    turn(&dev, b"record number 23");
    let found = store.fsck_live().unwrap();
    assert_eq!(found.findings.len(), 1, "{found:?}");
    assert!(found.findings[0].what.contains("journal"), "{found:?}");
    assert!(matches!(open(Arc::new(dev.fork())), Err(StoreError::JournalDamaged { .. })));
    checkpoint(&store, &records).unwrap();
    assert!(store.fsck_live().unwrap().is_sound());
    assert_eq!(open(Arc::new(dev.fork())).unwrap().1, records);
    // The same for the checkpoint, and for a superblock.
    turn(&dev, b"record number 42");
    let found = store.fsck_live().unwrap();
    assert!(found.findings.len() == 1 && found.findings[0].what.contains("checkpoint"), "{found:?}");
    turn(&dev, b"vriftSB\n");
    assert_eq!(store.fsck_live().unwrap().findings.len(), 2);
    checkpoint(&store, &records).unwrap();
    assert!(store.fsck_live().unwrap().is_sound());
    assert_eq!(open(Arc::new(dev.fork())).unwrap().1, records);
}

#[test]
fn fsck_of_a_running_store_finds_nothing_wrong_with_what_others_do_meanwhile() {
    let dev = common::memory();
    let (store, _) = open(dev).unwrap();
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0_u64;
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                number += 1;
                let (hash, bytes) = content(number, 500);
                store.put_blob(&hash, &bytes).unwrap();
                let key = Key::new(format!("/state/{}", number % 7).as_bytes()).unwrap();
                store.state_put(&key, &bytes).unwrap();
                match number % 50 {
                    10 => drop(store.sync().unwrap()),
                    20 => drop(store.remove_blob(&hash).unwrap()),
                    30 => store.begin_checkpoint().unwrap().finish(&mut |_| Ok(())).unwrap(),
                    _ => {}
                }
            }
        });
        let found: Vec<_> = (0..10).map(|_| store.fsck_live()).collect();
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(found.iter().all(|found| found.as_ref().is_ok_and(|found| found.is_sound())), "{found:?}");
    });
}
