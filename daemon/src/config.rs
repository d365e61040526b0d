//! `config.toml` in the state folder: what the user decides about the store. Read when the daemon starts.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Name in the state folder. No file: the defaults.
pub const CONFIG_FILE: &str = "config.toml";
/// zstd's highest level that needs no more memory than the others.
const LEVEL_MAX: i32 = 19;

/// Every key is optional; unknown ones are refused, so that a slip of the pen is no silent default.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub store: StoreConfig,
    pub ingest: IngestConfig,
    pub keystore: KeystoreConfig,
}

/// The section `[ingest]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct IngestConfig {
    /// What git ignores in a git work tree is left out; `.vriftignore` counts in any case.
    pub gitignore: bool,
}

impl Default for IngestConfig {
    fn default() -> IngestConfig {
        IngestConfig { gitignore: true }
    }
}

/// The section `[keystore]`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct KeystoreConfig {
    /// Private keys are encrypted in the store under a key that is made of this file, which should be outside of it.
    pub key_file: Option<std::path::PathBuf>,
}

/// The section `[store]`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// zstd's level for content that is stored from now on, 1 to 19; 0: not compressed.
    pub compression: i32,
    /// Store and hot tier together are collected down to this, by themselves, when they are larger; 0: no bound.
    pub max_size_bytes: u64,
}

impl StoreConfig {
    /// As the store takes it.
    pub fn level(&self) -> Option<i32> {
        (self.compression > 0).then_some(self.compression)
    }
}

/// Reads the file in `home`.
///
/// # Errors
/// It cannot be read, is not TOML, or says something that there is not.
pub fn read(home: &Path) -> Result<Config> {
    let path = home.join(CONFIG_FILE);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Config::default()),
        other => other.with_context(|| format!("cannot read {}", path.display()))?,
    };
    parse(&text).with_context(|| format!("{} is not right", path.display()))
}

fn parse(text: &str) -> Result<Config> {
    let config: Config = toml::from_str(text)?;
    let level = config.store.compression;
    ensure!((0..=LEVEL_MAX).contains(&level), "store.compression is {level}, not 0 to {LEVEL_MAX}");
    let key_file = config.keystore.key_file.as_deref();
    ensure!(key_file.is_none_or(Path::is_absolute), "keystore.key_file is no absolute path");
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_the_default_and_what_is_not_known_is_refused() {
        assert_eq!(parse("").unwrap(), Config::default());
        let said = parse("[store]\ncompression = 3\nmax_size_bytes = 5000000000\n").unwrap().store;
        assert_eq!((said.level(), said.max_size_bytes), (Some(3), 5_000_000_000));
        assert_eq!(parse("[store]\ncompression = 0\n").unwrap().store.level(), None);
        for wrong in [
            "[store]\ncompresion = 3\n",
            "[stores]\n",
            "[store]\ncompression = 20\n",
            "[store]\ncompression = -1\n",
            "[keystore]\nkey_file = \"relative\"\n",
            "x",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
