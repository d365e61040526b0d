//! The roll of processes that a workspace's counters file has behind its page (RFC 0012, [`vrift_protocol::roll`]), as the
//! processes themselves fill it. They are not believed: what does not fit the run is left out or cut to it.

use crate::history::spans::Connected;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::time::{ClockId, clock_gettime};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use vrift_protocol::admin::PathBytes;
use vrift_protocol::counters;
use vrift_protocol::history::Span;
use vrift_protocol::names::COUNTERS_FILE;
use vrift_protocol::roll::{
    BEGAN_NS, COMMAND, ENDED_NS, FILE_LEN, NUMBER, PID, RECORD_LEN, RECORDS, RUN, record_at,
};

/// What the counters of a workspace say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Processes that looked at the index so far.
    pub processes: u64,
    /// Lines of the roll that were taken so far.
    pub taken: u64,
    /// Path look-ups in the view.
    pub lookups: u64,
    /// Requests to the daemon.
    pub requests: u64,
}

/// CLOCK_MONOTONIC in ns, as processes note it.
pub fn now_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |time| {
        time.tv_sec().cast_unsigned().saturating_mul(1_000_000_000) + time.tv_nsec().cast_unsigned()
    })
}

fn number_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// The counts in a workspace's runtime folder; zeros if they cannot be read.
pub fn counts(runtime: &Path) -> Counts {
    let mut page = [0; counters::ROLL_TAKEN + 8];
    match File::open(runtime.join(COUNTERS_FILE)).and_then(|file| file.read_exact_at(&mut page, 0)) {
        Ok(()) => Counts {
            processes: number_at(&page, counters::PROCESSES),
            taken: number_at(&page, counters::ROLL_TAKEN),
            lookups: number_at(&page, counters::LOOKUPS),
            requests: number_at(&page, counters::REQUESTS),
        },
        Err(_) => Counts::default(),
    }
}

/// Makes room for the roll, before the first run in the workspace. All of it at once: a process that writes to a page for
/// which there is no memory would die.
pub fn make_room(runtime: &Path) {
    let make = || -> std::io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(runtime.join(COUNTERS_FILE))?;
        let mut has = [0; 8];
        file.read_exact_at(&mut has, counters::HAS_ROLL as u64)?;
        if has == [0; 8] {
            fallocate(&file, FallocateFlags::empty(), 0, FILE_LEN as i64)?;
            file.write_all_at(&1u64.to_le_bytes(), counters::HAS_ROLL as u64)?;
        }
        Ok(())
    };
    if let Err(error) = make() {
        tracing::warn!(runtime = %runtime.display(), %error, "no room for the roll of processes");
    }
}

/// A run that is over, as far as the roll is concerned.
#[derive(Clone, Debug)]
pub struct Period {
    pub runtime: PathBuf,
    /// Value of VRIFT_RUN in it.
    pub run: u32,
    pub began_ns: u64,
    pub ended_ns: u64,
    /// Lines that were taken before the run, and when it was over.
    pub taken: (u64, u64),
}

impl Period {
    /// The run's processes that are in the roll still, in the order in which they came.
    pub fn lines(&self) -> Vec<Line> {
        let (first, end) = self.taken;
        let first = first.max(end.saturating_sub(RECORDS));
        if first >= end {
            return Vec::new();
        }
        let records = self.records(first, end).unwrap_or_default();
        let line = |(number, record): (u64, &[u8])| {
            let span = self.span(record, number)?;
            Some(Line { number: number.wrapping_add(1) as u32, span })
        };
        (first..end).zip(records.chunks(RECORD_LEN)).filter_map(line).collect()
    }

    /// The records with these numbers, at most as many as there are: one piece of the file, or two where it begins anew.
    fn records(&self, first: u64, end: u64) -> std::io::Result<Vec<u8>> {
        let mut records = vec![0; end.saturating_sub(first) as usize * RECORD_LEN];
        let file = File::open(self.runtime.join(COUNTERS_FILE))?;
        let (mut number, mut rest) = (first, &mut records[..]);
        while number < end {
            let count = (end - number).min(RECORDS - number % RECORDS);
            let (piece, after) = rest.split_at_mut(count as usize * RECORD_LEN);
            file.read_exact_at(piece, record_at(number) as u64)?;
            (number, rest) = (number + count, after);
        }
        Ok(records)
    }

