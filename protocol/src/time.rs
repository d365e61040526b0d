//! Requests to timed, and the settings that it keeps.

use crate::service::Need;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Key of the [`Settings`], as JSON. Anybody whom the policy lets may read it.
pub const SETTINGS_KEY: &str = "/state/system/settings/time.json";
pub const VERSION: u32 = 1;

/// What becomes of the times of files that a run changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mtime {
    /// They stay.
    #[default]
    Real,
    /// Later ones become this, in seconds since 1970, which is SOURCE_DATE_EPOCH for the run.
    Clamp(u64),
    /// As [`Mtime::Clamp`], by the SOURCE_DATE_EPOCH that the run was started with.
    SourceDateEpoch,
}

impl FromStr for Mtime {
    type Err = String;

    fn from_str(text: &str) -> Result<Mtime, String> {
        match (text, text.strip_prefix("clamp=").map(str::parse)) {
            ("real", _) => Ok(Mtime::Real),
            ("source-date-epoch", _) => Ok(Mtime::SourceDateEpoch),
            (_, Some(Ok(epoch))) if epoch <= EPOCH_MAX => Ok(Mtime::Clamp(epoch)),
            _ => Err(format!("{text} is none of real, clamp=SECONDS since 1970, source-date-epoch")),
        }
    }
}

/// The last second whose nanoseconds have a number.
pub const EPOCH_MAX: u64 = i64::MAX as u64 / 1_000_000_000;

impl fmt::Display for Mtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mtime::Real => f.write_str("real"),
            Mtime::Clamp(epoch) => write!(f, "clamp={epoch}"),
            Mtime::SourceDateEpoch => f.write_str("source-date-epoch"),
        }
    }
}

/// The record. Fields of newer versions are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    pub version: u32,
    pub time_format_24h: bool,
    /// A name in the system's zone database.
    pub timezone: String,
    /// [`Mtime`] of workspaces that have none of their own.
    pub mtime: String,
    /// [`Mtime`] by workspace.
    #[serde(default)]
    pub mtime_of: BTreeMap<String, String>,
    /// Files that a run leaves with a time in the future are named.
    pub future_guard: bool,
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            version: VERSION,
            time_format_24h: true,
            timezone: "UTC".into(),
            mtime: Mtime::Real.to_string(),
            mtime_of: BTreeMap::new(),
            future_guard: true,
            other: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// What holds for a workspace.
    pub fn mtime_for(&self, workspace: &str) -> Result<Mtime, String> {
        self.mtime_of.get(workspace).unwrap_or(&self.mtime).parse()
    }
}

/// A setting and its new value.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    TimeFormat24h(bool),
    Timezone(String),
    /// For a workspace, or for all that have none of their own; without a value it has none of its own any more.
    Mtime {
        workspace: Option<String>,
        policy: Option<String>,
    },
    FutureGuard(bool),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    Get,
    Set(Change),
}

impl Request {
    pub fn need(&self) -> Need {
        match self {
            Request::Get => Need::Read,
            Request::Set(_) => Need::Admin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_as_they_are_written() {
        for text in ["real", "clamp=0", "clamp=1700000000", "source-date-epoch"] {
            assert_eq!(text.parse::<Mtime>().unwrap().to_string(), text);
        }
        for text in ["", "clamp", "clamp=", "clamp=-1", "clamp=1.5", "clamp=9223372037", "Real", "never"] {
            assert!(text.parse::<Mtime>().is_err(), "{text}");
        }
        let mut settings = Settings { mtime: "clamp=5".into(), ..Settings::default() };
        settings.mtime_of.insert("w".into(), "real".into());
        assert_eq!(settings.mtime_for("w"), Ok(Mtime::Real));
        assert_eq!(settings.mtime_for("v"), Ok(Mtime::Clamp(5)));
    }

    #[test]
    fn fields_of_a_newer_version_are_kept() {
        let mut value = serde_json::to_value(Settings::default()).unwrap();
        value["leap"] = serde_json::json!({ "smear": [1, 2] });
        let settings: Settings = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(settings).unwrap(), value);
    }
}
