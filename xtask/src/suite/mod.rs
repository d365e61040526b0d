//! `cargo xtask test` and `cargo xtask tidy`: stages one after the other, all of them, then a summary.

mod evidence;
mod stages;
mod tally;

use std::time::{Duration, Instant};

use anyhow::Result;

use evidence::Evidence;
pub use stages::fuzz;
use tally::Tally;

/// One line of the summary.
struct Outcome {
    name: &'static str,
    tally: Tally,
    evidence: Evidence,
    time: Duration,
}

type Stage = (&'static str, Box<dyn Fn(&mut Evidence) -> Result<Tally>>);

/// True if everything passed; the last line that is printed then says so, and nothing follows it.
pub fn test(long: bool) -> bool {
    run(stages::all(long))
}

/// As [`test`], with the static checks alone.
pub fn tidy(advisories: bool) -> bool {
    run(stages::tidy(advisories))
}

/// A stage that fails does not stop the ones after it: one run shows all there is to mend.
fn run(stages: Vec<Stage>) -> bool {
    let count = stages.len();
    let mut outcomes = Vec::new();
    for (index, (name, stage)) in stages.into_iter().enumerate() {
        println!("\n== [{}/{count}] {name}", index + 1);
        let start = Instant::now();
        let mut evidence = Evidence::default();
        let tally = stage(&mut evidence).unwrap_or_else(|error| {
            println!("FAILED: {error:#}");
            evidence.add(&format!("{error:#}"));
            Tally::FAILED
        });
        outcomes.push(Outcome { name, tally, evidence, time: start.elapsed() });
    }
    summarise(&outcomes)
}

fn summarise(outcomes: &[Outcome]) -> bool {
    println!("\n== summary");
    let mut sum = Tally::default();
    let mut time = Duration::ZERO;
    for outcome in outcomes {
        let verdict = if outcome.tally.failed == 0 { "ok" } else { "FAILED" };
        println!(
            "{verdict:<7} {:<44} {:>5} passed {:>4} failed {:>7.1} s",
            outcome.name,
            outcome.tally.passed,
            outcome.tally.failed,
            outcome.time.as_secs_f64()
        );
        sum.add(outcome.tally);
        time += outcome.time;
    }
    for outcome in outcomes.iter().filter(|outcome| outcome.tally.failed > 0) {
        println!("\n== failed: {}", outcome.name);
        outcome.evidence.print();
    }
    println!("{:.1} s in all", time.as_secs_f64());
    println!("{} passed, {} failed", sum.passed, sum.failed);
    sum.failed == 0
}