    /// Lines that were taken in the run, by whomever, and written over since; None: none was taken, or there is no roll.
    pub fn written_over(&self) -> Option<u64> {
        let taken = self.taken.1.saturating_sub(self.taken.0);
        (taken > 0).then(|| taken.saturating_sub(RECORDS).min(u64::from(u32::MAX)))
    }

    fn span(&self, record: &[u8], number: u64) -> Option<Span> {
        let number_of_four = |at: usize| {
            record.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
        };
        if number_at(record, NUMBER) != number.wrapping_add(1) || number_of_four(RUN) != self.run {
            return None;
        }
        let began_ns = number_at(record, BEGAN_NS).clamp(self.began_ns, self.ended_ns);
        let ended_ns = number_at(record, ENDED_NS);
        let open_ended = ended_ns == 0;
        let until_ns = if open_ended { self.ended_ns } else { ended_ns.clamp(began_ns, self.ended_ns) };
        let command = record.get(COMMAND..)?;
        let len = command.iter().position(|byte| *byte == 0).unwrap_or(command.len());
        Some(Span {
            pid: number_of_four(PID),
            command: command[..len].into(),
            began_us: (began_ns - self.began_ns) / 1000,
            elapsed_us: (until_ns - began_ns) / 1000,
            open_ended,
        })
    }
}

/// A process in the roll.
#[derive(Clone, Debug)]
pub struct Line {
    /// Low half of its [`NUMBER`].
    pub number: u32,
    pub span: Span,
}

