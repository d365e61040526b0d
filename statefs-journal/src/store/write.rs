//! Writing a blob's bytes where nothing refers to them yet: as they are, or as frames where that pays.

use std::io;

use crate::alloc::{Extent, Purpose};
use crate::device::IoBuf;
use crate::error::StoreError;
use crate::form::{Encoder, pays, stored_bytes_max};
use crate::layout::{BLOCK_LEN, PACKED_BLOB_LEN_MAX, blocks_for};
use crate::stream::{Piece, Source, hash_zeros};
use crate::table::BlobLoc;
use crate::types::{BlobHash, DevOffset};

use super::blobs::IO_LEN;
use super::{Core, Store};

/// What became of the bytes.
pub(super) enum Written {
    /// Short enough to be gathered with others: the frames.
    Short(Vec<u8>),
    /// In an extent of their own.
    Long(Extent, BlobLoc),
}

/// What comes from a source, counted and, if wanted, hashed.
struct Feed<'a> {
    hash: &'a BlobHash,
    source: &'a mut dyn Source,
    left_bytes: u64,
    hasher: Option<blake3::Hasher>,
}

impl Feed<'_> {
    fn next(&mut self, buf: &mut [u8]) -> Result<Piece, StoreError> {
        let want = usize::try_from(self.left_bytes).unwrap_or(usize::MAX).min(buf.len());
        if want == 0 {
            return Ok(Piece::End);
        }
        let mut piece = self.source.next(&mut buf[..want]).map_err(|error| source_error(self.hash, error))?;
        match &mut piece {
            Piece::Data(len) => {
                self.left_bytes -= *len as u64;
                if let Some(hasher) = &mut self.hasher {
                    hasher.update(&buf[..*len]);
                }
            }
            Piece::Zeros(len) => {
                *len = self.left_bytes.min(*len);
                self.left_bytes -= *len;
                if let Some(hasher) = &mut self.hasher {
                    hash_zeros(hasher, *len);
                }
            }
            Piece::End => return Err(source_error(self.hash, io::ErrorKind::UnexpectedEof.into())),
        }
        Ok(piece)
    }

    fn finish(self) -> Result<(), StoreError> {
        self.hasher.map_or(Ok(()), |hasher| check_hash(self.hash, hasher.finalize().into()))
    }
}

/// Goes through an extent from its start, in whole blocks.
struct Run {
    extent: Extent,
    done_bytes: u64,
}

impl Store {
    /// Writes `len_bytes` of a source; with `verify`, they must be what `hash` says. What was allocated is free again
    /// where this fails.
    pub(super) fn write_blob(
        &self,
        hash: &BlobHash,
        source: &mut dyn Source,
        len_bytes: u64,
        verify: bool,
    ) -> Result<Written, StoreError> {
        let data_bytes = source.data_bytes();
        let hasher = verify.then(blake3::Hasher::new);
        let mut feed = Feed { hash, source, left_bytes: len_bytes, hasher };
        let buf_len = usize::try_from(len_bytes).unwrap_or(usize::MAX).min(IO_LEN);
        let mut buf = self.dev.buffer(buf_len.next_multiple_of(BLOCK_LEN));
        let mut encoder = Encoder::new(self.compression());
        let first = feed.next(&mut buf)?;
        encode(&mut encoder, first, &buf);
        let sparse = data_bytes.is_some_and(|data| pays(stored_bytes_max(data), len_bytes));
        if sparse || pays(encoder.out.len() as u64, len_bytes - feed.left_bytes) {
            return self.write_framed(feed, encoder, buf, data_bytes.unwrap_or(len_bytes), len_bytes);
        }
        let extent = self.allocate_blob(&mut self.core(), len_bytes)?;
        let outcome = self.write_plain(feed, first, buf, extent);
        self.done(outcome.map(|()| len_bytes), extent, len_bytes)
    }

    fn write_plain(
        &self,
        mut feed: Feed<'_>,
        first: Piece,
        mut buf: IoBuf,
        extent: Extent,
    ) -> Result<(), StoreError> {
        let mut run = Run { extent, done_bytes: 0 };
        let (mut piece, mut filled) = (first, 0);
        loop {
            match piece {
                Piece::Data(len) => filled += len,
                Piece::Zeros(mut len) => {
                    while len > 0 {
                        let take = usize::try_from(len).unwrap_or(usize::MAX).min(buf.len() - filled);
                        buf[filled..filled + take].fill(0);
                        (filled, len) = (filled + take, len - take as u64);
                        if filled == buf.len() && len > 0 {
                            self.write_run(&mut run, &buf)?;
                            filled = 0;
                        }
                    }
                }
                Piece::End => break,
            }
            if filled == IO_LEN {
                self.write_run(&mut run, &buf)?;
                filled = 0;
            }
            piece = feed.next(&mut buf[filled..])?;
        }
        let end = filled.next_multiple_of(BLOCK_LEN);
        buf[filled..end].fill(0);
        self.write_run(&mut run, &buf[..end])?;
        feed.finish()
    }

