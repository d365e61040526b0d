//! The process of a service, and the socket over which it is asked.

use super::Refusal;
use crate::sys::start_with_fds;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use std::fmt;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::time::{Duration, Instant};
use vrift_protocol::service::{CALLS_FD, Caller, Ready, SECRET_FD, STATE_FD, Service};
use vrift_protocol::{FrameHeader, HEADER_LEN, MAX_FRAME_LEN, Op};
use zerocopy::IntoBytes;
use zeroize::Zeroizing;

/// Longest time until a service is ready: argon2id and a first key that is synced to a slow disk.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Where services are installed, seen from the daemon.
const DIRS: [&str; 2] = ["", "../lib/vrift"];

/// The service did not answer.
#[derive(Clone, Copy, Debug)]
pub enum Lost {
    Ended,
    Late,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Lost::Ended => "ended without an answer",
            Lost::Late => "did not answer in time",
        })
    }
}

pub struct Child {
    process: process::Child,
    calls: OwnedFd,
    next_id: u64,
    pub ready: Ready,
}

impl Child {
    /// Starts the process; also its connection to the key-value space, for the event loop.
    pub fn spawn(service: Service, secret: Option<File>) -> Result<(Child, OwnedFd), Refusal> {
        let program = program(service)?;
        let pair = || {
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .map_err(|errno| Refusal(errno, format!("no sockets for {}: {errno}", service.name())))
        };
        let ((space, their_space), (calls, their_calls)) = (pair()?, pair()?);
        nix::fcntl::fcntl(&space, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))
            .map_err(|errno| Refusal(errno, "a socket cannot be made non-blocking".into()))?;
        let mut command = Command::new(&program);
        command.stdin(Stdio::null()).stdout(Stdio::null()).current_dir("/").env_clear();
        let mut fds = vec![(their_space, STATE_FD), (their_calls, CALLS_FD)];
        fds.extend(secret.map(|secret| (OwnedFd::from(secret), SECRET_FD)));
        let process = start_with_fds(&mut command, fds)
            .map_err(|error| Refusal(Errno::EIO, format!("cannot start {}: {error}", program.display())))?;
        let ready = Ready { confinement: String::new(), refused: String::new() };
        Ok((Child { process, calls, next_id: 1, ready }, space))
    }

    /// Waits until it says that it serves.
    pub fn await_ready(&mut self, service: Service) -> Result<(), Refusal> {
        let said = self.receive(0, READY_TIMEOUT);
        match said {
            Ok(Ok(body)) => {
                self.ready = serde_json::from_slice(&body)
                    .map_err(|_| Refusal(Errno::EPROTO, format!("{} is of another build", service.name())))?;
                Ok(())
            }
            Ok(Err(refusal)) => Err(refusal),
            Err(lost) => {
                let text = format!("{} {lost} when it was started; see: vrift daemon logs", service.name());
                Err(Refusal(Errno::EIO, text))
            }
        }
    }

    pub fn is_alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// One request and its answer.
    pub fn ask(&mut self, caller: &Caller, json: &[u8]) -> Result<Result<Vec<u8>, Refusal>, Lost> {
        let len = caller.as_bytes().len() + json.len();
        if HEADER_LEN + len > MAX_FRAME_LEN {
            return Ok(Err(Refusal(Errno::EMSGSIZE, "the request is too long".into())));
        }
        let id = self.next_id;
        self.next_id += 1;
        let header = FrameHeader::request(Op::Service, id, len);
        let frame = Zeroizing::new([header.as_bytes(), caller.as_bytes(), json].concat());
        let sent = send(self.calls.as_raw_fd(), &frame, MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT);
        sent.map_err(|_| Lost::Ended)?;
        self.receive(id, ANSWER_TIMEOUT)
    }

    fn receive(&mut self, id: u64, timeout: Duration) -> Result<Result<Vec<u8>, Refusal>, Lost> {
        let deadline = Instant::now() + timeout;
        let mut buffer = Zeroizing::new(vec![0; MAX_FRAME_LEN]);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.calls.as_fd(), PollFlags::POLLIN)], left) {
                Ok(0) => return Err(Lost::Late),
                Err(Errno::EINTR) => continue,
                Err(_) => return Err(Lost::Ended),
                Ok(_) => {}
            }
            let len = match recv(self.calls.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue,
                Ok(0) | Err(_) => return Err(Lost::Ended),
                Ok(len) => len,
            };
            // Only our own program is at the other end; what it gets wrong is a reason to start it anew.
            let Ok((header, Op::Service, body)) = FrameHeader::parse(&buffer[..len]) else {
                return Err(Lost::Ended);
            };
            if header.request_id.get() != id {
                return Err(Lost::Ended);
            }
            return Ok(match header.status.get() {
                0 => Ok(body.to_vec()),
                errno => {
                    let text = String::from_utf8_lossy(body).into_owned();
                    Err(Refusal(Errno::from_raw(errno.cast_signed()), text))
                }
            });
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The service's program, beside the daemon.
pub fn program(service: Service) -> Result<PathBuf, Refusal> {
    let name = format!("vrift-{}", service.name());
    let own = std::env::current_exe().unwrap_or_default();
    let beside = own.parent().unwrap_or(Path::new("/"));
    DIRS.iter()
        .map(|dir| beside.join(dir).join(&name))
        .find(|path| path.is_file())
        .ok_or_else(|| Refusal(Errno::ENOENT, format!("{name} is not installed beside {}", own.display())))
}

/// The key file, open for reading.
pub fn secret(path: &Path) -> Result<File, Refusal> {
    File::open(path).map_err(|error| {
        let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
        Refusal(errno, format!("the key file {} cannot be opened: {error}", path.display()))
    })
}
