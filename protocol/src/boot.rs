//! Requests to updated: which tree is the active one.

use crate::keystore::Snapshot;
use crate::service::Need;
use serde::{Deserialize, Serialize};

/// Key of the [`Boot`] record.
pub const BOOT_KEY: &str = "/state/boot/slots";

/// One of two places for a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Slot {
    A,
    B,
}

impl Slot {
    pub const fn other(self) -> Slot {
        match self {
            Slot::A => Slot::B,
            Slot::B => Slot::A,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Slot::A => "a",
            Slot::B => "b",
        }
    }
}

/// The slot that was switched to and has not been declared healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    pub slot: Slot,
    /// Attempts that may still begin.
    pub tries_left: u32,
    /// One has begun: the next one, or a rollback, is because it was not healthy.
    pub attempted: bool,
}

/// The record: `docs/spec/boot.md`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    pub version: u32,
    /// The public key whose signature counts, in hex, once something was staged.
    pub pinned: Option<String>,
    /// Healthy, and what is used when there is no trial; None: nothing was ever healthy.
    pub active: Option<Slot>,
    /// What was active before it, as long as its tree is still there.
    pub previous: Option<Slot>,
    pub a: Option<Snapshot>,
    pub b: Option<Snapshot>,
    pub trial: Option<Trial>,
}

impl Default for Boot {
    fn default() -> Boot {
        Boot { version: 1, pinned: None, active: None, previous: None, a: None, b: None, trial: None }
    }
}

impl Boot {
    pub fn tree(&self, slot: Slot) -> Option<&Snapshot> {
        match slot {
            Slot::A => self.a.as_ref(),
            Slot::B => self.b.as_ref(),
        }
    }

    /// What is to be used now: the trial's tree while an attempt of it is under way, else the active one.
    pub fn in_use(&self) -> Option<(Slot, &Snapshot)> {
        let tried = self.trial.filter(|trial| trial.attempted).map(|trial| trial.slot);
        let slot = tried.or(self.active)?;
        self.tree(slot).map(|tree| (slot, tree))
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    Status,
    /// Puts a signed snapshot into the slot that is not active. `force`: also an older one than the active.
    Stage {
        snapshot: Snapshot,
        force: bool,
    },
    /// The staged slot is to be tried so often.
    Switch {
        tries: u32,
    },
    /// A start begins: which tree is to be used.
    Attempt,
    /// What is in use is healthy.
    HealthOk,
    /// Back to the active slot, or, without a trial, to what was active before.
    Rollback,
    /// From now on the signatures of this key count: the one in use by the keystore.
    Pin {
        public: String,
    },
}

impl Request {
    pub fn need(&self) -> Need {
        match self {
            Request::Status => Need::Read,
            Request::Attempt | Request::HealthOk => Need::Write,
            _ => Need::Admin,
        }
    }
}
