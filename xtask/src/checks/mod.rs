//! Rules of the workspace that the compiler does not know. Each gives the places that break it.

mod direction;
mod licences;
mod lines;
mod services;
mod unsafe_code;

use anyhow::{Result, bail};

use crate::coverage;

pub use licences::{advisories, licences};

/// A rule: what it promises, and the check that lists what is wrong.
type Rule = (&'static str, fn() -> Result<Vec<String>>);

pub const RULES: [Rule; 7] = [
    ("one gateway: no storage code where only the daemon may have it", direction::broken),
    ("services keep nothing but by way of the daemon", services::broken),
    ("Rust files stay below 500 lines", lines::broken),
    ("unsafe code is fenced in", unsafe_code::broken),
    ("docs/coverage.md is that of the table of hooks", coverage::page_differs),
    ("no function is in the tables twice", coverage::names_twice),
    ("every function of the C library has a hook or a reason", coverage::without_reason),
];

/// Fails with all places that break the rule.
pub fn hold((promise, check): &Rule) -> Result<()> {
    let broken = check()?;
    if !broken.is_empty() {
        bail!("{promise}:\n  {}", broken.join("\n  "));
    }
    println!("  holds: {promise}");
    Ok(())
}
