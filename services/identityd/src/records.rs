//! Records of users: their places, versions, and how they change.

use crate::space::Space;
use nix::errno::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;
use vrift_protocol::identity::{Standing, USERS_PREFIX, VERSION};
use vrift_service::Refusal;

/// Longest name of a machine, a credential or a user.
const NAME_LEN_MAX: usize = 64;

pub fn folder(user: &str) -> String {
    format!("{USERS_PREFIX}{user}/")
}

pub fn keystore(user: &str) -> String {
    folder(user) + "keystore.json"
}

pub fn credentials(user: &str) -> String {
    folder(user) + "credentials.json"
}

pub fn machines(user: &str) -> String {
    folder(user) + "machine_keys/"
}

/// The record of a machine.
pub fn machine(user: &str, machine: &str) -> Result<String, Refusal> {
    Ok(format!("{}{}.json", machines(user), name(machine)?))
}

/// A name that can be part of a key, and of a line.
pub fn name(name: &str) -> Result<&str, Refusal> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let right = name.bytes().all(plain) && !name.starts_with('.') && !name.is_empty();
    if !right || name.len() > NAME_LEN_MAX {
        let text =
            format!("a name has up to {NAME_LEN_MAX} letters, digits, - _ and ., and begins with no dot");
        return Err(invalid(text));
    }
    Ok(name)
}

/// Text for people: one line.
pub fn text(text: &str) -> Result<&str, Refusal> {
    if text.is_empty() || text.len() > 4 * NAME_LEN_MAX || text.chars().any(char::is_control) {
        return Err(invalid(format!(
            "a text has 1 to {} bytes, and no control characters",
            4 * NAME_LEN_MAX
        )));
    }
    Ok(text)
}

/// Something sealed, in hex: at most `max` digits.
pub fn sealed(digits: &str, max: usize) -> Result<&str, Refusal> {
    if digits.is_empty() || digits.len() > max || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(invalid(format!("what is sealed is not 1 to {max} hex digits")));
    }
    Ok(digits)
}

pub fn invalid(text: impl Into<String>) -> Refusal {
    Refusal::new(Errno::EINVAL, text)
}

pub fn absent(text: impl Into<String>) -> Refusal {
    Refusal::new(Errno::ENOENT, text)
}

/// The request is not right at this time, or not proved.
pub fn refused(text: impl Into<String>) -> Refusal {
    Refusal::new(Errno::EILSEQ, text)
}

/// A record; None: there is none.
pub fn read<T: DeserializeOwned>(space: &mut Space<'_>, key: &str) -> Result<Option<T>, Refusal> {
    let Some(value) = space.get(key)? else { return Ok(None) };
    let damaged = |error| Refusal::new(Errno::EBADMSG, format!("{key} cannot be read: {error}"));
    let record: serde_json::Value = serde_json::from_slice(&value).map_err(damaged)?;
    match record.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => {}
        version => {
            let version = version.map_or("none".into(), |version| version.to_string());
            let text = format!("{key} is of version {version}, this is for version {VERSION}");
            return Err(Refusal::new(Errno::EPROTONOSUPPORT, text));
        }
    }
    serde_json::from_value(record).map(Some).map_err(damaged)
}

/// Puts a record; it is durable when this returns.
pub fn write(space: &mut Space<'_>, key: String, record: &impl Serialize) -> Result<(), Refusal> {
    let value = serde_json::to_vec_pretty(record)
        .map_err(|error| Refusal::new(Errno::EIO, format!("{key} cannot be written down: {error}")))?;
    space.put(key, value)
}

/// ns since 1970.
pub fn now_ns() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

pub fn standing(expires_ns: Option<i64>, revoked_ns: Option<i64>) -> Standing {
    match (revoked_ns, expires_ns) {
        (Some(_), _) => Standing::Revoked,
        (None, Some(expires_ns)) if expires_ns <= now_ns() => Standing::Expired,
        _ => Standing::Valid,
    }
}
