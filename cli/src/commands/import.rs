//! `vrift state import`: keys in an older form become paths, once.
//!
//! The file is one JSON object. A name is `content:PATH` or `inode:PATH` and becomes `/state/PATH` (a PATH that begins with
//! `/state/` stays as it is). A text is its bytes, a list of numbers below 256 is those bytes, anything else is its own
//! JSON text.

use super::output::Output;
use crate::error::{CliError, Result};
use crate::services::{connect, refused};
use crate::session::Session;
use crate::text::{count, escape};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use vrift_protocol::admin::Failure;
use vrift_protocol::state::{IMPORT, VALUE_LEN_MAX};

/// All of it is in memory, and one transaction.
const FILE_LEN_MAX: u64 = 64 << 20;
const FORMS: [&str; 2] = ["content:", "inode:"];
const ROOT: &str = "/state/";

/// The members of an object in their order, a name that is there twice included.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Members, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of keys")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Members, A::Error> {
                let mut all = Vec::new();
                while let Some(member) = map.next_entry()? {
                    all.push(member);
                }
                Ok(Members(all))
            }
        }
        from.deserialize_map(All)
    }
}

fn wrong(what: String) -> CliError {
    CliError::Refused { failure: Failure::Input, what, hint: "nothing was imported".into() }
}

pub fn run(quiet: bool, path: &Path, json: bool) -> Result<u8> {
    let values = read(path)?;
    let session = Session::open(quiet)?;
    let mut space = connect(&session);
    for (key, (old, _)) in &values {
        if space.get(key.as_bytes()).map_err(refused)?.is_some() {
            let (old, key) = (escape(old.as_bytes()), escape(key.as_bytes()));
            return Err(wrong(format!("{old} collides with {key}, which is there already")));
        }
    }
    let imported = values.len();
    let changes: Vec<_> =
        values.into_iter().map(|(key, (_, value))| (key.into_bytes(), Some(value))).collect();
    space.change_as(IMPORT, &changes).map_err(refused)?;
    let mut out = Output::new();
    match json {
        true => out.json(&serde_json::json!({ "imported": imported }))?,
        false => out.line(&format!("{} imported", count(imported as u64, "key", "keys")))?,
    }
    out.finish()?;
    Ok(0)
}

/// Keys with the names they had, and values.
fn read(path: &Path) -> Result<BTreeMap<String, (String, Vec<u8>)>> {
    let failed = |error: io::Error| CliError::path(path, error);
    let mut text = Vec::new();
    match path == Path::new("-") {
        true => io::stdin().lock().take(FILE_LEN_MAX + 1).read_to_end(&mut text),
        false => File::open(path).and_then(|file| file.take(FILE_LEN_MAX + 1).read_to_end(&mut text)),
    }
    .map_err(failed)?;
    if text.len() as u64 > FILE_LEN_MAX {
        return Err(wrong(format!("{} is longer than {FILE_LEN_MAX} bytes", path.display())));
    }
    parse(&text).map_err(|what| wrong(format!("{}: {what}", path.display())))
}

fn parse(text: &[u8]) -> std::result::Result<BTreeMap<String, (String, Vec<u8>)>, String> {
    let Members(members) = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let mut values: BTreeMap<String, (String, Vec<u8>)> = BTreeMap::new();
    for (old, value) in members {
        let shown = escape(old.as_bytes());
        let rest = FORMS.iter().find_map(|form| old.strip_prefix(form));
        let rest = rest.ok_or_else(|| format!("{shown} is neither content:PATH nor inode:PATH"))?;
        let below = rest.strip_prefix(ROOT).unwrap_or_else(|| rest.trim_start_matches('/'));
        if below.is_empty() || below.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(format!("{shown} has no path that can be a key"));
        }
        let key = format!("{ROOT}{below}");
        let value = bytes(&value);
        if value.len() > VALUE_LEN_MAX {
            return Err(format!("{shown} has {} bytes, a value has at most {VALUE_LEN_MAX}", value.len()));
        }
        if let Some((other, _)) = values.get(&key) {
            let other = escape(other.as_bytes());
            return Err(format!("{other} and {shown} collide: both would be {}", escape(key.as_bytes())));
        }
        values.insert(key, (old, value));
    }
    Ok(values)
}

fn bytes(value: &Value) -> Vec<u8> {
    let byte = |value: &Value| value.as_u64().and_then(|number| u8::try_from(number).ok());
    match value {
        Value::String(text) => text.as_bytes().to_vec(),
        Value::Array(all) => {
            all.iter().map(byte).collect::<Option<_>>().unwrap_or_else(|| value.to_string().into_bytes())
        }
        value => value.to_string().into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> (String, Vec<u8>) {
        let all = parse(text.as_bytes()).unwrap();
        let (key, (_, value)) = all.into_iter().next().unwrap();
        (key, value)
    }

    #[test]
    fn keys_become_paths_and_values_bytes() {
        for (text, key, value) in [
            (r#"{"content:app/a": "text"}"#, "/state/app/a", &b"text"[..]),
            (r#"{"inode:/app/a": [0, 255]}"#, "/state/app/a", &[0, 255]),
            (r#"{"content:/state/app/a": [0, 256]}"#, "/state/app/a", b"[0,256]"),
            (r#"{"inode:a": {"size": 1}}"#, "/state/a", b"{\"size\":1}"),
            (r#"{"inode:a": 7}"#, "/state/a", b"7"),
            (r#"{"inode:a": []}"#, "/state/a", b""),
        ] {
            assert_eq!(one(text), (key.to_string(), value.to_vec()), "{text}");
        }
        assert!(parse(b"{}").unwrap().is_empty());
    }

    #[test]
    fn what_collides_or_is_no_key_is_refused() {
        for (text, what) in [
            (r#"{"content:a": 1, "inode:a": 2}"#, "collide"),
            (r#"{"content:a": 1, "content:a": 1}"#, "collide"),
            (r#"{"content:a/b": 1, "content:/state/a/b": 1}"#, "collide"),
            (r#"{"file:a": 1}"#, "neither"),
            (r#"{"content:": 1}"#, "no path"),
            (r#"{"content:a/../b": 1}"#, "no path"),
            (r#"{"content:a//b": 1}"#, "no path"),
            (r#"{"content:a/": 1}"#, "no path"),
            (r#"["content:a"]"#, "an object of keys"),
            (r#"{"content:a": 1"#, "line 1"),
        ] {
            let said = parse(text.as_bytes()).unwrap_err();
            assert!(said.contains(what), "{text}: {said}");
        }
    }
}
