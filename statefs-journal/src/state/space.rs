//! The sorted index of all keys, with snapshots that cost nothing.
//!
//! While a snapshot is held (a checkpoint writes it), changes gather in `over`; once it is gone they move into
//! `base`, a few with each change, so that no single change pays for all.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::{Key, StatePage, StateRow};
use crate::types::BlobHash;

/// Entries that move from `over` to `base` with each change: more than one, so that `over` empties.
const MOVED_PER_CHANGE: usize = 64;

/// Where a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Inline(Box<[u8]>),
    Blob { hash: BlobHash, len: u32 },
}

impl Value {
    pub(crate) fn len_bytes(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Blob { len, .. } => u64::from(*len),
        }
    }
}

/// An unchanging picture of all entries, sorted. `over` wins; `None` there hides.
#[derive(Clone, Debug, Default)]
pub(crate) struct Picture {
    base: Arc<BTreeMap<Key, Value>>,
    over: Arc<BTreeMap<Key, Option<Value>>>,
    len: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Space {
    now: Picture,
}

impl Space {
    /// With these entries; far cheaper than one by one where they are sorted.
    pub(crate) fn of(entries: Vec<(Key, Value)>) -> Self {
        let base: BTreeMap<Key, Value> = entries.into_iter().collect();
        let len = base.len() as u64;
        Self { now: Picture { base: Arc::new(base), len, ..Picture::default() } }
    }

    pub(crate) fn len(&self) -> u64 {
        self.now.len
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&Value> {
        self.now.get(key)
    }

    /// Everything as it is now, for as long as the caller likes.
    pub(crate) fn picture(&self) -> Picture {
        self.now.clone()
    }

    /// Puts or deletes.
    pub(crate) fn apply(&mut self, key: Key, value: Option<Value>) {
        let before = self.now.get(key.as_bytes()).is_some();
        self.now.len = self.now.len + u64::from(value.is_some()) - u64::from(before);
        if let Some(base) = Arc::get_mut(&mut self.now.base) {
            let over = Arc::make_mut(&mut self.now.over);
            over.remove(&key);
            set(base, key, value);
            for _ in 0..MOVED_PER_CHANGE {
                let Some((key, value)) = over.pop_first() else { break };
                set(base, key, value);
            }
        } else {
            Arc::make_mut(&mut self.now.over).insert(key, value);
        }
    }

    /// Up to `limit` keys that begin with `prefix`, come behind `after` and are `visible`, in order.
    pub(crate) fn list(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        visible: &dyn Fn(&Key) -> bool,
    ) -> StatePage {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let mut page = StatePage::default();
        let rows = self.now.range(from).take_while(|(key, _)| key.as_bytes().starts_with(prefix));
        for (key, value) in rows.filter(|(key, _)| visible(key)) {
            if page.rows.len() == limit {
                page.more = true;
                break;
            }
            page.rows.push(StateRow { key: key.clone(), len_bytes: value.len_bytes() });
        }
        page
    }
}

fn set(base: &mut BTreeMap<Key, Value>, key: Key, value: Option<Value>) {
    match value {
        Some(value) => drop(base.insert(key, value)),
        None => drop(base.remove(&key)),
    }
}

impl Picture {
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.range(Bound::Unbounded)
    }

    fn get(&self, key: &[u8]) -> Option<&Value> {
        match self.over.get(key) {
            Some(value) => value.as_ref(),
            None => self.base.get(key),
        }
    }

    fn range(&self, from: Bound<&[u8]>) -> impl Iterator<Item = (&Key, &Value)> {
        let mut base = self.base.range::<[u8], _>((from, Bound::Unbounded)).peekable();
        let mut over = self.over.range::<[u8], _>((from, Bound::Unbounded)).peekable();
        std::iter::from_fn(move || {
            loop {
                let from_over = match (base.peek(), over.peek()) {
                    (Some((below, _)), Some((above, _))) if below < above => false,
                    (Some((below, _)), Some((above, _))) => {
                        if below == above {
                            base.next();
                        }
                        true
                    }
                    (None, Some(_)) => true,
                    (_, None) => false,
                };
                if !from_over {
                    return base.next();
                }
                if let Some((key, Some(value))) = over.next() {
                    return Some((key, value));
                }
            }
        })
    }
}
