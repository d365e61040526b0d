//! `vrift doctor`: checks what this machine must offer.

use super::host;
use super::output::{Colour, Output};
use crate::error::{CliError, Result};
use crate::install;
use crate::places::Places;
use crate::probe::PROBE;
use crate::session::Session;
use clap::Args;
use std::path::Path;
use std::process::{Command, Stdio};
use vrift_protocol::admin::{AdminReply, AdminRequest, Check, DaemonStatus};
use vrift_protocol::names;

/// Checks this machine and the installation, one line each, with the remedy; exit code 1 if something fails
#[derive(Args, Debug)]
pub struct Doctor {
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

impl Doctor {
    pub fn run(self, quiet: bool) -> Result<u8> {
        let mut checks = host::checks();
        checks.push(installed("vriftd", install::daemon_binary()));
        checks.push(installed("preload library", install::shim_library()));
        checks.push(preload_works());
        match Places::prepare() {
            Ok(places) => {
                checks.extend(host::folder_checks(&places));
                checks.extend(needs(&places));
                // Both look at limits and space: said once, unless the daemon sees what fails.
                let known: Vec<String> = checks.iter().map(|check| check.name.clone()).collect();
                let new = |check: &Check| !check.ok || !known.contains(&check.name);
                checks.extend(daemon_checks(quiet).into_iter().filter(new));
            }
            Err(error) => checks.push(failed("state folder", &error)),
        }
        let failed = checks.iter().any(|check| !check.ok);
        let mut out = Output::new();
        if self.json {
            out.json(&checks)?;
        } else {
            checks.iter().try_for_each(|check| print(&mut out, check))?;
        }
        out.finish()?;
        Ok(u8::from(failed))
    }
}

fn print(out: &mut Output, check: &Check) -> Result<()> {
    let mark = match check.ok {
        true => out.paint(Colour::Green, "ok  "),
        false => out.paint(Colour::Red, "FAIL"),
    };
    let remedy = check.remedy.as_ref().map_or_else(String::new, |remedy| format!(" -- {remedy}"));
    out.line(&format!("{mark} {}: {}{remedy}", check.name, check.detail))
}

/// An error as a line, with its next step as the remedy.
fn failed(name: &str, error: &CliError) -> Check {
    let remedy = Some(error.hint()).filter(|hint| !hint.is_empty());
    Check { name: name.into(), ok: false, detail: error.to_string().replace('\n', "; "), remedy }
}

fn installed(name: &str, found: Result<std::path::PathBuf>) -> Check {
    match found {
        Ok(path) => {
            Check { name: name.into(), ok: true, detail: crate::text::escape_path(&path), remedy: None }
        }
        Err(error) => failed(name, &error),
    }
}

/// Starts a process with the library and asks it whether it has it.
fn preload_works() -> Check {
    let name = "preload";
    let check = |shim: &Path| -> Result<Check> {
        let own = install::own_binary()?;
        let output = Command::new(&own)
            .arg(PROBE)
            .env(names::ENV_PRELOAD, shim)
            .env_remove(names::ENV_VIEW)
            .stdin(Stdio::null())
            .output()
            .map_err(|source| CliError::Spawn { path: own, source })?;
        let said = String::from_utf8_lossy(&output.stderr);
        let detail = match output.status.success() {
            true => "the library is loaded into a child process".to_string(),
            false => format!(
                "the library is not loaded into a child process ({}) {}",
                output.status,
                said.lines().next().unwrap_or_default()
            ),
        };
        let remedy = (!output.status.success())
            .then(|| "check /etc/ld.so.preload, security modules and a noexec mount".to_string());
        Ok(Check { name: name.into(), ok: output.status.success(), detail, remedy })
    };
    install::shim_library().and_then(|shim| check(&shim)).unwrap_or_else(|error| failed(name, &error))
}

/// The daemon's table of what each part needs, probed by a process of its own: also where no daemon starts.
fn needs(places: &Places) -> Vec<Check> {
    let asked = install::daemon_binary().and_then(|daemon| {
        let output = Command::new(&daemon)
            .arg("--home")
            .arg(&places.home)
            .arg("--wiring")
            .stdin(Stdio::null())
            .output();
        output.map_err(|source| CliError::Spawn { path: daemon, source })
    });
    let rows = asked.map(|output| {
        serde_json::from_slice::<Vec<Check>>(&output.stdout).unwrap_or_else(|_| {
            let said = String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_string();
            vec![Check { name: "needs".into(), ok: false, detail: said, remedy: None }]
        })
    });
    rows.unwrap_or_else(|error| vec![failed("needs", &error)])
}

fn daemon_checks(quiet: bool) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut session = match Session::open(quiet) {
        Ok(session) => session,
        Err(error) => return vec![failed("daemon", &error)],
    };
    let asked = session.ask(&AdminRequest::Doctor, &mut |reply| {
        if let AdminReply::Checks(some) = reply {
            checks.extend_from_slice(some);
        }
    });
    match asked.and_then(|_| session.ask(&AdminRequest::Status, &mut |_| {})) {
        Ok((AdminReply::Status(status), _)) => {
            checks.retain(|check: &Check| check.name != "daemon");
            checks.insert(0, daemon(&status));
        }
        Ok(_) => checks.push(failed("daemon", &CliError::Unexpected { request: "Status" })),
        Err(error) => checks.push(failed("daemon", &error)),
    }
    checks
}

/// It answers; but is it this version's?
fn daemon(status: &DaemonStatus) -> Check {
    let own = env!("CARGO_PKG_VERSION");
    let program = std::fs::read_link(format!("/proc/{}/exe", status.pid)).unwrap_or_default();
    // proc(5): what the kernel says of a file that was replaced.
    let is_replaced = program.to_string_lossy().ends_with(" (deleted)");
    let ok = status.version == own && !is_replaced;
    let detail = match (status.version == own, is_replaced) {
        (false, _) => format!("version {} answers, vrift is {own}", status.version),
        (_, true) => format!("version {own}, but its file was replaced since it was started"),
        _ => format!(
            "version {own}, protocol {}, process {}, answers at its socket",
            status.protocol, status.pid
        ),
    };
    let remedy = (!ok).then(|| "vrift daemon stop; the next command starts the new one".to_string());
    Check { name: "daemon".into(), ok, detail, remedy }
}
