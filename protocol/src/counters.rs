//! The counters page of a workspace: `w/WS/counters`, one page of u64 (little-endian) that every
//! client maps read-write and adds to with relaxed atomics. Statistics, by which nothing is decided, and which large programs were
//! looked through for system calls of their own ([`LOOKED_THROUGH`]).

/// Length of the file in bytes: one page.
pub const COUNTERS_LEN: usize = 4096;
/// Byte offset: processes that mapped the index.
pub const PROCESSES: usize = 0;
/// Byte offset: path resolutions that ended inside the view.
pub const LOOKUPS: usize = 8;
/// Byte offset: view files opened.
pub const OPENS: usize = 16;
/// Byte offset: requests sent to the daemon.
pub const REQUESTS: usize = 24;
/// Byte offset: microseconds that the longest wait of a request for a daemon that was gone has taken, not a sum.
pub const LONGEST_WAIT_US: usize = 32;
/// Byte offset: not 0 when there is a roll of processes behind the page ([`crate::roll`]).
pub const HAS_ROLL: usize = 40;
/// Byte offset: numbers that were taken in the roll.
pub const ROLL_TAKEN: usize = 48;
/// Byte offset of a table without collisions: a place has the last program of those that belong there, as a hash of its
/// file's identity, in whose lowest bit is whether it has such calls; 0: none.
pub const LOOKED_THROUGH: usize = 1024;
/// Places in it, 8 bytes each: to the end of the page.
pub const LOOKED_THROUGH_COUNT: usize = (COUNTERS_LEN - LOOKED_THROUGH) / 8;
