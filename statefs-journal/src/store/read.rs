//! A blob's bytes from where they lie, checked against its name.

use crate::device::BlockDevice;
use crate::error::StoreError;
use crate::form::{FRAME_HEADER_LEN, Frame, decompress};
use crate::layout::{BLOCK_LEN, BLOCK_LEN_BYTES};
use crate::stream::{Sink, hash_zeros};
use crate::table::BlobLoc;
use crate::types::{BlobHash, DevOffset};

use super::blobs::IO_LEN;

/// The stored bytes of one blob, in order.
struct Stored<'a> {
    dev: &'a dyn BlockDevice,
    /// Device bytes that are not in `buf` yet.
    at: u64,
    end: u64,
    buf: Vec<u8>,
    /// Of `buf`, what was taken.
    taken: usize,
}

impl Stored<'_> {
    /// The next `len` bytes, at most [`IO_LEN`]; `None`: there are not so many.
    fn take(&mut self, len: usize) -> Result<Option<&[u8]>, StoreError> {
        while self.buf.len() - self.taken < len {
            if self.at >= self.end {
                return Ok(None);
            }
            self.buf.drain(..self.taken);
            self.taken = 0;
            let within = usize::try_from(self.at % BLOCK_LEN_BYTES).unwrap_or(0);
            let want = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(IO_LEN - within);
            let held = self.buf.len();
            if held == 0 {
                self.load(within, want)?;
            } else {
                let kept = std::mem::take(&mut self.buf);
                self.load(within, want)?;
                self.buf.splice(..self.taken, kept);
                self.taken = 0;
            }
        }
        let from = self.taken;
        self.taken += len;
        Ok(Some(&self.buf[from..from + len]))
    }

    /// Fills the empty buffer with so many bytes, which begin so far into their first block.
    fn load(&mut self, within: usize, want: usize) -> Result<(), StoreError> {
        self.buf.resize((within + want).next_multiple_of(BLOCK_LEN), 0);
        let offset = DevOffset(self.at - within as u64);
        self.dev.read_at(offset, &mut self.buf).map_err(|source| StoreError::Io {
            what: "read of a blob",
            offset: offset.0,
            source,
        })?;
        self.buf.truncate(within + want);
        self.taken = within;
        self.at += want as u64;
        Ok(())
    }

    fn left(&self) -> usize {
        let behind = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        (self.buf.len() - self.taken).saturating_add(behind)
    }
}

/// Streams the bytes at `loc` and checks them against `hash`.
pub(super) fn read_from(
    dev: &dyn BlockDevice,
    hash: &BlobHash,
    loc: BlobLoc,
    sink: &mut dyn Sink,
) -> Result<(), StoreError> {
    let end = loc.offset.0.saturating_add(loc.stored_bytes);
    let blocks_end = end.checked_next_multiple_of(BLOCK_LEN_BYTES).unwrap_or(u64::MAX);
    if blocks_end > dev.len_bytes() {
        let found_bytes = dev.len_bytes();
        return Err(StoreError::Truncated { what: "a blob", expected_bytes: blocks_end, found_bytes });
    }
    deliver(Stored { dev, at: loc.offset.0, end, buf: Vec::new(), taken: 0 }, hash, loc, sink)
}

/// The same for stored bytes that are still in memory.
pub(super) fn read_gathered(
    dev: &dyn BlockDevice,
    hash: &BlobHash,
    loc: BlobLoc,
    stored: Vec<u8>,
    sink: &mut dyn Sink,
) -> Result<(), StoreError> {
    deliver(Stored { dev, at: 0, end: 0, buf: stored, taken: 0 }, hash, loc, sink)
}

fn deliver(
    mut stored: Stored<'_>,
    hash: &BlobHash,
    loc: BlobLoc,
    sink: &mut dyn Sink,
) -> Result<(), StoreError> {
    let mut hasher = blake3::Hasher::new();
    if loc.is_plain() {
        while stored.left() > 0 {
            let want = stored.left().min(IO_LEN - BLOCK_LEN);
            let Some(piece) = stored.take(want)? else { break };
            hasher.update(piece);
            sink.data(piece).map_err(sink_error(hash))?;
        }
    } else {
        unframe(&mut stored, hash, loc.len_bytes, &mut hasher, sink)?;
    }
    let found = BlobHash::from(hasher.finalize());
    if found != *hash {
        return Err(StoreError::BlobMismatch { hash: *hash, found });
    }
    Ok(())
}

/// Ends early where the frames are not those of a blob of this length; the hash tells.
fn unframe(
    stored: &mut Stored<'_>,
    hash: &BlobHash,
    len_bytes: u64,
    hasher: &mut blake3::Hasher,
    sink: &mut dyn Sink,
) -> Result<(), StoreError> {
    let mut left = len_bytes;
    let mut content = Vec::new();
    while left > 0 {
        let Some(header) = stored.take(FRAME_HEADER_LEN)?.and_then(<[u8]>::first_chunk) else { break };
        let Some(frame) = Frame::decode(header) else { break };
        let Some(piece) = stored.take(frame.stored())? else { break };
        let bytes = match frame {
            Frame::Zeros(len) if len <= left => {
                hash_zeros(hasher, len);
                sink.zeros(len).map_err(sink_error(hash))?;
                left -= len;
                continue;
            }
            Frame::Plain(len) if len as u64 <= left => piece,
            Frame::Zstd { len, .. } if len as u64 <= left => {
                content.resize(len, 0);
                if !decompress(piece, &mut content) {
                    break;
                }
                &content[..]
            }
            _ => break,
        };
        hasher.update(bytes);
        sink.data(bytes).map_err(sink_error(hash))?;
        left -= bytes.len() as u64;
    }
    Ok(())
}

fn sink_error(hash: &BlobHash) -> impl FnOnce(std::io::Error) -> StoreError {
    move |source| StoreError::BlobIo { hash: *hash, what: "write to the sink", source }
}
