//! The checkpoint stream: a chain of chunks on the device, seen as `Write` and as `Read`.

use std::io::{self, Read, Write};

use crate::alloc::Extent;
use crate::device::BlockDevice;
use crate::error::StoreError;
use crate::layout::chunk::{self, CHUNK_BLOCKS, CHUNK_LEN, ChunkHeader, PAYLOAD_AT};
use crate::layout::superblock::Superblock;
use crate::layout::{BLOCK_LEN, DATA_START_BLOCK};
use crate::types::{BlockNo, Epoch, StoreId};

/// Bytes of the blob count that opens the stream.
pub(crate) const BLOB_COUNT_LEN: usize = 8;

/// Where a finished stream lies.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) first: BlockNo,
    pub(crate) len_bytes: u64,
    pub(crate) hash: [u8; 32],
}

/// Writes the stream. The first failure is kept in `failure`, since `io::Error` says too little.
pub(crate) struct ChunkWriter<'a> {
    dev: &'a dyn BlockDevice,
    allocate: &'a dyn Fn() -> Result<Extent, StoreError>,
    store_id: StoreId,
    epoch: Epoch,
    buf: Vec<u8>,
    hasher: blake3::Hasher,
    len_bytes: u64,
    /// Chunks allocated so far: `buf` goes to the last one.
    pub(crate) extents: Vec<Extent>,
    pub(crate) failure: Option<StoreError>,
}

impl<'a> ChunkWriter<'a> {
    pub(crate) fn new(
        dev: &'a dyn BlockDevice,
        allocate: &'a dyn Fn() -> Result<Extent, StoreError>,
        store_id: StoreId,
        epoch: Epoch,
    ) -> Self {
        Self {
            dev,
            allocate,
            store_id,
            epoch,
            buf: vec![0; PAYLOAD_AT],
            hasher: blake3::Hasher::new(),
            len_bytes: 0,
            extents: Vec::new(),
            failure: None,
        }
    }

    /// Writes the last chunk.
    pub(crate) fn finish(&mut self) -> Result<Written, StoreError> {
        if self.failure.is_none() {
            let _kept_in_failure = self.emit(true);
        }
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        let first = self.extents.first().map(|extent| extent.start).unwrap_or_default();
        Ok(Written { first, len_bytes: self.len_bytes, hash: *self.hasher.finalize().as_bytes() })
    }

    fn emit(&mut self, last: bool) -> io::Result<()> {
        let outcome = self.try_emit(last);
        outcome.map_err(|error| {
            let text = error.to_string();
            self.failure = Some(error);
            io::Error::other(text)
        })
    }

    fn try_emit(&mut self, last: bool) -> Result<(), StoreError> {
        if self.extents.is_empty() {
            self.extents.push((self.allocate)()?);
        }
        let here = self.extents[self.extents.len() - 1];
        let index = self.extents.len() as u64 - 1;
        let mut next = BlockNo(0);
        if !last {
            let extent = (self.allocate)()?;
            self.extents.push(extent);
            next = extent.start;
        }
        let payload_len = self.buf.len() - PAYLOAD_AT;
        let header = ChunkHeader { store_id: self.store_id, epoch: self.epoch, index, next, payload_len };
        chunk::seal(&mut self.buf, &header);
        self.buf.resize(self.buf.len().next_multiple_of(BLOCK_LEN), 0);
        let offset = here.start.offset();
        self.dev.write_at(offset, &self.buf).map_err(|source| StoreError::Io {
            what: "write of a checkpoint chunk",
            offset: offset.0,
            source,
        })?;
        self.buf.truncate(PAYLOAD_AT);
        Ok(())
    }
}

impl Write for ChunkWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.failure.is_some() {
            return Err(io::Error::other("the checkpoint has failed already"));
        }
        if self.buf.len() == CHUNK_LEN {
            self.emit(false)?;
        }
        let take = bytes.len().min(CHUNK_LEN - self.buf.len());
        self.buf.extend_from_slice(&bytes[..take]);
        self.hasher.update(&bytes[..take]);
        self.len_bytes += take as u64;
        Ok(take)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads the stream. No byte is handed out before its chunk's checksum was found correct.
