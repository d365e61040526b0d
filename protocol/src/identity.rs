//! Requests to identityd, and the records that it keeps: RFC 0014.
//!
//! ```text
//! /state/identity/users/ID/keystore.json              Keystore
//! /state/identity/users/ID/credentials.json           Credentials
//! /state/identity/users/ID/machine_keys/NAME.json     Machine
//! ```
//! ID is the user's number with the kernel. Private parts are sealed by whoever asks; nothing here opens one. Fields of
//! newer builds are kept.

use crate::service::Need;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub const USERS_PREFIX: &str = "/state/identity/users/";
pub const VERSION: u32 = 1;
/// With it a machine gets the owner's seed, sealed to it, and so opens credentials.
pub const MAY_OPEN: &str = "credentials";

/// Fields that this build does not know.
pub type Other = BTreeMap<String, serde_json::Value>;

/// The owner's seed under a passphrase: argon2id, XChaCha20-Poly1305.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// 32 hex digits.
    pub salt: String,
    pub memory_kib: u32,
    pub passes: u32,
    pub sealed: String,
}

/// The owner's seed under a key that was shared out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// Names the splitting: older shares open nothing.
    pub set: String,
    pub threshold: u32,
    pub shares: u32,
    pub sealed: String,
    pub since_ns: i64,
}

/// `keystore.json`: the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keystore {
    pub version: u32,
    pub user: String,
    /// For people.
    pub name: String,
    pub since_ns: i64,
    /// Ed25519, 64 hex digits.
    pub sign: String,
    /// X25519, 64 hex digits: credentials are sealed to it.
    pub seal: String,
    pub lock: Lock,
    pub recovery: Option<Recovery>,
    #[serde(flatten)]
    pub other: Other,
}

/// A key that a machine had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldKey {
    pub sign: String,
    pub since_ns: i64,
    pub until_ns: i64,
}

/// `machine_keys/NAME.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    pub version: u32,
    pub machine: String,
    pub sign: String,
    pub seal: String,
    pub since_ns: i64,
    pub expires_ns: Option<i64>,
    pub revoked_ns: Option<i64>,
    /// Was seen after its time: a clock that is put back does not bring it back.
    #[serde(default)]
    pub expired: bool,
    pub capabilities: Vec<String>,
    /// The owner's seed, sealed to this machine; only with [`MAY_OPEN`].
    pub unlock: Option<String>,
    /// Newest first.
    #[serde(default)]
    pub older: Vec<OldKey>,
    #[serde(flatten)]
    pub other: Other,
}

/// A token for a remote store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    pub url: Option<String>,
    pub since_ns: i64,
    pub expires_ns: Option<i64>,
    /// To the owner, for the place [`credential_place`].
    pub sealed: String,
    #[serde(flatten)]
    pub other: Other,
}

/// `credentials.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    pub version: u32,
    pub credentials: BTreeMap<String, Credential>,
    #[serde(flatten)]
    pub other: Other,
}

impl Default for Credentials {
    fn default() -> Credentials {
        Credentials { version: VERSION, credentials: BTreeMap::new(), other: Other::new() }
    }
}

/// What is signed: what for, and every part with its length before it.
pub fn statement(what: &str, parts: &[&str]) -> Vec<u8> {
    let mut bytes = format!("vrift identity {what} 1\0").into_bytes();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u32).to_le_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

/// What a new user's keys sign, and a machine's: whoever hands in a public key has the private one.
pub fn possession(user: &str, machine: &str, sign: &str, seal: &str) -> Vec<u8> {
    statement("possession", &[user, machine, sign, seal])
}

/// What the owner's key signs for a new lock or recovery, so that nobody locks the owner out by mistake.
pub fn relock(user: &str, sealed: &str) -> Vec<u8> {
    statement("relock", &[user, sealed])
}

/// What a machine's key signs at login.
pub fn login(user: &str, machine: &str, challenge: &str) -> Vec<u8> {
    statement("login", &[user, machine, challenge])
}

/// What the machine's old key signs when a new one takes its place.
pub fn rotation(user: &str, machine: &str, sign: &str, seal: &str) -> Vec<u8> {
    statement("rotation", &[user, machine, sign, seal])
}

