//! `vrift fsck` and `vrift scrub`: whether the store gives back what was put into it.

use super::output::{Colour, Output};
use crate::error::{CliError, Result};
use crate::install;
use crate::places::Places;
use crate::progress::Progress;
use crate::session::Session;
use crate::text::{count, path_text, size};
use clap::Args;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use vrift_protocol::admin::{AdminReply, AdminRequest, Checked};
use vrift_protocol::names;

/// How long a daemon that has the store gets to answer: it reads its journal first.
const START_LIMIT: Duration = Duration::from_secs(10);
const START_PAUSE: Duration = Duration::from_millis(50);

/// Paths that are printed for one flaw.
const PATHS_SHOWN: usize = 5;

/// Checks the store; exit code 1 if anything is damaged or was repaired, 3 if it cannot be read at all
#[derive(Args, Debug)]
pub struct Fsck {
    /// Mend what can be mended; what a repair costs is said
    #[arg(long)]
    pub repair: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Reads all content back while builds run, heals what it can; goes on where the last one was interrupted
#[derive(Args, Debug)]
pub struct Scrub {
    /// MiB a second at most; 0: as fast as it goes
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    pub rate: u64,
    /// From the start, wherever the last one ended
    #[arg(long)]
    pub restart: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

impl Fsck {
    pub fn run(self, quiet: bool) -> Result<u8> {
        let until = Instant::now() + START_LIMIT;
        let request =
            AdminRequest::Check { rate_bytes: 0, restart: true, metadata: true, heals: self.repair };
        let checked = loop {
            if let Some(mut session) = Session::running(quiet)? {
                break ask(&mut session, &request)?;
            }
            if let Some(checked) =
                offline(self.repair, Instant::now() >= until, Progress::new(quiet, &request))?
            {
                break checked;
            }
            std::thread::sleep(START_PAUSE);
        };
        report(&checked, self.json)
    }
}

impl Scrub {
    pub fn run(self, quiet: bool) -> Result<u8> {
        let mut session = Session::open(quiet)?;
        let request = AdminRequest::Check {
            rate_bytes: self.rate.saturating_mul(1 << 20),
            restart: self.restart,
            metadata: false,
            heals: true,
        };
        let checked = ask(&mut session, &request)?;
        report(&checked, self.json)
    }
}

fn ask(session: &mut Session, request: &AdminRequest) -> Result<Checked> {
    match session.ask(request, &mut |_| {})?.0 {
        AdminReply::Checked(checked) => Ok(checked),
        _ => Err(CliError::Unexpected { request: "Check" }),
    }
}

/// The daemon's binary has the store's code; it looks and ends. None: a daemon is about to serve the store (an error if
/// it was waited for long enough).
fn offline(repair: bool, is_late: bool, mut progress: Progress) -> Result<Option<Checked>> {
    let unreadable = |what: String| CliError::Refused {
        failure: vrift_protocol::admin::Failure::Store,
        what,
        hint: "keep a copy of store.img before anything else is tried".into(),
    };
    let Some(places) = Places::existing()? else {
        return Err(unreadable("there is no store here".into()));
    };
    let binary = install::daemon_binary()?;
    let mut command = Command::new(&binary);
    command.arg("--home").arg(&places.home).args(["--fsck", "--progress"]).stdin(Stdio::null());
    if repair {
        command.arg("--repair");
    }
    let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let failed = |source| CliError::Spawn { path: binary.clone(), source };
    let mut child = spawned.map_err(failed)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let complaints = std::thread::spawn(move || {
        let mut said = String::new();
        stderr.map(|mut stderr| stderr.read_to_string(&mut said));
        said
    });
    let mut last = Vec::new();
    for line in stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).split(b'\n')) {
        let line = line.map_err(failed)?;
        match serde_json::from_slice(&line) {
            Ok(reply @ AdminReply::Progress { .. }) => progress.show(&reply),
            _ => last = line,
        }
    }
    let status = child.wait().map_err(failed)?;
    drop(progress);
    let said = complaints.join().unwrap_or_default();
    if status.code() == Some(names::EXIT_SERVED) {
        let what = "a daemon has the store and does not answer".into();
        let hint = "look at: vrift daemon logs".into();
        let failure = vrift_protocol::admin::Failure::Store;
        return if is_late { Err(CliError::Refused { failure, what, hint }) } else { Ok(None) };
    }
    if !status.success() {
        return Err(unreadable(said.trim().trim_start_matches("vriftd: ").to_string()));
    }
    let checked = serde_json::from_slice(&last);
    checked.map(Some).map_err(|_| CliError::Unexpected { request: "--fsck" })
}

fn report(checked: &Checked, json: bool) -> Result<u8> {
    let mut out = Output::new();
    if json {
        out.json(checked)?;
    } else {
        print(&mut out, checked)?;
    }
    out.finish()?;
    Ok(u8::from(!checked.flaws.is_empty()))
}

fn print(out: &mut Output, checked: &Checked) -> Result<()> {
    for flaw in &checked.flaws {
        let (colour, verdict) = match flaw.repaired {
            true => (Colour::Yellow, "repaired"),
            false => (Colour::Red, "damaged"),
        };
        out.line(&format!("{}: {}", out.paint(colour, verdict), flaw.what))?;
        for path in flaw.paths.iter().take(PATHS_SHOWN) {
            out.line(&format!("  {}", path_text(path)))?;
        }
        if flaw.paths.len() > PATHS_SHOWN {
            out.line(&format!("  and {} more", flaw.paths.len() - PATHS_SHOWN))?;
        }
        if let Some(remedy) = flaw.remedy.as_ref().filter(|_| !flaw.repaired) {
            out.line(&format!("  vrift fsck --repair: {remedy}"))?;
        }
    }
    let verified = format!("{} with {} verified", count(checked.blobs, "blob", "blobs"), size(checked.bytes));
    let rest = match (checked.complete, checked.resumed) {
        (true, false) => "",
        (true, true) => ", the rest was by the scrub before",
        (false, _) => "; not all: run it again",
    };
    out.line(&format!("{verified}{rest}; {}", count(checked.flaws.len() as u64, "flaw", "flaws")))
}
