//! landlock(7): no path may be written, and only what is named may be read.

use crate::ConfineError;
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus, path_beneath_rules,
};
use std::fmt;
use std::path::Path;

/// How much of it this kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landlock {
    Full,
    /// An older version of it: files cannot be written, some further operations are known to newer kernels only.
    Part,
    Missing,
}

impl fmt::Display for Landlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Landlock::Full => "landlock and seccomp",
            Landlock::Part => "landlock (an older version) and seccomp",
            Landlock::Missing => "seccomp (this kernel has no landlock)",
        })
    }
}

/// What is known of landlock here: newer kernels know more.
const KNOWN: ABI = ABI::V5;

pub fn restrict(readable: &[&Path]) -> Result<Landlock, ConfineError> {
    let failed = |error: landlock::RulesetError| ConfineError::Landlock(error.to_string());
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(KNOWN)))
        .and_then(|ruleset| ruleset.create())
        .and_then(|ruleset| ruleset.add_rules(path_beneath_rules(readable, AccessFs::from_read(KNOWN))))
        .and_then(|ruleset| ruleset.restrict_self())
        .map_err(failed)?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Landlock::Full,
        RulesetStatus::PartiallyEnforced => Landlock::Part,
        RulesetStatus::NotEnforced => Landlock::Missing,
    })
}
