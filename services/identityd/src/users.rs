//! Users: the record that says who they are, and the seed that only they open.

use crate::records::{self, absent, invalid, now_ns, refused};
use crate::space::{Space, text};
use nix::errno::Errno;
use vrift_protocol::identity::{self, Keystore, Lock, Recovery, Reply, USERS_PREFIX, UserInfo, VERSION};
use vrift_secret::keys::is_signed;
use vrift_service::Refusal;

/// A list of them fits a frame.
const USERS_MAX: usize = 128;
/// A sealed seed has 192 digits at most.
const SEED_DIGITS_MAX: usize = 512;

/// What a new user says of themselves.
pub struct New {
    pub name: String,
    pub sign: String,
    pub seal: String,
    pub lock: Lock,
}

/// The record of a user, who must be there.
pub fn known(space: &mut Space<'_>, user: &str) -> Result<Keystore, Refusal> {
    records::read(space, &records::keystore(user))?.ok_or_else(|| nobody(user))
}

fn nobody(user: &str) -> Refusal {
    absent(format!("user {user} has no identity here: vrift identity user add"))
}

fn info(keystore: &Keystore) -> UserInfo {
    UserInfo {
        user: keystore.user.clone(),
        name: keystore.name.clone(),
        since_ns: keystore.since_ns,
        sign: keystore.sign.clone(),
        seal: keystore.seal.clone(),
        recovery: keystore.recovery.as_ref().map(|recovery| recovery.set.clone()),
    }
}

pub fn show(space: &mut Space<'_>, user: &str) -> Result<Reply, Refusal> {
    known(space, user).map(|keystore| Reply::User(info(&keystore)))
}

/// Those who have a record, by the names of the keys.
fn ids(space: &mut Space<'_>) -> Result<Vec<String>, Refusal> {
    let rows = space.list(USERS_PREFIX)?;
    let id = |key: String| Some(key.strip_prefix(USERS_PREFIX)?.strip_suffix("/keystore.json")?.to_string());
    Ok(rows.iter().map(text).filter_map(id).collect())
}

pub fn all(space: &mut Space<'_>) -> Result<Reply, Refusal> {
    let ids = ids(space)?;
    ids.iter()
        .map(|id| known(space, id).map(|keystore| info(&keystore)))
        .collect::<Result<_, _>>()
        .map(Reply::Users)
}

fn check_lock(lock: &Lock) -> Result<(), Refusal> {
    records::sealed(&lock.sealed, SEED_DIGITS_MAX)?;
    records::sealed(&lock.salt, 64).map(drop)
}

pub fn add(space: &mut Space<'_>, user: &str, new: New, proof: &str) -> Result<Reply, Refusal> {
    records::text(&new.name)?;
    check_lock(&new.lock)?;
    if records::read::<Keystore>(space, &records::keystore(user))?.is_some() {
        return Err(Refusal::new(Errno::EEXIST, format!("user {user} has an identity already")));
    }
    if ids(space)?.len() >= USERS_MAX {
        return Err(Refusal::new(Errno::ENOSPC, format!("there are {USERS_MAX} users already")));
    }
    let statement = identity::possession(user, "", &new.sign, &new.seal);
    if !is_signed(&new.sign, &statement, proof) {
        return Err(invalid("the proof is not by the key that is handed in"));
    }
    let keystore = Keystore {
        version: VERSION,
        user: user.into(),
        name: new.name,
        since_ns: now_ns(),
        sign: new.sign,
        seal: new.seal,
        lock: new.lock,
        recovery: None,
        other: identity::Other::new(),
    };
    records::write(space, records::keystore(user), &keystore)?;
    Ok(Reply::User(info(&keystore)))
}

/// All records of the user, or none; also those that are not right.
pub fn remove(space: &mut Space<'_>, user: &str) -> Result<Reply, Refusal> {
    if space.remove_all(user)? { Ok(Reply::Done) } else { Err(nobody(user)) }
}

pub fn private(space: &mut Space<'_>, user: &str) -> Result<Reply, Refusal> {
    known(space, user).map(|keystore| Reply::Private { lock: keystore.lock, recovery: keystore.recovery })
}

/// By whoever has the private key, so that what is put in place is no rubbish.
fn signed(keystore: &Keystore, sealed: &str, signature: &str) -> Result<(), Refusal> {
    let right = is_signed(&keystore.sign, &identity::relock(&keystore.user, sealed), signature);
    if right { Ok(()) } else { Err(refused("the change is not signed by the user's own key")) }
}

pub fn relock(space: &mut Space<'_>, user: &str, lock: Lock, signature: &str) -> Result<Reply, Refusal> {
    check_lock(&lock)?;
    let keystore = known(space, user)?;
    signed(&keystore, &lock.sealed, signature)?;
    records::write(space, records::keystore(user), &Keystore { lock, ..keystore })?;
    Ok(Reply::Done)
}

pub fn share_out(
    space: &mut Space<'_>,
    user: &str,
    recovery: Recovery,
    signature: &str,
) -> Result<Reply, Refusal> {
    records::sealed(&recovery.sealed, SEED_DIGITS_MAX)?;
    records::sealed(&recovery.set, 64)?;
    let keystore = known(space, user)?;
    signed(&keystore, &recovery.sealed, signature)?;
    let recovery = Some(Recovery { since_ns: now_ns(), ..recovery });
    records::write(space, records::keystore(user), &Keystore { recovery, ..keystore })?;
    Ok(Reply::Done)
}
