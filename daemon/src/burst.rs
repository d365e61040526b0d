//! Whether clients make one request after the other: then what can wait does, as it would have the core lock or a
//! processor that they need.

use crate::daemon::Daemon;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// This many requests in [`LOOK`] are a burst.
const BURST: u64 = 10;
/// Least time between two looks at the number of requests.
const LOOK: Duration = Duration::from_millis(5);
/// A look back over more than this may have a burst in it that began just now: then a quarter of the requests is enough.
const LONG_LOOK: Duration = Duration::from_millis(20);
/// Longest pause before the next look while a burst goes on.
const PAUSE_MAX: Duration = Duration::from_millis(80);

pub struct Burst {
    requests: u64,
    looked: Instant,
    is_on: bool,
    pause: Duration,
}

impl Default for Burst {
    fn default() -> Burst {
        Burst { requests: 0, looked: Instant::now(), is_on: false, pause: LOOK }
    }
}

impl Burst {
    pub fn look(&mut self, daemon: &Daemon) -> bool {
        let requests = daemon.stats.requests.load(Ordering::Relaxed);
        self.note(requests, Instant::now())
    }

    /// There were so many requests by now.
    fn note(&mut self, requests: u64, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.looked);
        if since >= LOOK {
            let came = u128::from(requests.wrapping_sub(self.requests));
            let enough = if since > LONG_LOOK { BURST / 4 } else { BURST };
            self.is_on = came * LOOK.as_nanos() >= u128::from(enough) * since.as_nanos();
            (self.requests, self.looked) = (requests, now);
            if !self.is_on {
                self.pause = LOOK;
            }
        }
        self.is_on
    }

    /// Sleeps until the next look: the longer the burst is, the longer.
    pub fn wait(&mut self) {
        std::thread::sleep(self.pause);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_so_many_requests_in_the_time_since_the_last_look() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let mut burst = Burst { looked: start, ..Burst::default() };
        assert!(burst.note(10, after(5)), "10 requests in 5 ms");
        assert!(burst.note(10, after(6)), "no new look within 5 ms");
        assert!(!burst.note(19, after(10)), "9 in 5 ms");
        assert!(!burst.note(19 + 39, after(110)), "39 in 100 ms");
        assert!(burst.note(19 + 39 + 40, after(210)), "40 in 100 ms: perhaps all of them in the last 5");
    }

    #[test]
    fn pauses_grow_while_a_burst_goes_on() {
        let start = Instant::now();
        let mut burst = Burst { looked: start, ..Burst::default() };
        burst.note(100, start + Duration::from_millis(5));
        burst.wait();
        burst.wait();
        assert_eq!(burst.pause, LOOK * 4);
        burst.note(100, start + Duration::from_millis(10));
        assert_eq!(burst.pause, LOOK);
    }
}
