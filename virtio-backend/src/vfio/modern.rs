//! The virtio-pci transport of the standard (4.1.4.3, 4.1.4.4), over registers that are mapped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::function::Function;
use crate::address::Address;
use crate::error::VirtioError;
use crate::mmio::{Mapping, Registers};
use crate::pci::{self, NotVirtio, Structure};
use crate::transport::{QueuePlace, Transport};

/// Offsets in the common configuration.
const DEVICE_FEATURE_SELECT: usize = 0;
const DEVICE_FEATURE: usize = 4;
const DRIVER_FEATURE_SELECT: usize = 8;
const DRIVER_FEATURE: usize = 12;
const CONFIG_MSIX_VECTOR: usize = 16;
const NUM_QUEUES: usize = 18;
const DEVICE_STATUS: usize = 20;
const CONFIG_GENERATION: usize = 21;
const QUEUE_SELECT: usize = 22;
const QUEUE_SIZE: usize = 24;
const QUEUE_MSIX_VECTOR: usize = 26;
const QUEUE_ENABLE: usize = 28;
const QUEUE_NOTIFY_OFF: usize = 30;
const QUEUE_DESC: usize = 32;
const QUEUE_DRIVER: usize = 40;
const QUEUE_DEVICE: usize = 48;
const COMMON_LEN: usize = 56;

const NO_VECTOR: u16 = 0xffff;
/// A configuration that changes faster than it is read is no configuration.
const CONFIG_TRIES: usize = 64;
/// Most queues that are ever used; what the device has beyond is left alone.
pub(crate) const QUEUES_MAX: usize = 8;

/// See the module.
#[derive(Debug)]
pub(crate) struct Modern {
    common: Registers,
    notify: Registers,
    notify_multiplier: u32,
    device: Registers,
    /// Where each queue is notified, once it is enabled.
    doorbells: [std::sync::OnceLock<usize>; QUEUES_MAX],
    /// Registers that are selected by others.
    selecting: Mutex<()>,
    pub(crate) function: Function,
}

impl Modern {
    /// Finds and maps the device's structures and lets it answer.
    ///
    /// # Errors
    /// It is no virtio block device of the standard, or its structures lie where they cannot.
    pub(crate) fn new(function: Function, address: Address) -> Result<Self, VirtioError> {
        let unfit = |why: String| VirtioError::Unfit { address: address.to_string(), why };
        let found = pci::find(&function).map_err(|error| match error {
            NotVirtio::Io(error) => VirtioError::Io { what: "read of the configuration space", error },
            NotVirtio::Other(why) => unfit(why),
        })?;
        pci::enable(&function).map_err(VirtioError::io("write of the configuration space"))?;
        let mut mappings: HashMap<u8, Arc<Mapping>> = HashMap::new();
        let mut registers = |structure: Structure| {
            let mapping = match mappings.get(&structure.bar) {
                Some(mapping) => mapping.clone(),
                None => {
                    let bar = structure.bar;
                    let mapping = function
                        .map(bar)?
                        .ok_or_else(|| unfit(format!("its region {bar} cannot be mapped")))?;
                    mappings.entry(bar).or_insert(mapping).clone()
                }
            };
            Registers::part(&mapping, u64::from(structure.offset), u64::from(structure.len))
                .ok_or_else(|| unfit(format!("its structures lie outside of its region {}", structure.bar)))
        };
        let common = registers(found.common)?;
        if common.len() < COMMON_LEN {
            return Err(unfit(format!("its common structure has {} bytes of {COMMON_LEN}", common.len())));
        }
        let (notify, device) = (registers(found.notify)?, registers(found.device)?);
        Ok(Self {
            common,
            notify,
            notify_multiplier: found.notify_multiplier,
            device,
            doorbells: Default::default(),
            selecting: Mutex::new(()),
            function,
        })
    }

    fn select(&self, queue: u16) -> std::sync::MutexGuard<'_, ()> {
        let guard = self.selecting.lock().unwrap_or_else(PoisonError::into_inner);
        self.common.write::<u16>(QUEUE_SELECT, queue);
        guard
    }

    fn write_u64(&self, at: usize, value: u64) {
        // 4.1.3.1: as two halves.
        self.common.write::<u32>(at, (value & 0xffff_ffff) as u32);
        self.common.write::<u32>(at + 4, (value >> 32) as u32);
    }

    /// Where the queue is notified: in bounds, or not at all.
    fn doorbell(&self, notify_off: u16) -> Option<usize> {
        let at = usize::from(notify_off).checked_mul(usize::try_from(self.notify_multiplier).ok()?)?;
        (at.checked_add(2)? <= self.notify.len() && at.is_multiple_of(2)).then_some(at)
    }
}

impl Transport for Modern {
    fn status(&self) -> u8 {
        self.common.read(DEVICE_STATUS)
    }

    fn set_status(&self, status: u8) {
        self.common.write(DEVICE_STATUS, status);
    }

    fn features(&self) -> u64 {
        let half = |select: u32| {
            self.common.write(DEVICE_FEATURE_SELECT, select);
            u64::from(self.common.read::<u32>(DEVICE_FEATURE))
        };
        half(0) | half(1) << 32
    }

    fn accept_features(&self, features: u64) {
        for (select, half) in [(0, features & 0xffff_ffff), (1, features >> 32)] {
            self.common.write::<u32>(DRIVER_FEATURE_SELECT, select);
            self.common.write::<u32>(DRIVER_FEATURE, half as u32);
        }
    }

    fn config(&self, out: &mut [u8]) {
        for _ in 0..CONFIG_TRIES {
            let generation: u8 = self.common.read(CONFIG_GENERATION);
            for (at, byte) in out.iter_mut().enumerate() {
                *byte = if at < self.device.len() { self.device.read(at) } else { 0 };
            }
            if self.common.read::<u8>(CONFIG_GENERATION) == generation {
                break;
            }
        }
    }

    fn queue_len_max(&self, queue: u16) -> u16 {
        if queue >= self.common.read::<u16>(NUM_QUEUES) {
            return 0;
        }
        let _selected = self.select(queue);
        self.common.read(QUEUE_SIZE)
    }

    fn enable_queue(&self, queue: u16, place: QueuePlace) -> Result<(), String> {
        self.common.write::<u16>(CONFIG_MSIX_VECTOR, NO_VECTOR);
        let _selected = self.select(queue);
        let notify_off = self.common.read::<u16>(QUEUE_NOTIFY_OFF);
        let doorbell = self.doorbell(notify_off).ok_or_else(|| {
            format!(
                "queue {queue} is notified outside of its region (offset {notify_off} times {})",
                self.notify_multiplier
            )
        })?;
        self.common.write(QUEUE_SIZE, place.len);
        self.common.write(QUEUE_MSIX_VECTOR, queue);
        if self.common.read::<u16>(QUEUE_MSIX_VECTOR) != queue {
            return Err(format!("it has no interrupt for queue {queue}"));
        }
        self.write_u64(QUEUE_DESC, place.desc);
        self.write_u64(QUEUE_DRIVER, place.avail);
        self.write_u64(QUEUE_DEVICE, place.used);
        self.common.write::<u16>(QUEUE_ENABLE, 1);
        let slot = self.doorbells.get(usize::from(queue)).ok_or("it has too many queues")?;
        slot.set(doorbell).map_err(|_| format!("queue {queue} was enabled before"))
    }

    fn notify(&self, queue: u16) {
        if let Some(at) = self.doorbells.get(usize::from(queue)).and_then(std::sync::OnceLock::get) {
            self.notify.write(*at, queue);
        }
    }
}
