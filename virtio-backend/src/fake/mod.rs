//! A virtio block device in memory, for tests: honest, or one that reorders, delays, drops and lies.
//!
//! It sees of the driver what a real one sees: registers, and memory by the device's addresses.

mod device;
mod memory;
mod registers;
mod requests;

mod tests_honest;
mod tests_hostile;
mod tests_negotiation;

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::bell::Bell;
use crate::device::testing::{self, Opened};
use crate::transport::Transport;

pub(crate) use device::{Lie, Manners};
pub(crate) use registers::Registers;

/// An interrupt.
#[derive(Default)]
pub(crate) struct FakeBell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell for FakeBell {
    fn wait(&self) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        // With a limit: there is no listener in these tests that would make the sleepers look around.
        let limit = Duration::from_millis(20);
        let (mut rung, _) = self
            .changed
            .wait_timeout_while(rung, limit, |rung| !*rung)
            .unwrap_or_else(PoisonError::into_inner);
        *rung = false;
    }

    fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }
}

/// What the device is like, before it behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Build {
    pub(crate) features: u64,
    pub(crate) sectors: u64,
    pub(crate) block_len: u32,
    pub(crate) size_max: u32,
    pub(crate) queues: u16,
    pub(crate) queue_len: u16,
    /// It does not take the features that the driver chose.
    pub(crate) refuses_features: bool,
    /// Its status stays what it was.
    pub(crate) never_resets: bool,
}

impl Default for Build {
    fn default() -> Self {
        use crate::block::features::*;
        Self {
            features: VERSION_1
                | ACCESS_PLATFORM
                | FLUSH
                | BLK_SIZE
                | MQ
                | DISCARD
                | WRITE_ZEROES
                | EVENT_IDX,
            sectors: 1024,
            block_len: 512,
            size_max: u32::MAX,
            queues: 2,
            queue_len: 256,
            refuses_features: false,
            never_resets: false,
        }
    }
}

/// A device, and the driver on it.
pub(crate) fn start(
    build: Build,
    manners: Manners,
    poll: bool,
    timeout: Duration,
) -> Result<(Opened, Arc<Registers>), String> {
    let arena = Arc::new(memory::arena(testing::CHUNKS));
    let bells: Vec<Arc<FakeBell>> = (0..4).map(|_| Arc::default()).collect();
    let registers = Arc::new(Registers::new(build, manners, arena.clone(), bells.clone()));
    let bells: Vec<Arc<dyn Bell>> = bells.into_iter().map(|bell| bell as Arc<dyn Bell>).collect();
    let transport: Box<dyn Transport> = Box::new(registers::Shared(registers.clone()));
    testing::open(transport, arena, &bells, poll, timeout).map(|opened| (opened, registers))
}
