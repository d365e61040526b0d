//! The process's umask, which creating calls must apply: Linux has no call that only reads it.

use crate::hot::HOT;
use crate::line;
use crate::raw;
use core::sync::atomic::{AtomicU32, Ordering};

const UNKNOWN: u32 = u32::MAX;
/// What most processes have: setting it for the moment of asking disturbs no other thread then.
const USUAL: u32 = 0o022;

/// The mask, or [`UNKNOWN`].
pub struct Cache(AtomicU32);

impl Cache {
    pub const fn new() -> Cache {
        Cache(AtomicU32::new(UNKNOWN))
    }
}

/// The mask now.
pub fn current() -> u32 {
    match HOT.umask.0.load(Ordering::Relaxed) {
        UNKNOWN => {
            let mask = raw::umask(USUAL);
            if mask != USUAL {
                raw::umask(mask);
            }
            note(mask);
            mask
        }
        mask => mask,
    }
}

/// After umask(2).
pub fn note(mask: u32) {
    let mask = if line::shares_memory() { UNKNOWN } else { mask & 0o777 };
    HOT.umask.0.store(mask, Ordering::Relaxed);
}
