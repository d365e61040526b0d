//! While a command runs: keeps the connection that stands for the run, and makes a new one when the daemon
//! died, so that the processes in the view find a daemon again.

use crate::session::Session;
use std::os::fd::{AsFd, BorrowedFd};
use vrift_protocol::admin::Target;

pub struct Watch<'a> {
    /// It has entered `workspace`.
    session: &'a mut Session,
    workspace: &'a str,
    /// There is no connection, and that was said.
    complained: bool,
}

impl<'a> Watch<'a> {
    /// Pause between two attempts to get a daemon back, in milliseconds.
    pub const RETRY_PAUSE: u16 = 500;

    pub fn new(session: &'a mut Session, workspace: &'a str) -> Watch<'a> {
        Watch { session, workspace, complained: false }
    }

    /// Of the connection: nothing is sent without a request, so that an event is its end. None: there is no connection.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        (!self.complained).then(|| self.session.socket().as_fd())
    }

    /// Makes a new connection, which stands for the run as the old one did.
    pub fn renew(&mut self) {
        let target = Target::Name(self.workspace.to_string());
        match self.session.reconnect().and_then(|()| self.session.enter(target, false, true)) {
            Ok(_) => self.complained = false,
            Err(error) => {
                if !self.complained {
                    error.report();
                }
                self.complained = true;
            }
        }
    }
}
