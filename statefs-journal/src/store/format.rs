//! An empty store.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::alloc::Allocator;
use crate::device::{BlockDevice, FileDevice};
use crate::error::StoreError;
use crate::journal::{AppendError, Journal};
use crate::layout::record::Seed;
use crate::layout::superblock::{Slot, Superblock};
use crate::layout::{BLOCK_LEN, DEVICE_LEN_MIN_BYTES, GROW_STEP_BYTES, SUPERBLOCK_BLOCKS};
use crate::types::{BlockNo, Epoch, Seq, StoreId};

use super::Store;
use super::sync::publish;

/// How to lay out a new store.
#[derive(Clone, Debug, Default)]
pub struct FormatOptions {
    /// Format even where a store is found. Everything in it is lost.
    pub overwrite: bool,
}

impl Store {
    /// Writes an empty store; durable when this returns.
    ///
    /// # Errors
    /// `AlreadyFormatted` where any trace of a store is found, `TooSmall`, `Io`.
    pub fn format(dev: &dyn BlockDevice, options: &FormatOptions) -> Result<StoreId, StoreError> {
        if dev.len_bytes() < DEVICE_LEN_MIN_BYTES {
            dev.grow(GROW_STEP_BYTES).or_else(|_| dev.grow(DEVICE_LEN_MIN_BYTES)).map_err(|_| {
                StoreError::TooSmall { expected_bytes: DEVICE_LEN_MIN_BYTES, found_bytes: dev.len_bytes() }
            })?;
        }
        for slot in SUPERBLOCK_BLOCKS {
            if read_slot(dev, slot)? == Slot::Foreign {
                continue;
            }
            if !options.overwrite {
                return Err(StoreError::AlreadyFormatted);
            }
            // Otherwise a crash half way could leave the old store's other superblock in charge.
            wipe_slot(dev, slot)?;
        }
        let seed = Seed { store_id: random_id()?, epoch: Epoch(1) };
        let mut alloc = Allocator::rebuild(dev.len_bytes(), Vec::new())?;
        let journal = Journal::begin(dev, &mut alloc, seed, Seq(0)).map_err(|error| match error {
            AppendError::Refused(error) | AppendError::Failed(error) => error,
        })?;
        publish(
            dev,
            &Superblock {
                store_id: seed.store_id,
                epoch: seed.epoch,
                generation: 1,
                device_len_bytes: dev.len_bytes(),
                checkpoint_block: BlockNo(0),
                checkpoint_len_bytes: 0,
                checkpoint_hash: [0; 32],
                journal_block: journal.segments[0],
                first_seq: Seq(1),
                state_keys: 0,
                first_session: 1,
            },
        )?;
        Ok(seed.store_id)
    }

    /// Formats a file under a temporary name beside `path`, then renames it, so that a half-made store is never
    /// seen under its name.
    ///
    /// # Errors
    /// `AlreadyFormatted` when there is a file at `path` (unless `overwrite`), `Io`.
    pub fn create_file(path: &Path, options: &FormatOptions) -> Result<StoreId, StoreError> {
        let io = |what| move |source| StoreError::Io { what, offset: 0, source };
        if !options.overwrite && path.symlink_metadata().is_ok() {
            return Err(StoreError::AlreadyFormatted);
        }
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        let temporary = Path::new(&name);
        match fs::remove_file(temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io("removal of a half-made store")(error));
            }
            _ => {}
        }
        let dev = FileDevice::create(temporary)?;
        let id = Self::format(&dev, options)?;
        fs::rename(temporary, path).map_err(io("rename of the new store"))?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|f| f.sync_all()).map_err(io("sync of the store's folder"))?;
        Ok(id)
    }
}

pub(super) fn read_slot(dev: &dyn BlockDevice, slot: u64) -> Result<Slot, StoreError> {
    let mut block = vec![0; BLOCK_LEN];
    let offset = BlockNo(slot).offset();
    dev.read_at(offset, &mut block).map_err(|source| StoreError::Io {
        what: "read of a superblock",
        offset: offset.0,
        source,
    })?;
    Ok(Superblock::decode(&block))
}

fn wipe_slot(dev: &dyn BlockDevice, slot: u64) -> Result<(), StoreError> {
    let offset = BlockNo(slot).offset();
    dev.write_at(offset, &[0; BLOCK_LEN]).and_then(|()| dev.flush()).map_err(|source| StoreError::Io {
        what: "removal of a superblock",
        offset: offset.0,
        source,
    })
}

fn random_id() -> Result<StoreId, StoreError> {
    let mut id = [0; 16];
    File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut id)).map_err(|source| StoreError::Io {
        what: "read of /dev/urandom",
        offset: 0,
        source,
    })?;
    Ok(StoreId(id))
}
