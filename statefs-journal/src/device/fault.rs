//! A device in memory that records every operation, fails on request and can be cut at any instant.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::BlockDevice;
use super::mem::{Image, MemDevice};
use crate::layout::record::RECORD_ALIGN;
use crate::layout::{BLOCK_LEN, BLOCK_LEN_BYTES};
use crate::types::DevOffset;

/// One recorded operation, in the order in which the engine issued them.
#[derive(Clone, Debug)]
pub enum Op {
    /// Bytes handed to the device.
    Write { offset: DevOffset, bytes: Vec<u8> },
    /// Bytes no longer needed.
    Discard { offset: DevOffset, len_bytes: u64 },
    /// New length.
    Grow { len_bytes: u64 },
    /// Everything before it is durable.
    Flush,
}

/// The smallest thing that a power cut keeps or loses: one block of a write, a discard, a growth.
#[derive(Clone, Debug)]
pub struct CrashUnit {
    op: Op,
}

/// What goes wrong with one write or flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails with this errno; nothing is written.
    Fail(i32),
    /// It fails with EIO after so many blocks were written.
    Short(usize),
    /// Its blocks go to the place so many blocks further on, and it says that all is well.
    Misdirected(u64),
    /// One bit, counted from the start of what is written (modulo its length), is stored the other way round.
    BitFlip(u64),
}

#[derive(Debug, Default)]
struct State {
    start: Image,
    now: Image,
    log: Vec<Op>,
    /// Writes and flushes still to succeed before the fault; `None`: there will be none.
    countdown: Option<(u64, Fault)>,
    attempts: u64,
}

/// See the module.
#[derive(Debug)]
pub struct FaultDevice {
    state: Mutex<State>,
    max_len_bytes: u64,
}

impl FaultDevice {
    /// An empty device that may grow to `max_len_bytes`.
    pub fn new(max_len_bytes: u64) -> Self {
        Self { state: Mutex::default(), max_len_bytes }
    }

    /// The `nth` write or flush from now on (0: the next) fails with `errno`, once.
    pub fn fail_nth(&self, nth: u64, errno: i32) {
        self.fault_nth(nth, Fault::Fail(errno));
    }

    /// The `nth` write or flush from now on (0: the next) goes wrong in this way, once. A flush can only fail: it
    /// is passed over by the other faults.
    pub fn fault_nth(&self, nth: u64, fault: Fault) {
        self.state().countdown = Some((nth, fault));
    }

    /// True while the failure asked for has not happened yet.
    pub fn fault_pending(&self) -> bool {
        self.state().countdown.is_some()
    }

    /// Writes and flushes asked for so far.
    pub fn attempts(&self) -> u64 {
        self.state().attempts
    }

    /// Everything recorded so far.
    pub fn log(&self) -> Vec<Op> {
        self.state().log.clone()
    }

    /// Number of operations recorded so far.
    pub fn log_len(&self) -> usize {
        self.state().log.len()
    }

    /// What is not yet durable after the first `prefix` operations, in order.
    pub fn unflushed(&self, prefix: usize) -> Vec<CrashUnit> {
        let state = self.state();
        let log = &state.log[..prefix];
        let durable = log.iter().rposition(|op| matches!(op, Op::Flush)).map_or(0, |at| at + 1);
        log[durable..].iter().flat_map(units_of).collect()
    }

    /// The device after a power cut behind the first `prefix` operations: everything up to the last flush,
    /// then those of [`Self::unflushed`] for which `keep` says yes (by position).
    pub fn crash_image(&self, prefix: usize, keep: &dyn Fn(usize) -> bool) -> MemDevice {
        let state = self.state();
        let log = &state.log[..prefix];
        let durable = log.iter().rposition(|op| matches!(op, Op::Flush)).map_or(0, |at| at + 1);
        let mut image = state.start.clone();
        for op in &log[..durable] {
            apply(&mut image, op);
        }
        for (at, unit) in log[durable..].iter().flat_map(units_of).enumerate() {
            if keep(at) {
                apply(&mut image, &unit.op);
            }
        }
        MemDevice::of(image, self.max_len_bytes)
    }

