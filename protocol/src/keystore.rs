//! Requests to keystored, and what it signs.

use crate::service::Need;
use serde::{Deserialize, Serialize};

/// Prefix of signatures of snapshots; behind it [`Snapshot::id`].
pub const SIGNATURES_PREFIX: &str = "/state/keystore/signatures/";

/// A snapshot, as it is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    pub workspace: String,
    pub number: u32,
    /// 64 hex digits that stand for the whole tree.
    pub root: String,
    /// ns since 1970.
    pub time_ns: i64,
}

impl Snapshot {
    /// The bytes that are signed: which tree, and when it was the snapshot with that number of that workspace.
    pub fn statement(&self) -> Vec<u8> {
        let mut bytes = b"vrift snapshot 1\0".to_vec();
        for text in [&self.root, &self.workspace] {
            bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.time_ns.to_le_bytes());
        bytes
    }

    /// Names the signature's record: BLAKE3 of the statement, in hex.
    pub fn id(&self) -> String {
        blake3::hash(&self.statement()).to_hex().to_string()
    }
}

/// The bytes that are signed for a file whose BLAKE3 is `digest`. Begins otherwise than what is signed for snapshots.
pub fn file_statement(digest: &[u8; 32]) -> Vec<u8> {
    [&b"vrift file 1\0"[..], digest].concat()
}

/// A signature and the key that made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// First 32 hex digits of the public key's BLAKE3.
    pub key: String,
    /// Ed25519, 128 hex digits.
    pub signature: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// All public keys, the one in use first.
    Show,
    /// The private key. Always refused.
    Private,
    /// Signs a file by its BLAKE3, in hex.
    Sign {
        digest: String,
    },
    /// Whether a signature of a file is right, and when its key was in use.
    Verify {
        digest: String,
        signature: Signature,
    },
    /// Signs a snapshot and keeps the signature.
    SignSnapshot(Snapshot),
    /// For each whether its signature is kept and right.
    VerifySnapshots(Vec<Snapshot>),
    /// A new key takes the place of the one in use, which goes on being known for what it has signed.
    Rotate,
    /// Whether private keys are sealed, and by what.
    Status,
    /// Seals private keys under this passphrase from now on.
    Seal {
        passphrase: String,
    },
    /// Opens a keystore that a passphrase seals, until its process ends.
    Unlock {
        passphrase: String,
    },
    /// Items of the service or the user who asks, and of no other.
    PutItem {
        name: String,
        value: String,
    },
    GetItem {
        name: String,
    },
    DeleteItem {
        name: String,
    },
    ListItems,
}

impl Request {
    pub fn need(&self) -> Need {
        match self {
            Request::Show
            | Request::Status
            | Request::Private
            | Request::Verify { .. }
            | Request::VerifySnapshots(_) => Need::Read,
            Request::Rotate | Request::Seal { .. } | Request::Unlock { .. } => Need::Admin,
            _ => Need::Write,
        }
    }
}

/// A key that signs, or has signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKey {
    pub id: String,
    /// Ed25519, 64 hex digits.
    pub public: String,
    /// ns since 1970.
    pub since_ns: i64,
    /// When another one took its place; None: it is in use.
    pub until_ns: Option<i64>,
}

/// What is known of a signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// By the key with this id.
    Right { key: String },
    /// The key is known and did not make it for this.
    Wrong { key: String },
    /// It is by a key that this keystore never had.
    UnknownKey { key: String },
    /// There is none.
    Unsigned,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Keys {
        keys: Vec<PublicKey>,
        /// The private key is encrypted in the store.
        sealed: bool,
    },
    Status {
        /// In words; None: in the clear.
        sealed_by: Option<String>,
        locked: bool,
    },
    Signed(Signature),
    Verdict(Verdict),
    Verdicts(Vec<Verdict>),
    Rotated(PublicKey),
    Item {
        value: Option<String>,
    },
    Items(Vec<String>),
    Done,
}
