//! `vrift config`: what is configured, and by what.

use super::output::Output;
use crate::error::{CliError, Result};
use crate::install;
use crate::places::Places;
use crate::text::escape;
use clap::{Args, Subcommand};
use serde::Serialize;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};
use vrift_protocol::names;
use vrift_protocol::settings::Setting;

/// Shows what is configured
#[derive(Args, Debug)]
pub struct Config {
    #[command(subcommand)]
    pub action: Action,
}

#[derive(Subcommand, Debug)]
pub enum Action {
    /// Prints every setting of config.toml and of the environment with its value
    Show {
        /// Also where each value comes from, its default and what it means
        #[arg(long)]
        origin: bool,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Variables: name, default, what it means.
const VARIABLES: &[(&str, &str, &str)] = &[
    (names::ENV_HOME, "$XDG_STATE_HOME/vrift, or ~/.local/state/vrift", "the state folder"),
    (names::ENV_WORKSPACE, "the one that holds the current directory", "default of -w"),
    (
        names::ENV_FSYNC,
        names::FSYNC_EACH,
        "each: fsync in the view does what it says; end: the end of the run does",
    ),
    (
        names::ENV_STORE,
        "store.device, or store.img in the state folder",
        "where the daemon that is started keeps its store",
    ),
    (names::ENV_SAMPLE, "16", "one process in so many is looked at for calls past the library; 0: none"),
    ("VRIFT_LOG", "info", "what the daemon logs"),
    ("VRIFT_NAMESPACE", "on", "off: no mount namespaces for statically linked programs"),
    ("XDG_RUNTIME_DIR", "/tmp/vrift-UID", "sockets and shared memory live in its vrift folder"),
    ("NO_COLOR", "", "anything: no colours"),
];

#[derive(Serialize)]
struct Shown {
    settings: Vec<Setting>,
    environment: Vec<Setting>,
}

impl Config {
    pub fn run(self) -> Result<u8> {
        let Action::Show { origin, json } = self.action;
        let shown = Shown { settings: of_file()?, environment: VARIABLES.iter().map(of_variable).collect() };
        let mut out = Output::new();
        if json {
            out.json(&shown)?;
        } else {
            for setting in shown.settings.iter().chain(&shown.environment) {
                out.line(&format!("{} = {}", setting.name, setting.value))?;
                if origin {
                    let default = match setting.default.as_str() {
                        "" => "nothing",
                        default => default,
                    };
                    out.line(&format!("    {}; default {default}: {}", setting.origin, setting.what))?;
                }
            }
        }
        out.finish()?;
        Ok(0)
    }
}

fn of_variable((name, default, what): &(&str, &str, &str)) -> Setting {
    let set = std::env::var_os(name).filter(|value| !value.is_empty());
    Setting {
        name: (*name).into(),
        value: set.as_ref().map_or_else(|| (*default).to_string(), |value| escape(value.as_bytes())),
        default: (*default).into(),
        origin: if set.is_some() { "environment" } else { "default" }.into(),
        what: (*what).into(),
    }
}

/// As the daemon understands it; it need not run.
fn of_file() -> Result<Vec<Setting>> {
    let binary = install::daemon_binary()?;
    let mut command = Command::new(&binary);
    command.arg("--show-config").stdin(Stdio::null());
    if let Some(places) = Places::existing()? {
        command.arg("--home").arg(&places.home);
    }
    let output = command.output().map_err(|source| CliError::Spawn { path: binary, source })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let mut lines = said.trim().trim_start_matches("vriftd: ").lines();
        let what = lines.next().unwrap_or_default().to_string();
        let hint = lines.next().unwrap_or("mend the file, or move it away").to_string();
        return Err(CliError::Usage { what, hint });
    }
    serde_json::from_slice(&output.stdout).map_err(|_| CliError::Unexpected { request: "--show-config" })
}
