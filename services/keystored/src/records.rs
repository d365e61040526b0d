//! Records that are bound to their key and to a sequence: one that was rolled back, swapped or brought back is refused.
//!
//! The ledger has for each key the newest sequence and hash, also of keys that were deleted, and is authenticated by a key
//! that is made of the device's. A record is right if the ledger says so. It changes in the same transaction.

use crate::hex;
use crate::seal::Sealer;
use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use vrift_protocol::pipeline::Blocking;
use vrift_service::Refusal;
use zeroize::Zeroizing;

const LEDGER_KEY: &str = "/state/keystore/ledger";
/// Keys that the ledger has, deleted ones included: it is one value.
const KEYS_MAX: usize = 1024;

/// What the ledger says of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    sequence: u64,
    /// BLAKE3 of the record, in hex; None: deleted.
    hash: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Ledger {
    version: u32,
    lines: BTreeMap<String, Line>,
    /// Keyed BLAKE3 of the lines, in hex.
    seal: String,
}

/// A record as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    sequence: u64,
    /// In hex; encrypted if `sealed`.
    value: String,
    sealed: bool,
}

const VERSION: u32 = 1;

/// All records, by way of the ledger.
pub struct Records {
    lines: BTreeMap<String, Line>,
    /// Authenticates the ledger.
    ledger_key: Zeroizing<[u8; 32]>,
    sealer: Option<Sealer>,
}

/// A key, and its new value; None: deleted.
pub type Change = (Vec<u8>, Option<Vec<u8>>);
type Changes = Vec<Change>;

fn damaged(what: &str) -> Refusal {
    Refusal::new(
        Errno::EBADMSG,
        format!("{what}: the keystore's records are not as they were written; restore the store"),
    )
}

/// Of the device's seed.
pub fn ledger_key(seed: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(blake3::derive_key("vrift keystore ledger 1", seed))
}

impl Records {
    pub fn new(ledger_key: Zeroizing<[u8; 32]>, sealer: Option<Sealer>) -> Records {
        Records { lines: BTreeMap::new(), ledger_key, sealer }
    }

    /// Reads the ledger.
    pub fn open(
        space: &mut Blocking,
        ledger_key: Zeroizing<[u8; 32]>,
        sealer: Option<Sealer>,
    ) -> Result<Records, Refusal> {
        let value = space.get(LEDGER_KEY.as_bytes())?.ok_or_else(|| damaged("the ledger is gone"))?;
        let ledger: Ledger =
            serde_json::from_slice(&value).map_err(|_| damaged("the ledger cannot be read"))?;
        let mut records = Records::new(ledger_key, sealer);
        if ledger.seal != records.seal_of(&ledger.lines) {
            return Err(damaged("the ledger was changed"));
        }
        records.lines = ledger.lines;
        Ok(records)
    }

    pub fn is_sealed(&self) -> bool {
        self.sealer.is_some()
    }

    /// From now on records are sealed.
    pub fn set_sealer(&mut self, sealer: Sealer) {
        self.sealer = Some(sealer);
    }

    pub fn set_ledger_key(&mut self, key: Zeroizing<[u8; 32]>) {
        self.ledger_key = key;
    }

    fn seal_of(&self, lines: &BTreeMap<String, Line>) -> String {
        let bytes = serde_json::to_vec(lines).unwrap_or_default();
        blake3::keyed_hash(&self.ledger_key, &bytes).to_hex().to_string()
    }

    /// Checks that a record, by its stored bytes, is the newest one of its key.
    pub fn check(&self, key: &str, stored: &[u8]) -> Result<(), Refusal> {
        let line = self.lines.get(key).ok_or_else(|| damaged(&format!("{key} is in no ledger")))?;
        let right = line.hash.as_deref() == Some(&blake3::hash(stored).to_hex()[..]);
        if right { Ok(()) } else { Err(damaged(&format!("{key} is not its newest record"))) }
    }

    /// Nothing, in place of records that are moved out.
    pub fn none() -> Records {
        Records::new(Zeroizing::new([0; 32]), None)
    }

