//! See `vrift_fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vrift_fuzz_guided::run("path", bytes));
