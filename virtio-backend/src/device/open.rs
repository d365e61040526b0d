//! From a name to a device: the kernel's leave, memory, interrupts, and a thread that hears when the kernel wants it back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use super::block_device::VirtioBlk;
use super::core::Core;
use super::layout::{CHUNKS, QUEUES_MAX};
use super::negotiate::{Wanted, negotiate};
use crate::address::Spec;
use crate::bell::{Bell, EventFd};
use crate::error::VirtioError;
use crate::vfio::{self, Container, Function, Modern};

/// A request that takes longer than this is given up, and the device with it: longer than a kernel waits for a disk.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How often those who wait are made to look around: whether a request takes too long, whether the device is there.
const TICK: Duration = Duration::from_millis(200);

impl VirtioBlk {
    /// Takes the device for this process alone, and starts it.
    ///
    /// # Errors
    /// See [`VirtioError`].
    pub fn open(spec: &Spec) -> Result<Self, VirtioError> {
        let address = spec.address;
        let container = Arc::new(Container::open(spec)?);
        let function = Function::open(&container, address)?;
        let vectors = function.vectors()?;
        let transport = Modern::new(function, address)?;
        let arena = Arc::new(vfio::arena(&container, CHUNKS)?);
        let mut bells = Vec::new();
        for _ in 0..vectors.min(usize::from(QUEUES_MAX)).min(processors()) {
            bells.push(Arc::new(EventFd::new().map_err(VirtioError::io("eventfd"))?));
        }
        if !bells.is_empty() {
            transport.function.connect(&bells.iter().map(|bell| &**bell).collect::<Vec<_>>())?;
        }
        let request = EventFd::new().map_err(VirtioError::io("eventfd"))?;
        if !transport.function.connect_request(&request) {
            tracing::info!(device = %spec, "virtio: this kernel does not say when it wants a device back");
        }
        let bells: Vec<Arc<dyn Bell>> = bells.into_iter().map(|bell| bell as Arc<dyn Bell>).collect();
        let wanted = Wanted {
            name: spec.to_string(),
            behind_iommu: container.behind_iommu,
            poll: spec.poll,
            timeout: TIMEOUT,
        };
        let core = negotiate(Box::new(transport), arena, &bells, wanted)
            .map_err(|why| VirtioError::Unfit { address: address.to_string(), why })?;
        let core = Arc::new(core);
        let listener = Listener::start(&core, request)?;
        Ok(Self::new(core, Some(listener)))
    }
}

/// More queues than there are processors are of no use.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Makes those who wait look around, and hears when the kernel wants the device back, because it is being unplugged or
/// unbound: it fails then, at once.
pub(super) struct Listener {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    fn start(core: &Arc<Core>, request: EventFd) -> Result<Self, VirtioError> {
        let ended = Arc::new(AtomicBool::new(false));
        let (core, is_over) = (Arc::downgrade(core), ended.clone());
        let listen = move || {
            while !is_over.load(Ordering::Relaxed) {
                let is_wanted_back = request.rings_within(TICK);
                let Some(core) = Weak::upgrade(&core) else { return };
                if is_wanted_back {
                    return core.give_back();
                }
                core.look_around();
            }
        };
        let thread = std::thread::Builder::new().name("virtio".into()).spawn(listen);
        let thread = thread.map_err(VirtioError::io("start of a thread"))?;
        Ok(Self { ended, thread: Some(thread) })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            let _ = thread.join();
        }
    }
}
