//! What all targets do with an input: no panic, and no more memory than the bound.
#![forbid(unsafe_code)]

use vrift_fuzz::{TARGETS, drive, sys};

#[global_allocator]
static ALLOCATOR: sys::Counting = sys::Counting;

/// Runs one input of the target with this name.
///
/// # Panics
/// When something is wrong with what it did: libFuzzer keeps the input.
pub fn run(name: &str, bytes: &[u8]) {
    let Some(target) = TARGETS.iter().find(|target| target.0 == name) else { panic!("no target {name}") };
    if let Err(what) = drive::one(target, bytes) {
        panic!("{what}");
    }
}
