//! One client: its socket and the replies it has not taken yet.

use crate::record::Origin;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use nix::sys::socket::{ControlMessage, MsgFlags, Shutdown, UnixAddr, sendmsg, shutdown};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use vrift_protocol::admin::AdminReply;
use vrift_protocol::frame::FLAG_MORE;
use vrift_protocol::{FrameHeader, HEADER_LEN, MAX_FRAME_LEN, VnodeReply};
use zerocopy::IntoBytes;
use zeroize::Zeroize;

/// Replies kept for a client whose socket is full. A blocking client has one outstanding request, a
/// streaming one is fed by a worker that waits; more than this means that nobody reads.
const QUEUE_MAX: usize = 64;
/// Bytes of replies that are kept for all clients together.
const KEPT_BYTES_MAX: usize = 256 << 20;
static KEPT_BYTES: AtomicUsize = AtomicUsize::new(0);
/// How long a worker waits for a client that does not read its rows.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Threads that wait for such clients at a time: half of those that answer requests of the command line. Beyond that the next
/// one is dropped at once.
const WAITING_MAX: usize = 8;
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// What the first frame of a connection said.
#[derive(Clone, Copy, Debug)]
pub struct Greeting {
    pub client_id: u64,
    /// 0: the command line.
    pub workspace: u32,
    /// [`vrift_protocol::Hello::line`].
    pub line: u32,
}

struct Frame {
    bytes: Vec<u8>,
    fd: Option<OwnedFd>,
    /// Overwritten when it was sent.
    secret: bool,
    /// Counted in [`KEPT_BYTES`].
    kept: bool,
}

impl Drop for Frame {
    fn drop(&mut self) {
        if self.kept {
            KEPT_BYTES.fetch_sub(self.bytes.len(), Ordering::Relaxed);
        }
        if self.secret {
            self.bytes.zeroize();
        }
    }
}

pub struct Connection {
    pub id: u64,
    pub socket: OwnedFd,
    /// The peer has the daemon's user id. Others make no admin requests.
    pub is_own_user: bool,
    /// Who it is, for the policy.
    pub who: crate::policy::Who,
    /// The process that connected, as the kernel knows it; 0: one that was started with its connection.
    pub pid: u32,
    pub greeting: OnceLock<Greeting>,
    /// An admin request of this connection is being worked on.
    pub busy: AtomicBool,
    /// The workspace whose run this connection stands for, and what its counters were.
    pub run: Mutex<Option<crate::run::Run>>,
    /// The workspace in whose worktree a program of this client is at work; 0: none.
    pub worktree: AtomicU32,
    /// Requests for the key-value space, in the order in which they came.
    pub state: crate::state::Inbox,
    /// Of a client that makes many requests.
    page: Mutex<Option<Arc<crate::slots::Page>>>,
    closed: AtomicBool,
    queue: Mutex<VecDeque<Frame>>,
    drained: Condvar,
    epoll: Arc<Epoll>,
}

