//! Which blob lies where, and which blocks it shares with others.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use crate::alloc::Extent;
use crate::layout::record::BlobEntry;
use crate::layout::{BLOCK_LEN_BYTES, blocks_for};
use crate::types::{BlobHash, BlockNo, DevOffset};

/// Where a blob's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlobLoc {
    pub(crate) offset: DevOffset,
    /// Of the content.
    pub(crate) len_bytes: u64,
    /// What it takes in the store. The same as its length: it lies there as it is; else as frames.
    pub(crate) stored_bytes: u64,
}

impl From<BlobEntry> for BlobLoc {
    fn from(entry: BlobEntry) -> Self {
        let BlobEntry { offset, len_bytes, stored_bytes, .. } = entry;
        Self { offset, len_bytes, stored_bytes }
    }
}

impl BlobLoc {
    pub(crate) fn entry(&self, hash: &BlobHash) -> BlobEntry {
        let Self { offset, len_bytes, stored_bytes } = *self;
        BlobEntry { hash: *hash, offset, len_bytes, stored_bytes }
    }

    /// It lies there as it is.
    pub(crate) fn is_plain(&self) -> bool {
        self.stored_bytes == self.len_bytes
    }

    fn end(&self) -> u64 {
        self.offset.0.saturating_add(self.stored_bytes)
    }

    /// Whole blocks that the blob touches.
    pub(crate) fn touched(&self) -> Extent {
        let first = self.offset.0 / BLOCK_LEN_BYTES;
        let end = if self.stored_bytes == 0 { first } else { blocks_for(self.end()) };
        Extent::new(BlockNo(first), end - first)
    }

    /// Blocks that the blob fills alone; what it touches beyond them may be shared.
    fn filled(&self) -> Extent {
        let first = blocks_for(self.offset.0);
        Extent::new(BlockNo(first), (self.end() / BLOCK_LEN_BYTES).saturating_sub(first))
    }

    /// Touched blocks that it does not fill: at most two.
    fn edges(&self) -> impl Iterator<Item = u64> + use<> {
        let (touched, filled) = (self.touched(), self.filled());
        let first = touched.start.0;
        let last = touched.end().saturating_sub(1);
        let is_edge =
            move |block: &u64| filled.blocks == 0 || *block < filled.start.0 || *block >= filled.end();
        let second = (last > first).then_some(last);
        let first = (touched.blocks > 0).then_some(first);
        first.into_iter().chain(second).filter(is_edge)
    }
}

/// BLAKE3 output is uniform: its first eight bytes are a hash already.
#[derive(Default)]
pub(crate) struct PrefixHasher(u64);

impl Hasher for PrefixHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(prefix) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*prefix);
        }
    }

    fn write_usize(&mut self, _len: usize) {}

    /// Numbers of blocks: neighbours must not look alike in the upper bits.
    fn write_u64(&mut self, number: u64) {
        self.0 = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

type Shard = HashMap<BlobHash, BlobLoc, BuildHasherDefault<PrefixHasher>>;

/// What is copied when a blob is added or removed while a picture is held: with a million blobs, 4,000 of them in some
/// tens of microseconds.
const SHARDS: usize = 256;

/// Where blobs lie, as it was at one moment: taken in no time, and nobody waits for who looks at it.
#[derive(Clone, Debug)]
pub(crate) struct Blobs {
    shards: Vec<Arc<Shard>>,
    len: u64,
}

impl Default for Blobs {
    fn default() -> Self {
        Self { shards: vec![Arc::default(); SHARDS], len: 0 }
    }
}

impl Blobs {
    /// By the hash's last byte: its first ones choose the place within a shard.
    fn shard_of(hash: &BlobHash) -> usize {
        usize::from(hash.0[31])
    }

    pub(crate) fn get(&self, hash: &BlobHash) -> Option<BlobLoc> {
        self.shards[Self::shard_of(hash)].get(hash).copied()
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&BlobHash, &BlobLoc)> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }

    fn insert(&mut self, hash: BlobHash, loc: BlobLoc) {
        let shard = Arc::make_mut(&mut self.shards[Self::shard_of(&hash)]);
        self.len += u64::from(shard.insert(hash, loc).is_none());
    }

    fn remove(&mut self, hash: &BlobHash) -> Option<BlobLoc> {
        let shard = &mut self.shards[Self::shard_of(hash)];
        shard.get(hash)?;
        let loc = Arc::make_mut(shard).remove(hash)?;
        self.len -= 1;
        Some(loc)
    }
}

