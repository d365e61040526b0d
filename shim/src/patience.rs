//! Whether to wait for an answer without sleep: RFC 0007.
//!
//! A processor with nothing to do is halted, and in a virtual machine waking it takes several times as long as a
//! request. A process that makes one request after the other therefore looks for the answer again and again for a short
//! time before it sleeps, as the daemon does for the next request. Where that does not pay, because others want the
//! processor, both stop for a while.
//!
//! Times are in ticks of the processor's time stamp counter, of which there are one to five in a nanosecond: a system
//! call for the time would cost as much as looking for the answer.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Requests in a row from which on waiting without sleep is tried: the programs of an ordinary build make fewer.
const ROW: u32 = 4;
/// A request that comes later than this after the last answer begins a new row. Some 400 us: two wake-ups of halted
/// processors take 150.
const GAP: u64 = 1 << 20;
/// How long to wait before sleeping. Some 80 us.
const WAIT: u64 = 1 << 18;
/// Between two looks this much means that the processor was given to somebody else. Some 40 us.
const TAKEN_AWAY: u64 = 1 << 17;
/// Pause after so many waits in vain in a row, of which one that the processor was taken away from counts as two. Some
/// 20 ms.
const PAUSE: u64 = 1 << 26;
const MISSES: u32 = 4;

/// Of one process; all zeros at first.
pub struct Patience {
    answered: AtomicU64,
    /// Not before this time.
    pause_until: AtomicU64,
    row: AtomicU32,
    misses: AtomicU32,
}

/// A wait without sleep under way.
pub struct Wait<'a> {
    patience: &'a Patience,
    until: u64,
    looked: u64,
}

fn now() -> u64 {
    // SAFETY: every x86-64 processor has the instruction.
    unsafe { core::arch::x86_64::_rdtsc() }
}

impl Patience {
    /// A request is made: how many in a row, and the time.
    pub fn asked(&self) -> (u32, u64) {
        let now = now();
        let soon = now.wrapping_sub(self.answered.load(Ordering::Relaxed)) < GAP;
        let row = if soon { self.row.load(Ordering::Relaxed).saturating_add(1) } else { 0 };
        self.row.store(row, Ordering::Relaxed);
        (row, now)
    }

    /// As [`Self::asked`]; `None`: sleep until the answer is there.
    pub fn wait(&self) -> Option<Wait<'_>> {
        let (row, now) = self.asked();
        let try_it = row >= ROW && now >= self.pause_until.load(Ordering::Relaxed);
        try_it.then_some(Wait { patience: self, until: now + WAIT, looked: now })
    }

    /// Requests in a row so far.
    pub fn row(&self) -> u32 {
        self.row.load(Ordering::Relaxed)
    }

    /// The answer is there.
    pub fn answered(&self) {
        self.answered.store(now(), Ordering::Relaxed);
    }
}

impl Wait<'_> {
    /// The answer came.
    pub fn met(self) {
        self.patience.misses.store(0, Ordering::Relaxed);
    }

    /// The answer was not there yet; `None`: sleep.
    pub fn go_on(self) -> Option<Self> {
        let now = now();
        let taken_away = now.wrapping_sub(self.looked) > TAKEN_AWAY;
        if now < self.until && !taken_away {
            return Some(Wait { looked: now, ..self });
        }
        let misses = self.patience.misses.load(Ordering::Relaxed) + if taken_away { 2 } else { 1 };
        if misses >= MISSES {
            self.patience.pause_until.store(now + PAUSE, Ordering::Relaxed);
        }
        self.patience.misses.store(if misses >= MISSES { 0 } else { misses }, Ordering::Relaxed);
        None
    }
}
