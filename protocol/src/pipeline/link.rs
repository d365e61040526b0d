//! The socket below a [`super::Pipeline`]: non-blocking, and connected again when it can be.

use crate::frame::{FLAG_REPLY, FrameHeader, HEADER_LEN, MAX_FRAME_LEN, Op};
use crate::vnode_op::Hello;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use zerocopy::IntoBytes;

/// Between attempts to connect: short at first, as a daemon is back within some milliseconds.
const PAUSE_MIN: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(200);
/// The request number of Hello, which no request has.
const HELLO_ID: u64 = 0;

/// Where a pipeline ends.
pub enum Endpoint {
    /// The daemon's socket, which is connected to again when the connection was lost.
    Path(PathBuf),
    /// One connection that was handed over, already greeted; its end is the end.
    Given(OwnedFd),
}

pub enum Received {
    Frame(FrameHeader, Vec<u8>),
    Nothing,
    End(String),
}

pub struct Link {
    path: Option<PathBuf>,
    socket: Option<OwnedFd>,
    pause: Duration,
    not_before: Option<Instant>,
    /// How many connections there have been.
    pub connections: u64,
    buffer: Vec<u8>,
}

impl Link {
    pub fn new(endpoint: Endpoint) -> Link {
        let (path, socket) = match endpoint {
            Endpoint::Path(path) => (Some(path), None),
            Endpoint::Given(socket) => (None, Some(socket)),
        };
        Link {
            path,
            socket,
            pause: PAUSE_MIN,
            not_before: None,
            connections: 0,
            buffer: vec![0; MAX_FRAME_LEN],
        }
    }

    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }

    /// True: there is a connection. False: not yet. Err: there will be none.
    pub fn connect(&mut self) -> Result<bool, String> {
        if self.socket.is_some() {
            return Ok(true);
        }
        let Some(path) = &self.path else { return Err("it was closed".into()) };
        if self.not_before.is_some_and(|at| at > Instant::now()) {
            return Ok(false);
        }
        let attempt = || -> nix::Result<OwnedFd> {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
            connect(socket.as_raw_fd(), &UnixAddr::new(path.as_path())?)?;
            let hello = Hello { client_id: 0.into(), workspace: 0.into(), line: 0.into() };
            let header = FrameHeader::request(Op::Hello, HELLO_ID, hello.as_bytes().len());
            send(
                socket.as_raw_fd(),
                &[header.as_bytes(), hello.as_bytes()].concat(),
                MsgFlags::MSG_NOSIGNAL,
            )?;
            Ok(socket)
        };
        match attempt() {
            Ok(socket) => {
                self.socket = Some(socket);
                self.connections += 1;
                Ok(true)
            }
            Err(errno @ (Errno::ENAMETOOLONG | Errno::EACCES | Errno::EPERM | Errno::EMFILE)) => {
                Err(errno.desc().into())
            }
            Err(_) => {
                self.back_off();
                Ok(false)
            }
        }
    }

    fn back_off(&mut self) {
        self.not_before = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }

    pub fn drop_connection(&mut self) {
        self.socket = None;
        self.back_off();
    }

    /// False: the socket is full.
    pub fn send(&mut self, frame: &[u8]) -> nix::Result<bool> {
        let Some(socket) = &self.socket else { return Err(Errno::ENOTCONN) };
        loop {
            match send(socket.as_raw_fd(), frame, MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT) {
                Ok(_) => return Ok(true),
                Err(Errno::EAGAIN) => return Ok(false),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    /// The next frame that is a reply; what is not a frame ends the connection.
    pub fn receive(&mut self) -> Received {
        loop {
            let Some(socket) = &self.socket else { return Received::Nothing };
            let len = match recv(socket.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
                Err(Errno::EAGAIN) => return Received::Nothing,
                Err(Errno::EINTR) => continue,
                Err(errno) => return Received::End(errno.desc().into()),
                Ok(0) => return Received::End("it was closed".into()),
                Ok(len) => len,
            };
            let Ok((header, op, body)) = FrameHeader::parse(&self.buffer[..len]) else {
                return Received::End("a frame that this build does not understand".into());
            };
            debug_assert!(len >= HEADER_LEN);
            if header.flags.get() & FLAG_REPLY == 0 {
                return Received::End("a frame that is no reply".into());
            }
            self.pause = PAUSE_MIN;
            match (op, header.status.get()) {
                (Op::Hello, 0) => {}
                (Op::Hello, errno) => {
                    return Received::End(Errno::from_raw(errno.cast_signed()).desc().into());
                }
                _ => return Received::Frame(header, body.to_vec()),
            }
        }
    }

    /// Waits until there is something to read, or room to write if `writes`, or it is time to connect.
    pub fn wait(&self, writes: bool, timeout: Duration) {
        let Some(socket) = &self.socket else {
            let pause =
                self.not_before.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()));
            return std::thread::sleep(pause.min(timeout));
        };
        let mut flags = PollFlags::POLLIN;
        flags.set(PollFlags::POLLOUT, writes);
        // Rounded up: a wait of less than a millisecond would be none.
        let timeout = PollTimeout::try_from(timeout + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX);
        let _ = poll(&mut [PollFd::new(socket.as_fd(), flags)], timeout);
    }
}
