//! The blocking client of the command line: connect, say hello, send a request, read its answer.

use crate::admin::{AdminReply, AdminRequest};
use crate::frame::{
    FLAG_MORE, FLAG_REPLY, FLAG_WITH_REQUEST, FrameError, FrameHeader, HEADER_LEN, MAX_FRAME_LEN, Op,
    PROBE_TIMEOUT_MS, SILENCE_TIMEOUT_MS,
};
use crate::vnode_op::Hello;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, recvmsg, send,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use zerocopy::IntoBytes;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("cannot reach the daemon at {path}: {source}")]
    Connect { path: String, source: Errno },
    #[error("the daemon closed the connection")]
    Closed,
    #[error("the daemon does not answer: it is stopped, or hangs")]
    Silent,
    #[error("talking to the daemon failed: {0}")]
    Io(#[from] Errno),
    #[error("the daemon sent a frame that this build does not understand: {0}")]
    Frame(String),
    #[error("the daemon speaks protocol version {0}")]
    Version(u16),
    #[error("the request is {len} bytes long; at most {max} fit a frame")]
    TooLong { len: usize, max: usize },
}

/// How long its calls wait.
fn set_timeouts(socket: &OwnedFd, ms: u64) -> Result<(), Errno> {
    let time = TimeVal::milliseconds(ms.cast_signed());
    setsockopt(socket, sockopt::ReceiveTimeout, &time)?;
    setsockopt(socket, sockopt::SendTimeout, &time)
}

/// Number of the first request.
const HELLO_ID: u64 = 1;

/// That of the command line.
fn hello() -> Hello {
    Hello { client_id: 0.into(), workspace: 0.into(), line: 0.into() }
}

/// One connection. Requests are answered in order.
pub struct Client {
    socket: OwnedFd,
    path: PathBuf,
    next_id: u64,
    /// As long as the longest frame so far.
    buffer: Vec<u8>,
    /// Hello has not been said.
    greets: bool,
}

impl Client {
    /// Connects to the socket at `path` and waits for the answer to Hello.
    ///
    /// # Errors
    /// [`ClientError::Silent`] when that takes longer than [`PROBE_TIMEOUT_MS`].
    pub fn connect(path: &Path) -> Result<Client, ClientError> {
        let mut client = Client::reach(path, PROBE_TIMEOUT_MS)?;
        client.send(Op::Hello, hello().as_bytes())?;
        let (header, _, _) = client.receive_within()?;
        set_timeouts(&client.socket, SILENCE_TIMEOUT_MS)?;
        match header.status.get() {
            0 => Ok(client),
            errno => Err(ClientError::Io(Errno::from_raw(errno as i32))),
        }
    }

    /// As [`Client::connect`], but says Hello with the first request, which has to be [`Client::ask`]'s, and has the errors
    /// of both.
    pub fn open(path: &Path) -> Result<Client, ClientError> {
        Ok(Client { greets: true, ..Client::reach(path, SILENCE_TIMEOUT_MS)? })
    }

