//! The event loop: accepts clients, reads frames, answers what is quick and hands on what is not.

use crate::connection::{Connection, Greeting};
use crate::daemon::Daemon;
use crate::policy::{Right, Who};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{MsgFlags, SockFlag, accept4, getsockopt, recv, sockopt::PeerCredentials};
use nix::unistd::{Uid, geteuid};
use std::collections::HashMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use vrift_protocol::frame::{FLAG_WITH_REQUEST, HANDSHAKE_TIMEOUT_MS};
use vrift_protocol::{FrameHeader, HEADER_LEN, Hello, MAX_FRAME_LEN, Op, VnodeReply};
use zerocopy::FromBytes;
use zeroize::Zeroize;

/// Most clients at a time: each process of a build that changes something is one; a connection costs an fd
/// and some hundred bytes. Half of what the fd limit allows is the other bound.
pub const CONNECTIONS_MAX: usize = 8192;
/// Of these one user has at most so many quarters: others, and services, go on.
const QUARTERS_OF_ONE: usize = 3;
/// Frames read from one client before the others get their turn.
const FRAMES_PER_TURN: usize = 16;

const LISTENER: u64 = 0;
const SIGNALS: u64 = 1;
const STOP: u64 = 2;
const HAND_OVER: u64 = 3;
const FIRST_CONNECTION: u64 = 16;

/// Whether a frame is for a service, or for the key-value space: either may have a secret in it.
fn is_secret(datagram: &[u8]) -> bool {
    FrameHeader::read_from_prefix(datagram)
        .is_ok_and(|(header, _)| header.op.get() == Op::Service as u16 || header.op.get() == Op::State as u16)
}

/// What a client's socket had.
enum Read {
    Frame,
    Nothing,
    End,
}

pub struct Server {
    daemon: Arc<Daemon>,
    epoll: Arc<Epoll>,
    listener: OwnedFd,
    signals: SignalFd,
    connections: HashMap<u64, Arc<Connection>>,
    /// How many of them are of each user.
    of_users: HashMap<u32, usize>,
    /// Connections that have not said hello, oldest first.
    silent: std::collections::VecDeque<(Instant, u64)>,
    next_id: u64,
    connections_max: usize,
    /// The daemon's own.
    own_uid: Uid,
}

impl Server {
    pub fn new(daemon: Arc<Daemon>, listener: OwnedFd, stop_signals: &SigSet) -> nix::Result<Server> {
        let epoll = Arc::new(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?);
        let signals = SignalFd::with_flags(stop_signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
        epoll.add(&signals, EpollEvent::new(EpollFlags::EPOLLIN, SIGNALS))?;
        epoll.add(&daemon.stop_event, EpollEvent::new(EpollFlags::EPOLLIN, STOP))?;
        epoll.add(&daemon.services.hand_over, EpollEvent::new(EpollFlags::EPOLLIN, HAND_OVER))?;
        let (fds, _) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)?;
        let connections_max = CONNECTIONS_MAX.min(usize::try_from(fds / 2).unwrap_or(CONNECTIONS_MAX));
        Ok(Server {
            daemon,
            epoll,
            listener,
            signals,
            connections: HashMap::new(),
            of_users: HashMap::new(),
            silent: std::collections::VecDeque::new(),
            next_id: FIRST_CONNECTION,
            connections_max,
            own_uid: geteuid(),
        })
    }

    /// Serves until the daemon is told to stop.
    pub fn run(&mut self) -> nix::Result<()> {
        let mut events = [EpollEvent::empty(); 64];
        let mut buffer = vec![0; MAX_FRAME_LEN + 1];
        loop {
            let count = self.next_events(&mut events)?;
            for event in &events[..count] {
                match event.data() {
                    LISTENER => self.accept(&mut buffer),
                    SIGNALS => {
                        while let Ok(Some(signal)) = self.signals.read_signal() {
                            Daemon::stop_soon(&self.daemon, signal.ssi_signo, signal.ssi_uid);
                        }
                    }
                    STOP => return Ok(()),
                    HAND_OVER => self.take_over(),
                    id => self.turn(id, event.events(), &mut buffer),
                }
            }
            self.drop_silent();
        }
    }

    fn next_events(&self, events: &mut [EpollEvent]) -> nix::Result<usize> {
        match self.epoll.wait(events, self.timeout()) {
            Err(Errno::EINTR) => Ok(0),
            result => result,
        }
    }

    fn timeout(&self) -> EpollTimeout {
        let Some((deadline, _)) = self.silent.front() else { return EpollTimeout::NONE };
        let left = deadline.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        EpollTimeout::try_from(left).unwrap_or(EpollTimeout::ZERO)
    }

