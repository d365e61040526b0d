//! From a device that was found to one that answers (3.1.1).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::channel::Channel;
use super::core::{Core, Parts};
use super::layout::{QUEUE_LEN_MAX, QUEUES_MAX, ring_start};
use crate::arena::Arena;
use crate::bell::Bell;
use crate::block::config::{CONFIG_LEN, Config};
use crate::block::features::{self, EVENT_IDX};
use crate::queue::ring::Layout;
use crate::queue::slots::SLOT_DESCS;
use crate::transport::{QueuePlace, Transport, status};

const RESET_LIMIT: Duration = Duration::from_secs(2);

/// What is asked for.
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) behind_iommu: bool,
    pub(super) poll: bool,
    pub(super) timeout: Duration,
}

/// Resets, negotiates and starts the device, with at most one queue for each of the bells.
pub(super) fn negotiate(
    transport: Box<dyn Transport>,
    arena: Arc<Arena>,
    bells: &[Arc<dyn Bell>],
    wanted: Wanted,
) -> Result<Core, String> {
    let started = start(&*transport, &arena, bells, &wanted);
    let (config, channels) = started.inspect_err(|_| transport.set_status(status::FAILED))?;
    let Wanted { name, poll, timeout, .. } = wanted;
    Ok(Core::new(Parts { name, config, poll, timeout, channels, arena, transport }))
}

fn start(
    transport: &dyn Transport,
    arena: &Arc<Arena>,
    bells: &[Arc<dyn Bell>],
    wanted: &Wanted,
) -> Result<(Config, Vec<Channel>), String> {
    transport.set_status(0);
    let until = Instant::now() + RESET_LIMIT;
    while transport.status() != 0 {
        if Instant::now() > until {
            return Err(format!("it cannot be reset (status {:#x})", transport.status()));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut now = status::ACKNOWLEDGE | status::DRIVER;
    transport.set_status(now);
    let features = features::choose(transport.features(), wanted.behind_iommu)?;
    transport.accept_features(features);
    now |= status::FEATURES_OK;
    transport.set_status(now);
    if transport.status() & status::FEATURES_OK == 0 {
        return Err(format!("it does not accept the features {features:#x}"));
    }
    let mut bytes = [0; CONFIG_LEN];
    transport.config(&mut bytes);
    let config = Config::decode(&bytes, features)?;

    let count = config.queues.min(QUEUES_MAX).min(u16::try_from(bells.len()).unwrap_or(u16::MAX));
    let mut channels = Vec::new();
    for queue in 0..count {
        channels.push(set_up(
            transport,
            arena,
            queue,
            features & EVENT_IDX != 0,
            &bells[usize::from(queue)],
        )?);
    }
    if channels.is_empty() {
        return Err("it has no interrupts (MSI-X)".to_owned());
    }
    transport.set_status(now | status::DRIVER_OK);
    let depth: u16 = channels.iter().map(Channel::depth).sum();
    tracing::info!(
        device = wanted.name,
        sector = config.block_len,
        bytes = config.len_bytes,
        queues = channels.len(),
        depth,
        features = format!("{features:#x}"),
        "virtio: the device is up"
    );
    Ok((config, channels))
}

fn set_up(
    transport: &dyn Transport,
    arena: &Arc<Arena>,
    queue: u16,
    event_idx: bool,
    bell: &Arc<dyn Bell>,
) -> Result<Channel, String> {
    let len_max = transport.queue_len_max(queue);
    if !len_max.is_power_of_two() || len_max < SLOT_DESCS {
        return Err(format!("its queue {queue} has a length of {len_max}"));
    }
    let len = len_max.min(QUEUE_LEN_MAX);
    let layout = Layout { len };
    let start = ring_start(queue);
    let bus = |at: usize| arena.bus_address(start + at, 1);
    let place =
        QueuePlace { len, desc: bus(Layout::DESC), avail: bus(layout.avail()), used: bus(layout.used()) };
    let channel = Channel::new(queue, len, event_idx, arena.clone(), bell.clone());
    transport.enable_queue(queue, place)?;
    Ok(channel)
}
