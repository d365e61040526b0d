//! Blobs that do not lie in the store as they are: with runs of zeros left out, and compressed.

mod common;

use std::io;
use std::sync::Arc;

use common::{checkpoint, content, memory, open};
use statefs_journal::{BlobHash, BlockDevice, MemDevice, Piece, Source, Store, StoreError};

/// Zeros, a run of data, zeros.
struct Holes {
    before: u64,
    data: Vec<u8>,
    after: u64,
    /// What it says of itself.
    claimed: Option<u64>,
}

impl Source for Holes {
    fn next(&mut self, buf: &mut [u8]) -> io::Result<Piece> {
        if self.before > 0 {
            return Ok(Piece::Zeros(std::mem::take(&mut self.before)));
        }
        if !self.data.is_empty() {
            let take = self.data.len().min(buf.len());
            buf[..take].copy_from_slice(&self.data[..take]);
            self.data.drain(..take);
            return Ok(Piece::Data(take));
        }
        if self.after > 0 {
            return Ok(Piece::Zeros(std::mem::take(&mut self.after)));
        }
        Ok(Piece::End)
    }

    fn data_bytes(&self) -> Option<u64> {
        self.claimed
    }
}

/// Text that becomes much shorter, with a number so that no two are equal.
fn text(number: usize, len: usize) -> (BlobHash, Vec<u8>) {
    let mut bytes = Vec::with_capacity(len + 80);
    for line in 0.. {
        if bytes.len() >= len {
            break;
        }
        bytes.extend_from_slice(
            format!("int function_{number}_{line}(void) {{ return {line}; }}\n").as_bytes(),
        );
    }
    bytes.truncate(len);
    (BlobHash::of(&bytes), bytes)
}

fn kinds() -> Vec<(BlobHash, Vec<u8>)> {
    let mut blobs = Vec::new();
    for (number, len) in [1, 127, 4096, 65_536, 65_537, 300_001, (2 << 20) + 17].into_iter().enumerate() {
        blobs.push(text(number, len));
        blobs.push(content(number as u64, len));
        // The first MiB decides about the form.
        let mut mixed = vec![0; len * 3];
        mixed.extend_from_slice(&content(100 + number as u64, len).1);
        mixed.extend_from_slice(&text(200 + number, len).1);
        mixed.extend_from_slice(&[0; 8192]);
        blobs.push((BlobHash::of(&mixed), mixed));
    }
    blobs
}

#[test]
fn every_form_is_read_back_before_and_after_reopening() {
    for level in [None, Some(1)] {
        let dev = memory();
        let store = open(dev.clone()).unwrap().0;
        store.set_compression(level);
        let blobs = kinds();
        for (number, (hash, bytes)) in blobs.iter().enumerate() {
            let new = match number % 2 {
                0 => store.put_blob(hash, bytes),
                _ => store.put_blob_from(hash, &mut &bytes[..], bytes.len() as u64),
            };
            assert!(new.unwrap());
            assert!(store.read_blob_vec(hash).unwrap() == *bytes, "gathered or not: {number}");
        }
        let stats = store.stats();
        let saved = stats.blob_bytes - stats.stored_bytes;
        assert!(saved > stats.blob_bytes / if level.is_some() { 2 } else { 3 }, "{stats:?}");
        store.sync().unwrap();
        for _ in 0..2 {
            let (store, records) = open(Arc::new(dev.fork())).unwrap();
            for (hash, bytes) in &blobs {
                assert!(store.read_blob_vec(hash).unwrap() == *bytes);
                assert_eq!(store.blob_len(hash), Some(bytes.len() as u64));
            }
            let found = store.stats();
            assert_eq!((found.blob_bytes, found.stored_bytes), (stats.blob_bytes, stats.stored_bytes));
            checkpoint(&store, &records).unwrap();
        }
    }
}

