//! Whether to wait for a client's next request without sleep: RFC 0007. The preload library does the same for answers.

use std::time::{Duration, Instant};

/// Requests in a row from which on waiting without sleep is tried: the programs of an ordinary build make fewer.
const ROW: u32 = 4;
/// A request that comes later than this after the last answer begins a new row. Two wake-ups of halted processors take
/// up to 150 us.
const GAP: Duration = Duration::from_micros(400);
/// How long to wait before sleeping.
const WAIT: Duration = Duration::from_micros(80);
/// Between two looks this much means that the processor was given to somebody else.
const TAKEN_AWAY: Duration = Duration::from_micros(40);
/// Pause after so many waits in vain in a row, of which one that the processor was taken away from counts as two.
const PAUSE: Duration = Duration::from_millis(20);
const MISSES: u32 = 4;

/// Of the thread that serves one client.
pub struct Patience {
    answered: Instant,
    /// Not before this time.
    pause_until: Instant,
    row: u32,
    misses: u32,
}

/// A wait without sleep under way.
pub struct Wait {
    until: Instant,
    looked: Instant,
}

impl Patience {
    pub fn new(now: Instant) -> Patience {
        Patience { answered: now, pause_until: now, row: 0, misses: 0 }
    }

    /// A request has come.
    pub fn request(&mut self, now: Instant) {
        let soon = now.saturating_duration_since(self.answered) < GAP;
        self.row = if soon { self.row.saturating_add(1) } else { 0 };
    }

    /// It has been answered; `None`: sleep until the next one.
    pub fn answered(&mut self, now: Instant) -> Option<Wait> {
        self.answered = now;
        let try_it = self.row >= ROW && now >= self.pause_until;
        try_it.then_some(Wait { until: now + WAIT, looked: now })
    }

    /// What was waited for has come.
    pub fn met(&mut self) {
        self.misses = 0;
    }

    /// Nothing has come yet; false: sleep.
    pub fn go_on(&mut self, wait: &mut Wait, now: Instant) -> bool {
        let taken_away = now.saturating_duration_since(wait.looked) > TAKEN_AWAY;
        wait.looked = now;
        if now < wait.until && !taken_away {
            return true;
        }
        self.misses += if taken_away { 2 } else { 1 };
        if self.misses >= MISSES {
            self.misses = 0;
            self.pause_until = now + PAUSE;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_micros(10);

    /// `count` requests, each soon after the answer to the one before.
    fn burst(patience: &mut Patience, now: &mut Instant, count: u32) -> Option<Wait> {
        let mut wait = None;
        for _ in 0..count {
            *now += SOON;
            patience.request(*now);
            wait = patience.answered(*now);
        }
        wait
    }

    #[test]
    fn single_requests_are_not_waited_for() {
        let mut now = Instant::now();
        let mut patience = Patience::new(now);
        for _ in 0..3 * ROW {
            now += 2 * GAP;
            patience.request(now);
            assert!(patience.answered(now).is_none());
        }
        assert!(burst(&mut patience, &mut now, ROW - 1).is_none());
        assert!(burst(&mut patience, &mut now, 1).is_some());
    }

    #[test]
    fn a_wait_ends_and_ends_at_once_when_others_want_the_processor() {
        let mut now = Instant::now();
        let mut patience = Patience::new(now);
        for _ in 0..2 {
            let mut wait = burst(&mut patience, &mut now, 2 * ROW).expect("it tries");
            assert!(patience.go_on(&mut wait, now + SOON));
            assert!(!patience.go_on(&mut wait, now + 2 * SOON + TAKEN_AWAY));
        }
        assert!(burst(&mut patience, &mut now, 2 * ROW).is_none(), "it pauses");
        now += PAUSE * 2;
        assert!(burst(&mut patience, &mut now, 2 * ROW).is_some(), "and tries again");
    }

    #[test]
    fn waits_in_vain_make_it_pause() {
        let mut now = Instant::now();
        let mut patience = Patience::new(now);
        for _ in 0..MISSES {
            let mut wait = burst(&mut patience, &mut now, 2 * ROW).unwrap();
            while patience.go_on(&mut wait, now) {
                now += SOON;
            }
        }
        assert!(burst(&mut patience, &mut now, 2 * ROW).is_none());
    }

    #[test]
    fn waits_in_vain_between_others_do_not() {
        let mut now = Instant::now();
        let mut patience = Patience::new(now);
        for _ in 0..3 * MISSES {
            let mut wait = burst(&mut patience, &mut now, 2 * ROW).expect("it tries");
            while patience.go_on(&mut wait, now) {
                now += SOON;
            }
            patience.met();
        }
    }
}
