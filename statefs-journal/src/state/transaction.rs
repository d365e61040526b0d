//! A transaction before its commit: changes in memory, so that one that is forgotten holds up nobody.

use std::collections::BTreeMap;

use super::{INLINE_LEN_MAX, Key, StateOp, VALUE_LEN_MAX};
use crate::error::StoreError;
use crate::layout::record::PAYLOAD_LEN_MAX;

/// Most keys that one transaction changes.
pub const OPS_MAX: usize = 4096;
/// Longest sum of values that a transaction holds in memory.
pub const TRANSACTION_LEN_MAX_BYTES: u64 = 16 << 20;
/// Upper bound of what one change takes in a record beside key and value.
const OVERHEAD_LEN: usize = 40;

/// Changes that take effect together, or not at all.
#[derive(Debug, Default)]
pub struct Transaction {
    changes: BTreeMap<Key, Option<Vec<u8>>>,
    bytes: u64,
    /// Upper bound of the record's length: a transaction is one record, so that it is there whole or not at all.
    record_bytes: u64,
}

impl Transaction {
    /// Adds a change; a later one of the same key replaces an earlier one.
    ///
    /// # Errors
    /// `Bound`: the transaction is as it was.
    pub fn add(&mut self, op: StateOp) -> Result<(), StoreError> {
        let (key, value) = match op {
            StateOp::Put(key, value) => (key, Some(value)),
            StateOp::Delete(key) => (key, None),
        };
        let len = value.as_ref().map_or(0, Vec::len);
        bound("length of a value in bytes", VALUE_LEN_MAX as u64, len as u64)?;
        let old = self.changes.get(&key);
        let keys = self.changes.len() + usize::from(old.is_none());
        bound("keys in a transaction", OPS_MAX as u64, keys as u64)?;
        let replaced = old.and_then(Option::as_ref).map_or(0, Vec::len);
        let bytes = self.bytes - replaced as u64 + len as u64;
        bound("bytes in a transaction", TRANSACTION_LEN_MAX_BYTES, bytes)?;
        // A replaced change is not subtracted: the bound may only come too early, never too late.
        let in_place = if len > INLINE_LEN_MAX { 0 } else { len };
        let record_bytes = self.record_bytes + (key.as_bytes().len() + in_place + OVERHEAD_LEN) as u64;
        bound("bytes of a transaction's record", PAYLOAD_LEN_MAX as u64, record_bytes)?;
        self.record_bytes = record_bytes;
        self.bytes = bytes;
        self.changes.insert(key, value);
        Ok(())
    }

    /// What the transaction itself says about a key: nothing, deleted, or its value.
    pub fn get(&self, key: &Key) -> Option<Option<&[u8]>> {
        self.changes.get(key).map(Option::as_deref)
    }

    /// The changes, for [`crate::Store::state_apply`].
    pub fn into_ops(self) -> Vec<StateOp> {
        let op = |(key, value)| match value {
            Some(value) => StateOp::Put(key, value),
            None => StateOp::Delete(key),
        };
        self.changes.into_iter().map(op).collect()
    }
}

fn bound(what: &'static str, bound: u64, found: u64) -> Result<(), StoreError> {
    if found > bound { Err(StoreError::Bound { what, bound, found }) } else { Ok(()) }
}
