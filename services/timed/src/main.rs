//! timed: how times are shown, and what becomes of the times of what builds make.
//!
//! Lives here: checks of settings, and their record. May import protocol and what services share. Must never appear
//! here: files (the zone database is read by jiff), the clock of the machine, what the settings mean to a run.
#![forbid(unsafe_code)]

use jiff::tz::TimeZoneDatabase;
use nix::errno::Errno;
use std::path::Path;
use std::process::ExitCode;
use vrift_protocol::pipeline::Blocking;
use vrift_protocol::service::{Caller, Need, Service};
use vrift_protocol::time::{Change, Mtime, Request, SETTINGS_KEY, Settings, VERSION};
use vrift_service::{Refusal, Serve};

/// Where systems have their zone database.
const ZONES: [&str; 4] =
    ["/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo", "/usr/lib/zoneinfo"];
/// Workspaces with a policy of their own: the record is one value.
const WORKSPACES_MAX: usize = 2000;

struct Time;

fn main() -> ExitCode {
    let there: Vec<&Path> = ZONES.iter().map(Path::new).filter(|path| path.is_dir()).collect();
    vrift_service::run(Service::Time, &there, |_, _| Ok(Time))
}

impl Serve for Time {
    type Request = Request;
    type Reply = Settings;

    fn need(request: &Request) -> Need {
        request.need()
    }

    fn answer(&mut self, space: &mut Blocking, _: &Caller, request: Request) -> Result<Settings, Refusal> {
        let mut settings = read(space)?;
        if let Request::Set(change) = request {
            apply(&mut settings, change)?;
            let value = serde_json::to_vec_pretty(&settings).unwrap_or_default();
            space.put(SETTINGS_KEY.as_bytes(), &value)?;
            space.sync()?;
        }
        Ok(settings)
    }
}

fn read(space: &mut Blocking) -> Result<Settings, Refusal> {
    let Some(value) = space.get(SETTINGS_KEY.as_bytes())? else { return Ok(Settings::default()) };
    let damaged = |error| Refusal::new(Errno::EBADMSG, format!("{SETTINGS_KEY} cannot be read: {error}"));
    let settings: Settings = serde_json::from_slice(&value).map_err(damaged)?;
    if settings.version != VERSION {
        let text =
            format!("{SETTINGS_KEY} is of version {}, this is for version {VERSION}", settings.version);
        return Err(Refusal::new(Errno::EPROTONOSUPPORT, text));
    }
    Ok(settings)
}

fn apply(settings: &mut Settings, change: Change) -> Result<(), Refusal> {
    let wrong = |text: String| Refusal::new(Errno::EINVAL, text);
    match change {
        Change::TimeFormat24h(is) => settings.time_format_24h = is,
        Change::FutureGuard(is) => settings.future_guard = is,
        Change::Timezone(name) => {
            let known = name == "UTC" || TimeZoneDatabase::from_env().get(&name).is_ok();
            // jiff takes any case; what is kept is what other programs understand, too.
            let spelled = name == "UTC" || ZONES.iter().any(|zones| Path::new(zones).join(&name).is_file());
            if !known || !spelled || name.starts_with('/') || name.contains("..") {
                return Err(wrong(format!(
                    "there is no time zone {name} in this machine's database (tzdata)"
                )));
            }
            settings.timezone = name;
        }
        Change::Mtime { workspace: None, policy } => {
            let policy = policy.unwrap_or_else(|| Mtime::Real.to_string());
            settings.mtime = policy.parse::<Mtime>().map_err(wrong)?.to_string();
        }
        Change::Mtime { workspace: Some(workspace), policy: None } => {
            settings.mtime_of.remove(&workspace);
        }
        Change::Mtime { workspace: Some(workspace), policy: Some(policy) } => {
            let policy = policy.parse::<Mtime>().map_err(wrong)?.to_string();
            if settings.mtime_of.len() >= WORKSPACES_MAX && !settings.mtime_of.contains_key(&workspace) {
                return Err(wrong(format!("{WORKSPACES_MAX} workspaces have a policy of their own already")));
            }
            settings.mtime_of.insert(workspace, policy);
        }
    }
    Ok(())
}
