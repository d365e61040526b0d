//! Whether the guest printed the whole list of markers, in its order, once for each of its starts.

use vrift_guest::markers;

#[derive(Default)]
pub struct Rounds {
    /// The next marker of the round that is under way.
    next: usize,
    done: u64,
    wrong: Option<String>,
}

impl Rounds {
    pub fn line(&mut self, line: &str) {
        if self.wrong.is_some() {
            return;
        }
        if line.starts_with(markers::FAIL) {
            self.wrong = Some(line.to_string());
        } else if line.starts_with(markers::ROUND) && line.ends_with(" done") {
            match markers::ALL.get(self.next) {
                None => (self.done, self.next) = (self.done + 1, 0),
                Some(missing) => self.wrong = Some(format!("\"{missing}\" is missing")),
            }
        } else if let Some(at) = markers::ALL.iter().position(|marker| markers::is(line, marker)) {
            if at == self.next {
                self.next += 1;
            } else {
                self.wrong = Some(format!("\"{line}\" is not the next one"));
            }
        }
    }

    /// How many rounds are whole; 0 as well if anything is wrong.
    pub fn finish(&mut self) -> u64 {
        if self.wrong.is_none() && self.next != 0 {
            self.wrong =
                Some(format!("\"{}\" is missing", markers::ALL.get(self.next).unwrap_or(&markers::ROUND)));
        }
        if self.wrong.is_some() { 0 } else { self.done }
    }

    pub fn complaint(&self) -> String {
        self.wrong.clone().unwrap_or_else(|| "the guest printed no marker".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Vec<String> {
        let mut lines: Vec<String> = markers::ALL.iter().map(|marker| (*marker).to_string()).collect();
        lines[0].push_str("512 nsec=1024)");
        lines.push("a line of somebody else".into());
        lines.push(format!("{} 1 done", markers::ROUND));
        lines
    }

    fn judged(lines: &[String]) -> u64 {
        let mut rounds = Rounds::default();
        lines.iter().for_each(|line| rounds.line(line));
        rounds.finish()
    }

    #[test]
    fn all_in_order_counts_and_nothing_else() {
        assert_eq!(judged(&whole()), 1);
        assert_eq!(judged(&[whole(), whole()].concat()), 2);
        assert_eq!(judged(&[]), 0);
        for left_out in 0..markers::ALL.len() {
            let mut lines = whole();
            lines.remove(left_out);
            assert_eq!(judged(&lines), 0, "without {}", markers::ALL[left_out]);
        }
        for swapped in 1..markers::ALL.len() {
            let mut lines = whole();
            lines.swap(swapped - 1, swapped);
            assert_eq!(judged(&lines), 0);
        }
        let mut failed = whole();
        failed.push(format!("{} something", markers::FAIL));
        assert_eq!(judged(&failed), 0);
        let mut begun = whole();
        begun.push(format!("{}512 nsec=1024)", markers::BLOCK));
        assert_eq!(judged(&begun), 0);
    }
}
