//! Collecting blobs that nothing refers to: who is in use is the client's to say, what is used meanwhile is noted here.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use crate::error::StoreError;
use crate::types::BlobHash;

use super::{Core, Store};

/// Blobs removed with one record: keeps the pause of others below a millisecond.
const BATCH: usize = 512;

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    pub blobs: u64,
    /// What they took in the store.
    pub bytes: u64,
}

/// A collection under way. Every blob that is put, found to be there already, or named by [`Store::note_use`] while
/// this lives is in use, whatever the marks say.
pub struct Collection<'a> {
    store: &'a Store,
}

impl Store {
    /// Begins to note which blobs are used. The caller then marks: what is referred to at any moment after this call
    /// must be kept. One collection at a time; a second one waits for nothing and is `None`.
    pub fn collect(&self) -> Option<Collection<'_>> {
        let mut core = self.core();
        if core.used.is_some() {
            return None;
        }
        core.used = Some(HashSet::new());
        self.collecting.store(true, Ordering::Release);
        Some(Collection { store: self })
    }

    /// A reference to the blob is being made: a collection under way keeps it.
    pub fn note_use(&self, hash: &BlobHash) {
        if self.collecting.load(Ordering::Acquire) {
            note(&mut self.core(), hash);
        }
    }
}

/// See [`Store::note_use`].
pub(super) fn note(core: &mut Core, hash: &BlobHash) {
    if let Some(used) = &mut core.used {
        used.insert(*hash);
    }
}

impl Collection<'_> {
    /// Whether something began to use the blob since the collection began.
    pub fn is_used(&self, hash: &BlobHash) -> bool {
        self.store.core().used.as_ref().is_some_and(|used| used.contains(hash))
    }

    /// Removes those of `garbage` that nobody began to use meanwhile; the values of keys are always kept. `pause` is
    /// called between batches, with what was removed so far; its `false` ends the sweep.
    ///
    /// # Errors
    /// As [`Store::append`]; what was removed before is.
    pub fn sweep(
        &self,
        garbage: &[BlobHash],
        pause: &mut dyn FnMut(Swept) -> bool,
    ) -> Result<Swept, StoreError> {
        let mut values = HashSet::new();
        self.store.for_each_state_blob(&mut |hash| _ = values.insert(*hash));
        let mut swept = Swept::default();
        for batch in garbage.chunks(BATCH) {
            let mut bytes = 0;
            let removed = self.store.remove_where(batch, &mut |core, hash| {
                let used =
                    core.used.as_ref().is_some_and(|used| used.contains(hash)) || values.contains(hash);
                if !used {
                    bytes += core.table.get(hash).map_or(0, |loc| loc.stored_bytes);
                }
                !used
            })?;
            swept.blobs += removed;
            swept.bytes += bytes;
            if !pause(swept) {
                break;
            }
        }
        Ok(swept)
    }
}

impl Drop for Collection<'_> {
    fn drop(&mut self) {
        self.store.collecting.store(false, Ordering::Release);
        self.store.core().used = None;
    }
}
