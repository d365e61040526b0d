//! Power cuts, enumerated: between two flushes every subset of what may be lost, every prefix, torn sectors, and a
//! second cut during recovery. What is recovered must be a moment of the history, not before the last sync.
//!
//! The geometry is tiny (feature `tiny`): segments of 8 blocks, chunks of 2, so that rolls and chains are common.

mod device;
mod history;
mod states;

use std::sync::atomic::{AtomicU64, Ordering};

use statefs_journal::mutant::{self, Mutant};
use states::{Count, enumerate};

/// States that the test command verifies; VRIFT_POWERCUT_STATES asks for more.
const STATES: u64 = 1_000_000;
/// Operations of a history.
const STEPS: u64 = 24;
/// Histories on top of each other: each begins with what a cut of the one before left.
const CHAIN: u64 = 4;
/// Within so many states each planted bug must be caught.
const MUTANT_STATES: u64 = 400_000;

fn wanted() -> u64 {
    std::env::var("VRIFT_POWERCUT_STATES").ok().and_then(|text| text.parse().ok()).unwrap_or(STATES)
}

#[test]
fn every_power_cut_leaves_a_moment_of_the_history_and_loses_nothing_synced() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4) as u64;
    let total = AtomicU64::new(0);
    let counts: Vec<Count> = std::thread::scope(|scope| {
        let run = |thread: u64| {
            let total = &total;
            let wanted = wanted();
            move || {
                let mut count = Count::default();
                let mut seed = thread;
                while total.load(Ordering::Relaxed) < wanted {
                    let before = count.states;
                    enumerate(seed, STEPS, CHAIN, &mut count, u64::MAX)
                        .unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
                    total.fetch_add(count.states - before, Ordering::Relaxed);
                    seed += threads;
                }
                count
            }
        };
        let handles: Vec<_> = (0..threads).map(|thread| scope.spawn(run(thread))).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    });
    let sum = |of: fn(&Count) -> u64| counts.iter().map(of).sum::<u64>();
    println!(
        "{} states of {} histories with {} cuts: {} subsets, {} torn, {} second cuts; lost syncs 0, torn records accepted 0",
        sum(|c| c.states),
        sum(|c| c.histories),
        sum(|c| c.cuts),
        sum(|c| c.subsets),
        sum(|c| c.torn),
        sum(|c| c.second),
    );
    assert!(sum(|c| c.states) >= wanted());
}

#[test]
fn every_planted_bug_is_caught() {
    let mut missed = Vec::new();
    for planted in mutant::ALL {
        match caught(planted) {
            Some((seed, states, failure)) => {
                println!("{planted:?}: caught after {states} states, seed {seed}: {failure}");
            }
            None => missed.push(planted),
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

/// The seed that catches a planted bug, after how many states, and how.
fn caught(planted: Mutant) -> Option<(u64, u64, String)> {
    mutant::plant(Some(planted));
    let mut count = Count::default();
    let mut found = None;
    let mut seed = 0;
    while found.is_none() && count.states < MUTANT_STATES {
        let run = std::panic::AssertUnwindSafe(|| enumerate(seed, STEPS, CHAIN, &mut count, MUTANT_STATES));
        // A planted bug may end in a panic of the oracle or of the engine's own assertions: caught as well.
        let outcome = std::panic::catch_unwind(run);
        let failure = match outcome {
            Ok(Ok(())) => None,
            Ok(Err(failure)) => Some(failure),
            Err(_) => Some("a panic".to_owned()),
        };
        found = failure.map(|failure| (seed, count.states, failure));
        seed += 1;
    }
    mutant::plant(None);
    found
}