#[test]
fn zeros_cost_neither_space_nor_memory() {
    let dev = memory();
    let store = open(dev.clone()).unwrap().0;
    let before = store.stats().used_bytes;
    let data = content(1, 200_000).1;
    let mut hasher = blake3::Hasher::new();
    let short = 1_u64 << 30;
    statefs_journal::hash_zeros(&mut hasher, short);
    hasher.update(&data);
    statefs_journal::hash_zeros(&mut hasher, 5000);
    let hash = BlobHash(*hasher.finalize().as_bytes());
    let total = short + data.len() as u64 + 5000;
    let source = || Holes { before: short, data: data.clone(), after: 5000, claimed: Some(204_800) };
    assert!(store.put_blob_from(&hash, &mut source(), total).unwrap());
    assert!(store.stats().used_bytes - before <= 220_000, "{:?}", store.stats());
    // A source that is not what its name says leaves nothing.
    let used = store.stats().used_bytes;
    let wrong = store.put_blob_from(&content(9, 9).0, &mut source(), total);
    assert!(matches!(wrong, Err(StoreError::SourceMismatch { .. })));
    // Nor one with more data than it said: the file grew a run of data meanwhile.
    let mut liar = Holes { before: 8 << 20, data: content(2, 900_000).1, after: 0, claimed: Some(4096) };
    let grown = store.put_blob_from(&content(10, 9).0, &mut liar, (8 << 20) + 900_000);
    assert!(matches!(grown, Err(StoreError::SourceMismatch { .. })), "{grown:?}");
    assert_eq!(store.stats().used_bytes, used);
    assert_eq!(store.verify_blob(&hash).unwrap(), total);
}

#[test]
fn a_flipped_byte_of_a_stored_form_never_gives_wrong_bytes() {
    let dev = memory();
    let store = open(dev.clone()).unwrap().0;
    store.set_compression(Some(3));
    let mut bytes = text(1, 5000).1;
    bytes.extend_from_slice(&[0; 12_288]);
    bytes.extend_from_slice(&content(1, 700).1);
    let hash = BlobHash::of(&bytes);
    store.put_blob(&hash, &bytes).unwrap();
    store.sync().unwrap();
    let stored = store.blob_stored_len(&hash).unwrap();
    assert!(stored < 3000, "{stored}");
    let at = place_of(&dev, &content(1, 700).1);
    let mut found = 0;
    for back in 0..stored {
        let flipped = dev.fork();
        let offset = at + 700 - 1 - back;
        let mut block = vec![0; 4096];
        let start = statefs_journal::DevOffset(offset - offset % 4096);
        flipped.read_at(start, &mut block).unwrap();
        block[(offset % 4096) as usize] ^= 0x41;
        flipped.write_at(start, &block).unwrap();
        let store = match open(Arc::new(flipped)) {
            Ok((store, _)) => store,
            // Not synced as far as anybody can tell.
            Err(error) => panic!("{error}"),
        };
        match store.read_blob_vec(&hash) {
            Ok(read) => assert!(read == bytes),
            Err(StoreError::BlobMismatch { .. }) => found += 1,
            Err(error) => panic!("{error}"),
        }
    }
    // Reserved bytes of the headers do not count.
    assert!(found > stored * 9 / 10, "{found} of {stored}");
}

/// Where these bytes lie on the device.
fn place_of(dev: &MemDevice, bytes: &[u8]) -> u64 {
    let mut all = vec![0; usize::try_from(dev.len_bytes().min(16 << 20)).unwrap()];
    dev.read_at(statefs_journal::DevOffset(0), &mut all).unwrap();
    all.windows(bytes.len()).position(|window| window == bytes).unwrap() as u64
}

#[test]
fn a_setting_changes_what_is_put_not_what_is_read() {
    let dev = memory();
    let (hash, bytes) = text(1, 100_000);
    let (other, other_bytes) = text(2, 100_000);
    let store = Store::open(dev.clone(), &mut |_| Ok(())).unwrap();
    store.put_blob(&hash, &bytes).unwrap();
    assert_eq!(store.blob_stored_len(&hash), Some(100_000));
    store.set_compression(Some(1));
    store.put_blob(&other, &other_bytes).unwrap();
    assert!(store.blob_stored_len(&other).unwrap() < 30_000);
    store.set_compression(None);
    store.heal_blob(&other, &mut &other_bytes[..]).unwrap();
    assert_eq!(store.blob_stored_len(&other), Some(100_000));
    assert!(store.read_blob_vec(&other).unwrap() == other_bytes);
    store.sync().unwrap();
    drop(store);
    let store = open(dev).unwrap().0;
    assert!(
        store.read_blob_vec(&hash).unwrap() == bytes && store.read_blob_vec(&other).unwrap() == other_bytes
    );
}
