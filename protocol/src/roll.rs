//! The roll of a workspace's processes: behind the counters page in the same file, a ring of records of fixed length. A
//! process that looks at the view in a run takes the next number and fills the record that belongs to it; the daemon
//! reads the ring when the run is over. Numbers are little-endian. Statistics only: nothing is decided by it, and the
//! daemon believes none of it.

use crate::counters::COUNTERS_LEN;

/// Records in the ring: the first one is written again by the process after the last one.
pub const RECORDS: u64 = 4096;
/// Bytes of a record.
pub const RECORD_LEN: usize = 128;
/// Byte offset of the first record in the counters file.
pub const RECORDS_START: usize = COUNTERS_LEN;
/// Length of a counters file that has a roll.
pub const FILE_LEN: usize = RECORDS_START + RECORDS as usize * RECORD_LEN;

/// Byte offset in a record, u64: the process's number plus one, written last; 0: not filled.
pub const NUMBER: usize = 0;
/// Byte offset in a record, u64: CLOCK_MONOTONIC in ns when the process first looked at the view.
pub const BEGAN_NS: usize = 8;
/// Byte offset in a record, u64: CLOCK_MONOTONIC in ns when it ended or became another program; 0: not known.
pub const ENDED_NS: usize = 16;
/// Byte offset in a record, u32: process id, as the process knows it.
pub const PID: usize = 24;
/// Byte offset in a record, u32: value of [`crate::names::ENV_RUN`].
pub const RUN: usize = 28;
/// Byte offset in a record: the command's arguments with a blank between them, ended by NUL if there is room.
pub const COMMAND: usize = 32;
/// Bytes of a command that a record has.
pub const COMMAND_LEN: usize = RECORD_LEN - COMMAND;

/// Where the record of a process is in the file.
pub const fn record_at(number: u64) -> usize {
    RECORDS_START + (number % RECORDS) as usize * RECORD_LEN
}

const _: () = assert!(RECORDS_START.is_multiple_of(RECORD_LEN) && RECORDS.is_power_of_two());