    /// The value of a key; None: there is none, and there should be none.
    pub fn get(&self, space: &mut Blocking, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Refusal> {
        let Some(stored) = space.get(key.as_bytes())? else {
            return match self.lines.get(key) {
                Some(Line { hash: Some(_), .. }) => Err(damaged(&format!("{key} was removed"))),
                _ => Ok(None),
            };
        };
        self.check(key, &stored)?;
        read(key, &stored, self.sealer.as_ref()).map(Some)
    }

    /// The changes that put a record in its place, with a ledger that says so.
    pub fn put(&mut self, key: &str, value: &[u8]) -> Result<Changes, Refusal> {
        if !self.lines.contains_key(key) && self.lines.len() >= KEYS_MAX {
            return Err(Refusal::new(
                Errno::ENOSPC,
                format!("the keystore has {KEYS_MAX} names, deleted ones included"),
            ));
        }
        let sequence = self.lines.get(key).map_or(0, |line| line.sequence) + 1;
        let place = place(key, sequence);
        let (value, sealed) = match &self.sealer {
            Some(sealer) => (sealer.seal(&place, value).map_err(crate::seal::failed)?, true),
            None => (hex::encode(value), false),
        };
        let stored =
            serde_json::to_vec(&Stored { version: VERSION, sequence, value, sealed }).unwrap_or_default();
        let hash = Some(blake3::hash(&stored).to_hex().to_string());
        self.lines.insert(key.to_string(), Line { sequence, hash });
        Ok(vec![(key.as_bytes().to_vec(), Some(stored)), self.ledger()])
    }

    /// The changes that delete a record; None: there is none.
    pub fn delete(&mut self, key: &str) -> Option<Changes> {
        let line = self.lines.get_mut(key).filter(|line| line.hash.is_some())?;
        (line.sequence, line.hash) = (line.sequence + 1, None);
        Some(vec![(key.as_bytes().to_vec(), None), self.ledger()])
    }

    fn ledger(&self) -> Change {
        let ledger = Ledger { version: VERSION, lines: self.lines.clone(), seal: self.seal_of(&self.lines) };
        (LEDGER_KEY.as_bytes().to_vec(), Some(serde_json::to_vec(&ledger).unwrap_or_default()))
    }

    /// Carries changes out; afterwards they are durable. If they may not have been carried out the ledger in memory
    /// is no guide any more, and the service ends to read it anew.
    pub fn commit(&self, space: &mut Blocking, changes: &Changes) -> Result<(), Refusal> {
        if let Err(failure) = space.change(changes) {
            eprintln!("vrift-keystored: a change was not carried out ({failure}); starting anew");
            std::process::exit(1);
        }
        Ok(())
    }

    /// Keys below `prefix` that have a record.
    pub fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        let live = self.lines.iter().filter(|(_, line)| line.hash.is_some());
        live.map(|(key, _)| key.as_str()).filter(move |key| key.starts_with(prefix))
    }
}

fn place(key: &str, sequence: u64) -> Vec<u8> {
    [b"vrift keystore 1\0", &sequence.to_le_bytes()[..], key.as_bytes()].concat()
}

/// The value in a stored record.
pub fn read(key: &str, stored: &[u8], sealer: Option<&Sealer>) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let stored: Stored =
        serde_json::from_slice(stored).map_err(|_| damaged(&format!("{key} cannot be read")))?;
    if stored.version != VERSION {
        return Err(Refusal::new(Errno::EPROTONOSUPPORT, format!("{key} is of version {}", stored.version)));
    }
    let value = match (stored.sealed, sealer) {
        (false, _) => hex::decode(&stored.value).map(Zeroizing::new),
        (true, None) => {
            let text =
                "the keystore is sealed, and no key file is configured ([keystore] key_file in config.toml)";
            return Err(Refusal::new(Errno::ENOKEY, text));
        }
        (true, Some(sealer)) => {
            let opened = sealer.open(&place(key, stored.sequence), &stored.value);
            let wrong = || {
                Refusal::new(
                    Errno::EKEYREJECTED,
                    "the secret is not the one that the keystore was sealed with",
                )
            };
            return opened.ok_or_else(wrong);
        }
    };
    value.ok_or_else(|| damaged(&format!("{key} cannot be read")))
}
