//! The audit log: entries below `/state/audit/log/`, each of which covers the one before.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Prefix of all entries' keys; behind it 16 hex digits of the number.
pub const LOG_PREFIX: &str = "/state/audit/log/";
/// Key of the [`Head`].
pub const HEAD_KEY: &str = "/state/audit/head";
/// What an entry covers instead of a hash when there is none before it: 64 hex digits.
pub const NOTHING_BEFORE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// One thing that was denied, or done by somebody who may change what is guarded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// From 1 on, without gaps.
    pub number: u64,
    /// ns since 1970, by the clock of the machine, which may have been set back in between.
    pub time_ns: i64,
    /// `uid 1000 gid 1000`, `uid 1000` (a signal's sender), `service timed` or `vriftd`.
    pub who: String,
    /// `read`, `write`, `list`, `admin`.
    pub right: String,
    /// A key, a prefix, a command or what was asked of a service; never a value.
    pub what: String,
    /// `denied`, `allowed` (and then done, if nothing failed), `done`, or why it was not.
    pub outcome: String,
    /// How many of the kind this entry stands for.
    pub times: u64,
    /// Hash of the entry before, in hex.
    pub before: String,
    /// BLAKE3 of all the others, in hex.
    pub hash: String,
}

/// Both ends of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Number and hash of the newest entry.
    pub number: u64,
    pub hash: String,
    /// Number of the oldest entry that is kept, and the hash of the one before it.
    pub first: u64,
    pub anchor: String,
    /// Digest of the policy that was in force when the daemon last started, in hex; None: that was never written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

impl Default for Head {
    fn default() -> Head {
        Head { number: 0, hash: NOTHING_BEFORE.into(), first: 1, anchor: NOTHING_BEFORE.into(), policy: None }
    }
}

impl Entry {
    /// The key of the entry with this number.
    pub fn key(number: u64) -> String {
        format!("{LOG_PREFIX}{number:016x}")
    }

    /// The hash that the entry must have.
    pub fn right_hash(&self) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("vrift audit entry 1");
        hasher.update(&self.number.to_le_bytes());
        hasher.update(&self.time_ns.to_le_bytes());
        hasher.update(&self.times.to_le_bytes());
        for text in [&self.who, &self.right, &self.what, &self.outcome, &self.before] {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// What is wrong with a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Broken {
    /// There are entries and no head, or it cannot be read.
    NoHead,
    /// The entry with this number is not there.
    Removed(u64),
    /// It is not what was written.
    Changed(u64),
    /// It does not cover the one before it.
    Unlinked(u64),
    /// It is there and does not belong to the chain.
    Foreign(u64),
    /// The newest entry is not the one that the head names.
    Head,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::NoHead => write!(f, "the head of the log is not there"),
            Broken::Removed(number) => write!(f, "entry {number} was removed"),
            Broken::Changed(number) => write!(f, "entry {number} was changed"),
            Broken::Unlinked(number) => write!(f, "entry {number} does not follow the one before it"),
            Broken::Foreign(number) => write!(f, "entry {number} was put in"),
            Broken::Head => write!(f, "the head does not name the newest entry"),
        }
    }
}

