//! The command of a run: its start, its signals, its end.

use crate::sys;
use crate::watch::Watch;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Pid, pipe2, read};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};

/// From its making on, signals end the command and not vrift. The command itself gets the default action: handlers do not
/// outlive exec.
pub struct Signalled {
    /// Readable when a child has ended.
    ended: OwnedFd,
}

impl Signalled {
    pub fn new() -> io::Result<Signalled> {
        let (ended, told) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        sys::catch_signals(told)?;
        Ok(Signalled { ended })
    }

    /// Starts `command`.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let child = command.spawn()?;
        sys::pass_signals_to(Pid::from_raw(child.id().cast_signed()));
        Ok(child)
    }

    /// Waits for its end, and keeps the run's connection meanwhile.
    pub fn wait(&self, child: &mut Child, watch: &mut Watch<'_>) -> io::Result<ExitStatus> {
        let pid = Pid::from_raw(child.id().cast_signed());
        while !has_ended(pid)? {
            let socket = watch.socket();
            let mut fds = vec![PollFd::new(self.ended.as_fd(), PollFlags::POLLIN)];
            fds.extend(socket.map(|socket| PollFd::new(socket, PollFlags::POLLIN)));
            // Without a socket there is no connection; another one is tried for after a pause.
            let patience = if socket.is_some() { PollTimeout::NONE } else { Watch::RETRY_PAUSE.into() };
            let ready = match poll(&mut fds, patience) {
                Err(Errno::EINTR) => continue,
                ready => ready?,
            };
            if has_event(&fds[0]) {
                // Whatever it says, the child is looked at.
                let _ = read(&self.ended, &mut [0; 64]);
            } else if ready == 0 || fds.get(1).is_some_and(has_event) {
                watch.renew();
            }
        }
        // Before it is reaped: from then on its number may be another process's.
        sys::pass_no_more_signals();
        child.wait()
    }
}

impl Drop for Signalled {
    fn drop(&mut self) {
        sys::ignore_signals();
    }
}

/// Whether it can be reaped.
fn has_ended(pid: Pid) -> io::Result<bool> {
    loop {
        match waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG) {
            Err(Errno::EINTR) => {}
            status => return Ok(status? != WaitStatus::StillAlive),
        }
    }
}

fn has_event(fd: &PollFd<'_>) -> bool {
    fd.revents().is_some_and(|events| !events.is_empty())
}

/// The exit code that a shell would report.
pub fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code & 0xff).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        let code = |script: &str| exit_code(Command::new("sh").arg("-c").arg(script).status().unwrap());
        assert_eq!(code("exit 42"), 42);
        assert_eq!(code("kill -TERM $$"), 143);
    }
}
