//! The audit log: denials and administrative acts, in a chain in the store.

use crate::clock::Clock;
use crate::policy::{Right, Who};
use anyhow::Result;
use statefs_journal::{Key, StateOp, Store};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use vrift_protocol::audit::{Entry, HEAD_KEY, Head};

/// Entries that are kept; the oldest go first. At some 400 bytes each.
const ENTRIES_MAX: u64 = 100_000;
/// Entries of one caller in a [`WINDOW`]; what is above is counted.
const BURST_MAX: u32 = 16;
const WINDOW: Duration = Duration::from_secs(1);
/// Callers whose rate is known at a time.
const CALLERS_MAX: usize = 1024;
/// Bytes of a key in an entry.
const WHAT_LEN_MAX: usize = 1200;

/// Those that are denied within a window.
struct Rate {
    since: Instant,
    written: u32,
    /// Not written: how many, and the last of them.
    counted: u64,
}

#[derive(Default)]
struct Inner {
    head: Option<Head>,
    rates: HashMap<Who, Rate>,
}

/// The end of the chain. One at a time writes.
#[derive(Default)]
pub struct Audit {
    inner: Mutex<Inner>,
}

/// What is written down.
pub struct Event<'a> {
    pub who: &'a Who,
    pub right: Right,
    pub what: &'a [u8],
    pub outcome: &'a str,
}

impl Audit {
    /// Writes an entry. One that cannot be written is told in the daemon's log.
    pub fn note(&self, store: &Store, clock: &Clock, event: &Event<'_>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = match inner.pass(event.who) {
            None => return,
            Some(counted) => counted,
        };
        let what = String::from_utf8_lossy(&event.what[..event.what.len().min(WHAT_LEN_MAX)]);
        let one = (event.who.to_string(), event.right.name().to_string(), what.into_owned());
        let mut all = vec![(one, event.outcome.to_string(), 1)];
        if counted > 0 {
            let more = (
                event.who.to_string(),
                event.right.name().to_string(),
                "further ones, in a short time".into(),
            );
            all.insert(0, (more, "denied".into(), counted));
        }
        for ((who, right, what), outcome, times) in all {
            let entry = Entry {
                number: 0,
                time_ns: clock.now_ns(),
                who,
                right,
                what,
                outcome,
                times,
                before: String::new(),
                hash: String::new(),
            };
            if let Err(error) = inner.append(store, entry) {
                tracing::error!(%error, "the audit log cannot be written");
            }
        }
    }
}

impl Inner {
    /// None: this one is only counted. Otherwise how many were before it.
    fn pass(&mut self, who: &Who) -> Option<u64> {
        let now = Instant::now();
        if self.rates.len() >= CALLERS_MAX && !self.rates.contains_key(who) {
            self.rates.retain(|_, rate| now.duration_since(rate.since) < WINDOW || rate.counted > 0);
        }
        let rate = self.rates.entry(who.clone()).or_insert(Rate { since: now, written: 0, counted: 0 });
        if now.duration_since(rate.since) >= WINDOW {
            (rate.since, rate.written) = (now, 0);
        }
        if rate.written >= BURST_MAX {
            rate.counted += 1;
            return None;
        }
        rate.written += 1;
        Some(std::mem::take(&mut rate.counted))
    }

    fn append(&mut self, store: &Store, mut entry: Entry) -> Result<()> {
        let mut head = match &self.head {
            Some(head) => head.clone(),
            None => stored_head(store)?,
        };
        entry.number = head.number + 1;
        entry.before = head.hash;
        entry.hash = entry.right_hash();
        (head.number, head.hash) = (entry.number, entry.hash.clone());
        let mut ops = Vec::new();
        if head.number - head.first >= ENTRIES_MAX {
            let oldest = key(&Entry::key(head.first))?;
            let kept =
                store.state_get(&oldest)?.and_then(|value| serde_json::from_slice::<Entry>(&value).ok());
            head.anchor = kept.map_or_else(String::new, |entry| entry.hash);
            head.first += 1;
            ops.push(StateOp::Delete(oldest));
        }
        ops.push(StateOp::Put(
            key(&Entry::key(entry.number))?,
            serde_json::to_vec(&entry).unwrap_or_default(),
        ));
        ops.push(StateOp::Put(key(HEAD_KEY)?, serde_json::to_vec(&head).unwrap_or_default()));
        store.state_apply(ops)?;
        self.head = Some(head);
        Ok(())
    }
}

fn key(text: &str) -> Result<Key> {
    Ok(Key::new(text.as_bytes())?)
}

/// Where the chain ends. One whose head is gone goes on behind its last entry, and `vrift audit verify` says that the
/// head was not there: it does not cover what is before.
fn stored_head(store: &Store) -> Result<Head> {
    match store.state_get(&key(HEAD_KEY)?)?.map(|value| serde_json::from_slice(&value)) {
        Some(Ok(head)) => Ok(head),
        None if !store
            .state_list(vrift_protocol::audit::LOG_PREFIX.as_bytes(), None, 1, &|_| true)
            .rows
            .is_empty() =>
        {
            lost(store)
        }
        Some(Err(_)) => lost(store),
        None => Ok(Head::default()),
    }
}

fn lost(store: &Store) -> Result<Head> {
    tracing::error!("the head of the audit log is gone");
    let mut number = 0;
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page =
            store.state_list(vrift_protocol::audit::LOG_PREFIX.as_bytes(), after.as_deref(), 1000, &|_| true);
        for row in &page.rows {
            let digits = row.key.as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            let digits = std::str::from_utf8(digits).unwrap_or_default();
            number = u64::from_str_radix(digits, 16).unwrap_or(number);
        }
        match page.rows.last() {
            Some(row) if page.more => after = Some(row.key.as_bytes().to_vec()),
            _ => break,
        }
    }
    Ok(Head { number, first: number + 1, ..Head::default() })
}
