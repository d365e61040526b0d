//! Runs a target on what was kept and on what becomes of it: bits turned, pieces cut, moved, repeated, numbers at their
//! bounds. Without a compiler's help, so it runs wherever the tests do.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::{ALLOCATED_MAX_BYTES, Target, sys};

const INPUT_LEN_MAX: usize = 4096;
/// Kept in memory while a target runs.
const POOL_MAX: usize = 500;

/// What is kept for a target.
pub fn corpus(dir: &Path, target: &Target) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut inputs = Vec::new();
    for entry in fs::read_dir(dir.join(target.0))? {
        let path = entry?.path();
        inputs.push((path.clone(), fs::read(path)?));
    }
    inputs.sort();
    Ok(inputs)
}

/// The input at work, and where it is written should the program end with it.
static AT_WORK: Mutex<Option<(PathBuf, Vec<u8>)>> = Mutex::new(None);

/// Where a panic ends the program, what it panicked on is kept nevertheless.
pub fn keep_on_panic() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let at_work = AT_WORK.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((path, input)) = at_work
            && fs::write(&path, input).is_ok()
        {
            eprintln!("kept: {}", path.display());
        }
        usual(info);
    }));
}

/// Runs one input: what is wrong, if anything is.
pub fn one(target: &Target, input: &[u8]) -> Result<(), String> {
    let mut outcome = Ok(());
    let peak = sys::peak_of(|| outcome = catch_unwind(AssertUnwindSafe(|| target.1(input))));
    match outcome {
        Err(_) => Err("it panicked".into()),
        Ok(()) if peak > ALLOCATED_MAX_BYTES => Err(format!("it allocated {peak} bytes")),
        Ok(()) => Ok(()),
    }
}

/// Runs mutated inputs for `time`; how many. The first that is bad is written beside the others.
///
/// # Errors
/// What is wrong, and where the input is.
pub fn run(dir: &Path, target: &Target, seed: u64, time: Duration) -> Result<u64, String> {
    let kept = corpus(dir, target).map_err(|error| format!("{}: {error}", target.0))?;
    let mut pool: Vec<Vec<u8>> = kept.into_iter().map(|(_, bytes)| bytes).collect();
    pool.push(Vec::new());
    // The first use of a target makes what all inputs share.
    one(target, &[])?;
    let mut random = Random(seed);
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < time {
        let mut input = pool[random.below(pool.len())].clone();
        for _ in 0..1 + random.below(4) {
            mutate(&mut random, &mut input, &pool);
        }
        input.truncate(INPUT_LEN_MAX);
        let path = dir.join(target.0).join(format!("found-{:016x}", random.next()));
        *AT_WORK.lock().unwrap_or_else(PoisonError::into_inner) = Some((path.clone(), input.clone()));
        if let Err(what) = one(target, &input) {
            fs::write(&path, &input).map_err(|error| error.to_string())?;
            return Err(format!("{}: {what}: {}", target.0, path.display()));
        }
        count += 1;
        if pool.len() < POOL_MAX && random.below(8) == 0 {
            pool.push(input);
        }
    }
    Ok(count)
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

fn mutate(random: &mut Random, input: &mut Vec<u8>, pool: &[Vec<u8>]) {
    const BOUNDS: [u64; 10] =
        [0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, i64::MAX as u64, u64::MAX];
    let at = random.below(input.len() + 1);
    let len = 1 + random.below(16);
    let end = (at + len).min(input.len());
    match random.below(7) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 => drop(input.splice(at..end, [])),
        2 => {
            let bytes: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
            drop(input.splice(at..at, bytes));
        }
        3 => {
            let again = input[at..end].to_vec();
            drop(input.splice(at..at, again));
        }
        4 => {
            let width = [1, 2, 4, 8][random.below(4)];
            let bytes = BOUNDS[random.below(BOUNDS.len())].to_le_bytes();
            let end = (at + width).min(input.len());
            drop(input.splice(at..end, bytes[..width].iter().copied()));
        }
        5 => {
            let other = &pool[random.below(pool.len())];
            let from = random.below(other.len() + 1);
            let piece = other[from..(from + len).min(other.len())].to_vec();
            drop(input.splice(at..end, piece));
        }
        _ if at < input.len() => input[at] = random.next() as u8,
        _ => input.push(random.next() as u8),
    }
}
