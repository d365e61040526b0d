//! The daemon's memory is bounded by what it knows, not by what it did.

mod common;

use common::World;
use std::fs;

/// More than what is given back at once after a look at a directory.
const FILES: usize = 25_000;
/// Fixed part of the bound, and its part for each file.
const FIXED_BYTES: usize = 64 << 20;
const BYTES_A_FILE: usize = 256;

/// Resident memory that is not a file's.
fn anonymous_bytes(world: &World) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", world.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<usize>().unwrap() * 1024
}

#[test]
fn looking_at_a_large_directory_again_and_again_takes_no_more_memory() {
    let world = World::started();
    for number in 0..FILES {
        let dir = world.project().join(format!("many/{}", number / 500));
        if number % 500 == 0 {
            fs::create_dir_all(&dir).unwrap();
        }
        fs::write(dir.join(format!("f{number}")), b"").unwrap();
    }
    world.ingest();
    world.sync();
    let first = anonymous_bytes(&world);
    for _ in 0..12 {
        world.sync();
    }
    let last = anonymous_bytes(&world);
    assert!(last < FIXED_BYTES + BYTES_A_FILE * FILES, "{last}");
    // Each look takes some 8 MB: one of them kept would be more than this.
    assert!(last < first + (6 << 20), "{first}, then {last}");
}