    fn write_framed(
        &self,
        mut feed: Feed<'_>,
        mut encoder: Encoder,
        mut buf: IoBuf,
        data_bytes: u64,
        len_bytes: u64,
    ) -> Result<Written, StoreError> {
        let mut ended = false;
        while !ended && encoder.out.len() <= PACKED_BLOB_LEN_MAX {
            let piece = feed.next(&mut buf)?;
            encode(&mut encoder, piece, &buf);
            ended = piece == Piece::End;
        }
        if ended && encoder.out.len() <= PACKED_BLOB_LEN_MAX {
            feed.finish()?;
            return Ok(Written::Short(encoder.out));
        }
        let bound = stored_bytes_max(data_bytes).max(encoder.out.len() as u64);
        let extent = self.allocate_blob(&mut self.core(), bound)?;
        let outcome = self.write_frames(feed, encoder, buf, extent);
        self.done(outcome, extent, len_bytes)
    }

    /// Returns what they take.
    fn write_frames(
        &self,
        mut feed: Feed<'_>,
        mut encoder: Encoder,
        mut buf: IoBuf,
        extent: Extent,
    ) -> Result<u64, StoreError> {
        let mut run = Run { extent, done_bytes: 0 };
        let mut ended = false;
        while !ended {
            let piece = feed.next(&mut buf)?;
            encode(&mut encoder, piece, &buf);
            ended = piece == Piece::End;
            if encoder.out.len() >= IO_LEN {
                let whole = encoder.out.len() - encoder.out.len() % BLOCK_LEN;
                self.write_run(&mut run, &encoder.out[..whole])?;
                encoder.out.drain(..whole);
            }
        }
        let hash = feed.hash;
        feed.finish()?;
        let stored_bytes = run.done_bytes + encoder.out.len() as u64;
        encoder.out.resize(encoder.out.len().next_multiple_of(BLOCK_LEN), 0);
        self.write_run(&mut run, &encoder.out)?;
        if run.done_bytes > extent.len_bytes() {
            return Err(changed(hash));
        }
        Ok(stored_bytes)
    }

    fn write_run(&self, run: &mut Run, bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.check()?;
        let end = run.done_bytes + bytes.len() as u64;
        if end <= run.extent.len_bytes() {
            let offset = run.extent.start.offset().plus(run.done_bytes);
            self.dev
                .write_at(offset, bytes)
                .map_err(|error| self.data_error(offset, run.extent.len_bytes(), error))?;
        }
        run.done_bytes = end;
        Ok(())
    }

    /// Gives back what the blob did not need, or everything.
    fn done(
        &self,
        outcome: Result<u64, StoreError>,
        extent: Extent,
        len_bytes: u64,
    ) -> Result<Written, StoreError> {
        let used = outcome.as_ref().map_or(0, |stored| blocks_for(*stored));
        if used < extent.blocks {
            let rest = Extent::new(crate::types::BlockNo(extent.start.0 + used), extent.blocks - used);
            self.give_back(vec![rest]);
        }
        let stored_bytes = outcome?;
        let loc = BlobLoc { offset: extent.start.offset(), len_bytes, stored_bytes };
        Ok(Written::Long(Extent::new(extent.start, used), loc))
    }

    pub(super) fn allocate_blob(&self, core: &mut Core, len_bytes: u64) -> Result<Extent, StoreError> {
        let extent = core.alloc.allocate(&*self.dev, blocks_for(len_bytes), Purpose::Blob, "a blob")?;
        // So that writing what was promised to the caller cannot fail for want of space.
        if self.dev.reserve(extent.start.offset(), extent.len_bytes()).is_err() {
            core.alloc.free(extent);
            return Err(StoreError::NoSpace { what: "a blob", needed_bytes: len_bytes });
        }
        Ok(extent)
    }

    /// Nothing refers to the extent yet, so a full device is no reason to stop trusting it.
    fn data_error(&self, offset: DevOffset, len_bytes: u64, source: io::Error) -> StoreError {
        if source.raw_os_error() == Some(libc::ENOSPC) {
            return StoreError::NoSpace { what: "a blob", needed_bytes: len_bytes };
        }
        self.fail(StoreError::Io { what: "write of a blob", offset: offset.0, source })
    }
}

fn encode(encoder: &mut Encoder, piece: Piece, buf: &[u8]) {
    match piece {
        Piece::Data(len) => encoder.data(&buf[..len]),
        Piece::Zeros(len) => encoder.zeros(len),
        Piece::End => encoder.finish(),
    }
}

/// The source has more data than it said, or other bytes than when it was hashed.
fn changed(hash: &BlobHash) -> StoreError {
    StoreError::SourceMismatch { hash: *hash, why: "it changed while it was read".to_owned() }
}

pub(super) fn source_error(hash: &BlobHash, source: io::Error) -> StoreError {
    if source.kind() == io::ErrorKind::UnexpectedEof {
        return StoreError::SourceMismatch { hash: *hash, why: "it ended early".to_owned() };
    }
    StoreError::BlobIo { hash: *hash, what: "read of the source", source }
}

pub(super) fn check_hash(hash: &BlobHash, found: BlobHash) -> Result<(), StoreError> {
    if found == *hash {
        return Ok(());
    }
    Err(StoreError::SourceMismatch { hash: *hash, why: format!("its bytes hash to {found}") })
}
