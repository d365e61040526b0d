//! What the tests share: a client whose state is the list of its records.
#![allow(dead_code)]

use std::io::{Read, Write};
use std::sync::Arc;

use statefs_journal::{BlobHash, BlockDevice, FormatOptions, MemDevice, Replay, Store, StoreError};

pub const DEVICE_MAX_BYTES: u64 = 1 << 30;

/// The records that a store remembers, oldest first.
pub type Records = Vec<Vec<u8>>;

pub fn memory() -> Arc<MemDevice> {
    let dev = Arc::new(MemDevice::new(0, DEVICE_MAX_BYTES));
    Store::format(&*dev, &FormatOptions::default()).unwrap();
    dev
}

pub fn open(dev: Arc<dyn BlockDevice>) -> Result<(Store, Records), StoreError> {
    let mut records = Records::new();
    let store = Store::open(dev, &mut |replay| {
        match replay {
            Replay::Checkpoint { bytes, .. } => {
                let mut all = Vec::new();
                bytes.read_to_end(&mut all).map_err(|e| StoreError::Client(e.to_string()))?;
                records = all.split(|b| *b == b'\n').filter(|r| !r.is_empty()).map(<[u8]>::to_vec).collect();
            }
            Replay::Record { kind, payload, .. } => {
                assert_eq!(kind, 7);
                records.push(payload.to_vec());
            }
        }
        Ok(())
    })?;
    Ok((store, records))
}

pub fn checkpoint(store: &Store, records: &Records) -> Result<(), StoreError> {
    store.checkpoint(&mut |out: &mut dyn Write| {
        for record in records {
            out.write_all(record)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    })
}

/// Bytes that no compression or coincidence makes equal to others.
pub fn content(seed: u64, len: usize) -> (BlobHash, Vec<u8>) {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().read_exact(&mut bytes).unwrap();
    (BlobHash::of(&bytes), bytes)
}

pub fn strings(records: &[&str]) -> Records {
    records.iter().map(|r| r.as_bytes().to_vec()).collect()
}