pub(crate) struct ChunkReader<'a> {
    dev: &'a dyn BlockDevice,
    store_id: StoreId,
    epoch: Epoch,
    chunk: Vec<u8>,
    at: usize,
    end: usize,
    next: BlockNo,
    left_bytes: u64,
    hasher: blake3::Hasher,
    expected_hash: [u8; 32],
    pub(crate) extents: Vec<Extent>,
    pub(crate) failure: Option<StoreError>,
}

impl<'a> ChunkReader<'a> {
    pub(crate) fn new(dev: &'a dyn BlockDevice, superblock: &Superblock) -> Self {
        Self {
            dev,
            store_id: superblock.store_id,
            epoch: superblock.epoch,
            chunk: vec![0; CHUNK_LEN],
            at: 0,
            end: 0,
            next: superblock.checkpoint_block,
            left_bytes: superblock.checkpoint_len_bytes,
            hasher: blake3::Hasher::new(),
            expected_hash: superblock.checkpoint_hash,
            extents: Vec::new(),
            failure: None,
        }
    }

    pub(crate) fn left_bytes(&self) -> u64 {
        self.left_bytes
    }

    /// Reads what the client left unread and checks the whole.
    pub(crate) fn finish(mut self) -> Result<Vec<Extent>, StoreError> {
        let drained = io::copy(&mut self, &mut io::sink());
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        drained.map_err(|source| StoreError::Io { what: "read of the checkpoint", offset: 0, source })?;
        let found = self.hasher.finalize();
        if *found.as_bytes() != self.expected_hash {
            return Err(StoreError::Damaged {
                what: "checkpoint",
                block: self.extents.first().map(|extent| extent.start).unwrap_or_default(),
                expected: blake3::Hash::from_bytes(self.expected_hash).to_string(),
                found: found.to_string(),
            });
        }
        Ok(self.extents)
    }

    fn load(&mut self) -> Result<(), StoreError> {
        let block = self.next;
        let index = self.extents.len() as u64;
        let damaged = |found: &str| StoreError::Damaged {
            what: "checkpoint chunk",
            block,
            expected: format!("chunk {index} of epoch {}", self.epoch),
            found: found.to_owned(),
        };
        let end = block.offset().0.saturating_add(CHUNK_LEN as u64);
        if block.0 < DATA_START_BLOCK {
            return Err(damaged("the end of the chain"));
        }
        if end > self.dev.len_bytes() {
            return Err(StoreError::Truncated {
                what: "the checkpoint",
                expected_bytes: end,
                found_bytes: self.dev.len_bytes(),
            });
        }
        let offset = block.offset();
        self.dev.read_at(offset, &mut self.chunk).map_err(|source| StoreError::Io {
            what: "read of a checkpoint chunk",
            offset: offset.0,
            source,
        })?;
        let header = chunk::decode(&self.chunk)
            .filter(|h| h.store_id == self.store_id && h.epoch == self.epoch && h.index == index)
            .ok_or_else(|| damaged("no valid chunk"))?;
        if header.payload_len == 0 || header.payload_len as u64 > self.left_bytes {
            return Err(damaged("a chunk of the wrong length"));
        }
        self.extents.push(Extent::new(block, CHUNK_BLOCKS));
        (self.at, self.end) = (PAYLOAD_AT, PAYLOAD_AT + header.payload_len);
        self.hasher.update(&self.chunk[self.at..self.end]);
        self.next = header.next;
        Ok(())
    }
}

impl Read for ChunkReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.left_bytes == 0 || out.is_empty() {
            return Ok(0);
        }
        if self.at == self.end
            && let Err(error) = self.load()
        {
            let text = error.to_string();
            self.failure = Some(error);
            return Err(io::Error::other(text));
        }
        let take = out.len().min(self.end - self.at);
        out[..take].copy_from_slice(&self.chunk[self.at..self.at + take]);
        self.at += take;
        self.left_bytes -= take as u64;
        Ok(take)
    }
}
