//! The driver on a device of the tests.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::block_device::VirtioBlk;
use super::core::Core;
use super::negotiate::{Wanted, negotiate};
use crate::arena::Arena;
use crate::bell::Bell;
use crate::transport::Transport;

pub(crate) const BUFFERS: usize = super::layout::BUFFERS;
pub(crate) const CHUNKS: usize = super::layout::CHUNKS;

/// A driver, and what the daemon's listener would have of it.
pub(crate) struct Opened {
    pub(crate) device: VirtioBlk,
    core: Arc<Core>,
}

impl Opened {
    /// As if the kernel wanted it back.
    pub(crate) fn take_away(&self) {
        self.core.give_back();
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.core.check().is_err()
    }

    /// Why, if it is.
    pub(crate) fn why_dead(&self) -> io::Result<String> {
        self.core.why_dead().ok_or_else(|| io::Error::other("it is alive"))
    }
}

pub(crate) fn open(
    transport: Box<dyn Transport>,
    arena: Arc<Arena>,
    bells: &[Arc<dyn Bell>],
    poll: bool,
    timeout: Duration,
) -> Result<Opened, String> {
    let wanted = Wanted { name: "fake".into(), behind_iommu: true, poll, timeout };
    let core = Arc::new(negotiate(transport, arena, bells, wanted)?);
    Ok(Opened { device: VirtioBlk::new(core.clone(), None), core })
}
