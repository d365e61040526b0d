//! Whether clients make one request after the other: then what can wait does, as it would have the core lock or a
//! processor that they need.

use crate::daemon::Daemon;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// This many requests in [`LOOK`] are a burst.
const BURST: u64 = 10;
/// Between two looks at the number of requests.
pub const LOOK: Duration = Duration::from_millis(5);

pub struct Burst {
    requests: u64,
    looked: Instant,
    is_on: bool,
}

impl Default for Burst {
    fn default() -> Burst {
        Burst { requests: 0, looked: Instant::now(), is_on: false }
    }
}

impl Burst {
    pub fn look(&mut self, daemon: &Daemon) -> bool {
        let now = Instant::now();
        if now.saturating_duration_since(self.looked) >= LOOK {
            let requests = daemon.stats.requests.load(Ordering::Relaxed);
            self.is_on = requests.wrapping_sub(self.requests) >= BURST;
            (self.requests, self.looked) = (requests, now);
        }
        self.is_on
    }
}
