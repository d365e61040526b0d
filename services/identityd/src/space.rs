//! Records of a user are right if the user's ledger says so: one that was changed, rolled back, swapped, removed or brought
//! back past this service is refused.
//!
//! The ledger has the hash of each record, changes in the same transaction, and is authenticated by a key that the keystore
//! keeps as an item of this service. A user who is removed leaves neither, so that what was kept of them counts no more.

use crate::records;
use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use vrift_protocol::Op;
use vrift_protocol::identity::USERS_PREFIX;
use vrift_protocol::keystore;
use vrift_protocol::pipeline::{Blocking, Retry};
use vrift_protocol::service::{Service, encode};
use vrift_protocol::state::Row;
use vrift_secret::{hex, random};
use vrift_service::Refusal;
use zeroize::Zeroizing;

const VERSION: u32 = 1;
const KEY_LEN: usize = 32;

/// Keys of ledgers, by user, as the keystore gave them.
pub type Keys = HashMap<String, Zeroizing<[u8; KEY_LEN]>>;

/// BLAKE3 of each record, in hex, by key.
type Lines = BTreeMap<String, String>;

#[derive(Serialize, Deserialize)]
struct Ledger {
    version: u32,
    lines: Lines,
    /// Keyed BLAKE3 of the user and the lines, in hex.
    seal: String,
}

/// The key-value space, by way of the ledgers.
pub struct Space<'a> {
    pub inner: &'a mut Blocking,
    pub keys: &'a mut Keys,
}

fn damaged(what: &str) -> Refusal {
    let text = format!(
        "{what}: the records of this identity are not as they were written; restore the store, or begin anew: vrift identity user remove"
    );
    Refusal::new(Errno::EBADMSG, text)
}

fn ledger_key(user: &str) -> String {
    records::folder(user) + "ledger.json"
}

fn item(user: &str) -> String {
    format!("ledger-{user}")
}

/// The user in a record's key.
fn user_of(key: &str) -> &str {
    key.strip_prefix(USERS_PREFIX).and_then(|rest| rest.split('/').next()).unwrap_or_default()
}

fn hash(value: &[u8]) -> String {
    blake3::hash(value).to_hex().to_string()
}

fn seal(key: &[u8; KEY_LEN], user: &str, lines: &Lines) -> blake3::Hash {
    blake3::keyed_hash(key, &serde_json::to_vec(&(user, lines)).unwrap_or_default())
}