/// What the roll and the connections of a run say together. A process with a connection had it from its first change on:
/// it is the last one with that number that had begun by then. Of its command and its end the connection may know more.
/// What only forked has its origin's command; none, if that was written over.
pub fn joined(lines: Vec<Line>, connections: Vec<Connected>) -> Vec<Span> {
    let commands: HashMap<u32, PathBytes> =
        lines.iter().map(|line| (line.number, line.span.command.clone())).collect();
    let mut roll: Vec<Span> = lines.into_iter().map(|line| line.span).collect();
    let mut others = Vec::new();
    for Connected { span: mut connected, line } in connections {
        if let Some(command) = commands.get(&line).filter(|_| line != 0) {
            connected.command = command.clone();
        }
        let begun = |span: &&mut Span| span.pid == connected.pid && span.began_us <= connected.began_us;
        let Some(own) = roll.iter_mut().filter(begun).max_by_key(|span| span.began_us) else {
            others.push(connected);
            continue;
        };
        if own.command.0.len() < connected.command.0.len() {
            own.command = connected.command;
        }
        if own.open_ended {
            let until_us = connected.began_us.saturating_add(connected.elapsed_us);
            own.elapsed_us = until_us.saturating_sub(own.began_us);
            own.open_ended = false;
        }
    }
    roll.append(&mut others);
    roll
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(dir: &Path) -> Period {
        std::fs::write(dir.join(COUNTERS_FILE), [0; counters::COUNTERS_LEN]).unwrap();
        make_room(dir);
        Period { runtime: dir.into(), run: 7, began_ns: 1_000_000, ended_ns: 9_000_000, taken: (0, 0) }
    }

    fn write(period: &mut Period, number: u64, run: u32, times_ns: (u64, u64), command: &[u8]) {
        let file = OpenOptions::new().write(true).open(period.runtime.join(COUNTERS_FILE)).unwrap();
        let mut record = [0; RECORD_LEN];
        record[NUMBER..NUMBER + 8].copy_from_slice(&(number + 1).to_le_bytes());
        record[BEGAN_NS..BEGAN_NS + 8].copy_from_slice(&times_ns.0.to_le_bytes());
        record[ENDED_NS..ENDED_NS + 8].copy_from_slice(&times_ns.1.to_le_bytes());
        record[PID..PID + 4].copy_from_slice(&(number as u32 + 100).to_le_bytes());
        record[RUN..RUN + 4].copy_from_slice(&run.to_le_bytes());
        record[COMMAND..COMMAND + command.len()].copy_from_slice(command);
        file.write_all_at(&record, record_at(number) as u64).unwrap();
        file.write_all_at(&(number + 1).to_le_bytes(), counters::ROLL_TAKEN as u64).unwrap();
        period.taken.1 = number + 1;
    }

    fn span(pid: u32, command: &[u8], began_us: u64, elapsed_us: u64) -> Span {
        Span { pid, command: command.into(), began_us, elapsed_us, open_ended: false }
    }

    fn spans(period: &Period) -> Vec<Span> {
        period.lines().into_iter().map(|line| line.span).collect()
    }

    #[test]
    fn a_run_has_its_own_lines_of_the_roll_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let mut period = period(dir.path());
        write(&mut period, 0, 7, (2_000_000, 5_000_000), b"cc1");
        write(&mut period, 1, 8, (2_000_000, 5_000_000), b"another run's");
        write(&mut period, 2, 7, (3_000_000, 0), b"killed");
        let open = Span { open_ended: true, ..span(102, b"killed", 2000, 6000) };
        assert_eq!(spans(&period), [span(100, b"cc1", 1000, 3000), open]);
        assert_eq!(counts(dir.path()), Counts { taken: 3, ..Counts::default() });
        period.taken.0 = 3;
        assert_eq!(spans(&period), []);
    }

    #[test]
    fn lines_that_were_written_over_are_not_given_twice() {
        let dir = tempfile::tempdir().unwrap();
        let mut period = period(dir.path());
        write(&mut period, 1, 7, (2_000_000, 3_000_000), b"gone");
        write(&mut period, RECORDS + 1, 7, (4_000_000, 5_000_000), b"last");
        assert_eq!(spans(&period), [span(RECORDS as u32 + 101, b"last", 3000, 1000)]);
        assert_eq!((period.taken, period.written_over()), ((0, RECORDS + 2), Some(2)));
    }

    #[test]
    fn whatever_a_process_writes_is_cut_to_the_run() {
        let dir = tempfile::tempdir().unwrap();
        let mut period = period(dir.path());
        write(&mut period, 0, 7, (u64::MAX, 1), &[0xff; RECORD_LEN - COMMAND]);
        write(&mut period, 1, 7, (0, u64::MAX), b"");
        let found = spans(&period);
        assert_eq!((found[0].began_us, found[0].elapsed_us, found[0].command.0.len()), (8000, 0, 96));
        assert_eq!((found[1].began_us, found[1].elapsed_us), (0, 8000));
        period.taken = (5, 2);
        assert_eq!(spans(&period), []);
        period.taken = (0, u64::MAX);
        assert!(spans(&period).len() <= 2);
        let file = OpenOptions::new().write(true).open(dir.path().join(COUNTERS_FILE)).unwrap();
        file.set_len(5000).unwrap();
        assert_eq!(spans(&period), []);
    }

    #[test]
    fn a_process_with_a_connection_is_one_process() {
        let open = Span { open_ended: true, ..span(5, b"sh -c x", 10, 90) };
        let roll = [span(5, b"make", 2, 3), open, span(6, b"ld", 4, 4)];
        let roll = (1..).zip(roll).map(|(number, span)| Line { number, span }).collect();
        let connected = |line, span| Connected { span, line };
        let connections = vec![
            connected(0, span(5, b"sh -c x and more", 12, 8)),
            connected(0, span(9, b"static", 1, 1)),
            connected(1, span(7, b"", 3, 1)),
            connected(4, span(8, b"", 3, 1)),
        ];
        let expected = [
            span(5, b"make", 2, 3),
            span(5, b"sh -c x and more", 10, 10),
            span(6, b"ld", 4, 4),
            span(9, b"static", 1, 1),
            // The copies of make by fork(2), and of somebody whose line is gone.
            span(7, b"make", 3, 1),
            span(8, b"", 3, 1),
        ];
        assert_eq!(joined(roll, connections), expected);
    }
}
