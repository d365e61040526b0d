//! Processes of runs: from their first change to their end, as their connections show.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use vrift_protocol::history::Span;

/// Processes that are remembered of a workspace with runs.
const SPANS_MAX: usize = 2000;
/// Bytes of a command.
const COMMAND_LEN_MAX: u64 = 200;

struct Known {
    connection: u64,
    pid: u32,
    command: Vec<u8>,
    began: Instant,
    ended: Option<Instant>,
}

#[derive(Default)]
struct OfWorkspace {
    runs: usize,
    known: Vec<Known>,
}

/// By workspace; those without runs have none.
#[derive(Default)]
pub struct Spans(Mutex<HashMap<u32, OfWorkspace>>);

impl Spans {
    fn with<T>(&self, action: impl FnOnce(&mut HashMap<u32, OfWorkspace>) -> T) -> T {
        action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn run_begins(&self, workspace: u32) {
        self.with(|all| all.entry(workspace).or_default().runs += 1);
    }

    /// A process makes itself known. What /proc has of it is read at once: it may be gone soon.
    pub fn process_begins(&self, workspace: u32, connection: u64, pid: u32) {
        self.with(|all| {
            let Some(of) = all.get_mut(&workspace).filter(|of| of.known.len() < SPANS_MAX) else { return };
            let command = command_of(pid);
            of.known.push(Known { connection, pid, command, began: Instant::now(), ended: None });
        });
    }

    pub fn process_ends(&self, workspace: u32, connection: u64) {
        self.with(|all| {
            let known = all.get_mut(&workspace).map(|of| &mut of.known);
            if let Some(known) =
                known.and_then(|known| known.iter_mut().rfind(|it| it.connection == connection))
            {
                known.ended = Some(Instant::now());
            }
        });
    }

    /// The processes since `began`, of a run that is over.
    pub fn run_ends(&self, workspace: u32, began: Instant) -> Vec<Span> {
        self.with(|all| {
            let Some(of) = all.get_mut(&workspace) else { return Vec::new() };
            let now = Instant::now();
            let us = |from: Instant, to: Instant| to.saturating_duration_since(from).as_micros() as u64;
            let span = |known: &Known| Span {
                pid: known.pid,
                command: known.command[..].into(),
                began_us: us(began, known.began),
                elapsed_us: us(known.began, known.ended.unwrap_or(now)),
            };
            let spans = of.known.iter().filter(|known| known.began >= began).map(span).collect();
            of.runs = of.runs.saturating_sub(1);
            if of.runs == 0 {
                all.remove(&workspace);
            }
            spans
        })
    }
}

/// The first arguments, with blanks between them; empty: the process is gone.
fn command_of(pid: u32) -> Vec<u8> {
    let mut text = Vec::new();
    if let Ok(file) = File::open(format!("/proc/{pid}/cmdline")) {
        let _ = file.take(COMMAND_LEN_MAX).read_to_end(&mut text);
    }
    while text.last() == Some(&0) {
        text.pop();
    }
    text.iter().map(|byte| if *byte == 0 { b' ' } else { *byte }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_the_processes_of_its_time_and_nothing_is_kept_without_runs() {
        let spans = Spans::default();
        spans.process_begins(1, 7, std::process::id());
        let first = Instant::now();
        spans.run_begins(1);
        spans.process_begins(1, 8, std::process::id());
        spans.process_ends(1, 8);
        let second = Instant::now();
        spans.run_begins(1);
        spans.process_begins(1, 9, 0);
        let of_second = spans.run_ends(1, second);
        assert_eq!(of_second.iter().map(|span| span.pid).collect::<Vec<_>>(), [0]);
        let of_first = spans.run_ends(1, first);
        assert_eq!(of_first.len(), 2);
        assert!(!of_first[0].command.0.is_empty() && of_first[1].command.0.is_empty());
        assert!(spans.run_ends(1, first).is_empty());
    }
}
