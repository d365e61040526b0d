//! Files that rules are made of, and whether they are still what they were.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// What a file of rules decides about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    WhatIsIgnored,
    /// Of what is ignored, what is taken in all the same.
    WhatIsTracked,
}

/// Device, number, size and times; only the first two for a directory that need only be there.
type Facts = Option<(u64, u64, u64, i64, i64)>;

/// A file, there or not, as it was when it was about to be read.
#[derive(Clone, Debug)]
pub struct RuleFile {
    path: PathBuf,
    pub says: Says,
    only_presence: bool,
    was: Facts,
}

impl RuleFile {
    pub fn now(path: PathBuf, says: Says) -> RuleFile {
        let was = facts(&path, false);
        RuleFile { path, says, only_presence: false, was }
    }

    /// Of which it matters only whether there is one.
    pub fn presence(path: PathBuf, says: Says) -> RuleFile {
        let was = facts(&path, true);
        RuleFile { path, says, only_presence: true, was }
    }

    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Looks again; whether it is not what it was.
    pub fn changed(&mut self) -> bool {
        let now = facts(&self.path, self.only_presence);
        std::mem::replace(&mut self.was, now) != now
    }
}

fn facts(path: &std::path::Path, only_presence: bool) -> Facts {
    let stat = std::fs::metadata(path).ok()?;
    let ns = |s: i64, ns: i64| s.saturating_mul(1_000_000_000).saturating_add(ns);
    Some(match only_presence {
        true => (stat.dev(), stat.ino(), 0, 0, 0),
        false => {
            let mtime_ns = ns(stat.mtime(), stat.mtime_nsec());
            (stat.dev(), stat.ino(), stat.size(), mtime_ns, ns(stat.ctime(), stat.ctime_nsec()))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_comes_changes_or_goes_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let mut file = RuleFile::now(path.clone(), Says::WhatIsTracked);
        assert!(!file.changed());
        std::fs::write(&path, "one").unwrap();
        assert!(file.changed() && !file.changed());
        std::fs::write(&path, "another").unwrap();
        assert!(file.changed() && !file.changed());
        std::fs::remove_file(&path).unwrap();
        assert!(file.changed() && !file.changed());
        let mut there = RuleFile::presence(dir.path().into(), Says::WhatIsIgnored);
        std::fs::write(&path, "in it").unwrap();
        assert!(!there.changed());
    }
}
