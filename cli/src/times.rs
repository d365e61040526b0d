//! What the time settings mean to commands.

use crate::error::{CliError, Result};
use crate::services::refused;
use crate::session::Session;
use crate::text::{count, escape, say};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use nix::errno::Errno;
use vrift_protocol::admin::{Dated, Dates, RunEnd, View};
use vrift_protocol::pipeline::Failure;
use vrift_protocol::state::{State, StateError};
use vrift_protocol::time::{EPOCH_MAX, Mtime, SETTINGS_KEY, Settings};

/// The variable by which builds are told what time to write into their outputs.
pub const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// The settings, from what is stored; the defaults if nobody has set anything.
fn read(stored: &[u8]) -> Result<Settings> {
    if stored.is_empty() {
        return Ok(Settings::default());
    }
    serde_json::from_slice(stored).map_err(|error| CliError::Usage {
        what: format!("the time settings cannot be read: {error}"),
        hint: format!("they are in {SETTINGS_KEY}; see: vrift time get"),
    })
}

/// The settings; no service is started for that.
pub fn settings(session: &mut Session) -> Result<Settings> {
    let value = session.again(&mut |client| match State(client).get(SETTINGS_KEY.as_bytes()) {
        Err(StateError::Client(error)) => Err(error.into()),
        Err(StateError::Refused { errno: Errno::EACCES, .. }) => {
            say!("vrift: the policy hides the time settings ({SETTINGS_KEY}); the defaults hold");
            Ok(None)
        }
        Err(StateError::Refused { errno, text }) => Err(refused(Failure::Refused { errno, text })),
        Ok(value) => Ok(value),
    })?;
    read(&value.unwrap_or_default())
}

/// What is done about times in one run.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunTimes {
    /// Seconds since 1970 that no file is later than.
    pub clamp_s: Option<u64>,
    guard: bool,
}

impl RunTimes {
    /// For a run in the workspace of `view`.
    ///
    /// # Errors
    /// The policy asks for a SOURCE_DATE_EPOCH that is not there or no number.
    pub fn of(session: &mut Session, view: &View) -> Result<RunTimes> {
        let settings = match &view.time_settings {
            Some(stored) => read(stored.as_bytes())?,
            None => settings(session)?,
        };
        let usage = |what| CliError::Usage { what, hint: "see: vrift time get".into() };
        let clamp_s = match settings.mtime_for(&view.workspace).map_err(usage)? {
            Mtime::Real => None,
            Mtime::Clamp(epoch_s) => Some(epoch_s),
            Mtime::SourceDateEpoch => {
                let value = std::env::var_os(SOURCE_DATE_EPOCH);
                let number = value.as_ref().and_then(|value| value.to_str()?.parse::<u64>().ok());
                Some(number.filter(|number| *number <= EPOCH_MAX).ok_or_else(|| CliError::Usage {
                    what: match value {
                        None => format!("the workspace's times follow {SOURCE_DATE_EPOCH}, which is not set"),
                        Some(_) => format!("{SOURCE_DATE_EPOCH} is no number of seconds since 1970"),
                    },
                    hint: "set it, or change the policy: vrift time set mtime real".into(),
                })?)
            }
        };
        Ok(RunTimes { clamp_s, guard: settings.future_guard })
    }

    /// What the end of the run is to do about them.
    pub fn dates(&self) -> Option<Dates> {
        (self.clamp_s.is_some() || self.guard).then_some(Dates { clamp_s: self.clamp_s })
    }

    /// Names files of the future.
    ///
    /// # Errors
    /// The daemon did nothing about times, though it was asked for.
    pub fn report(&self, end: &RunEnd) -> Result<()> {
        let Some(Dated { future, first, .. }) = &end.dated else {
            let unasked = self.dates().is_none();
            return if unasked { Ok(()) } else { Err(CliError::Unexpected { request: "Leave" }) };
        };
        if self.guard && *future > 0 {
            let first =
                first.as_ref().map(|path| format!(", among them {}", escape(&path.0))).unwrap_or_default();
            say!(
                "vrift: {} dated in the future{first}",
                count(*future, "file of this run is", "files of this run are")
            );
        }
        Ok(())
    }
}

/// A time to the second, in the zone and form of the settings: `2024-02-29 13:00:00 CET`.
pub fn shown(settings: &Settings, ns: i64) -> String {
    let zone = TimeZone::get(&settings.timezone).unwrap_or(TimeZone::UTC);
    let Ok(time) = Timestamp::from_nanosecond(i128::from(ns)) else { return crate::text::time(ns) };
    let form = match (settings.time_format_24h, settings.timezone == "UTC") {
        (true, true) => "%Y-%m-%d %H:%M:%SZ",
        (true, false) => "%Y-%m-%d %H:%M:%S %Z",
        (false, true) => "%Y-%m-%d %I:%M:%S %pZ",
        (false, false) => "%Y-%m-%d %I:%M:%S %p %Z",
    };
    time.to_zoned(zone).strftime(form).to_string()
}
