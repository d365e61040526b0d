//! What the tests that failed said, kept for the end: of hours of output often only the last page is looked at.

/// Of one stage.
const MAX_LINES: usize = 40;
/// Of one test that failed.
const MAX_LINES_A_TEST: usize = 12;

/// Lines about failures, picked from a stage's output as it passes by.
#[derive(Debug, Default)]
pub struct Evidence {
    lines: Vec<String>,
    /// How many more lines belong to the failure that was seen last.
    following: usize,
    left_out: usize,
}

impl Evidence {
    /// Looks at the next line of output. Both forms of test output are known: libtest repeats what a failed test
    /// printed behind `---- NAME stdout ----`; TAP has `not ok`, with remarks that are set in or marked by `#`.
    pub fn look_at(&mut self, line: &str) {
        let text = line.trim_start();
        if text.starts_with("---- ") || text.starts_with("not ok") {
            self.following = MAX_LINES_A_TEST;
            self.keep(line);
        } else if text.starts_with("ok ") || text.starts_with("test result: ") || text == "stack backtrace:" {
            self.following = 0;
        } else if self.following > 0 && !text.is_empty() {
            self.following -= 1;
            self.keep(line);
        }
    }

    /// For what is no test's output: why a stage could not run, or failed as a whole.
    pub fn add(&mut self, line: &str) {
        self.following = 0;
        self.keep(line);
    }

    fn keep(&mut self, line: &str) {
        if self.lines.len() < MAX_LINES {
            self.lines.push(line.to_owned());
        } else {
            self.left_out += 1;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub fn print(&self) {
        for line in &self.lines {
            println!("  {line}");
        }
        if self.left_out > 0 {
            println!("  ({} more lines above)", self.left_out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(output: &str) -> Vec<String> {
        let mut evidence = Evidence::default();
        output.lines().for_each(|line| evidence.look_at(line));
        evidence.lines
    }

    #[test]
    fn what_failed_tests_of_cargo_printed_is_kept() {
        let output = "test a ... ok\ntest b ... FAILED\n\nfailures:\n\n---- b stdout ----\n\n\
            thread 'b' panicked at c.rs:1:2:\nleft: 1\nstack backtrace:\n  0: rust_begin_unwind\n\nfailures:\n    b\n\n\
            test result: FAILED. 1 passed; 1 failed; 0 ignored\n";
        assert_eq!(seen(output), ["---- b stdout ----", "thread 'b' panicked at c.rs:1:2:", "left: 1"]);
    }

    #[test]
    fn what_failed_checks_of_scripts_said_is_kept() {
        let output = "    ok 1 - a\n    not ok 2 - b\n    #   got:  1\n    ok 3 - c\nnot ok - script\n1 passed, 1 failed\n";
        assert_eq!(seen(output)[..3], ["    not ok 2 - b", "    #   got:  1", "not ok - script"]);
    }

    #[test]
    fn a_flood_is_cut() {
        let mut evidence = Evidence::default();
        (0..100).for_each(|number| evidence.look_at(&format!("not ok {number}")));
        assert_eq!((evidence.lines.len(), evidence.left_out), (MAX_LINES, 60));
    }
}
