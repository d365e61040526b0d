//! Every input that was kept, and a second of new ones for each target.

use std::path::Path;
use std::time::Duration;

use vrift_fuzz::{TARGETS, drive, sys};

#[global_allocator]
static ALLOCATOR: sys::Counting = sys::Counting;

/// One test: the allocator counts for the whole process.
#[test]
fn no_input_panics_or_allocates_much() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for target in &TARGETS {
        let kept = drive::corpus(&corpus, target).unwrap();
        assert!(!kept.is_empty(), "nothing is kept for {}", target.0);
        drive::one(target, &[]).unwrap();
        for (path, bytes) in &kept {
            drive::one(target, bytes).unwrap_or_else(|what| panic!("{}: {what}", path.display()));
        }
        let count = drive::run(&corpus, target, 7, Duration::from_secs(1)).unwrap();
        println!("{}: {} kept, {count} new", target.0, kept.len());
        assert!(count > 0);
    }
}
