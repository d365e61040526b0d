//! The audit log: denials and administrative acts, in a chain in the store.

use crate::policy::{Policy, Right, Who};
use anyhow::Result;
use statefs_journal::{Key, StateOp, Store};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
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

/// Who starts, in an entry.
const DAEMON: &str = "vriftd";

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
    /// The policy that this daemon has.
    policy: Option<String>,
    rates: HashMap<Who, Rate>,
}

/// The end of the chain. One at a time writes.
#[derive(Default)]
pub struct Audit {
    inner: Mutex<Inner>,
}

/// What is written down, and when it was, in ns since 1970.
pub struct Event<'a> {
    pub time_ns: i64,
    pub right: Right,
    pub what: &'a [u8],
    pub outcome: &'a str,
}

impl Event<'_> {
    fn entry(&self, who: String) -> Entry {
        let what = String::from_utf8_lossy(&self.what[..self.what.len().min(WHAT_LEN_MAX)]);
        Entry {
            number: 0,
            time_ns: self.time_ns,
            who,
            right: self.right.name().into(),
            what: what.into_owned(),
            outcome: self.outcome.into(),
            times: 1,
            before: String::new(),
            hash: String::new(),
        }
    }
}

impl Audit {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down something that was denied; of a flood of them only how many there were. One that cannot be written
    /// is told in the daemon's log.
    pub fn deny(&self, store: &Store, who: &Who, event: &Event<'_>) {
        let mut inner = self.lock();
        let counted = match inner.pass(who) {
            None => return,
            Some(counted) => counted,
        };
        if counted > 0 {
            let more = Event { what: b"further ones, in a short time", outcome: "denied", ..*event };
            inner.write(store, Entry { times: counted, ..more.entry(who.to_string()) });
        }
        inner.write(store, event.entry(who.to_string()));
    }

    /// Writes down something that was done by those who may, or was tried: each, however many there are.
    pub fn act(&self, store: &Store, who: &dyn fmt::Display, event: &Event<'_>) {
        self.lock().write(store, event.entry(who.to_string()));
    }

    /// At a daemon's start: where the log begins, and which policy is in force if it is another one than at the last start.
    pub fn begin(&self, store: &Store, place: &dyn fmt::Display, policy: &Policy, time_ns: i64) {
        let mut inner = self.lock();
        let before = match inner.head(store) {
            Ok(head) if head.policy.as_ref() == Some(&policy.digest) => return,
            Ok(head) if head == Head::default() => {
                let what = format!("the log of the store {place}");
                let event = Event { time_ns, right: Right::Admin, what: what.as_bytes(), outcome: "begun" };
                inner.write(store, event.entry(DAEMON.into()));
                None
            }
            Ok(head) => head.policy,
            Err(error) => {
                tracing::error!(%error, "the audit log cannot be read");
                return;
            }
        };
        let before = before.map_or(String::new(), |digest| format!(", before it {}", short(&digest)));
        let what = format!("{} {}{before}", policy.from, short(&policy.digest));
        let event = Event { time_ns, right: Right::Admin, what: what.as_bytes(), outcome: "in force" };
        inner.policy = Some(policy.digest.clone());
        inner.write(store, event.entry(DAEMON.into()));
    }
}

/// As much of a digest as tells it from others.
fn short(digest: &str) -> &str {
    digest.get(..16).unwrap_or(digest)
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

    fn write(&mut self, store: &Store, entry: Entry) {
        if let Err(error) = self.append(store, entry) {
            tracing::error!(%error, "the audit log cannot be written");
        }
    }

    fn head(&self, store: &Store) -> Result<Head> {
        self.head.clone().map_or_else(|| stored_head(store), Ok)
    }

    fn append(&mut self, store: &Store, mut entry: Entry) -> Result<()> {
        let mut head = self.head(store)?;
        if self.policy.is_some() {
            head.policy.clone_from(&self.policy);
        }
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
