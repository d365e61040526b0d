//! Credentials: tokens for remote stores, sealed to their owner.

use crate::records::{self, absent, invalid, now_ns};
use crate::space::Space;
use crate::users;
use nix::errno::Errno;
use vrift_protocol::identity::{Credential, CredentialInfo, Credentials, Other, Reply};
use vrift_service::Refusal;

/// They are one value, of at most 1 MiB.
const CREDENTIALS_MAX: usize = 64;
/// A token of 4 KiB, sealed.
const SEALED_DIGITS_MAX: usize = 8400;

pub struct New {
    pub url: Option<String>,
    pub expires_ns: Option<i64>,
    pub sealed: String,
}

fn info(name: &str, credential: &Credential) -> CredentialInfo {
    CredentialInfo {
        name: name.into(),
        url: credential.url.clone(),
        since_ns: credential.since_ns,
        expires_ns: credential.expires_ns,
        standing: records::standing(credential.expires_ns, None),
    }
}

fn read(space: &mut Space<'_>, user: &str) -> Result<Credentials, Refusal> {
    users::known(space, user)?;
    Ok(records::read(space, &records::credentials(user))?.unwrap_or_default())
}

pub fn all(space: &mut Space<'_>, user: &str) -> Result<Reply, Refusal> {
    let all = read(space, user)?;
    Ok(Reply::Credentials(all.credentials.iter().map(|(name, credential)| info(name, credential)).collect()))
}

pub fn put(space: &mut Space<'_>, user: &str, name: &str, new: New) -> Result<Reply, Refusal> {
    records::name(name)?;
    new.url.as_deref().map(records::text).transpose()?;
    records::sealed(&new.sealed, SEALED_DIGITS_MAX)?;
    if new.expires_ns.is_some_and(|at| at <= now_ns()) {
        return Err(invalid("the credential would be past its time from the beginning"));
    }
    let mut all = read(space, user)?;
    let before = all.credentials.remove(name);
    if before.is_none() && all.credentials.len() >= CREDENTIALS_MAX {
        return Err(Refusal::new(Errno::ENOSPC, format!("there are {CREDENTIALS_MAX} credentials already")));
    }
    let other = before.map_or_else(Other::new, |before| before.other);
    let New { url, expires_ns, sealed } = new;
    all.credentials.insert(name.into(), Credential { url, since_ns: now_ns(), expires_ns, sealed, other });
    records::write(space, records::credentials(user), &all)?;
    Ok(Reply::Done)
}

fn none(name: &str) -> Refusal {
    absent(format!("there is no credential {name}"))
}

pub fn get(space: &mut Space<'_>, user: &str, name: &str) -> Result<Reply, Refusal> {
    let all = read(space, user)?;
    let credential = all.credentials.get(name).ok_or_else(|| none(name))?;
    Ok(Reply::Credential { info: info(name, credential), sealed: credential.sealed.clone() })
}

pub fn delete(space: &mut Space<'_>, user: &str, name: &str) -> Result<Reply, Refusal> {
    let mut all = read(space, user)?;
    all.credentials.remove(name).ok_or_else(|| none(name))?;
    records::write(space, records::credentials(user), &all)?;
    Ok(Reply::Done)
}
