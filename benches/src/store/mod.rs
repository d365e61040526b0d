//! The store beside other stores (SQLite in WAL mode, redb) and beside dd, on the same file system.

mod blobs;
mod counting;
mod hashes;
mod open;
mod pauses;
#[cfg(feature = "peers")]
mod peers;
mod puts;

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use statefs_journal::{BlockDevice, FileDevice, FormatOptions, Key, Store};

use crate::playground::Playground;
use crate::report::Row;

pub fn measure(playground: &Playground, pairs: u32) -> Result<Vec<Row>> {
    let dir = playground.path("stores");
    std::fs::create_dir(&dir)?;
    let mut rows = Vec::new();
    #[cfg(feature = "peers")]
    rows.extend(peers::measure(&dir, pairs)?);
    #[cfg(not(feature = "peers"))]
    eprintln!("not beside SQLite and redb: built without the feature `peers`");
    rows.extend(puts::measure(&dir)?);
    rows.extend(blobs::measure(&dir, pairs)?);
    rows.extend(open::measure(&dir, pairs)?);
    rows.extend(pauses::measure(&dir)?);
    rows.extend(hashes::measure(pairs));
    Ok(rows)
}

/// A new store in a file.
fn create(path: &Path) -> Result<Store> {
    let _none_yet = std::fs::remove_file(path);
    Store::create_file(path, &FormatOptions::default())?;
    open_file(path)
}

fn open_file(path: &Path) -> Result<Store> {
    open_on(Arc::new(FileDevice::open(path)?))
}

fn open_on(device: Arc<dyn BlockDevice>) -> Result<Store> {
    Ok(Store::open(device, &mut |_| Ok(()))?)
}

fn key(number: u64) -> Result<Key> {
    Ok(Key::new(format!("/state/k/{number:08}").as_bytes())?)
}

/// 64 bytes that no two keys share.
fn value(number: u64) -> [u8; 64] {
    let mut value = [0; 64];
    for (at, word) in value.chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(
            &number.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(at as u64).to_le_bytes(),
        );
    }
    value
}

/// Bytes that cannot be compressed.
fn random(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}
