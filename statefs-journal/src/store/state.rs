//! The key-value space: changes are one journal record, so they take effect together or not at all.

use crate::error::StoreError;
use crate::layout::PACKED_BLOB_LEN_MAX;
use crate::layout::record::{KIND_STATE, PAYLOAD_LEN_MAX};
use crate::state::{INLINE_LEN_MAX, Key, StateOp, StatePage, VALUE_LEN_MAX, Value, encode_ops};
use crate::types::{BlobHash, Seq};

use super::{Core, Store};

impl Store {
    /// Puts and deletes keys, all or nothing, in order. When this returns the device has them: they survive kill -9 of
    /// this process, and a power cut once a later [`Self::sync`] has returned. Deleting a key that is not there is
    /// no error.
    ///
    /// # Errors
    /// `Bound` (a value above 1 MiB, a record above its bound; [`crate::Transaction`] refuses earlier), `NoSpace`,
    /// `JournalFull`: nothing changed. `Io`: the store is poisoned.
    pub fn state_apply(&self, ops: Vec<StateOp>) -> Result<Seq, StoreError> {
        let _gate = self.enter()?;
        let mut changes = Vec::with_capacity(ops.len());
        let mut unsynced = 0;
        let mut packed = Vec::new();
        for op in ops {
            let (key, value) = match op {
                StateOp::Delete(key) => (key, None),
                StateOp::Put(key, bytes) if bytes.len() <= INLINE_LEN_MAX => {
                    (key, Some(Value::Inline(bytes.into())))
                }
                StateOp::Put(key, bytes) => {
                    let (hash, len) = (BlobHash::of(&bytes), checked_len(bytes.len())?);
                    if bytes.len() > PACKED_BLOB_LEN_MAX {
                        let source = &mut &bytes[..];
                        (_, unsynced) = self.put_long(&hash, source, u64::from(len), false)?;
                    } else {
                        packed.push((hash, u64::from(len), self.stored_form(&bytes).into_owned()));
                    }
                    (key, Some(Value::Blob { hash, len }))
                }
            };
            changes.push((key, value));
        }
        let payload = encode_ops(&changes);
        if payload.len() > PAYLOAD_LEN_MAX {
            let (bound, found) = (PAYLOAD_LEN_MAX as u64, payload.len() as u64);
            return Err(StoreError::Bound { what: "bytes of a transaction's record", bound, found });
        }
        let seq = self.append_state(&packed, &payload, changes)?;
        self.bound_unsynced(unsynced)?;
        Ok(seq)
    }

    fn append_state(
        &self,
        packed: &[(BlobHash, u64, Vec<u8>)],
        payload: &[u8],
        changes: Vec<(Key, Option<Value>)>,
    ) -> Result<Seq, StoreError> {
        let mut guard = self.core();
        let core: &mut Core = &mut guard;
        for (hash, len, stored) in packed {
            self.put_packed(core, hash, *len, stored)?;
        }
        self.drain_pack(core)?;
        let seq = self.append_records(core, &[(KIND_STATE, payload)])?;
        changes.into_iter().for_each(|(key, value)| core.state.apply(key, value));
        Ok(seq)
    }

    /// Puts one key; see [`Self::state_apply`].
    ///
    /// # Errors
    /// As [`Self::state_apply`].
    pub fn state_put(&self, key: &Key, value: &[u8]) -> Result<Seq, StoreError> {
        self.state_apply(vec![StateOp::Put(key.clone(), value.to_vec())])
    }

    /// Deletes one key; true if it was there.
    ///
    /// # Errors
    /// As [`Self::state_apply`].
    pub fn state_delete(&self, key: &Key) -> Result<bool, StoreError> {
        if self.core().state.get(key.as_bytes()).is_none() {
            self.check()?;
            return Ok(false);
        }
        self.state_apply(vec![StateOp::Delete(key.clone())])?;
        Ok(true)
    }

    /// The value of a key; `None`: there is none.
    ///
    /// # Errors
    /// `NotFound`, `BlobMismatch`, `Io`: there is one, and the device does not give its bytes back.
    pub fn state_get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        loop {
            let value = self.core().state.get(key.as_bytes()).cloned();
            let hash = match value {
                None => return Ok(None),
                Some(Value::Inline(bytes)) => return Ok(Some(bytes.into())),
                Some(Value::Blob { hash, .. }) => hash,
            };
            match self.read_blob_vec(&hash) {
                // Replaced and collected while it was being read: what is there now counts.
                Err(StoreError::NotFound { .. }) if self.state_blob(key) != Some(hash) => {}
                other => return other.map(Some),
            }
        }
    }

    /// Up to `limit` keys that begin with `prefix`, in order, behind `after` if given. Keys that are not `visible`
    /// take part in nothing: who may not read a key does not learn its name. `visible` must not call the store.
    pub fn state_list(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        visible: &dyn Fn(&Key) -> bool,
    ) -> StatePage {
        self.core().state.list(prefix, after, limit, visible)
    }

    fn state_blob(&self, key: &Key) -> Option<BlobHash> {
        match self.core().state.get(key.as_bytes()) {
            Some(Value::Blob { hash, .. }) => Some(*hash),
            _ => None,
        }
    }

    /// Visits the blobs that values lie in: a collector must keep them.
    pub fn for_each_state_blob(&self, visit: &mut dyn FnMut(&BlobHash)) {
        let picture = self.core().state.picture();
        for (_, value) in picture.iter() {
            if let Value::Blob { hash, .. } = value {
                visit(hash);
            }
        }
    }
}

fn checked_len(len: usize) -> Result<u32, StoreError> {
    let over = || StoreError::Bound {
        what: "length of a value in bytes",
        bound: VALUE_LEN_MAX as u64,
        found: len as u64,
    };
    u32::try_from(len).ok().filter(|_| len <= VALUE_LEN_MAX).ok_or_else(over)
}
