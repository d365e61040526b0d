//! `config.toml` in the state folder: what the user decides about the store. Read when the daemon starts.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use vrift_protocol::settings::Setting;

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
    /// Directories of real trees that are watched at a time; 0: none. Not said: half of what the user may watch.
    pub watch_dirs_max: Option<u64>,
}

impl Default for IngestConfig {
    fn default() -> IngestConfig {
        IngestConfig { gitignore: true, watch_dirs_max: None }
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
    /// Where the store is; none: a file in the state folder.
    pub device: Option<std::path::PathBuf>,
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

/// A key, what it is and in which range.
const KEYS: &[(&str, &str)] = &[
    (
        "store.device",
        "where the store is: a file, a block device, vfio:0000:00:03.0; none: store.img in the state folder",
    ),
    ("store.compression", "zstd's level for content that is stored from now on, 1 to 19; 0: not compressed"),
    ("store.max_size_bytes", "store and cache are collected down to this by themselves; 0: no bound"),
    ("ingest.gitignore", "what git ignores in a git work tree is left out when a directory is taken in"),
    ("ingest.watch_dirs_max", "directories of real trees that are watched for changes at a time; 0: none"),
    ("keystore.key_file", "private keys are encrypted in the store under a key that is made of this file"),
];

fn value_of(config: &Config, name: &str) -> String {
    match name {
        "store.device" => {
            config.store.device.as_ref().map_or(String::new(), |path| path.display().to_string())
        }
        "store.compression" => config.store.compression.to_string(),
        "store.max_size_bytes" => config.store.max_size_bytes.to_string(),
        "ingest.gitignore" => config.ingest.gitignore.to_string(),
        "ingest.watch_dirs_max" => match config.ingest.watch_dirs_max {
            Some(most) => most.to_string(),
            None => "half of fs.inotify.max_user_watches".into(),
        },
        "keystore.key_file" => {
            config.keystore.key_file.as_ref().map_or(String::new(), |path| path.display().to_string())
        }
        _ => String::new(),
    }
}

/// Every key with its value and where that comes from.
///
/// # Errors
/// As [`read`].
pub fn settings(home: &Path) -> Result<Vec<Setting>> {
    let config = read(home)?;
    let path = home.join(CONFIG_FILE);
    let said: toml::Table = match fs::read_to_string(&path) {
        Ok(text) => toml::from_str(&text)?,
        Err(_) => toml::Table::new(),
    };
    let is_said = |name: &str| {
        let (section, key) = name.split_once('.').unwrap_or((name, ""));
        said.get(section).and_then(toml::Value::as_table).is_some_and(|table| table.contains_key(key))
    };
    let row = |(name, what): &(&str, &str)| Setting {
        name: (*name).into(),
        value: value_of(&config, name),
        default: value_of(&Config::default(), name),
        origin: if is_said(name) { path.display().to_string() } else { "default".into() },
        what: (*what).into(),
    };
    Ok(KEYS.iter().map(row).collect())
}

/// Names the first key that there is not, and the one that is most like it.
fn check_keys(said: &toml::Table) -> Result<()> {
    let sections = || KEYS.iter().filter_map(|(name, _)| name.split_once('.')).map(|(section, _)| section);
    let mut wrong = None;
    for (section, value) in said {
        match value.as_table() {
            Some(table) if sections().any(|known| known == section) => {
                let names = table.keys().map(|key| format!("{section}.{key}"));
                wrong = wrong.or(names.into_iter().find(|name| !KEYS.iter().any(|(known, _)| known == name)));
            }
            _ => wrong = wrong.or(Some(section.clone())),
        }
    }
    let Some(wrong) = wrong else { return Ok(()) };
    let all = KEYS.iter().map(|(name, _)| *name).chain(sections());
    let near = all.map(|known| (strsim::damerau_levenshtein(known, &wrong), known)).min();
    match near {
        Some((distance, known)) if distance <= wrong.len() / 2 => {
            bail!("{wrong} is not known; did you mean {known}?")
        }
        _ => bail!("{wrong} is not known; vrift config show lists what is"),
    }
}

fn parse(text: &str) -> Result<Config> {
    check_keys(&toml::from_str(text)?)?;
    let config: Config = toml::from_str(text)?;
    let level = config.store.compression;
    ensure!((0..=LEVEL_MAX).contains(&level), "store.compression is {level}, not 0 to {LEVEL_MAX}");
    let device = config.store.device.as_deref();
    ensure!(
        device.is_none_or(|it| crate::place::names_one(it.as_os_str())),
        "store.device is no absolute path"
    );
    let key_file = config.keystore.key_file.as_deref();
    ensure!(key_file.is_none_or(Path::is_absolute), "keystore.key_file is no absolute path");
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_nearly_right_is_suggested() {
        for (wrong, right) in [
            ("[store]\ncompresion = 3\n", "store.compresion is not known; did you mean store.compression?"),
            ("[stores]\n", "stores is not known; did you mean store?"),
            (
                "[ingest]\ngit-ignore = true\n",
                "ingest.git-ignore is not known; did you mean ingest.gitignore?",
            ),
            ("colour = 1\n", "colour is not known; vrift config show lists what is"),
        ] {
            assert_eq!(parse(wrong).unwrap_err().to_string(), right);
        }
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(CONFIG_FILE), "[store]\ncompression = 3\n").unwrap();
        let settings = settings(dir.path()).unwrap();
        let found: Vec<_> = settings.iter().map(|it| (&it.value[..], it.origin == "default")).collect();
        let watched = "half of fs.inotify.max_user_watches";
        assert_eq!(
            found,
            [("", true), ("3", false), ("0", true), ("true", true), (watched, true), ("", true)]
        );
    }

    #[test]
    fn what_is_not_said_is_the_default_and_what_is_not_known_is_refused() {
        assert_eq!(parse("").unwrap(), Config::default());
        let said = parse("[store]\ncompression = 3\nmax_size_bytes = 5000000000\n").unwrap().store;
        assert_eq!((said.level(), said.max_size_bytes), (Some(3), 5_000_000_000));
        assert_eq!(parse("[store]\ncompression = 0\n").unwrap().store.level(), None);
        let key_file = parse("[keystore]\nkey_file = \"/mnt/key\"\n").unwrap().keystore.key_file;
        assert_eq!(key_file.as_deref(), Some(Path::new("/mnt/key")));
        for wrong in [
            "[store]\ncompresion = 3\n",
            "[stores]\n",
            "[store]\ncompression = 20\n",
            "[store]\ncompression = -1\n",
            "[keystore]\nkey_file = \"relative\"\n",
            "[store]\ndevice = \"store.img\"\n",
            "x",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
