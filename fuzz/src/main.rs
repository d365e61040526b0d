//! `cargo xtask fuzz`: each target for some seconds.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use vrift_fuzz::{TARGETS, drive, sys};

#[global_allocator]
static ALLOCATOR: sys::Counting = sys::Counting;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, usual: u64| args.get(at).map_or(Some(usual), |arg| arg.parse().ok());
    let (Some(seconds), Some(seed)) = (number(0, 60), number(1, 1)) else {
        eprintln!("usage: vrift-fuzz [SECONDS [SEED [TARGET...]]]");
        return ExitCode::from(2);
    };
    drive::keep_on_panic();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let chosen = |name: &str| args.len() <= 2 || args[2..].iter().any(|wanted| wanted == name);
    let (mut passed, mut failed) = (0, 0);
    for target in TARGETS.iter().filter(|target| chosen(target.0)) {
        match drive::run(&corpus, target, seed, Duration::from_secs(seconds)) {
            Ok(count) => {
                println!("ok - {}: {count} inputs in {seconds} s, seed {seed}", target.0);
                passed += 1;
            }
            Err(what) => {
                println!("not ok - {what}");
                failed += 1;
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