    /// Drops connections whose time to say hello is over.
    fn drop_silent(&mut self) {
        while let Some((deadline, id)) = self.silent.front().copied() {
            let greeted = self.connections.get(&id).is_none_or(|known| known.greeting.get().is_some());
            if !greeted && deadline > Instant::now() {
                return;
            }
            self.silent.pop_front();
            if !greeted {
                self.forget(id);
            }
        }
    }

    /// Takes one client in; epoll says so again when there are more. What it has sent by now is read at once.
    fn accept(&mut self, buffer: &mut [u8]) {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = match accept4(self.listener.as_raw_fd(), flags) {
            Ok(fd) => crate::sys::own(fd),
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNABORTED) => return,
            Err(errno) => {
                // Out of fds: the client waits in the backlog until one is free.
                tracing::warn!(%errno, "cannot accept a client");
                std::thread::sleep(Duration::from_millis(5));
                return;
            }
        };
        let Ok(peer) = getsockopt(&socket, PeerCredentials) else { return };
        let is_own_user = peer.uid() == self.own_uid.as_raw();
        let groups = match self.daemon.policy.asks_for_groups() {
            true => crate::sys::peer_groups(&socket),
            false => Arc::default(),
        };
        let who = Who::Person { uid: peer.uid(), gid: peer.gid(), groups };
        // A program that was root and became another user holds an fd of this socket, which lies in a folder
        // that lets nobody else in.
        let accepted = is_own_user || self.own_uid.is_root();
        let of_user = self.of_users.get(&peer.uid()).copied().unwrap_or(0);
        let room = self.connections.len() < self.connections_max
            && of_user < self.connections_max / 4 * QUARTERS_OF_ONE;
        if !accepted || !room {
            self.daemon.stats.refused.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let id = self.next_id;
        self.next_id += 1;
        if self.epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, id)).is_ok() {
            let epoll = Arc::clone(&self.epoll);
            let pid = peer.pid().cast_unsigned();
            let connection = Connection::new(id, socket, is_own_user, who, pid, epoll);
            self.connections.insert(id, Arc::new(connection));
            *self.of_users.entry(peer.uid()).or_default() += 1;
            let deadline = Instant::now() + Duration::from_millis(HANDSHAKE_TIMEOUT_MS);
            self.silent.push_back((deadline, id));
            self.daemon.stats.connections.store(self.connections.len() as u64, Ordering::Relaxed);
            self.turn(id, EpollFlags::EPOLLIN, buffer);
        }
    }

    /// Connections of services that were started: nobody else has the other end, and they need no Hello.
    fn take_over(&mut self) {
        for (service, socket) in self.daemon.services.take_handed_over() {
            let id = self.next_id;
            self.next_id += 1;
            if self.epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, id)).is_ok() {
                let who = Who::Service(service);
                let connection = Connection::new(id, socket, false, who, 0, Arc::clone(&self.epoll));
                let _ = connection.greeting.set(Greeting { client_id: 0, workspace: 0, line: 0 });
                self.connections.insert(id, Arc::new(connection));
            }
        }
    }

    fn forget(&mut self, id: u64) {
        if let Some(connection) = self.connections.remove(&id) {
            if let Who::Person { uid, .. } = connection.who
                && let Some(count) = self.of_users.get_mut(&uid)
            {
                *count -= 1;
                if *count == 0 {
                    self.of_users.remove(&uid);
                }
            }
            if let Some(greeting) = connection.greeting.get() {
                self.daemon.history.spans.process_ends(greeting.workspace, id);
            }
            self.daemon.end_run(&connection);
            crate::worktree::abandoned(&self.daemon, &connection);
            // Who else has it sees that it is over; otherwise closing the socket, which is the end of it here, is all.
            if let Err(shared) = Arc::try_unwrap(connection) {
                let _ = self.epoll.delete(&shared.socket);
                shared.close();
            }
        }
        self.daemon.stats.connections.store(self.connections.len() as u64, Ordering::Relaxed);
    }

    /// Reads and writes what one client's socket is ready for.
    fn turn(&mut self, id: u64, ready: EpollFlags, buffer: &mut [u8]) {
        let Some(connection) = self.connections.get(&id).cloned() else { return };
        if ready.contains(EpollFlags::EPOLLOUT) {
            connection.flush();
            crate::state::resume(&self.daemon, &connection);
        }
        if !ready.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) {
            return;
        }
        for _ in 0..FRAMES_PER_TURN {
            match self.read(&connection, buffer) {
                // A process has one request under way. Should there be more, epoll says so again.
                Read::Frame if connection.is_process() => return,
                Read::Frame => {}
                Read::Nothing => return,
                Read::End => {
                    drop(connection);
                    return self.forget(id);
                }
            }
        }
    }

    /// Reads one frame, if there is one, and answers it or hands it on.
    fn read(&self, connection: &Arc<Connection>, buffer: &mut [u8]) -> Read {
        match recv(connection.socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC) {
            Err(Errno::EAGAIN | Errno::EINTR) => Read::Nothing,
            Ok(0) | Err(_) => Read::End,
            Ok(len) => {
                self.daemon.stats.requests.fetch_add(1, Ordering::Relaxed);
                let len_read = len.min(buffer.len());
                let alive = self.frame(connection, len, &buffer[..len_read]);
                if is_secret(&buffer[..len_read]) {
                    buffer[..len_read].zeroize();
                }
                if alive { Read::Frame } else { Read::End }
            }
        }
    }

    /// Handles one datagram of `len` bytes; false when the client is to be dropped.
    fn frame(&self, connection: &Arc<Connection>, len: usize, datagram: &[u8]) -> bool {
        let parsed = FrameHeader::parse(datagram).and_then(|(header, op, body)| {
            // More than the buffer holds was cut by the kernel.
            if len > MAX_FRAME_LEN { Err(vrift_protocol::FrameError::Length) } else { Ok((header, op, body)) }
        });
        let (header, op, body) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => {
                self.daemon.stats.malformed.fetch_add(1, Ordering::Relaxed);
                let header = FrameHeader::read_from_prefix(datagram).map(|(header, _)| header);
                let header = header.unwrap_or_else(|_| FrameHeader::request(Op::Hello, 0, 0));
                let header = FrameHeader {
                    op: header.op,
                    ..FrameHeader::request(Op::Hello, header.request_id.get(), 0)
                };
                connection.reply(&header, Err(Errno::from_raw(error.errno().cast_signed())));
                return connection.greeting.get().is_some();
            }
        };
        debug_assert!(datagram.len() >= HEADER_LEN);
        match (op, connection.greeting.get()) {
            (Op::Hello, _) => self.hello(connection, &header, body),
            (_, None) => {
                connection.reply(&header, Err(Errno::EPROTO));
                false
            }
            (Op::Admin, Some(_)) if !connection.is_own_user => {
                self.daemon.denied(&connection.who, Right::Admin, b"the command line", "denied");
                connection.reply(&header, Err(Errno::EPERM));
                true
            }
            (Op::Admin, Some(_)) => {
                crate::admin::serve(&self.daemon, connection, header, body);
                true
            }
            (Op::State, Some(_)) => {
                crate::state::serve(&self.daemon, connection, header, body);
                true
            }
            (Op::Service, Some(_)) => {
                crate::services::serve(&self.daemon, connection, header, body);
                true
            }
            (_, Some(_)) if matches!(connection.who, Who::Service(_)) => {
                self.daemon.denied(&connection.who, Right::Admin, b"a workspace", "denied");
                connection.reply(&header, Err(Errno::EPERM));
                true
            }
            (_, Some(greeting)) => {
                crate::vnode_ops::serve(&self.daemon, connection, *greeting, header, op, body);
                true
            }
        }
    }

    fn hello(&self, connection: &Arc<Connection>, header: &FrameHeader, body: &[u8]) -> bool {
        let has_request = header.flags.get() & FLAG_WITH_REQUEST != 0;
        let Some((hello, request)) =
            Hello::read_from_prefix(body).ok().filter(|(_, rest)| has_request || rest.is_empty())
        else {
            connection.reply(header, Err(Errno::EBADMSG));
            return false;
        };
        let request = has_request.then_some(request);
        if request.is_some_and(is_secret) {
            connection.reply(header, Err(Errno::EPROTO));
            return false;
        }
        let (client_id, workspace) = (hello.client_id.get(), hello.workspace.get());
        let greeting = Greeting { client_id, workspace, line: hello.line.get() };
        let known = greeting.workspace == 0 || self.daemon.spaces().get(greeting.workspace).is_ok();
        let accepted = known && connection.greeting.set(greeting).is_ok();
        let errno = if known { Errno::EPROTO } else { Errno::ESTALE };
        if !accepted {
            connection.reply(header, Err(errno));
        } else if request.is_none() {
            connection.reply(header, Ok((VnodeReply::default(), None)));
        }
        // After the reply: the process goes on meanwhile.
        if accepted && greeting.workspace != 0 {
            self.daemon.history.spans.process_begins(&greeting, connection.id, connection.pid);
        }
        accepted && request.is_none_or(|request| self.frame(connection, request.len(), request))
    }
}
