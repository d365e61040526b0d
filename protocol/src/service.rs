//! The services beside the daemon: who they are, and requests to them.
//!
//! ```text
//! request body   0  u8 service    1  u8 right (a [`Need`])    2  u16 zero    then JSON, the service's own
//! ```
//! The daemon takes the request only if the policy gives the caller that right on `/service/NAME/`, and hands it on with
//! the caller's identity before it ([`Caller`]); the service refuses acts that need another right. A reply's status is 0,
//! with JSON, or an errno, with a text that says what is wrong.

use serde::{Deserialize, Serialize};
use zerocopy::byteorder::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A service. Numbers are part of the wire and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Service {
    /// Keys and signatures: `/state/keystore/`.
    Keystore = 1,
    /// Which tree is the active one: `/state/boot/`.
    Boot = 2,
    /// Users, machines, credentials: `/state/identity/`.
    Identity = 3,
    /// Time settings: `/state/system/settings/time.json`.
    Time = 4,
}

impl Service {
    pub const ALL: [Service; 4] = [Service::Keystore, Service::Boot, Service::Identity, Service::Time];

    /// The name in the policy, in messages and of the program (`vrift-NAME`).
    pub const fn name(self) -> &'static str {
        match self {
            Service::Keystore => "keystored",
            Service::Boot => "updated",
            Service::Identity => "identityd",
            Service::Time => "timed",
        }
    }

    pub fn from_wire(n: u8) -> Option<Service> {
        Self::ALL.into_iter().find(|service| *service as u8 == n)
    }

    pub fn named(name: &str) -> Option<Service> {
        Self::ALL.into_iter().find(|service| service.name() == name)
    }
}

/// The right on `/service/NAME/` that a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum Need {
    /// To be told something.
    Read = 1,
    /// To have something done.
    Write = 2,
    /// To change what the service guards. Goes to the audit log.
    Admin = 3,
}

impl Need {
    pub fn from_wire(n: u8) -> Option<Need> {
        [Need::Read, Need::Write, Need::Admin].into_iter().find(|need| *need as u8 == n)
    }
}

/// Bytes before the JSON of a request to the daemon.
const FIXED_LEN: usize = 4;

/// The body of a request to a service, as the daemon takes it.
pub fn encode(service: Service, need: Need, json: &[u8]) -> Vec<u8> {
    [&[service as u8, need as u8, 0, 0], json].concat()
}

/// None: not the layout.
pub fn parse(body: &[u8]) -> Option<(Service, Need, &[u8])> {
    let (fixed, json) = body.split_first_chunk::<FIXED_LEN>()?;
    let [service, need, 0, 0] = *fixed else { return None };
    Some((Service::from_wire(service)?, Need::from_wire(need)?, json))
}

/// Who asks, as the daemon tells a service, before the JSON.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Caller {
    pub uid: U32,
    pub gid: U32,
    /// Number of the service that asks; 0: none does.
    pub service: u8,
    /// The [`Need`] that was checked.
    pub need: u8,
    pub reserved: U16,
}

impl Caller {
    pub fn service(&self) -> Option<Service> {
        Service::from_wire(self.service)
    }
    pub fn need(&self) -> Option<Need> {
        Need::from_wire(self.need)
    }
}

/// fd of a service process: its connection to the key-value space.
pub const STATE_FD: i32 = 3;
/// fd of a service process: requests to it.
pub const CALLS_FD: i32 = 4;
/// fd of a service process: what it was given to read (keystored: its key file); may be closed.
pub const SECRET_FD: i32 = 5;

/// What a service says when it is about to answer requests.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ready {
    /// By what it is confined.
    pub confinement: String,
    /// How the kernel refused it a file.
    pub refused: String,
}
