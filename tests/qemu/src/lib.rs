//! What the program in the guest and the one that runs the guest agree on: the lines on the serial console, and what
//! is written.
//!
//! Lives here: markers, words, patterns. May be imported by the two programs of this package. Must never appear here:
//! anything of vrift's own; the guest uses its binaries as a user would.
#![forbid(unsafe_code)]

pub mod markers;
pub mod pattern;