impl Space<'_> {
    /// The stored bytes of a record; None: there is none, and there should be none.
    pub fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, Refusal> {
        let value = self.inner.get(key.as_bytes())?;
        let lines = self.lines(user_of(key))?.unwrap_or_default();
        match (value, lines.get(key)) {
            (None, None) => Ok(None),
            (Some(value), Some(line)) if *line == hash(&value) => Ok(Some(value)),
            (Some(_), Some(_)) => Err(damaged(&format!("{key} is not its newest record"))),
            (Some(_), None) => Err(damaged(&format!("{key} is in no ledger"))),
            (None, Some(_)) => Err(damaged(&format!("{key} was removed"))),
        }
    }

    /// Puts a record; it is durable when this returns.
    pub fn put(&mut self, key: String, value: Vec<u8>) -> Result<(), Refusal> {
        let user = user_of(&key).to_string();
        let mut lines = match self.lines(&user)? {
            Some(lines) => lines,
            None if self.list(&records::folder(&user))?.is_empty() => {
                self.make_key(&user)?;
                Lines::new()
            }
            None => return Err(damaged("the ledger is gone")),
        };
        lines.insert(key.clone(), hash(&value));
        let key_of_user =
            self.key(&user)?.ok_or_else(|| damaged("the keystore has no key for the ledger"))?;
        let seal = seal(&key_of_user, &user, &lines).to_hex().to_string();
        let ledger = serde_json::to_vec_pretty(&Ledger { version: VERSION, lines, seal }).unwrap_or_default();
        let changes = [(key.into_bytes(), Some(value)), (ledger_key(&user).into_bytes(), Some(ledger))];
        Ok(self.inner.change(&changes)?)
    }

    /// Keys of records below `prefix`, which is one user's: those that are there and those that should be.
    pub fn below(&mut self, prefix: &str) -> Result<Vec<String>, Refusal> {
        let mut keys: Vec<String> = self.list(prefix)?.into_iter().map(|row| text(&row)).collect();
        let lines = self.lines(user_of(prefix))?.unwrap_or_default();
        keys.extend(lines.into_keys().filter(|key| key.starts_with(prefix)));
        keys.sort();
        keys.dedup();
        Ok(keys)
    }

    /// Keys that are there, below any prefix.
    pub fn list(&mut self, prefix: &str) -> Result<Vec<Row>, Refusal> {
        Ok(self.inner.list(prefix.as_bytes())?)
    }

    /// Removes whatever is kept of a user, in order or not. False: nothing is.
    pub fn remove_all(&mut self, user: &str) -> Result<bool, Refusal> {
        let rows = self.list(&records::folder(user))?;
        if rows.is_empty() {
            return Ok(false);
        }
        // First: without it nothing that somebody kept of the records counts, whatever happens now.
        match self.ask(&keystore::Request::DeleteItem { name: item(user) }) {
            Err(Refusal(Errno::ENOENT, _)) => {}
            answer => drop(answer?),
        }
        self.keys.remove(user);
        let changes: Vec<_> = rows.into_iter().map(|row| (row.key, None)).collect();
        self.inner.change(&changes)?;
        Ok(true)
    }

    /// What the user's ledger says; None: there is none.
    fn lines(&mut self, user: &str) -> Result<Option<Lines>, Refusal> {
        let Some(value) = self.inner.get(ledger_key(user).as_bytes())? else { return Ok(None) };
        let ledger: Ledger =
            serde_json::from_slice(&value).map_err(|_| damaged("the ledger cannot be read"))?;
        if ledger.version != VERSION {
            let text = format!("{} is of version {}", ledger_key(user), ledger.version);
            return Err(Refusal::new(Errno::EPROTONOSUPPORT, text));
        }
        let key = self.key(user)?.ok_or_else(|| damaged("the keystore has no key for the ledger"))?;
        let right =
            blake3::Hash::from_hex(&ledger.seal).is_ok_and(|is| is == seal(&key, user, &ledger.lines));
        if right { Ok(Some(ledger.lines)) } else { Err(damaged("the ledger was changed")) }
    }

    fn key(&mut self, user: &str) -> Result<Option<Zeroizing<[u8; KEY_LEN]>>, Refusal> {
        if let Some(key) = self.keys.get(user) {
            return Ok(Some(key.clone()));
        }
        let keystore::Reply::Item { value } = self.ask(&keystore::Request::GetItem { name: item(user) })?
        else {
            return Err(Refusal::new(Errno::EPROTO, "the keystore is of another build"));
        };
        let bytes = value.map(Zeroizing::new).and_then(|digits| hex::decode(&digits));
        let Some(key) = bytes.and_then(|bytes| <[u8; KEY_LEN]>::try_from(bytes).ok()).map(Zeroizing::new)
        else {
            return Ok(None);
        };
        self.keys.insert(user.into(), key.clone());
        Ok(Some(key))
    }

    fn make_key(&mut self, user: &str) -> Result<(), Refusal> {
        let key = random::<KEY_LEN>().map_err(|error| Refusal::new(Errno::EIO, error.to_string()))?;
        let key = Zeroizing::new(key);
        let value = hex::encode(&key[..]);
        self.ask(&keystore::Request::PutItem { name: item(user), value })?;
        self.keys.insert(user.into(), key);
        Ok(())
    }

    /// Asks the keystore, in the name of this service.
    fn ask(&mut self, request: &keystore::Request) -> Result<keystore::Reply, Refusal> {
        let json = Zeroizing::new(serde_json::to_vec(request).unwrap_or_default());
        let body = Zeroizing::new(encode(Service::Keystore, request.need(), &json));
        let answer = Zeroizing::new(self.inner.call(Op::Service, &body, Retry::Never)?);
        serde_json::from_slice(&answer)
            .map_err(|_| Refusal::new(Errno::EPROTO, "the keystore is of another build"))
    }
}

pub fn text(row: &Row) -> String {
    String::from_utf8_lossy(&row.key).into_owned()
}
