//! While a command runs: keeps the connection that stands for the run, and makes a new one when the daemon
//! died, so that the processes in the view find a daemon again.

use crate::session::Session;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe2;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::thread::JoinHandle;
use vrift_protocol::admin::Target;

/// Pause between two attempts to get a daemon back.
const RETRY_PAUSE_MS: u16 = 500;

pub struct Watch {
    /// Closed to end the thread.
    stop: OwnedFd,
    thread: JoinHandle<Session>,
}

impl Watch {
    /// Takes over `session`, which has entered `workspace`.
    pub fn start(session: Session, workspace: &str) -> io::Result<Watch> {
        let (stopped, stop) = pipe2(OFlag::O_CLOEXEC)?;
        let workspace = workspace.to_string();
        let thread = std::thread::Builder::new()
            .name("watch".to_string())
            .spawn(move || watch(session, &workspace, &stopped))?;
        Ok(Watch { stop, thread })
    }

    /// Ends the watch and gives the session back; None: its thread is lost.
    pub fn stop(self) -> Option<Session> {
        drop(self.stop);
        self.thread.join().ok()
    }
}

fn watch(mut session: Session, workspace: &str, stopped: &OwnedFd) -> Session {
    let mut complained = false;
    loop {
        let mut fds = [
            PollFd::new(stopped.as_fd(), PollFlags::POLLIN),
            PollFd::new(session.socket().as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            Err(_) => return session,
            Ok(_) => {}
        }
        if has_event(&fds[0]) {
            return session;
        }
        // Nothing is sent without a request: an event here is the end of the connection.
        let target = Target::Name(workspace.to_string());
        match session.reconnect().and_then(|()| session.enter(target, false, true)) {
            Ok(_) => complained = false,
            Err(error) => {
                if !complained {
                    error.report();
                }
                complained = true;
                let mut fds = [PollFd::new(stopped.as_fd(), PollFlags::POLLIN)];
                if poll(&mut fds, RETRY_PAUSE_MS).is_ok_and(|ready| ready > 0) {
                    return session;
                }
            }
        }
    }
}

fn has_event(fd: &PollFd) -> bool {
    fd.revents().is_some_and(|events| !events.is_empty())
}
