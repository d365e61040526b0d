//! What a virtio device is to its driver, whatever it is attached by.

/// Device status bits (2.1).
pub(crate) mod status {
    pub(crate) const ACKNOWLEDGE: u8 = 1;
    pub(crate) const DRIVER: u8 = 2;
    pub(crate) const DRIVER_OK: u8 = 4;
    pub(crate) const FEATURES_OK: u8 = 8;
    pub(crate) const NEEDS_RESET: u8 = 64;
    pub(crate) const FAILED: u8 = 128;
    /// What a register of a device that is gone reads as.
    pub(crate) const GONE: u8 = 0xff;
}

/// Where a queue lies, as the device addresses it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueuePlace {
    pub(crate) len: u16,
    pub(crate) desc: u64,
    pub(crate) avail: u64,
    pub(crate) used: u64,
}

/// See the module. What it returns is the device's word.
pub(crate) trait Transport: Send + Sync {
    fn status(&self) -> u8;
    fn set_status(&self, status: u8);
    /// What the device offers.
    fn features(&self) -> u64;
    fn accept_features(&self, features: u64);
    /// Fills `out` from the start of the device's configuration, all of one moment (2.5.2); what there is not, with zeros.
    fn config(&self, out: &mut [u8]);
    /// The longest that a queue may be; 0: there is none of that number.
    fn queue_len_max(&self, queue: u16) -> u16;
    /// Sets a queue up and enables it; its interrupts have the queue's own number.
    fn enable_queue(&self, queue: u16, place: QueuePlace) -> Result<(), String>;
    /// Tells the device that there is something in the queue.
    fn notify(&self, queue: u16);
}
