//! What the store calls: reads and writes that return when they are done, cut into requests that are under way together.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use statefs_journal::device::{IoBuf, Memory};
use statefs_journal::{BlockDevice, DevOffset};

use super::buffers::Buffer;
use super::channel::Io;
use super::core::Core;
use super::layout::BOUNCE_LEN;
use super::open::Listener;
use super::stream::Stream;
use crate::block::request::Kind;

/// A virtio block device that nobody else drives.
pub struct VirtioBlk {
    core: Arc<Core>,
    /// It said that it cannot.
    never_discards: AtomicBool,
    _listener: Option<Listener>,
}

impl VirtioBlk {
    pub(super) fn new(core: Arc<Core>, listener: Option<Listener>) -> Self {
        Self { core, never_discards: AtomicBool::new(false), _listener: listener }
    }

    /// Length of a logical block in bytes.
    pub fn block_len(&self) -> u32 {
        self.core.config.block_len
    }

    /// Requests that can be under way at a time.
    pub fn depth(&self) -> usize {
        self.core.channels.iter().map(|channel| usize::from(channel.depth())).sum()
    }

    /// Queues in use.
    pub fn queues(&self) -> usize {
        self.core.channels.len()
    }

    /// Memory for [`Stream`]; `None`: longer than a MiB, or all of it is out.
    pub fn arena_buffer(&self, len: usize) -> Option<Buffer> {
        Buffer::take(&self.core.arena, &self.core.bounces, &self.core.buffers, len)
    }

    /// Many requests of one thread under way.
    pub fn stream(&self) -> Stream {
        Stream::new(self.core.clone())
    }

    fn check(&self, offset: u64, len: u64) -> io::Result<()> {
        self.core.check()?;
        check_range(&self.core, offset, len)
    }

    /// Data that lies in the arena, in requests of the longest length.
    fn direct(&self, kind: Kind, offset: u64, start: usize, len: usize) -> io::Result<()> {
        let max = self.core.config.max_data_len as usize;
        let piece = |at: usize| Io {
            kind,
            offset: offset + at as u64,
            len_bytes: (len - at).min(max) as u64,
            data: start + at,
        };
        let ios: Vec<Io> = (0..len).step_by(max).map(piece).collect();
        self.core.run(&ios)
    }

    fn bounces(&self, len: usize) -> Vec<Buffer> {
        Buffer::bounces(&self.core.arena, &self.core.bounces, len.div_ceil(self.bounce_len()))
    }

    fn bounce_len(&self) -> usize {
        BOUNCE_LEN.min(self.core.config.max_data_len as usize)
    }

    fn bounce_ios(&self, kind: Kind, offset: u64, len: usize, bounces: &[Buffer]) -> Vec<Io> {
        let step = self.bounce_len();
        let piece = |(number, bounce): (usize, &Buffer)| Io {
            kind,
            offset: offset + (number * step) as u64,
            len_bytes: (len - number * step).min(step) as u64,
            data: bounce.start(),
        };
        bounces.iter().take(len.div_ceil(step)).enumerate().map(piece).collect()
    }
}

/// Whole logical blocks within the device.
pub(super) fn check_range(core: &Core, offset: u64, len: u64) -> io::Result<()> {
    let block = u64::from(core.config.block_len);
    if !offset.is_multiple_of(block) || !len.is_multiple_of(block) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    match offset.checked_add(len) {
        Some(end) if end <= core.config.len_bytes => Ok(()),
        _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
    }
}

impl BlockDevice for VirtioBlk {
    fn len_bytes(&self) -> u64 {
        self.core.config.len_bytes
    }

    /// What is read is copied out of the device's reach before anybody checks it, wherever `buf` is but in the arena.
    fn read_at(&self, offset: DevOffset, buf: &mut [u8]) -> io::Result<()> {
        self.check(offset.0, buf.len() as u64)?;
        if let Some(start) = self.core.arena.find(buf) {
            return self.direct(Kind::Read, offset.0, start, buf.len());
        }
        let (step, mut done) = (self.bounce_len(), 0);
        while done < buf.len() {
            let left = &mut buf[done..];
            let bounces = self.bounces(left.len());
            let len = left.len().min(bounces.len() * step);
            self.core.run(&self.bounce_ios(Kind::Read, offset.0 + done as u64, len, &bounces))?;
            for (piece, bounce) in left[..len].chunks_mut(step).zip(&bounces) {
                piece.copy_from_slice(&bounce.bytes()[..piece.len()]);
            }
            done += len;
        }
        Ok(())
    }

    fn write_at(&self, offset: DevOffset, buf: &[u8]) -> io::Result<()> {
        self.check(offset.0, buf.len() as u64)?;
        if let Some(start) = self.core.arena.find(buf) {
            return self.direct(Kind::Write, offset.0, start, buf.len());
        }
        let (step, mut done) = (self.bounce_len(), 0);
        while done < buf.len() {
            let left = &buf[done..];
            let mut bounces = self.bounces(left.len());
            let len = left.len().min(bounces.len() * step);
            for (piece, bounce) in left[..len].chunks(step).zip(&mut bounces) {
                bounce.bytes_mut()[..piece.len()].copy_from_slice(piece);
            }
            self.core.run(&self.bounce_ios(Kind::Write, offset.0 + done as u64, len, &bounces))?;
            done += len;
        }
        Ok(())
    }

    fn buffer(&self, len: usize) -> IoBuf {
        match self.arena_buffer(len) {
            Some(mut buffer) if self.core.check().is_ok() => {
                buffer.bytes_mut().fill(0);
                IoBuf::of(buffer)
            }
            _ => IoBuf::new(len),
        }
    }

    fn flush(&self) -> io::Result<()> {
        self.core.check()?;
        self.core.run(&[Io { kind: Kind::Flush, offset: 0, len_bytes: 0, data: 0 }])
    }

    /// Whole pieces of what the device discards; without DISCARD, zeros are written if the device does that by itself.
    fn discard(&self, offset: DevOffset, len_bytes: u64) -> io::Result<()> {
        let config = &self.core.config;
        let (kind, max, align) = match (config.max_discard_bytes, config.max_zeroes_bytes) {
            (0, 0) => return Ok(()),
            (0, max) => (Kind::WriteZeroes, max, u64::from(config.block_len)),
            (max, _) => (Kind::Discard, max, config.discard_align_bytes.max(u64::from(config.block_len))),
        };
        if self.never_discards.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.check(offset.0, len_bytes)?;
        let start = offset.0.next_multiple_of(align);
        let end = (offset.0 + len_bytes) / align * align;
        let step = max / align * align;
        if step == 0 || start >= end {
            return Ok(());
        }
        let mut at = start;
        while at < end {
            let len = (end - at).min(step);
            match self.core.run(&[Io { kind, offset: at, len_bytes: len, data: 0 }]) {
                Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                    self.never_discards.store(true, Ordering::Relaxed);
                    return Ok(());
                }
                other => other?,
            }
            at += len;
        }
        Ok(())
    }

    fn reserve(&self, _offset: DevOffset, _len_bytes: u64) -> io::Result<()> {
        Ok(())
    }

    fn grow(&self, len_bytes: u64) -> io::Result<()> {
        if len_bytes <= self.len_bytes() {
            return Ok(());
        }
        Err(io::Error::from(io::ErrorKind::StorageFull))
    }
}