/// Everything that is wrong with these entries, which are in the order of their numbers; an entry is its number (from
/// its key) and, if it can be read, itself.
pub fn verify(head: Option<&Head>, entries: &[(u64, Option<Entry>)]) -> Vec<Broken> {
    let Some(head) = head else {
        return if entries.is_empty() { Vec::new() } else { vec![Broken::NoHead] };
    };
    let mut broken = Vec::new();
    let mut next = head.first;
    let mut before = Some(head.anchor.clone());
    for (number, entry) in entries {
        if *number < head.first || *number > head.number {
            broken.push(Broken::Foreign(*number));
            continue;
        }
        // A chain of many millions of which one entry is left must not be told number by number.
        if next < *number {
            broken.push(Broken::Removed(next));
            before = None;
        }
        next = number + 1;
        let right =
            entry.as_ref().filter(|entry| entry.number == *number && entry.hash == entry.right_hash());
        match (right, before) {
            (None, _) => broken.push(Broken::Changed(*number)),
            (Some(entry), Some(before)) if entry.before != before => broken.push(Broken::Unlinked(*number)),
            _ => {}
        }
        before = entry.as_ref().map(|entry| entry.hash.clone());
    }
    if next <= head.number {
        broken.push(Broken::Removed(next));
    } else if broken.is_empty() && before.as_ref() != Some(&head.hash) {
        broken.push(Broken::Head);
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(len: u64) -> (Head, Vec<(u64, Option<Entry>)>) {
        let mut head = Head::default();
        let mut entries = Vec::new();
        for number in 1..=len {
            let mut entry = Entry {
                number,
                time_ns: 5,
                who: "uid 1 gid 1".into(),
                right: "read".into(),
                what: format!("/state/{number}"),
                outcome: "denied".into(),
                times: 1,
                before: head.hash.clone(),
                hash: String::new(),
            };
            entry.hash = entry.right_hash();
            (head.number, head.hash) = (number, entry.hash.clone());
            entries.push((number, Some(entry)));
        }
        (head, entries)
    }

    #[test]
    fn a_chain_that_nobody_touched_is_whole_and_each_removal_and_change_is_found() {
        let (head, entries) = chain(9);
        assert_eq!(verify(Some(&head), &entries), []);
        assert_eq!(verify(None, &[]), []);
        assert_eq!(verify(None, &entries), [Broken::NoHead]);
        for index in 0..9 {
            let number = index as u64 + 1;
            let mut fewer = entries.clone();
            fewer.remove(index);
            assert_eq!(verify(Some(&head), &fewer), [Broken::Removed(number)]);
            let mut unread = entries.clone();
            unread[index].1 = None;
            assert_eq!(verify(Some(&head), &unread), [Broken::Changed(number)]);
            for field in 0..7 {
                let mut other = entries.clone();
                let entry = other[index].1.as_mut().unwrap();
                match field {
                    0 => entry.who.push('0'),
                    1 => entry.right = "list".into(),
                    2 => entry.what.clear(),
                    3 => entry.outcome = "done".into(),
                    4 => entry.times = 2,
                    5 => entry.time_ns = 6,
                    _ => entry.before = NOTHING_BEFORE.replace('0', "1"),
                }
                assert!(verify(Some(&head), &other).contains(&Broken::Changed(number)), "{index} {field}");
                // Whoever makes the hash right as well breaks the next link, or the head.
                let entry = other[index].1.as_mut().unwrap();
                entry.hash = entry.right_hash();
                assert!(!verify(Some(&head), &other).is_empty(), "{index} {field}");
            }
        }
        let (_, longer) = chain(10);
        assert_eq!(verify(Some(&head), &longer), [Broken::Foreign(10)]);
        let mut other_head = head.clone();
        other_head.hash = NOTHING_BEFORE.into();
        assert_eq!(verify(Some(&other_head), &entries), [Broken::Head]);
        let swapped: Vec<_> =
            entries.iter().cloned().map(|(number, entry)| (10 - number, entry)).rev().collect();
        assert!(verify(Some(&head), &swapped).len() >= 8, "each but the middle one is at another's place");
    }

    #[test]
    fn old_entries_may_be_dropped_from_the_chains_beginning() {
        let (mut head, entries) = chain(9);
        head.first = 4;
        assert_eq!(verify(Some(&head), &entries[3..]), [Broken::Unlinked(4)]);
        head.anchor = entries[2].1.as_ref().unwrap().hash.clone();
        assert_eq!(verify(Some(&head), &entries[3..]), []);
        assert_eq!(verify(Some(&head), &entries[4..]), [Broken::Removed(4)]);
        assert_eq!(verify(Some(&head), &entries[2..]), [Broken::Foreign(3)]);
    }
}
