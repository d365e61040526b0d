//! The `/state` key-value space: names, the sorted index in memory, record layouts, transactions. No I/O.

mod key;
mod record;
mod space;
mod transaction;

pub use key::{KEY_LEN_MAX, Key, KeyError, NAME_LEN_MAX, ROOT, check_prefix};
pub(crate) use record::{Entries, decode_ops, encode_entry, encode_ops};
pub(crate) use space::{Picture, Space, Value};
pub use transaction::{OPS_MAX, Transaction};

/// Longest value. A value that was accepted can always be read back: the bound is checked where it is put.
pub const VALUE_LEN_MAX: usize = 1 << 20;
/// Values up to this length lie in the journal and in memory; longer ones are blobs, of which memory holds the name.
pub const INLINE_LEN_MAX: usize = 1 << 10;

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateOp {
    Put(Key, Vec<u8>),
    Delete(Key),
}

/// One row of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateRow {
    pub key: Key,
    /// Length of the value in bytes.
    pub len_bytes: u64,
}

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatePage {
    pub rows: Vec<StateRow>,
    /// There are keys behind the last row: ask again with it as the cursor.
    pub more: bool,
}
