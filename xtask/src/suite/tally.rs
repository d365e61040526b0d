//! Counting tests by what the programs that run them print.

/// Tests that passed and failed; a stage without tests of its own counts as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
}

impl Tally {
    pub const PASSED: Tally = Tally { passed: 1, failed: 0 };
    pub const FAILED: Tally = Tally { passed: 0, failed: 1 };

    pub fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    /// The counts must agree with the exit code: a run that failed without naming a test, and a
    /// run that succeeded without running any, are failures.
    pub fn judged(mut self, succeeded: bool) -> Tally {
        if self.failed == 0 && (!succeeded || self.passed == 0) {
            self.failed = 1;
        }
        self
    }
}

/// A line of `cargo test`: `test result: ok. 5 passed; 0 failed; ...`.
pub fn of_cargo(line: &str) -> Option<Tally> {
    let counts = line.trim_start().strip_prefix("test result: ")?.split_once(". ")?.1;
    let mut counts = counts.split("; ");
    Some(Tally { passed: counted(counts.next()?, "passed")?, failed: counted(counts.next()?, "failed")? })
}

/// A line that is all of `5 passed, 0 failed`.
pub fn of_script(line: &str) -> Option<Tally> {
    let (passed, failed) = line.split_once(", ")?;
    Some(Tally { passed: counted(passed, "passed")?, failed: counted(failed, "failed")? })
}

fn counted(text: &str, what: &str) -> Option<u64> {
    text.strip_suffix(what)?.trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_lines_are_counted() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out";
        assert_eq!(of_cargo(line), Some(Tally { passed: 12, failed: 3 }));
        assert_eq!(of_script("7 passed, 0 failed"), Some(Tally { passed: 7, failed: 0 }));
        assert_eq!(of_script("ok 3 - 7 passed, 0 failed"), None);
        assert_eq!(of_cargo("running 3 tests"), None);
    }

    #[test]
    fn nothing_run_is_not_success() {
        assert_eq!(Tally::default().judged(true), Tally::FAILED);
        assert_eq!(Tally { passed: 2, failed: 0 }.judged(false), Tally { passed: 2, failed: 1 });
        assert_eq!(Tally { passed: 2, failed: 0 }.judged(true), Tally { passed: 2, failed: 0 });
        assert_eq!(Tally { passed: 2, failed: 3 }.judged(false), Tally { passed: 2, failed: 3 });
    }
}
