//! How changes and entries of the key-value space look in journal records and in the checkpoint.
//!
//! ```text
//!  u8 tag: 0 delete, 1 value in place, 2 value in a blob
//!  u16 key length   key
//!  tag 1: u32 value length, value      tag 2: hash (32), u32 value length
//! ```

use std::io::Read;

use super::space::Value;
use super::{INLINE_LEN_MAX, KEY_LEN_MAX, Key, VALUE_LEN_MAX};
use crate::types::BlobHash;

const TAG_DELETE: u8 = 0;
const TAG_INLINE: u8 = 1;
const TAG_BLOB: u8 = 2;

/// A key and its new value; `None` deletes.
pub(crate) type Change = (Key, Option<Value>);

/// The payload of a record with these changes, in order.
pub(crate) fn encode_ops(changes: &[Change]) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in changes {
        match value {
            Some(value) => encode_entry(&mut out, key, value),
            None => {
                out.push(TAG_DELETE);
                encode_key(&mut out, key);
            }
        }
    }
    out
}

/// One entry, as in a record that puts it.
pub(crate) fn encode_entry(out: &mut Vec<u8>, key: &Key, value: &Value) {
    match value {
        Value::Inline(bytes) => {
            out.push(TAG_INLINE);
            encode_key(out, key);
            out.extend_from_slice(&len_field(bytes.len()));
            out.extend_from_slice(bytes);
        }
        Value::Blob { hash, len } => {
            out.push(TAG_BLOB);
            encode_key(out, key);
            out.extend_from_slice(&hash.0);
            out.extend_from_slice(&len.to_le_bytes());
        }
    }
}

fn encode_key(out: &mut Vec<u8>, key: &Key) {
    let len = u16::try_from(key.as_bytes().len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(key.as_bytes());
}

fn len_field(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes()
}

/// All changes of a record; `None` where the payload is not one that [`encode_ops`] makes.
pub(crate) fn decode_ops(payload: &[u8]) -> Option<Vec<Change>> {
    let mut from = Entries::new(payload);
    let mut changes = Vec::new();
    while !from.bytes.is_empty() {
        changes.push(from.next_change()?);
    }
    Some(changes)
}

/// Reads changes from a stream, buffered by the caller.
pub(crate) struct Entries<R> {
    bytes: R,
}

impl<R: Read> Entries<R> {
    pub(crate) fn new(bytes: R) -> Self {
        Self { bytes }
    }

    /// The next change; `None` where there is no well-formed one.
    pub(crate) fn next_change(&mut self) -> Option<Change> {
        let [tag] = self.array()?;
        let len = usize::from(u16::from_le_bytes(self.array()?));
        let mut key = [0; KEY_LEN_MAX];
        let key = key.get_mut(..len)?;
        self.bytes.read_exact(key).ok()?;
        let key = Key::new(key).ok()?;
        let value = match tag {
            TAG_DELETE => None,
            TAG_INLINE => {
                let len = usize::try_from(u32::from_le_bytes(self.array()?)).ok()?;
                Some(Value::Inline(self.take(len, INLINE_LEN_MAX)?.into()))
            }
            TAG_BLOB => {
                let (hash, len) = (BlobHash(self.array()?), u32::from_le_bytes(self.array()?));
                Some(Value::Blob { hash, len }).filter(|_| len as usize <= VALUE_LEN_MAX)
            }
            _ => return None,
        };
        if tag != TAG_DELETE && value.is_none() {
            return None;
        }
        Some((key, value))
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut out = [0; N];
        self.bytes.read_exact(&mut out).ok()?;
        Some(out)
    }

    fn take(&mut self, len: usize, max: usize) -> Option<Vec<u8>> {
        if len > max {
            return None;
        }
        let mut out = vec![0; len];
        self.bytes.read_exact(&mut out).ok()?;
        Some(out)
    }
}
