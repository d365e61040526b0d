//! The store: what the rest of vrift calls. One file per concern; this one holds the shared state.

mod append;
mod blobs;
mod checkpoint;
mod collect;
mod format;
mod fsck;
mod open;
mod put;
mod read;
mod recover;
mod scrub;
mod state;
mod sync;
mod write;

use std::collections::HashSet;
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicI32};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::time::Instant;

use crate::alloc::{Allocator, Extent};
use crate::device::BlockDevice;
use crate::error::StoreError;
use crate::journal::{AppendError, Journal};
use crate::layout::superblock::Superblock;
use crate::pack::Pack;
use crate::state::Space;
use crate::table::Table;
use crate::types::{BlobHash, Epoch, Seq, StoreId};

pub use checkpoint::{CheckpointRoom, PendingCheckpoint};
pub use collect::{Collection, Swept};
pub use format::FormatOptions;
pub use fsck::{Finding, Fsck};

/// What [`Store::open`] delivers, in this order: the checkpoint if there is one, then each record.
pub enum Replay<'a> {
    /// The client's bytes of the last checkpoint. Not delivered by a store that never had one.
    Checkpoint { len_bytes: u64, bytes: &'a mut dyn Read },
    /// A client record appended since, in order of `seq`. The engine's own records take numbers too, so there
    /// are gaps.
    Record { seq: Seq, kind: u8, payload: &'a [u8] },
}

/// Numbers for `doctor`, for policy (when to checkpoint) and for tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Blobs in the table.
    pub blobs: u64,
    /// Sum of their lengths.
    pub blob_bytes: u64,
    /// What they take, without what is lost to whole blocks.
    pub stored_bytes: u64,
    /// Keys of the key-value space.
    pub state_keys: u64,
    /// Blocks in use, in bytes.
    pub used_bytes: u64,
    /// Present length of the device.
    pub device_bytes: u64,
    /// Journal written since the last checkpoint.
    pub journal_bytes: u64,
    /// Present epoch.
    pub epoch: Epoch,
    /// The last record.
    pub last_seq: Seq,
    /// The last record that somebody appended: later ones only say what is durable.
    pub dirty_seq: Seq,
    /// The last record known to be durable.
    pub synced_seq: Seq,
}

/// An open store. All methods take `&self` and may be called from several threads.
///
/// Lock order: `checkpointing`, `gate`, `publishing`, `core`; `flushing` is never held while another lock is taken.
pub struct Store {
    dev: Arc<dyn BlockDevice>,
    store_id: StoreId,
    /// Shared by everything that changes the store, taken alone by a checkpoint that others wait for.
    gate: RwLock<()>,
    /// One checkpoint at a time.
    checkpointing: Mutex<()>,
    /// Who publishes a superblock, from making it up to having it in `core`.
    publishing: Mutex<()>,
    core: Mutex<Core>,
    flushing: Mutex<Flushing>,
    flushed: Condvar,
    /// A collection notes what is used.
    collecting: AtomicBool,
    /// Chunks of the last checkpoint, if there was no room for it, and when that was.
    too_long: Mutex<Option<(usize, Instant)>>,
    /// zstd's level for blobs that are put.
    compression: AtomicI32,
    /// The first failed write or flush.
    poison: OnceLock<String>,
}

struct Core {
    journal: Journal,
    table: Table,
    state: Space,
    alloc: Allocator,
    pack: Pack,
    superblock: Superblock,
    checkpoint_extents: Vec<Extent>,
    /// Blocks that become free when the record of this sequence is durable.
    pending_free: Vec<(Seq, Vec<Extent>)>,
    unsynced_blob_bytes: u64,
    /// Blobs that came into use since the collection under way began.
    used: Option<HashSet<BlobHash>>,
}

/// Group commit: one caller flushes, the others wait for it.
#[derive(Default)]
struct Flushing {
    active: bool,
    synced: Seq,
}

impl Store {
    /// The store's random name.
    pub fn id(&self) -> StoreId {
        self.store_id
    }

    /// See [`Stats`].
    pub fn stats(&self) -> Stats {
        let core = self.core();
        Stats {
            blobs: core.table.len(),
            blob_bytes: core.table.blob_bytes(),
            stored_bytes: core.table.stored_bytes(),
            state_keys: core.state.len(),
            used_bytes: core.alloc.used_bytes(),
            device_bytes: self.dev.len_bytes(),
            journal_bytes: core.journal.len_bytes(),
            epoch: core.superblock.epoch,
            last_seq: core.journal.last_seq,
            dirty_seq: core.journal.last_dirty_seq,
            synced_seq: core.journal.synced_seq,
        }
    }

    /// The first failure, once there was one. From then on the store only reads.
    pub fn poisoned(&self) -> Option<String> {
        self.poison.get().cloned()
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flushing(&self) -> MutexGuard<'_, Flushing> {
        self.flushing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Entry of everything that writes.
    fn enter(&self) -> Result<RwLockReadGuard<'_, ()>, StoreError> {
        let gate = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        self.check()?;
        Ok(gate)
    }

    fn check(&self) -> Result<(), StoreError> {
        match self.poison.get() {
            None => Ok(()),
            Some(first) => Err(StoreError::Poisoned { first: first.clone() }),
        }
    }

    /// Remembers the first failure and hands it on.
    fn fail(&self, error: StoreError) -> StoreError {
        if self.poison.set(error.to_string()).is_ok() {
            tracing::error!(%error, "store: a write failed; refusing further writes");
        }
        error
    }

    fn judge<T>(&self, outcome: Result<T, AppendError>) -> Result<T, StoreError> {
        outcome.map_err(|error| match error {
            AppendError::Refused(error) => error,
            AppendError::Failed(error) => self.fail(error),
        })
    }
}
