//! `vrift time`: how times are shown, and what becomes of the times of what builds make.

use super::output::Output;
use crate::error::{CliError, Result};
use crate::services::{ask, connect};
use crate::session::Session;
use crate::text::escape;
use clap::{Args, Subcommand};
use vrift_protocol::service::Service;
use vrift_protocol::time::{Change, Request, Settings};

/// Settings of time: the zone that vrift log shows, and the times of what runs make
#[derive(Args, Debug)]
pub struct Time {
    #[command(subcommand)]
    pub action: Action,
}

#[derive(Subcommand, Debug)]
pub enum Action {
    /// Prints all settings, or one
    Get {
        /// timezone, time_format_24h, mtime or future_guard
        #[arg(value_name = "SETTING")]
        setting: Option<String>,
        /// What holds for this workspace (mtime)
        #[arg(short, long, value_name = "W")]
        workspace: Option<String>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Changes a setting
    ///
    /// timezone: a name in the system's zone database. time_format_24h, future_guard: true or false. mtime: real (times
    /// stay), clamp=SECONDS (times of files that a run changed are no later, and SOURCE_DATE_EPOCH is set) or
    /// source-date-epoch (the same, by the variable that the run is started with); with -w for one workspace, for which
    /// default takes it back.
    Set {
        #[arg(value_name = "SETTING")]
        setting: String,
        #[arg(value_name = "VALUE")]
        value: String,
        /// For this workspace only (mtime)
        #[arg(short, long, value_name = "W")]
        workspace: Option<String>,
    },
}

impl Time {
    pub fn run(self, quiet: bool) -> Result<u8> {
        let session = Session::open(quiet)?;
        let request = match &self.action {
            Action::Get { .. } => Request::Get,
            Action::Set { setting, value, workspace } => Request::Set(change(setting, value, workspace)?),
        };
        let settings: Settings = ask(&mut connect(&session), Service::Time, request.need(), &request)?;
        let Action::Get { setting, workspace, json } = self.action else { return Ok(0) };
        let mut out = Output::new();
        match setting {
            None if json => out.json(&settings)?,
            None => {
                for name in ["timezone", "time_format_24h", "mtime", "future_guard"] {
                    out.line(&format!("{name} {}", value_of(&settings, name, None)?))?;
                }
                for (workspace, policy) in &settings.mtime_of {
                    out.line(&format!("mtime of {} {policy}", escape(workspace.as_bytes())))?;
                }
            }
            Some(name) => {
                let value = value_of(&settings, &name, workspace.as_deref())?;
                if json { out.json(&value)? } else { out.line(&value)? }
            }
        }
        out.finish()?;
        Ok(0)
    }
}

fn unknown(name: &str) -> CliError {
    CliError::Usage {
        what: format!("there is no setting {name}"),
        hint: "there are: timezone, time_format_24h, mtime, future_guard".into(),
    }
}

fn value_of(settings: &Settings, name: &str, workspace: Option<&str>) -> Result<String> {
    Ok(match name {
        "timezone" => settings.timezone.clone(),
        "time_format_24h" => settings.time_format_24h.to_string(),
        "future_guard" => settings.future_guard.to_string(),
        "mtime" => workspace.and_then(|name| settings.mtime_of.get(name)).unwrap_or(&settings.mtime).clone(),
        _ => return Err(unknown(name)),
    })
}

fn change(name: &str, value: &str, workspace: &Option<String>) -> Result<Change> {
    let truth = || {
        let usage = |_| CliError::Usage {
            what: format!("{name} is true or false, not {value}"),
            hint: String::new(),
        };
        value.parse::<bool>().map_err(usage)
    };
    if workspace.is_some() && name != "mtime" {
        let what = format!("{name} is one for all workspaces");
        return Err(CliError::Usage { what, hint: "leave out -w".into() });
    }
    Ok(match name {
        "timezone" => Change::Timezone(value.into()),
        "time_format_24h" => Change::TimeFormat24h(truth()?),
        "future_guard" => Change::FutureGuard(truth()?),
        "mtime" => {
            let policy = Some(value.to_string()).filter(|value| workspace.is_none() || value != "default");
            Change::Mtime { workspace: workspace.clone(), policy }
        }
        _ => return Err(unknown(name)),
    })
}
