//! Strict runs: every path call of every process in the run is looked at by this process, and one that neither the C
//! library nor the preload library made fails if it leads into the view (RFC 0005).

mod judge;
mod sys;

use crate::text::{escape_path, say};
use judge::Judge;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, socketpair,
};
use nix::unistd::pipe2;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::JoinHandle;

/// Exit code of a strict run in which a call had to be refused.
pub const NOT_STRICT: u8 = 125;

/// Looks at the calls of a run, on a thread of its own.
pub struct Strict {
    /// The child's end of the socket over which the listener comes.
    end: OwnedFd,
    /// Closed to end the thread.
    stop: OwnedFd,
    thread: JoinHandle<Judge>,
}

impl Strict {
    /// `exempt`: files of vrift's own, which may lie in the view.
    pub fn new(view: &Path, home: &Path, exempt: Vec<PathBuf>) -> io::Result<Strict> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (ours, end) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        let (stopped, stop) = pipe2(OFlag::O_CLOEXEC)?;
        let mut judge = Judge::new(view.into(), home, exempt);
        let thread = std::thread::Builder::new().name("strict".to_string()).spawn(move || {
            if let Some(listener) = receive_listener(&ours, &stopped) {
                serve(&listener, &stopped, &mut judge);
            }
            judge
        })?;
        Ok(Strict { end, stop, thread })
    }

    /// Has `command` start under the filter.
    pub fn watch(&self, command: &mut Command) {
        sys::start_under(command, sys::filter(), self.end.as_raw_fd());
    }

    /// Ends it, and says what was found; whether that was nothing.
    pub fn finish(self) -> bool {
        drop(self.stop);
        let Ok(judge) = self.thread.join() else {
            say!("vrift: strict: the calls of this run were not all looked at");
            return false;
        };
        for ((program, call), found) in &judge.found {
            let path = if found.path.as_os_str().is_empty() {
                String::new()
            } else {
                format!(" on {}", escape_path(&found.path))
            };
            let more = if found.times > 1 { format!(", {} times", found.times) } else { String::new() };
            say!("vrift: strict: {program} made its own system call {call}{path}{more}: refused");
        }
        judge.found.is_empty()
    }
}

fn wait(fd: &OwnedFd, stopped: &OwnedFd) -> bool {
    loop {
        let mut fds =
            [PollFd::new(stopped.as_fd(), PollFlags::POLLIN), PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            Err(_) => return false,
            Ok(_) => {
                let has =
                    |fd: &PollFd<'_>, flags| fd.revents().is_some_and(|events| events.intersects(flags));
                // What waits is answered before the end; without a process left there is nothing to wait for.
                if has(&fds[1], PollFlags::POLLIN) {
                    return true;
                }
                return !has(&fds[0], PollFlags::all())
                    && !has(&fds[1], PollFlags::POLLHUP | PollFlags::POLLERR);
            }
        }
    }
}

fn receive_listener(socket: &OwnedFd, stopped: &OwnedFd) -> Option<OwnedFd> {
    if !wait(socket, stopped) {
        return None;
    }
    let mut byte = [0];
    let mut slices = [IoSliceMut::new(&mut byte)];
    let mut control = nix::cmsg_space!([RawFd; 1]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut control), flags).ok()?;
    message.cmsgs().ok()?.find_map(|control| match control {
        ControlMessageOwned::ScmRights(fds) => fds.first().copied().map(sys::own),
        _ => None,
    })
}

fn serve(listener: &OwnedFd, stopped: &OwnedFd, judge: &mut Judge) {
    while wait(listener, stopped) {
        match sys::receive(listener) {
            Ok(notice) => sys::answer(listener, notice.id, judge.judge(&notice)),
            // Killed while it waited, or a signal to this thread.
            Err(Errno::ENOENT | Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}
