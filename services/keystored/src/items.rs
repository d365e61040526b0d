//! Small secrets of services and of users: each sees its own.

use crate::records::Records;
use nix::errno::Errno;
use vrift_protocol::pipeline::Blocking;
use vrift_protocol::service::Caller;
use vrift_service::Refusal;
use zeroize::Zeroizing;

const VALUE_LEN_MAX: usize = 4096;

/// The prefix of the caller's items. Who it is, the daemon says.
fn scope(caller: &Caller) -> String {
    match caller.service() {
        Some(service) => format!("/state/keystore/items/{}/", service.name()),
        None => format!("/state/keystore/items/uid-{}/", caller.uid.get()),
    }
}

fn key(caller: &Caller, name: &str) -> Result<String, Refusal> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.is_empty() || name.len() > 100 || !name.bytes().all(plain) {
        return Err(Refusal::new(Errno::EINVAL, "an item's name has letters, digits, - and _"));
    }
    Ok(scope(caller) + name)
}

pub fn put(
    space: &mut Blocking,
    records: &mut Records,
    caller: &Caller,
    name: &str,
    value: Zeroizing<String>,
) -> Result<(), Refusal> {
    if value.len() > VALUE_LEN_MAX {
        return Err(Refusal::new(Errno::EFBIG, format!("an item has at most {VALUE_LEN_MAX} bytes")));
    }
    let changes = records.put(&key(caller, name)?, value.as_bytes())?;
    records.commit(space, &changes)
}

pub fn get(
    space: &mut Blocking,
    records: &Records,
    caller: &Caller,
    name: &str,
) -> Result<Option<String>, Refusal> {
    let value = records.get(space, &key(caller, name)?)?;
    Ok(value.map(|value| String::from_utf8_lossy(&value).into_owned()))
}

pub fn delete(
    space: &mut Blocking,
    records: &mut Records,
    caller: &Caller,
    name: &str,
) -> Result<(), Refusal> {
    let key = key(caller, name)?;
    let changes = records.delete(&key).ok_or_else(|| Refusal::new(Errno::ENOENT, "there is no such item"))?;
    records.commit(space, &changes)
}

pub fn list(records: &Records, caller: &Caller) -> Vec<String> {
    let scope = scope(caller);
    records.below(&scope).filter_map(|key| key.strip_prefix(&scope)).map(str::to_string).collect()
}
