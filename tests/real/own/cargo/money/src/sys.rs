// SPDX-License-Identifier: MIT OR Apache-2.0
//! The part in C.
#![allow(unsafe_code)]

extern "C" {
    #[link_name = "round_to"]
    fn c_round_to(cents: u64, step: u64) -> u64;
}

/// To the nearest multiple of `step`, which is not zero.
pub fn round_to(cents: u64, step: u64) -> u64 {
    assert!(step != 0);
    // SAFETY: a function of its two numbers, which divides by the one that is not zero.
    unsafe { c_round_to(cents, step) }
}
