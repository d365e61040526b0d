// SPDX-License-Identifier: MIT OR Apache-2.0
//! A ledger that is kept in a file: written anew beside it, then renamed.
#![forbid(unsafe_code)]

use money::Amount;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

pub fn append(path: &Path, code: &str, units: u64) -> io::Result<u64> {
    let amount = Amount::of(code, units).ok_or(io::ErrorKind::InvalidInput)?;
    let mut text = fs::read_to_string(path).unwrap_or_default();
    text.push_str(&format!("{} {}\n", Amount::NAME, amount.cents));
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    total(path)
}

pub fn total(path: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    Ok(text.lines().filter_map(|line| line.split(' ').nth(1)?.parse::<u64>().ok()).sum())
}