/// The client is gone or was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl Connection {
    pub fn new(
        id: u64,
        socket: OwnedFd,
        is_own_user: bool,
        who: crate::policy::Who,
        pid: u32,
        epoll: Arc<Epoll>,
    ) -> Connection {
        Connection {
            id,
            socket,
            is_own_user,
            who,
            pid,
            greeting: OnceLock::new(),
            busy: AtomicBool::new(false),
            run: Mutex::new(None),
            worktree: AtomicU32::new(0),
            state: crate::state::Inbox::default(),
            page: Mutex::default(),
            closed: AtomicBool::new(false),
            queue: Mutex::default(),
            drained: Condvar::new(),
            epoll,
        }
    }

    pub fn origin(&self, request_id: u64) -> Origin {
        Origin { client_id: self.greeting.get().map_or(0, |greeting| greeting.client_id), request_id }
    }

    /// The client is a process in a workspace, and has said so.
    pub fn is_process(&self) -> bool {
        self.greeting.get().is_some_and(|greeting| greeting.workspace != 0)
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Frame>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends now, or keeps the frame until the socket takes it. Never blocks.
    fn send(&self, mut frame: Frame) -> Result<(), Gone> {
        let mut queue = self.queue();
        if self.closed.load(Ordering::Relaxed) {
            return Err(Gone);
        }
        if queue.is_empty() {
            match self.try_send(&frame) {
                Ok(()) => return Ok(()),
                Err(Errno::EAGAIN) => {}
                Err(_) => {
                    drop(queue);
                    self.close();
                    return Err(Gone);
                }
            }
        }
        if queue.len() >= QUEUE_MAX {
            tracing::warn!(connection = self.id, "dropped: it does not read its replies");
            drop(queue);
            self.close();
            return Err(Gone);
        }
        if KEPT_BYTES.load(Ordering::Relaxed) + frame.bytes.len() > KEPT_BYTES_MAX {
            tracing::warn!(connection = self.id, "dropped: too many replies that nobody reads");
            drop(queue);
            self.close();
            return Err(Gone);
        }
        KEPT_BYTES.fetch_add(frame.bytes.len(), Ordering::Relaxed);
        frame.kept = true;
        queue.push_back(frame);
        self.watch(EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT);
        Ok(())
    }

    fn try_send(&self, frame: &Frame) -> Result<(), Errno> {
        let fds = frame.fd.as_ref().map(|fd| [fd.as_raw_fd()]);
        let control = fds.as_ref().map(|fds| ControlMessage::ScmRights(fds));
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        loop {
            let slices = [IoSlice::new(&frame.bytes)];
            let sent = sendmsg::<UnixAddr>(self.socket.as_raw_fd(), &slices, control.as_slice(), flags, None);
            match sent {
                Err(Errno::EINTR) => {}
                result => return result.map(drop),
            }
        }
    }

    fn watch(&self, flags: EpollFlags) {
        let mut event = EpollEvent::new(flags, self.id);
        if self.epoll.modify(&self.socket, &mut event).is_err() {
            self.close();
        }
    }

    /// The socket takes data again: sends what was kept.
    pub fn flush(&self) {
        let mut queue = self.queue();
        while let Some(frame) = queue.front() {
            match self.try_send(frame) {
                Ok(()) => drop(queue.pop_front()),
                Err(Errno::EAGAIN) => break,
                Err(_) => {
                    drop(queue);
                    self.close();
                    return;
                }
            }
        }
        if queue.is_empty() {
            self.watch(EpollFlags::EPOLLIN);
        }
        self.drained.notify_all();
    }

    /// Ends the connection; the event loop finds it hung up and forgets it.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
        if let Some(page) = self.page.lock().unwrap_or_else(PoisonError::into_inner).take() {
            page.wake();
        }
        self.drained.notify_all();
    }

    /// The page by which the client makes requests from now on.
    pub fn set_page(&self, page: Arc<crate::slots::Page>) {
        *self.page.lock().unwrap_or_else(PoisonError::into_inner) = Some(page);
    }

    /// The client is gone, or was dropped.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Waits until the client has taken most of what it was sent.
    fn wait_for_reader(&self) -> Result<(), Gone> {
        let queue = self.queue();
        if queue.len() <= QUEUE_MAX / 2 || self.closed.load(Ordering::Relaxed) {
            return if self.closed.load(Ordering::Relaxed) { Err(Gone) } else { Ok(()) };
        }
        if WAITING.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            WAITING.fetch_sub(1, Ordering::Relaxed);
            tracing::warn!(connection = self.id, "dropped: too many clients do not read their replies");
            drop(queue);
            self.close();
            return Err(Gone);
        }
        let waited = self.drained.wait_timeout_while(queue, READ_TIMEOUT, |queue| {
            queue.len() > QUEUE_MAX / 2 && !self.closed.load(Ordering::Relaxed)
        });
        let (queue, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        WAITING.fetch_sub(1, Ordering::Relaxed);
        drop(queue);
        if timeout.timed_out() {
            self.close();
        }
        if self.closed.load(Ordering::Relaxed) { Err(Gone) } else { Ok(()) }
    }

    /// The answer to a vnode request.
    pub fn reply(&self, request: &FrameHeader, answer: Result<(VnodeReply, Option<OwnedFd>), Errno>) {
        let (errno, body, fd) = match answer {
            Ok((body, fd)) => (0, Some(body), fd),
            Err(errno) => (errno as u32, None, None),
        };
        let body = body.as_ref().map_or(&[][..], IntoBytes::as_bytes);
        let mut bytes = request.reply(errno, body.len()).as_bytes().to_vec();
        bytes.extend_from_slice(body);
        let _ = self.send(Frame { bytes, fd, secret: false, kept: false });
    }

    /// The answer to a request for bytes that fit a frame beside the reply.
    pub fn reply_data(&self, request: &FrameHeader, answer: Result<Vec<u8>, Errno>) {
        let data = match answer {
            Ok(data) => data,
            Err(errno) => return self.reply(request, Err(errno)),
        };
        let body = VnodeReply { created: (data.len() as u32).into(), ..VnodeReply::default() };
        let header = request.reply(0, body.as_bytes().len() + data.len());
        let bytes = [header.as_bytes(), body.as_bytes(), &data].concat();
        let _ = self.send(Frame { bytes, fd: None, secret: false, kept: false });
    }

    /// Whether a whole answer can be kept for the client if its socket is full. One that does not read gets no further
    /// answers, and no thread waits for it.
    pub fn has_room(&self) -> bool {
        self.is_closed() || self.queue().len() <= QUEUE_MAX / 2
    }

    /// One frame of an answer that is plain bytes; `more` follow. Does not wait for a slow reader: see
    /// [`Connection::has_room`].
    pub fn reply_bytes(
        &self,
        request: &FrameHeader,
        errno: u32,
        body: &[u8],
        more: bool,
    ) -> Result<(), Gone> {
        let mut header = request.reply(errno, body.len());
        if more {
            header.flags = (header.flags.get() | FLAG_MORE).into();
        }
        self.send(Frame { bytes: [header.as_bytes(), body].concat(), fd: None, secret: true, kept: false })
    }

    /// One frame of the answer to an admin request; `more` follow. Waits for a slow reader up to a bound.
    pub fn reply_admin(
        &self,
        request: &FrameHeader,
        reply: &AdminReply,
        more: bool,
        fd: Option<OwnedFd>,
    ) -> Result<(), Gone> {
        self.wait_for_reader()?;
        let body = serde_json::to_vec(reply).unwrap_or_default();
        if body.is_empty() || HEADER_LEN + body.len() > MAX_FRAME_LEN {
            self.reply(request, Err(Errno::EMSGSIZE));
            return Err(Gone);
        }
        let mut header = request.reply(0, body.len());
        if more {
            header.flags = (header.flags.get() | FLAG_MORE).into();
        }
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(&body);
        self.send(Frame { bytes, fd, secret: false, kept: false })
    }
}