/// Authenticated with the owner's seed wherever that is sealed.
pub fn seed_place(user: &str) -> Vec<u8> {
    statement("seed", &[user])
}

/// Authenticated with a credential's token.
pub fn credential_place(user: &str, name: &str) -> Vec<u8> {
    statement("credential", &[user, name])
}

/// A machine's new keys, and what shows that its owner has them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MachineKeys {
    pub sign: String,
    pub seal: String,
    /// The owner's seed, sealed to them.
    pub unlock: Option<String>,
    /// Of [`possession`].
    pub proof: String,
}

/// The user is in no request: it is whom the kernel says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    Show,
    /// All users; for the daemon's own user.
    Users,
    AddUser {
        name: String,
        sign: String,
        seal: String,
        lock: Lock,
        /// Of [`possession`], with no machine.
        proof: String,
    },
    /// With machines and credentials.
    RemoveUser,
    /// The sealed seed, to open it.
    Private,
    /// Another passphrase; the signature is of [`relock`].
    Relock {
        lock: Lock,
        signature: String,
    },
    /// New shares; the signature is of [`relock`].
    ShareOut {
        recovery: Recovery,
        signature: String,
    },
    Machines,
    Enrol {
        machine: String,
        keys: MachineKeys,
        expires_ns: Option<i64>,
        capabilities: Vec<String>,
    },
    Rotate {
        machine: String,
        keys: MachineKeys,
        /// Of [`rotation`], by the key that it replaces.
        signature: String,
    },
    Revoke {
        machine: String,
    },
    /// Something new to sign.
    Challenge {
        machine: String,
    },
    /// The signature is of [`login`]; a challenge is good once.
    Login {
        machine: String,
        challenge: String,
        signature: String,
    },
    /// The owner's seed, sealed to the machine that logged in.
    Unlock {
        session: String,
    },
    Credentials,
    PutCredential {
        name: String,
        url: Option<String>,
        expires_ns: Option<i64>,
        sealed: String,
    },
    GetCredential {
        name: String,
    },
    DeleteCredential {
        name: String,
    },
}

impl Request {
    pub fn need(&self) -> Need {
        match self {
            Request::Show | Request::Users | Request::Machines | Request::Credentials => Need::Read,
            Request::Private
            | Request::Challenge { .. }
            | Request::Login { .. }
            | Request::Unlock { .. }
            | Request::PutCredential { .. }
            | Request::GetCredential { .. }
            | Request::DeleteCredential { .. } => Need::Write,
            _ => Need::Admin,
        }
    }
}

/// A user, without private parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserInfo {
    pub user: String,
    pub name: String,
    pub since_ns: i64,
    pub sign: String,
    pub seal: String,
    /// Names the shares that are out.
    pub recovery: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Valid,
    Expired,
    Revoked,
}

impl Standing {
    pub const fn name(self) -> &'static str {
        match self {
            Standing::Valid => "valid",
            Standing::Expired => "expired",
            Standing::Revoked => "revoked",
        }
    }
}

/// A machine, without private parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineInfo {
    pub machine: String,
    pub sign: String,
    pub since_ns: i64,
    pub expires_ns: Option<i64>,
    pub revoked_ns: Option<i64>,
    pub capabilities: Vec<String>,
    pub standing: Standing,
    /// Keys that it had before.
    pub older: usize,
}

/// A credential, without the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialInfo {
    pub name: String,
    pub url: Option<String>,
    pub since_ns: i64,
    pub expires_ns: Option<i64>,
    pub standing: Standing,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    User(UserInfo),
    Users(Vec<UserInfo>),
    Private { lock: Lock, recovery: Option<Recovery> },
    Machine(MachineInfo),
    Machines(Vec<MachineInfo>),
    Challenge { challenge: String },
    LoggedIn { user: String, machine: String, capabilities: Vec<String>, session: String },
    Unlocked { seed: String },
    Credentials(Vec<CredentialInfo>),
    Credential { info: CredentialInfo, sealed: String },
    Done,
}
