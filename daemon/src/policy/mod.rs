//! Who may do what in the key-value space and of the services: deny by default.

mod file;

pub use file::read;

use nix::unistd::geteuid;
use std::fmt;
use std::sync::Arc;
use vrift_protocol::service::{Need, Service};

/// Prefix of the names of services, for rules about requests to them.
pub const SERVICE_PREFIX: &str = "/service/";

/// Who asks, as the kernel says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// SO_PEERCRED of a connection to the daemon's socket; further groups only where the policy asks for groups.
    Person { uid: u32, gid: u32, groups: Arc<[u32]> },
    /// The other end of a socket pair that was given to that service alone.
    Service(Service),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Person { uid, gid, .. } => write!(f, "uid {uid} gid {gid}"),
            Who::Service(service) => write!(f, "service {}", service.name()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    Read,
    Write,
    List,
    Admin,
}

impl Right {
    pub const fn name(self) -> &'static str {
        match self {
            Right::Read => "read",
            Right::Write => "write",
            Right::List => "list",
            Right::Admin => "admin",
        }
    }
}

impl From<Need> for Right {
    fn from(need: Need) -> Right {
        match need {
            Need::Read => Right::Read,
            Need::Write => Right::Write,
            Need::Admin => Right::Admin,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Uid(u32),
    Gid(u32),
    Service(Service),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    subject: Subject,
    may: Vec<Right>,
    below: String,
    except: Vec<String>,
}

/// What is allowed; all else is denied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    rules: Vec<Rule>,
    /// BLAKE3 of the text, in hex.
    pub digest: String,
    /// Where the text is from, in words.
    pub from: &'static str,
}

impl Rule {
    fn is_for(&self, who: &Who) -> bool {
        match (self.subject, who) {
            (Subject::Uid(uid), Who::Person { uid: theirs, .. }) => uid == *theirs,
            (Subject::Gid(gid), Who::Person { gid: theirs, groups, .. }) => {
                gid == *theirs || groups.contains(&gid)
            }
            (Subject::Service(service), Who::Service(theirs)) => service == *theirs,
            _ => false,
        }
    }

    fn covers(&self, path: &[u8]) -> bool {
        path.starts_with(self.below.as_bytes())
            && !self.except.iter().any(|except| path.starts_with(except.as_bytes()))
    }
}

impl Policy {
    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether `who` may do that with the key or service at `path`.
    pub fn allows(&self, who: &Who, right: Right, path: &[u8]) -> bool {
        self.rules.iter().any(|rule| rule.is_for(who) && rule.may.contains(&right) && rule.covers(path))
    }

    /// Whether a listing of keys that begin with `prefix` could show `who` anything.
    pub fn allows_some_listing(&self, who: &Who, prefix: &[u8]) -> bool {
        let overlaps = |rule: &Rule| rule.below.as_bytes().starts_with(prefix) || rule.covers(prefix);
        self.rules.iter().any(|rule| rule.is_for(who) && rule.may.contains(&Right::List) && overlaps(rule))
    }

    /// Whether a listing shows `who` this key.
    pub fn shows(&self, who: &Who, key: &[u8]) -> bool {
        self.allows(who, Right::List, key) && self.allows(who, Right::Read, key)
    }

    /// Whether a rule is for a group: then it matters in which ones somebody is.
    pub fn asks_for_groups(&self) -> bool {
        self.rules.iter().any(|rule| matches!(rule.subject, Subject::Gid(_)))
    }

    /// Whether any rule is about them at all.
    pub fn knows(&self, who: &Who) -> bool {
        self.rules.iter().any(|rule| rule.is_for(who))
    }
}

/// Keys of the daemon and the services: a person who may write there does so past them.
pub fn is_guarded(path: &[u8]) -> bool {
    const GUARDED: [&[u8]; 5] =
        [b"/state/audit/", b"/state/boot/", b"/state/identity/", b"/state/keystore/", b"/state/system/"];
    GUARDED.iter().any(|prefix| path.starts_with(prefix))
}

/// The user whose daemon this is.
fn owner() -> u32 {
    geteuid().as_raw()
}