    /// The device as another process would find it now (kill -9, no power cut).
    pub fn killed_image(&self) -> MemDevice {
        MemDevice::of(self.state().now.clone(), self.max_len_bytes)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The fault of this operation, if its turn has come.
    fn attempt(&mut self, is_flush: bool) -> Option<Fault> {
        self.attempts += 1;
        let (left, fault) = self.countdown.as_mut()?;
        if *left > 0 {
            *left -= 1;
            return None;
        }
        let fault = *fault;
        if is_flush && !matches!(fault, Fault::Fail(_)) {
            return None;
        }
        self.countdown = None;
        Some(fault)
    }

    fn write(&mut self, offset: DevOffset, buf: &[u8]) -> io::Result<()> {
        let mut bytes = buf.to_vec();
        match self.attempt(false) {
            None => self.record(Op::Write { offset, bytes }),
            Some(Fault::Fail(errno)) => return Err(io::Error::from_raw_os_error(errno)),
            Some(Fault::Short(blocks)) => {
                bytes.truncate(blocks * BLOCK_LEN);
                if !bytes.is_empty() {
                    self.record(Op::Write { offset, bytes });
                }
                return Err(io::Error::from_raw_os_error(libc::EIO));
            }
            Some(Fault::Misdirected(blocks)) => {
                let last = self.now.len_bytes.saturating_sub(bytes.len() as u64);
                let offset = offset.plus(blocks * BLOCK_LEN as u64);
                self.record(Op::Write { offset: DevOffset(offset.0.min(last)), bytes });
            }
            Some(Fault::BitFlip(bit)) => {
                let at = usize::try_from(bit / 8).unwrap_or(0) % bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << (bit % 8);
                }
                self.record(Op::Write { offset, bytes });
            }
        }
        Ok(())
    }

    fn record(&mut self, op: Op) {
        apply(&mut self.now, &op);
        self.log.push(op);
    }
}

fn units_of(op: &Op) -> Vec<CrashUnit> {
    let Op::Write { offset, bytes } = op else {
        return vec![CrashUnit { op: op.clone() }];
    };
    let mut units = Vec::new();
    let (mut at, mut rest) = (*offset, &bytes[..]);
    while !rest.is_empty() {
        // A write may begin and end within a block.
        let within = usize::try_from(at.0 % BLOCK_LEN_BYTES).unwrap_or(0);
        let (piece, behind) = rest.split_at(rest.len().min(BLOCK_LEN - within));
        units.push(CrashUnit { op: Op::Write { offset: at, bytes: piece.to_vec() } });
        at = at.plus(piece.len() as u64);
        rest = behind;
    }
    units
}

fn apply(image: &mut Image, op: &Op) {
    match op {
        Op::Write { offset, bytes } => {
            // A kept write behind a lost growth: file systems journal the size with the data, so the
            // length follows the write.
            image.len_bytes = image.len_bytes.max(offset.0 + bytes.len() as u64);
            let _in_range = image.write(offset.0, bytes);
        }
        Op::Discard { offset, len_bytes } => image.zero(offset.0, *len_bytes),
        Op::Grow { len_bytes } => image.len_bytes = image.len_bytes.max(*len_bytes),
        Op::Flush => {}
    }
}

impl BlockDevice for FaultDevice {
    fn len_bytes(&self) -> u64 {
        self.state().now.len_bytes
    }

    fn read_at(&self, offset: DevOffset, buf: &mut [u8]) -> io::Result<()> {
        self.state().now.read(offset.0, buf)
    }

    fn write_at(&self, offset: DevOffset, buf: &[u8]) -> io::Result<()> {
        self.state().write(offset, buf)
    }

    fn write_unit_bytes(&self) -> usize {
        RECORD_ALIGN
    }

    fn flush(&self) -> io::Result<()> {
        let mut state = self.state();
        if let Some(Fault::Fail(errno)) = state.attempt(true) {
            return Err(io::Error::from_raw_os_error(errno));
        }
        state.record(Op::Flush);
        Ok(())
    }

    fn discard(&self, offset: DevOffset, len_bytes: u64) -> io::Result<()> {
        self.state().record(Op::Discard { offset, len_bytes });
        Ok(())
    }

    fn reserve(&self, _offset: DevOffset, _len_bytes: u64) -> io::Result<()> {
        Ok(())
    }

    fn grow(&self, len_bytes: u64) -> io::Result<()> {
        if len_bytes > self.max_len_bytes {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        self.state().record(Op::Grow { len_bytes });
        Ok(())
    }
}
