//! Rules of the workspace that the compiler does not know. Each gives the places that break it.

mod direction;
mod licences;
mod lines;
mod unsafe_code;

use anyhow::{Result, bail};

pub use licences::{advisories, licences};

/// A rule: what it promises, and the check that lists what is wrong.
type Rule = (&'static str, fn() -> Result<Vec<String>>);

pub const RULES: [Rule; 3] = [
    ("one gateway: no storage code where only the daemon may have it", direction::broken),
    ("Rust files stay below 500 lines", lines::broken),
    ("unsafe code is fenced in", unsafe_code::broken),
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
