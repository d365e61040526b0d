//! The driver in user space: depth 1 by reads and writes as the store makes them, more by a stream.

use crate::cases::{Case, Offsets};
use anyhow::{Context, Result};
use statefs_journal::{BlockDevice, DevOffset};
use std::time::{Duration, Instant};
use vrift_virtio_backend::{Kind, Spec, VirtioBlk};

/// Operations a second.
pub fn run(spec: &Spec, case: &Case, time: Duration) -> Result<f64> {
    let device = VirtioBlk::open(spec)?;
    let mut offsets = Offsets::new(case, device.len_bytes());
    if case.depth > 1 {
        many(&device, case, &mut offsets, time)
    } else {
        one(&device, case, &mut offsets, time)
    }
}

fn one(device: &VirtioBlk, case: &Case, offsets: &mut Offsets, time: Duration) -> Result<f64> {
    let mut buffer = device.buffer(case.len_bytes);
    let (started, mut count) = (Instant::now(), 0_u32);
    while started.elapsed() < time {
        let offset = DevOffset(offsets.next());
        if case.writes {
            device.write_at(offset, &buffer)?
        } else {
            device.read_at(offset, &mut buffer)?
        }
        count += 1;
    }
    Ok(f64::from(count) / started.elapsed().as_secs_f64())
}

fn many(device: &VirtioBlk, case: &Case, offsets: &mut Offsets, time: Duration) -> Result<f64> {
    let kind = if case.writes { Kind::Write } else { Kind::Read };
    let mut stream = device.stream();
    for _ in 0..case.depth {
        let buffer = device.arena_buffer(case.len_bytes).context("there is no memory left")?;
        stream.push(kind, offsets.next(), buffer)?;
    }
    let (started, mut count) = (Instant::now(), 0_u32);
    while started.elapsed() < time {
        let mut ended = stream.next();
        while let Some(one) = ended {
            one.result?;
            count += 1;
            stream.push(kind, offsets.next(), one.buffer)?;
            ended = stream.try_next();
        }
    }
    Ok(f64::from(count) / started.elapsed().as_secs_f64())
}