    fn reach(path: &Path, timeout_ms: u64) -> Result<Client, ClientError> {
        let at = |source| ClientError::Connect { path: path.display().to_string(), source };
        let socket =
            socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).map_err(at)?;
        let address = UnixAddr::new(path).map_err(at)?;
        set_timeouts(&socket, timeout_ms).map_err(at)?;
        connect(socket.as_raw_fd(), &address).map_err(at)?;
        let path = path.to_path_buf();
        Ok(Client { socket, path, next_id: HELLO_ID, buffer: Vec::new(), greets: false })
    }

    /// Whether nothing comes for that long.
    pub fn is_silent_for(&self, time: Duration) -> Result<bool, ClientError> {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], left) {
                Err(Errno::EINTR) => {}
                ready => return Ok(ready? == 0),
            }
        }
    }

    pub(crate) fn send(&mut self, op: Op, body: &[u8]) -> Result<u64, ClientError> {
        let greeting = match std::mem::take(&mut self.greets) {
            true => {
                let request_len = HEADER_LEN + body.len();
                let mut header = FrameHeader::request(Op::Hello, HELLO_ID, size_of::<Hello>() + request_len);
                header.flags = FLAG_WITH_REQUEST.into();
                self.next_id = HELLO_ID + 1;
                [header.as_bytes(), hello().as_bytes()].concat()
            }
            false => Vec::new(),
        };
        let max = MAX_FRAME_LEN - HEADER_LEN - greeting.len();
        if body.len() > max {
            return Err(ClientError::TooLong { len: body.len(), max });
        }
        let id = self.next_id;
        self.next_id += 1;
        let frame = [&greeting, FrameHeader::request(op, id, body.len()).as_bytes(), body].concat();
        send(self.socket.as_raw_fd(), &frame, MsgFlags::MSG_NOSIGNAL)?;
        Ok(id)
    }

    /// The next frame of a reply; its status is the caller's to look at. A daemon that is silent for long is asked on
    /// another connection whether it does anything.
    pub(crate) fn receive(&mut self) -> Result<(FrameHeader, Vec<u8>, Option<OwnedFd>), ClientError> {
        loop {
            match self.receive_within() {
                Err(ClientError::Silent) => match Client::connect(&self.path) {
                    // Has just ended: the connection tells.
                    Ok(_) | Err(ClientError::Closed) => {}
                    Err(ClientError::Connect { source: Errno::ECONNREFUSED, .. }) => {}
                    Err(_) => return Err(ClientError::Silent),
                },
                received => return received,
            }
        }
    }

    /// Waits for the next frame; its length, 0 at the end. No more than a frame may have.
    fn next_len(&self) -> Result<usize, ClientError> {
        loop {
            let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_TRUNC;
            match recv(self.socket.as_raw_fd(), &mut [], flags) {
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Err(ClientError::Silent),
                len => return Ok(len?.min(MAX_FRAME_LEN)),
            }
        }
    }

    fn receive_within(&mut self) -> Result<(FrameHeader, Vec<u8>, Option<OwnedFd>), ClientError> {
        let mut control = nix::cmsg_space!([std::os::fd::RawFd; 1]);
        let next_len = self.next_len()?;
        if self.buffer.len() < next_len {
            self.buffer.resize(next_len, 0);
        }
        let (len, fd) = {
            let mut slices = [IoSliceMut::new(&mut self.buffer)];
            let message = loop {
                match recvmsg::<()>(
                    self.socket.as_raw_fd(),
                    &mut slices,
                    Some(&mut control),
                    MsgFlags::MSG_CMSG_CLOEXEC,
                ) {
                    Err(Errno::EINTR) => continue,
                    Err(Errno::EAGAIN) => return Err(ClientError::Silent),
                    other => break other?,
                }
            };
            let mut fd = None;
            for control in message.cmsgs()? {
                if let ControlMessageOwned::ScmRights(fds) = control {
                    fd = fds.first().copied();
                }
            }
            (message.bytes, fd.map(crate::sys::own))
        };
        if len == 0 {
            return Err(ClientError::Closed);
        }
        let (header, _, body) = FrameHeader::parse(&self.buffer[..len]).map_err(|error| match error {
            FrameError::Version(version) => ClientError::Version(version),
            other => ClientError::Frame(format!("{other:?}")),
        })?;
        if header.flags.get() & FLAG_REPLY == 0 {
            return Err(ClientError::Frame("not a reply".into()));
        }
        Ok((header, body.to_vec(), fd))
    }

    /// Sends `request` and gives every frame of its answer to `each` (with the fd that came along), the
    /// last one included; returns the last.
    pub fn call(
        &mut self,
        request: &AdminRequest,
        each: &mut dyn FnMut(&AdminReply),
    ) -> Result<(AdminReply, Option<OwnedFd>), ClientError> {
        let id = self.ask(request)?;
        self.answer(id, each)
    }

    /// The first half of [`Client::call`]: sends `request`; its number.
    pub fn ask(&mut self, request: &AdminRequest) -> Result<u64, ClientError> {
        let body = serde_json::to_vec(request).map_err(|error| ClientError::Frame(error.to_string()))?;
        self.send(Op::Admin, &body)
    }

    /// The other half: its answer.
    pub fn answer(
        &mut self,
        id: u64,
        each: &mut dyn FnMut(&AdminReply),
    ) -> Result<(AdminReply, Option<OwnedFd>), ClientError> {
        loop {
            let (header, body, fd) = self.receive()?;
            // Hello, if it was said with the request, is answered if it is refused.
            let is_hello = header.request_id.get() == HELLO_ID && header.status.get() != 0;
            if header.request_id.get() != id && !is_hello {
                return Err(ClientError::Frame("a reply to another request".into()));
            }
            if header.status.get() != 0 {
                return Err(ClientError::Io(Errno::from_raw(header.status.get() as i32)));
            }
            let reply: AdminReply =
                serde_json::from_slice(&body).map_err(|error| ClientError::Frame(error.to_string()))?;
            each(&reply);
            if header.flags.get() & FLAG_MORE == 0 {
                return Ok((reply, fd));
            }
        }
    }

    /// The socket, for poll(2): readable at end of file when the daemon is gone.
    pub fn socket(&self) -> &OwnedFd {
        &self.socket
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FLAG_REPLY;
    use nix::sys::socket::{Backlog, accept, bind, listen};

    /// A daemon that gives the first frame of its one client `status` and the number `id`; and that frame.
    fn answered(id: u64, status: u32) -> (Result<(), ClientError>, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        let listener = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::empty(), None).unwrap();
        bind(listener.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
        listen(&listener, Backlog::new(1).unwrap()).unwrap();
        let daemon = std::thread::spawn(move || {
            let theirs = crate::sys::own(accept(listener.as_raw_fd()).unwrap());
            let mut frame = vec![0; MAX_FRAME_LEN];
            let len = recv(theirs.as_raw_fd(), &mut frame, MsgFlags::empty()).unwrap();
            frame.truncate(len);
            let mut header = FrameHeader::request(Op::Admin, id, 0);
            (header.flags, header.status) = (FLAG_REPLY.into(), status.into());
            send(theirs.as_raw_fd(), header.as_bytes(), MsgFlags::empty()).unwrap();
            frame
        });
        let answer = Client::open(&path).unwrap().call(&AdminRequest::Status, &mut |_| {});
        (answer.map(drop), daemon.join().unwrap())
    }

    #[test]
    fn hello_goes_with_the_first_request_and_the_refusal_of_either_is_told() {
        for (id, status) in [(1, Errno::EPROTONOSUPPORT), (2, Errno::EBUSY)] {
            let (answer, frame) = answered(id, status as u32);
            assert!(matches!(answer, Err(ClientError::Io(errno)) if errno == status), "{id}: {answer:?}");
            let (header, op, body) = FrameHeader::parse(&frame).unwrap();
            assert_eq!((op, header.flags.get()), (Op::Hello, FLAG_WITH_REQUEST));
            let (request, op, body) = FrameHeader::parse(&body[size_of::<Hello>()..]).unwrap();
            assert_eq!((op, request.request_id.get(), body), (Op::Admin, 2, &b"\"Status\""[..]));
        }
        assert!(matches!(answered(7, 5).0, Err(ClientError::Frame(_))));
    }
}