/// 56 bytes a blob, plus 16 for each block that blobs share, plus hash-table load.
#[derive(Debug, Default)]
pub(crate) struct Table {
    entries: Blobs,
    /// Blobs that touch a block without filling it.
    shared: HashMap<u64, u32, BuildHasherDefault<PrefixHasher>>,
    blob_bytes: u64,
    stored_bytes: u64,
}

impl Table {
    pub(crate) fn get(&self, hash: &BlobHash) -> Option<BlobLoc> {
        self.entries.get(hash)
    }

    pub(crate) fn len(&self) -> u64 {
        self.entries.len()
    }

    pub(crate) fn blob_bytes(&self) -> u64 {
        self.blob_bytes
    }

    pub(crate) fn stored_bytes(&self) -> u64 {
        self.stored_bytes
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&BlobHash, &BlobLoc)> {
        self.entries.iter()
    }

    /// As it is now. While it is held, changes cost a copy of a part of the table.
    pub(crate) fn picture(&self) -> Blobs {
        self.entries.clone()
    }

    /// Adds or replaces; a replaced entry's blocks are returned as free.
    pub(crate) fn insert(&mut self, hash: BlobHash, loc: BlobLoc) -> Vec<Extent> {
        let freed = self.remove(&hash).unwrap_or_default();
        for block in loc.edges() {
            *self.shared.entry(block).or_insert(0) += 1;
        }
        self.blob_bytes += loc.len_bytes;
        self.stored_bytes += loc.stored_bytes;
        self.entries.insert(hash, loc);
        freed
    }

    /// Removes; returns the blocks that no blob touches any more. `None`: it was not there.
    pub(crate) fn remove(&mut self, hash: &BlobHash) -> Option<Vec<Extent>> {
        let loc = self.entries.remove(hash)?;
        self.blob_bytes -= loc.len_bytes;
        self.stored_bytes -= loc.stored_bytes;
        let mut freed = Vec::new();
        let filled = loc.filled();
        if filled.blocks > 0 {
            freed.push(filled);
        }
        for block in loc.edges() {
            if let Some(count) = self.shared.get_mut(&block) {
                *count -= 1;
                if *count == 0 {
                    self.shared.remove(&block);
                    freed.push(Extent::new(BlockNo(block), 1));
                }
            }
        }
        Some(freed)
    }

    /// Blocks in use by blobs, disjoint and ascending; or the first blob that overlaps another.
    pub(crate) fn used_extents(&self) -> Result<Vec<Extent>, BlobHash> {
        let mut by_place: Vec<(BlobLoc, BlobHash)> = self
            .entries
            .iter()
            .filter(|(_, loc)| loc.stored_bytes > 0)
            .map(|(hash, loc)| (*loc, *hash))
            .collect();
        by_place.sort_unstable_by_key(|(loc, _)| loc.offset);
        let mut used: Vec<Extent> = Vec::new();
        let mut end_bytes = 0;
        for (loc, hash) in by_place {
            if loc.offset.0 < end_bytes {
                return Err(hash);
            }
            end_bytes = loc.end();
            let touched = loc.touched();
            match used.last_mut() {
                Some(last) if touched.start.0 <= last.end() => {
                    last.blocks = touched.end().max(last.end()) - last.start.0;
                }
                _ => used.push(touched),
            }
        }
        Ok(used)
    }
}
