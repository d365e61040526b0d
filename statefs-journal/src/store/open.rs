//! Opening: which superblock is in charge, and what is repaired once everything was read.

use std::sync::atomic::{AtomicBool, AtomicI32};
use std::sync::{Arc, Condvar, Mutex, OnceLock, RwLock};

use crate::device::BlockDevice;
use crate::error::StoreError;
use crate::journal::Journal;
use crate::layout::record::KIND_SESSION;
use crate::layout::superblock::{FORMAT_VERSION, Slot, Superblock};
use crate::layout::{BLOCK_LEN_BYTES, SUPERBLOCK_BLOCKS};
use crate::pack::Pack;
use crate::types::BlockNo;

use super::format::read_slot;
use super::recover::{Found, recover};
use super::{Core, Flushing, Replay, Store};

impl Store {
    /// Opens a store and delivers what it holds: the checkpoint, then the records since. If this fails, what was
    /// delivered must be thrown away; nothing on the device was changed unless the failure is an `Io` of a write.
    ///
    /// # Errors
    /// `Empty`, `NotAStore`, `SuperblocksDamaged`, `NewerVersion`, `Truncated`, `Damaged`, `JournalDamaged`, `Io`,
    /// and whatever `replay` returns.
    pub fn open(
        dev: Arc<dyn BlockDevice>,
        replay: &mut dyn FnMut(Replay<'_>) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        let (superblock, stale_slots) = choose(&*dev)?;
        let found = recover(&*dev, &superblock, replay)?;
        repair(&*dev, &superblock, &stale_slots)?;
        Self::go_on(dev, superblock, found)
    }

    fn go_on(dev: Arc<dyn BlockDevice>, superblock: Superblock, found: Found) -> Result<Self, StoreError> {
        let Found { table, state, alloc, checkpoint_extents, journal: end } = found;
        let session = end.session + 1;
        let mut journal =
            Journal::resume(&*dev, end.seed, session, end.segments, end.pos, end.last_seq, end.synced_seq);
        journal.first_index = end.first_index;
        journal.announce(&*dev);
        let core = Core {
            journal,
            table,
            state,
            alloc,
            pack: Pack::default(),
            checkpoint_extents,
            pending_free: Vec::new(),
            unsynced_blob_bytes: 0,
            used: None,
            superblock,
        };
        let store = Self {
            dev,
            store_id: core.superblock.store_id,
            gate: RwLock::new(()),
            checkpointing: Mutex::new(()),
            publishing: Mutex::new(()),
            flushing: Mutex::new(Flushing { active: false, synced: core.journal.synced_seq }),
            core: Mutex::new(core),
            flushed: Condvar::new(),
            collecting: AtomicBool::new(false),
            too_long: Mutex::default(),
            compression: AtomicI32::new(i32::MIN),
            poison: OnceLock::new(),
        };
        store.begin_session()?;
        Ok(store)
    }

    /// From here on nothing that lies behind the recovered end can be taken for a record. Durable before anything
    /// else is written.
    fn begin_session(&self) -> Result<(), StoreError> {
        self.append_records(&mut self.core(), &[(KIND_SESSION, &[])])?;
        self.sync()?;
        Ok(())
    }
}

/// The superblock in charge, and the slots that do not hold it.
pub(super) fn choose(dev: &dyn BlockDevice) -> Result<(Superblock, Vec<u64>), StoreError> {
    if dev.is_empty() {
        return Err(StoreError::Empty);
    }
    let readable = |slot: &u64| (slot + 1) * BLOCK_LEN_BYTES <= dev.len_bytes();
    let read = |slot: u64| if readable(&slot) { read_slot(dev, slot) } else { Ok(Slot::Foreign) };
    let [slot_a, slot_b] = SUPERBLOCK_BLOCKS;
    let (a, b) = (read(slot_a)?, read(slot_b)?);
    let superblock = match (&a, &b) {
        (Slot::Newer(found), _) | (_, Slot::Newer(found)) => {
            return Err(StoreError::NewerVersion { found: *found, supported: FORMAT_VERSION });
        }
        (Slot::Valid(a), Slot::Valid(b)) if a.store_id != b.store_id => {
            let why = |s: &Superblock| format!("belongs to store {}", s.store_id);
            return Err(StoreError::SuperblocksDamaged { slot_a, why_a: why(a), slot_b, why_b: why(b) });
        }
        (Slot::Valid(a), Slot::Valid(b)) => if a.generation >= b.generation { a } else { b }.clone(),
        // Both slots are equal before anything they make free is used again, so the one left is either the
        // current one or the one before a publication that never finished: safe in both cases.
        (Slot::Valid(only), _) | (_, Slot::Valid(only)) => only.clone(),
        (Slot::Foreign, Slot::Foreign) => return Err(StoreError::NotAStore { slot_a, slot_b }),
        _ => {
            let (why_a, why_b) = (reason(&a), reason(&b));
            return Err(StoreError::SuperblocksDamaged { slot_a, why_a, slot_b, why_b });
        }
    };
    if superblock.device_len_bytes > dev.len_bytes() {
        return Err(StoreError::Truncated {
            what: "the store",
            expected_bytes: superblock.device_len_bytes,
            found_bytes: dev.len_bytes(),
        });
    }
    let mine = Slot::Valid(superblock.clone());
    let stale = [(slot_a, a), (slot_b, b)].into_iter().filter(|(_, held)| *held != mine);
    Ok((superblock, stale.map(|(slot, _)| slot).collect()))
}

fn reason(slot: &Slot) -> String {
    match slot {
        Slot::Damaged(why) => why.clone(),
        Slot::Foreign => "no magic".to_owned(),
        Slot::Valid(_) | Slot::Newer(_) => "valid".to_owned(),
    }
}

pub(super) fn repair(
    dev: &dyn BlockDevice,
    superblock: &Superblock,
    stale: &[u64],
) -> Result<(), StoreError> {
    for slot in stale {
        tracing::warn!(block = slot, generation = superblock.generation, "store: repairing a superblock");
        let offset = BlockNo(*slot).offset();
        dev.write_at(offset, &superblock.encode())
            .and_then(|()| dev.flush())
            .map_err(|source| StoreError::Io { what: "repair of a superblock", offset: offset.0, source })?;
    }
    Ok(())
}
