//! Requests to the daemon, over a connection that is renewed when the daemon was restarted.

use crate::error::{CliError, Result};
use crate::places::Places;
use crate::progress::{PATIENCE, Progress};
use crate::{start, view_env};
use std::os::fd::OwnedFd;
use std::time::Duration;
use vrift_protocol::admin::{AdminReply, AdminRequest, Dates, RunEnd, Target, View};
use vrift_protocol::client::Client;
use vrift_protocol::history::RunReport;

/// How often a request is sent again after the connection was lost.
const RETRIES_MAX: u32 = 6;
/// Before the second attempt; before each further one twice as long.
const RETRY_PAUSE: Duration = Duration::from_millis(10);
/// How long the daemon's own supervisor gets to start it again before we do.
const SUPERVISOR_GRACE: Duration = Duration::from_secs(1);
/// The same where nobody else can.
const SUPERVISOR_LIMIT: Duration = Duration::from_secs(10);

pub struct Session {
    pub places: Places,
    client: Client,
    quiet: bool,
    /// Whether this process may start a daemon when there is none.
    starts: bool,
    /// The connection stands for a run.
    has_run: bool,
}

impl Session {
    /// Starts the daemon if it does not run.
    pub fn open(quiet: bool) -> Result<Session> {
        let places = Places::prepare()?;
        let client = start::ensure(&places)?;
        Ok(Session { places, client, quiet, starts: true, has_run: false })
    }

    /// As [`Session::open`], for who begins with [`Session::enter`]: the greeting goes with that request.
    pub fn open_for_run(quiet: bool) -> Result<Session> {
        let places = Places::prepare()?;
        let client = match Client::open(&places.socket()) {
            Ok(client) => client,
            // Whatever it is, it is seen again, and something done about it.
            Err(_) => start::ensure(&places)?,
        };
        Ok(Session { places, client, quiet, starts: true, has_run: false })
    }

    /// With the daemon of the view that this process was started from.
    pub fn of_view() -> Result<Session> {
        let Some(places) = Places::of_view() else { return Session::open(true) };
        let client = match start::await_daemon(&places, SUPERVISOR_GRACE)? {
            Some(client) => client,
            None => start::ensure(&places)?,
        };
        Ok(Session { places, client, quiet: true, starts: true, has_run: false })
    }

    /// With the daemon that runs; None: none does.
    pub fn running(quiet: bool) -> Result<Option<Session>> {
        let Some(places) = Places::existing()? else { return Ok(None) };
        Ok(start::connect(&places)?.map(|client| Session {
            places,
            client,
            quiet,
            starts: true,
            has_run: false,
        }))
    }

    pub fn socket(&self) -> &OwnedFd {
        self.client.socket()
    }

    /// Sends a request that may be sent twice; gives every frame of the answer to `rows`, returns the last.
    pub fn ask(
        &mut self,
        request: &AdminRequest,
        rows: &mut dyn FnMut(&AdminReply),
    ) -> Result<(AdminReply, Option<OwnedFd>)> {
        let mut tries = 0;
        loop {
            // Rows of an answer that broke off must not be seen twice.
            let mut seen = Vec::new();
            let answer = self.once(request, &mut |reply| seen.push(reply.clone()));
            match answer {
                Err(CliError::Client(error)) if start::is_lost(&error) && tries < RETRIES_MAX => {
                    self.reconnect_after(tries)?;
                    tries += 1;
                }
                answer => {
                    seen.iter().for_each(rows);
                    return answer;
                }
            }
        }
    }

