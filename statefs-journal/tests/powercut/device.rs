//! A device that records what it is asked, and devices as power cuts leave them.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

use statefs_journal::layout::{BLOCK_LEN, BLOCK_LEN_BYTES};
use statefs_journal::{BlockDevice, DevOffset};

const DEVICE_MAX_BYTES: u64 = 64 << 20;
pub const SECTOR_LEN: usize = 512;

type Block = Arc<[u8; BLOCK_LEN]>;

/// Bytes of a device, block by block; what was never written is zero. Copies share what they have in common.
#[derive(Clone, Default)]
pub struct Image {
    base: Arc<HashMap<u64, Block>>,
    /// Written since; `None` is zero again.
    over: HashMap<u64, Option<Block>>,
    pub len_bytes: u64,
}

/// The smallest thing that a power cut keeps or loses.
#[derive(Clone)]
pub enum Unit {
    Block(u64, Block),
    Discard(u64, u64),
    Grow(u64),
}

#[derive(Clone)]
pub enum Op {
    Units(Vec<Unit>),
    Flush,
}

impl Image {
    fn block(&self, number: u64) -> Option<&Block> {
        match self.over.get(&number) {
            Some(written) => written.as_ref(),
            None => self.base.get(&number),
        }
    }

    /// The same bytes, cheap to copy.
    pub fn settled(mut self) -> Self {
        let base = Arc::make_mut(&mut self.base);
        for (number, block) in self.over.drain() {
            match block {
                Some(block) => _ = base.insert(number, block),
                None => _ = base.remove(&number),
            }
        }
        self
    }

    pub fn apply(&mut self, unit: &Unit) {
        match unit {
            Unit::Block(number, bytes) => {
                // File systems journal the length with the data.
                self.len_bytes = self.len_bytes.max((number + 1) * BLOCK_LEN_BYTES);
                self.over.insert(*number, Some(bytes.clone()));
            }
            Unit::Discard(first, blocks) => {
                for number in *first..first + blocks {
                    self.over.insert(number, None);
                }
            }
            Unit::Grow(len_bytes) => self.len_bytes = self.len_bytes.max(*len_bytes),
        }
    }

    /// What the medium holds when the write of `unit` was torn: from sector `torn` on (for `len` of them) neither
    /// the old nor the new bytes.
    pub fn apply_torn(&mut self, unit: &Unit, torn: usize, len: usize) {
        self.apply(unit);
        if let Unit::Block(number, bytes) = unit {
            let mut bytes = **bytes;
            for (at, byte) in bytes[torn * SECTOR_LEN..(torn + len) * SECTOR_LEN].iter_mut().enumerate() {
                *byte = (at as u8).wrapping_mul(29) ^ 0xa5;
            }
            self.over.insert(*number, Some(Arc::new(bytes)));
        }
    }

    /// The first sectors are the new ones, the rest the old ones.
    pub fn apply_half(&mut self, unit: &Unit, sectors: usize) {
        if let Unit::Block(number, new) = unit {
            let mut bytes = self.block(*number).map_or([0; BLOCK_LEN], |old| **old);
            bytes[..sectors * SECTOR_LEN].copy_from_slice(&new[..sectors * SECTOR_LEN]);
            self.apply(&Unit::Block(*number, Arc::new(bytes)));
        } else {
            self.apply(unit);
        }
    }
}

struct State {
    now: Image,
    log: Option<Vec<Op>>,
}

pub struct Device {
    state: Mutex<State>,
}

impl Device {
    pub fn recording(image: Image) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { now: image, log: Some(Vec::new()) }) })
    }

    pub fn plain(image: Image) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { now: image, log: None }) })
    }

    pub fn log_len(&self) -> usize {
        self.state.lock().unwrap().log.as_ref().map_or(0, Vec::len)
    }

    pub fn log(&self) -> Vec<Op> {
        self.state.lock().unwrap().log.clone().unwrap_or_default()
    }

    fn record(&self, op: Op) {
        let state = &mut *self.state.lock().unwrap();
        if let Op::Units(units) = &op {
            units.iter().for_each(|unit| state.now.apply(unit));
        }
        if let Some(log) = &mut state.log {
            log.push(op);
        }
    }
}

impl BlockDevice for Device {
    fn len_bytes(&self) -> u64 {
        self.state.lock().unwrap().now.len_bytes
    }

    fn read_at(&self, offset: DevOffset, buf: &mut [u8]) -> io::Result<()> {
        let state = self.state.lock().unwrap();
        assert!(offset.0.is_multiple_of(BLOCK_LEN_BYTES) && buf.len().is_multiple_of(BLOCK_LEN));
        if offset.0 + buf.len() as u64 > state.now.len_bytes {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        for (number, piece) in (offset.0 / BLOCK_LEN_BYTES..).zip(buf.chunks_exact_mut(BLOCK_LEN)) {
            match state.now.block(number) {
                Some(bytes) => piece.copy_from_slice(&**bytes),
                None => piece.fill(0),
            }
        }
        Ok(())
    }

    fn write_at(&self, offset: DevOffset, buf: &[u8]) -> io::Result<()> {
        assert!(offset.0.is_multiple_of(8) && buf.len().is_multiple_of(8));
        assert!(offset.0 + buf.len() as u64 <= self.len_bytes());
        let mut units = Vec::new();
        let (mut at, mut rest) = (offset.0, buf);
        while !rest.is_empty() {
            // Part of a block: the page cache puts it together, and what reaches the medium is a block.
            let (number, within) = (at / BLOCK_LEN_BYTES, (at % BLOCK_LEN_BYTES) as usize);
            let (piece, behind) = rest.split_at(rest.len().min(BLOCK_LEN - within));
            let mut bytes = match self.state.lock().unwrap().now.block(number) {
                Some(old) if piece.len() < BLOCK_LEN => **old,
                _ => [0; BLOCK_LEN],
            };
            bytes[within..within + piece.len()].copy_from_slice(piece);
            units.push(Unit::Block(number, Arc::new(bytes)));
            (at, rest) = (at + piece.len() as u64, behind);
        }
        self.record(Op::Units(units));
        Ok(())
    }

    fn write_unit_bytes(&self) -> usize {
        8
    }

    fn likes_written_places(&self) -> bool {
        true
    }

    fn flush(&self) -> io::Result<()> {
        self.record(Op::Flush);
        Ok(())
    }

    fn discard(&self, offset: DevOffset, len_bytes: u64) -> io::Result<()> {
        let unit = Unit::Discard(offset.0 / BLOCK_LEN_BYTES, len_bytes / BLOCK_LEN_BYTES);
        self.record(Op::Units(vec![unit]));
        Ok(())
    }

    fn reserve(&self, _offset: DevOffset, _len_bytes: u64) -> io::Result<()> {
        Ok(())
    }

    fn grow(&self, len_bytes: u64) -> io::Result<()> {
        if len_bytes > DEVICE_MAX_BYTES {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.record(Op::Units(vec![Unit::Grow(len_bytes)]));
        Ok(())
    }
}
