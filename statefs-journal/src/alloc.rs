//! Which blocks are free. In memory only: rebuilt at open from what is in use.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::device::BlockDevice;
use crate::error::StoreError;
use crate::layout::{BLOCK_LEN_BYTES, DATA_START_BLOCK, GROW_STEP_BYTES, RESERVE_BLOCKS};
use crate::types::BlockNo;

/// A run of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Extent {
    pub(crate) start: BlockNo,
    pub(crate) blocks: u64,
}

impl Extent {
    pub(crate) fn new(start: BlockNo, blocks: u64) -> Self {
        Self { start, blocks }
    }

    pub(crate) fn end(&self) -> u64 {
        self.start.0.saturating_add(self.blocks)
    }

    pub(crate) fn len_bytes(&self) -> u64 {
        self.blocks.saturating_mul(BLOCK_LEN_BYTES)
    }
}

/// Who asks: the reserve is for those who make room or make durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Blob,
    Engine,
}

#[derive(Debug, Default)]
pub(crate) struct Allocator {
    by_start: BTreeMap<u64, u64>,
    by_len: BTreeSet<(u64, u64)>,
    free_blocks: u64,
    device_blocks: u64,
}

impl Allocator {
    /// Everything between the superblocks and the end of the device is free, but `used`.
    ///
    /// # Errors
    /// `Damaged` when two used extents overlap or one leaves the device.
    pub(crate) fn rebuild(device_len_bytes: u64, mut used: Vec<Extent>) -> Result<Self, StoreError> {
        used.sort_unstable();
        let mut alloc = Self { device_blocks: device_len_bytes / BLOCK_LEN_BYTES, ..Self::default() };
        let mut at = DATA_START_BLOCK;
        for extent in used {
            if extent.start.0 < at || extent.end() > alloc.device_blocks {
                return Err(StoreError::Damaged {
                    what: "map of used extents",
                    block: extent.start,
                    expected: format!("an extent between blocks {at} and {}", alloc.device_blocks),
                    found: format!("{} blocks", extent.blocks),
                });
            }
            alloc.insert(at, extent.start.0 - at);
            at = extent.end();
        }
        alloc.insert(at, alloc.device_blocks.saturating_sub(at));
        Ok(alloc)
    }

    /// A contiguous run of `blocks`, growing the device where that is possible.
    pub(crate) fn allocate(
        &mut self,
        dev: &dyn BlockDevice,
        blocks: u64,
        purpose: Purpose,
        what: &'static str,
    ) -> Result<Extent, StoreError> {
        let no_space = || StoreError::NoSpace { what, needed_bytes: blocks.saturating_mul(BLOCK_LEN_BYTES) };
        let keep = if purpose == Purpose::Blob { RESERVE_BLOCKS } else { 0 };
        let short = blocks.saturating_add(keep).saturating_sub(self.free_blocks);
        // A run that does not exist yet is asked for in full: what is free at the end of the device may help.
        let want = if self.best(blocks).is_some() { short } else { short.max(blocks) };
        if want > 0 {
            self.grow(dev, want).map_err(|_| no_space())?;
        }
        let (len, start) = self.best(blocks).ok_or_else(no_space)?;
        self.remove(start, len);
        self.insert(start + blocks, len - blocks);
        Ok(Extent::new(BlockNo(start), blocks))
    }

    /// Gives blocks back.
    pub(crate) fn free(&mut self, extent: Extent) {
        let (mut start, mut len) = (extent.start.0, extent.blocks);
        if let Some((&before, &before_len)) = self.by_start.range(..start).next_back() {
            debug_assert!(before + before_len <= start, "double free");
            if before + before_len == start {
                self.remove(before, before_len);
                start = before;
                len += before_len;
            }
        }
        if let Some(&after_len) = self.by_start.get(&(start + len)) {
            self.remove(start + len, after_len);
            len += after_len;
        }
        self.insert(start, len);
    }

    pub(crate) fn used_bytes(&self) -> u64 {
        (self.device_blocks - self.free_blocks) * BLOCK_LEN_BYTES
    }

    /// Best fit: the shortest run that is long enough, the lowest of those.
    fn best(&self, blocks: u64) -> Option<(u64, u64)> {
        self.by_len.range((blocks, 0)..).next().copied()
    }

    fn grow(&mut self, dev: &dyn BlockDevice, blocks: u64) -> io::Result<()> {
        let too_long = || io::Error::from(io::ErrorKind::StorageFull);
        // The device may be longer than the allocator knows if an earlier growth was only half used.
        let end = dev.len_bytes().max(self.device_blocks * BLOCK_LEN_BYTES);
        let need =
            blocks.checked_mul(BLOCK_LEN_BYTES).and_then(|b| b.checked_add(end)).ok_or_else(too_long)?;
        let step = need.checked_next_multiple_of(GROW_STEP_BYTES).ok_or_else(too_long)?;
        // A device with a bound that is no multiple of the step can still grow by what is needed.
        dev.grow(step).or_else(|_| dev.grow(need))?;
        let grown = dev.len_bytes() / BLOCK_LEN_BYTES;
        let added = Extent::new(BlockNo(self.device_blocks), grown - self.device_blocks);
        self.device_blocks = grown;
        if added.blocks > 0 {
            self.free(added);
        }
        Ok(())
    }

    fn insert(&mut self, start: u64, len: u64) {
        if len > 0 {
            self.by_start.insert(start, len);
            self.by_len.insert((len, start));
            self.free_blocks += len;
        }
    }

    fn remove(&mut self, start: u64, len: u64) {
        self.by_start.remove(&start);
        self.by_len.remove(&(len, start));
        self.free_blocks -= len;
    }
}