    /// As [`Session::ask`], without a second attempt.
    pub fn once(
        &mut self,
        request: &AdminRequest,
        rows: &mut dyn FnMut(&AdminReply),
    ) -> Result<(AdminReply, Option<OwnedFd>)> {
        let mut progress = Progress::new(self.quiet, request);
        let asked = self.client.ask(request).and_then(|id| {
            if matches!(request, AdminRequest::Enter { .. }) {
                view_env::prepare();
            }
            if progress.tells_of_silence() && self.client.is_silent_for(PATIENCE)? {
                progress.tell_of_silence();
            }
            Ok(id)
        });
        let mut show = |reply: &AdminReply| match reply {
            AdminReply::Progress { .. } => progress.show(reply),
            AdminReply::Error { .. } => {}
            reply => {
                progress.show(reply);
                rows(reply);
            }
        };
        let answer = asked.and_then(|id| self.client.answer(id, &mut show));
        drop(progress);
        match answer {
            Ok((AdminReply::Error { failure, what, hint }, _)) => {
                Err(CliError::Refused { failure, what, hint })
            }
            Ok(answer) => Ok(answer),
            Err(error) => Err(start::of_version(error)),
        }
    }

    /// Does something over the connection, again over a new one when it was lost.
    pub fn again<T>(&mut self, action: &mut dyn FnMut(&mut Client) -> Result<T>) -> Result<T> {
        let mut tries = 0;
        loop {
            match action(&mut self.client) {
                Err(CliError::Client(error)) if start::is_lost(&error) && tries < RETRIES_MAX => {
                    self.reconnect_after(tries)?;
                    tries += 1;
                }
                answer => return answer,
            }
        }
    }

    /// From now on: a daemon would begin in this process's namespaces.
    pub fn start_no_daemon(&mut self) {
        self.starts = false;
    }

    /// As [`Session::reconnect`], after `tries` attempts: a daemon that is being killed accepts connections until the kernel
    /// is done with it.
    fn reconnect_after(&mut self, tries: u32) -> Result<()> {
        if tries > 0 {
            std::thread::sleep(RETRY_PAUSE * (1 << tries));
        }
        self.reconnect()
    }

    /// A new connection, to a daemon that may have to be started.
    pub fn reconnect(&mut self) -> Result<()> {
        self.has_run = false;
        self.client = match start::await_daemon(
            &self.places,
            if self.starts { SUPERVISOR_GRACE } else { SUPERVISOR_LIMIT },
        ) {
            Ok(Some(client)) => client,
            Err(error @ CliError::Version { .. }) => return Err(error),
            Ok(None) | Err(_) if !self.starts => {
                let what = "it has ended, and cannot be started from here".to_string();
                return Err(CliError::NotStarted { what, log: self.places.log() });
            }
            Ok(None) | Err(_) => start::ensure(&self.places)?,
        };
        Ok(())
    }

    /// Prepares a view; with `run`, this connection stands for a run until [`Session::leave`].
    pub fn enter(&mut self, target: Target, create: bool, run: bool) -> Result<View> {
        match self.ask(&AdminRequest::Enter { target, create, run }, &mut |_| {})?.0 {
            AdminReply::View(view) => {
                self.has_run = run;
                Ok(view)
            }
            _ => Err(CliError::Unexpected { request: "Enter" }),
        }
    }

    /// Ends the run in `workspace`, which is remembered with `report`.
    pub fn leave(
        &mut self,
        workspace: &str,
        report: Option<RunReport>,
        dates: Option<Dates>,
    ) -> Result<RunEnd> {
        match self.in_run(workspace, &AdminRequest::Leave { report, dates })? {
            AdminReply::RunEnd(end) => Ok(end),
            _ => Err(CliError::Unexpected { request: "Leave" }),
        }
    }

    /// A request that is about the run of this connection. A daemon that was restarted in between knows nothing of it
    /// and is told again.
    fn in_run(&mut self, workspace: &str, request: &AdminRequest) -> Result<AdminReply> {
        let mut tries = 0;
        loop {
            if !self.has_run {
                self.enter(Target::Name(workspace.to_string()), false, true)?;
            }
            match self.once(request, &mut |_| {}) {
                Err(CliError::Client(error)) if start::is_lost(&error) && tries < RETRIES_MAX => {
                    self.reconnect_after(tries)?;
                    tries += 1;
                }
                answer => return answer.map(|(reply, _)| reply),
            }
        }
    }
}
