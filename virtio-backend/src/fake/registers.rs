//! The registers: what the driver reads and writes while it sets the device up.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::device::{Device, Manners};
use super::{Build, FakeBell};
use crate::arena::Arena;
use crate::transport::{QueuePlace, Transport, status};

/// The device as its transport shows it. One thread for each queue answers.
pub(crate) struct Registers {
    build: Build,
    status: AtomicU8,
    pub(crate) device: Arc<Device>,
    bells: Vec<Arc<FakeBell>>,
    accepted: Mutex<u64>,
    /// The driver has let go of it.
    pub(crate) released: AtomicBool,
}

/// The driver's hold on it.
pub(crate) struct Shared(pub(crate) Arc<Registers>);

impl Registers {
    pub(crate) fn new(build: Build, manners: Manners, arena: Arc<Arena>, bells: Vec<Arc<FakeBell>>) -> Self {
        Self {
            build,
            status: AtomicU8::new(0),
            device: Arc::new(Device::new(build, manners, arena)),
            bells,
            accepted: Mutex::new(0),
            released: AtomicBool::new(false),
        }
    }

    pub(crate) fn accepted(&self) -> MutexGuard<'_, u64> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Unplugs it: it answers nothing, and its registers read as ones.
    pub(crate) fn unplug(&self) {
        self.device.stop();
        self.status.store(status::GONE, Ordering::Relaxed);
    }

    pub(crate) fn status_now(&self) -> u8 {
        self.status.load(Ordering::Relaxed)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.0.released.store(true, Ordering::Relaxed);
    }
}

impl Transport for Shared {
    fn status(&self) -> u8 {
        self.0.status.load(Ordering::Relaxed)
    }

    fn set_status(&self, status: u8) {
        let now = self.0.status.load(Ordering::Relaxed);
        if now == status::GONE {
            return;
        }
        if status == 0 {
            self.0.device.stop();
            if self.0.build.never_resets {
                self.0.status.store(1, Ordering::Relaxed);
                return;
            }
        }
        let refused = if self.0.build.refuses_features { status::FEATURES_OK } else { 0 };
        self.0.status.store(status & !refused, Ordering::Relaxed);
    }

    fn features(&self) -> u64 {
        self.0.build.features
    }

    fn accept_features(&self, features: u64) {
        *self.0.accepted() = features;
    }

    fn config(&self, out: &mut [u8]) {
        let build = &self.0.build;
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &build.sectors.to_le_bytes());
        put(8, &build.size_max.to_le_bytes());
        put(20, &build.block_len.to_le_bytes());
        put(34, &build.queues.to_le_bytes());
        put(36, &16_u32.to_le_bytes());
        put(44, &8_u32.to_le_bytes());
        put(48, &16_u32.to_le_bytes());
    }

    fn queue_len_max(&self, queue: u16) -> u16 {
        if queue < self.0.build.queues { self.0.build.queue_len } else { 0 }
    }

    fn enable_queue(&self, queue: u16, place: QueuePlace) -> Result<(), String> {
        let bell = self.0.bells[usize::from(queue)].clone();
        let event_idx = *self.0.accepted() & crate::block::features::EVENT_IDX != 0;
        Device::serve(&self.0.device, queue, place, event_idx, bell);
        Ok(())
    }

    fn notify(&self, queue: u16) {
        self.0.device.notify(queue);
    }
}
