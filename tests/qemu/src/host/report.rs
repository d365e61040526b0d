//! Results in the form of the other suites: `ok N - NAME`, `not ok N - NAME`, and a line with the counts at the end.

use std::sync::{Mutex, PoisonError};

/// Tests that run at the same time tell it, one after the other.
#[derive(Default)]
pub struct Report(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    passed: u64,
    failed: u64,
}

impl Report {
    pub fn result(&self, name: &str, result: anyhow::Result<()>) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = counts.passed + counts.failed + 1;
        match result {
            Ok(()) => {
                counts.passed += 1;
                println!("ok {number} - {name}");
                true
            }
            Err(error) => {
                counts.failed += 1;
                println!("not ok {number} - {name}");
                for line in format!("{error:#}").lines() {
                    println!("#   {line}");
                }
                false
            }
        }
    }

    /// True: everything passed, and there was something.
    pub fn finish(&self) -> bool {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        println!("{} passed, {} failed", counts.passed, counts.failed);
        counts.failed == 0 && counts.passed > 0
    }
}
