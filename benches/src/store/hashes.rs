//! Checksum and hash, which use the processor's vector units.

use std::time::Instant;

use super::random;
use crate::report::Row;

const LEN: usize = 64 << 20;

pub fn measure(pairs: u32) -> Vec<Row> {
    let bytes = random(1, LEN);
    let mut crc = Row::new("CRC32 of 64 MiB", "GB/s", "at least 1").against("the bound");
    let mut blake3 = Row::new("BLAKE3 of 64 MiB, one thread", "GB/s", "at least 1").against("the bound");
    for _ in 0..pairs {
        for (row, hash) in [
            (&mut crc, &(|bytes: &[u8]| u64::from(crc32fast::hash(bytes))) as &dyn Fn(&[u8]) -> u64),
            (&mut blake3, &|bytes: &[u8]| u64::from(blake3::hash(bytes).as_bytes()[0])),
        ] {
            let started = Instant::now();
            std::hint::black_box(hash(std::hint::black_box(&bytes)));
            row.push(1.0, LEN as f64 / 1e9 / started.elapsed().as_secs_f64());
        }
    }
    vec![crc, blake3]
}
