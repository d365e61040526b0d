//! Results in the form of the other suites: `ok N - NAME`, `not ok N - NAME`, and a line with the counts at the end.

#[derive(Default)]
pub struct Report {
    passed: u64,
    failed: u64,
}

impl Report {
    pub fn result(&mut self, name: &str, result: anyhow::Result<()>) -> bool {
        let number = self.passed + self.failed + 1;
        match result {
            Ok(()) => {
                self.passed += 1;
                println!("ok {number} - {name}");
                true
            }
            Err(error) => {
                self.failed += 1;
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
        println!("{} passed, {} failed", self.passed, self.failed);
        self.failed == 0 && self.passed > 0
    }
}
