//! Processes of runs: from their first change to their end, as their connections show. Of several runs in a workspace at
//! a time each has those that descend from its own `vrift`.

use crate::connection::Greeting;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use vrift_protocol::history::Span;

/// Processes that are remembered of a workspace with runs.
const SPANS_MAX: usize = 2000;
/// How far up the parents of a process are looked for: builds within builds have some ten.
const ANCESTORS_MAX: usize = 64;
/// Bytes of a command.
const COMMAND_LEN_MAX: usize = 200;

/// A process that had a connection.
#[derive(Clone, Debug)]
pub struct Connected {
    pub span: Span,
    /// Line of the roll that has the command, as [`vrift_protocol::Hello::line`]; 0: the span has it.
    pub line: u32,
}

struct Known {
    /// Process that began the run it is of; None: not known.
    runner: Option<u32>,
    connection: u64,
    pid: u32,
    /// Of the roll, where the command is; 0: none.
    line: u32,
    command: Vec<u8>,
    began: Instant,
    ended: Option<Instant>,
}

#[derive(Default)]
struct OfWorkspace {
    /// Processes that began the runs that are under way.
    runners: Vec<u32>,
    known: Vec<Known>,
}

/// By workspace; those without runs have none.
#[derive(Default)]
pub struct Spans(Mutex<HashMap<u32, OfWorkspace>>);

impl Spans {
    fn with<T>(&self, action: impl FnOnce(&mut HashMap<u32, OfWorkspace>) -> T) -> T {
        action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn run_begins(&self, workspace: u32, runner: u32) {
        self.with(|all| all.entry(workspace).or_default().runners.push(runner));
    }

    /// A process makes itself known. What /proc has of it is read at once, if the roll has not its command: it may be gone
    /// soon.
    pub fn process_begins(&self, greeting: &Greeting, connection: u64, pid: u32) {
        self.with(|all| {
            let Some(of) = all.get_mut(&greeting.workspace).filter(|of| of.known.len() < SPANS_MAX) else {
                return;
            };
            let line = greeting.line;
            let command = if line == 0 { command_of(pid) } else { Vec::new() };
            let runner = match of.runners[..] {
                [only] => Some(only),
                _ => of.runner_of(pid),
            };
            of.known.push(Known {
                runner,
                connection,
                pid,
                line,
                command,
                began: Instant::now(),
                ended: None,
            });
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

    /// The processes since `began`, of a run that is over. One whose run is not known (its parents are gone) is of all.
    pub fn run_ends(&self, workspace: u32, runner: u32, began: Instant) -> Vec<Connected> {
        self.with(|all| {
            let Some(of) = all.get_mut(&workspace) else { return Vec::new() };
            let now = Instant::now();
            let us = |from: Instant, to: Instant| to.saturating_duration_since(from).as_micros() as u64;
            let span = |known: &Known| Connected {
                span: Span {
                    pid: known.pid,
                    command: known.command[..].into(),
                    began_us: us(began, known.began),
                    elapsed_us: us(known.began, known.ended.unwrap_or(now)),
                    open_ended: false,
                },
                line: known.line,
            };
            let is_of = |known: &&Known| known.began >= began && known.runner.is_none_or(|it| it == runner);
            let spans = of.known.iter().filter(is_of).map(span).collect();
            if let Some(at) = of.runners.iter().position(|it| *it == runner) {
                of.runners.swap_remove(at);
            }
            if of.runners.is_empty() {
                all.remove(&workspace);
            }
            spans
        })
    }
}

impl OfWorkspace {
    /// The runner that a process descends from.
    fn runner_of(&self, pid: u32) -> Option<u32> {
        let mut at = pid;
        for _ in 0..ANCESTORS_MAX {
            if self.runners.contains(&at) {
                return Some(at);
            }
            // One that is gone may have been a parent of others that are known.
            let known = self.known.iter().rfind(|known| known.pid == at && known.runner.is_some());
            if let Some(known) = known.filter(|_| at != pid) {
                return known.runner;
            }
            at = parent_of(at).filter(|parent| *parent > 1)?;
        }
        None
    }
}

/// The fourth field of proc(5)'s stat; the second may hold anything, and ends with the last parenthesis.
fn parent_of(pid: u32) -> Option<u32> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let end = text.iter().rposition(|byte| *byte == b')')?;
    std::str::from_utf8(&text[end + 1..]).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The first arguments, with blanks between them; empty: the process is gone.
fn command_of(pid: u32) -> Vec<u8> {
    let mut bytes = [0; COMMAND_LEN_MAX];
    let len =
        File::open(format!("/proc/{pid}/cmdline")).and_then(|mut file| file.read(&mut bytes)).unwrap_or(0);
    let len = bytes[..len].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes[..len].iter().map(|byte| if *byte == 0 { b' ' } else { *byte }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREETING: Greeting = Greeting { client_id: 1, workspace: 1, line: 0 };

    #[test]
    fn a_run_has_the_processes_of_its_time_and_nothing_is_kept_without_runs() {
        let spans = Spans::default();
        let own = std::process::id();
        spans.process_begins(&GREETING, 7, own);
        let first = Instant::now();
        spans.run_begins(1, own);
        spans.process_begins(&Greeting { line: 3, ..GREETING }, 8, own);
        spans.process_ends(1, 8);
        let second = Instant::now();
        spans.run_begins(1, 1);
        spans.process_begins(&GREETING, 9, 0);
        let of_second = spans.run_ends(1, 1, second);
        assert_eq!(of_second.iter().map(|it| it.span.pid).collect::<Vec<_>>(), [0]);
        let of_first = spans.run_ends(1, own, first);
        assert_eq!(of_first.len(), 2);
        // The roll has the command of the one.
        assert_eq!((of_first[0].span.command.0.len(), of_first[0].line), (0, 3));
        assert!(of_first[1].span.command.0.is_empty());
        assert!(spans.run_ends(1, own, first).is_empty());
    }

    #[test]
    fn runs_at_the_same_time_have_each_their_own_processes() {
        let spans = Spans::default();
        let mut children: Vec<_> =
            (0..2).map(|_| std::process::Command::new("sleep").arg("60").spawn().unwrap()).collect();
        let (own, other) = (std::process::id(), children[1].id());
        let began = Instant::now();
        spans.run_begins(1, own);
        spans.run_begins(1, other);
        // A child of ours, and the other runner itself.
        spans.process_begins(&GREETING, 2, children[0].id());
        spans.process_begins(&GREETING, 3, other);
        let pids = |spans: Vec<Connected>| spans.iter().map(|it| it.span.pid).collect::<Vec<_>>();
        assert_eq!(pids(spans.run_ends(1, other, began)), [other]);
        assert_eq!(pids(spans.run_ends(1, own, began)), [children[0].id()]);
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}
