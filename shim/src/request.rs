//! One request to the daemon and its answer, over this process's own connection.
//!
//! The connection's state is in a page that fork(2) wipes in the child, so a child starts without one,
//! while a vfork(2) child, which shares the memory, goes on with its parent's. When the daemon goes away the
//! same request is sent again to its successor, which knows whether it was carried out.

use crate::handle;
use crate::init;
use crate::memory;
use crate::patience::Patience;
use crate::raw::{self, Errno};
use crate::text::Text;
use crate::view;
use crate::wire::{address_of, receive, send_parts};
use core::ffi::c_int;
use core::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};
use vrift_protocol::frame::{
    FLAG_REPLY, FLAG_RETRY, PROBE_TIMEOUT_MS, RECONNECT_TIMEOUT_MS, SILENCE_TIMEOUT_MS,
};
use vrift_protocol::vnode_op::XATTRS_LEN_MAX;
use vrift_protocol::{FrameHeader, HEADER_LEN, Hello, Op, VnodeReply, VnodeRequest, counters, names};
use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, IntoBytes};

/// Lowest number asked for the connection's fd, where the limit allows it: out of the way of programs that
/// expect the low numbers.
const FD_FLOORS: [usize; 4] = [900, 200, 60, 10];
/// Pause between two attempts to reach a daemon that is gone.
const RETRY_PAUSE_US: i64 = 5_000;
/// How long a call took that a silent daemon made fail.
const SILENT_US: u64 = (SILENCE_TIMEOUT_MS + PROBE_TIMEOUT_MS) * 1_000;
const NO_ANSWER: &[u8] = b"the daemon does not answer: see 'vrift daemon status'";

/// In the page that fork wipes.
pub struct ForkState {
    /// Thread that is using the connection, by [`crate::errno::thread_id`].
    lock: AtomicUsize,
    /// fd + 1; 0: not connected.
    fd: AtomicI32,
    /// Device and inode of the socket: whether the fd is still ours.
    inode: AtomicU64,
    next_id: AtomicU64,
    client_id: AtomicU64,
    pid: AtomicI32,
    patience: Patience,
}

/// The last connection of this process or of the parent it was forked from: fd + 1 and inode.
static INHERITED_FD: AtomicI32 = AtomicI32::new(0);
static INHERITED_INODE: AtomicU64 = AtomicU64::new(0);

fn state() -> Result<&'static ForkState, Errno> {
    memory::get().map(|memory| &memory.fork.0)
}

/// Whether this is a child that shares its parent's memory (vfork(2), CLONE_VM): it must leave no trace in
/// caches that describe the process.
///
/// The first to ask writes the process's number into the page. That must not be such a child, which would make
/// its parent look like one ever after. The C library tells the kernel of a robust list for every process and
/// thread that it starts, and fork(2) in the child does so again; vfork(2) does not, and the kernel hands none
/// on. Where the C library has none to tell (before 2.34, programs without threads), nobody writes and all
/// processes count as such children, which costs them only their caches.
pub fn shares_memory() -> bool {
    let Ok(state) = state() else { return true };
    let pid = raw::getpid();
    match state.pid.load(Ordering::Relaxed) {
        0 if raw::has_robust_list() => {
            state.pid.store(pid, Ordering::Relaxed);
            false
        }
        known => known != pid,
    }
}

/// Whether `fd` is the connection or the handle: programs that close what they do not know must not close them.
pub fn is_own(fd: c_int) -> bool {
    connection() == Some(fd) || handle::fd() == Some(fd)
}

/// The lowest of this library's own fds from `low` on.
pub fn next_own(low: c_int) -> Option<c_int> {
    [connection(), handle::fd()].into_iter().flatten().filter(|fd| *fd >= low).min()
}

/// Before `fd` is replaced by something else: the next request makes a connection anew.
pub fn give_up(fd: c_int) {
    handle::give_way(fd);
    if let Some(state) = memory::existing().map(|memory| &memory.fork.0)
        && state.fd.load(Ordering::Relaxed) == fd + 1
    {
        state.fd.store(0, Ordering::Relaxed);
    }
}

/// The connection's fd, if there is one.
pub fn connection() -> Option<c_int> {
    let fd = memory::existing()?.fork.0.fd.load(Ordering::Relaxed);
    (fd != 0).then(|| fd - 1)
}

/// Makes the connection now, if there is none: soon it may be out of reach.
pub fn stay_connected() {
    let Ok(state) = state() else { return };
    let me = crate::errno::thread_id();
    while let Err(owner) = state.lock.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed) {
        if owner == me {
            return;
        }
        raw::sched_yield();
    }
    let line = Line::Shared { state, child: AtomicI32::new(0) };
    // Should it fail, the requests to come say so.
    let _ = line.connected();
    line.leave();
    state.lock.store(0, Ordering::Release);
}

/// What to send.
pub struct Request<'a> {
    pub op: Op,
    pub body: VnodeRequest,
    pub name: &'a [u8],
    pub name2: &'a [u8],
    /// Whether an fd that comes back is closed on exec.
    pub cloexec: bool,
}

impl<'a> Request<'a> {
    pub fn new(op: Op) -> Request<'a> {
        Request { op, body: VnodeRequest::default(), name: &[], name2: &[], cloexec: true }
    }

    /// Sends and waits for the answer: the daemon's errno, or the reply and the fd that came with it.
    pub fn send(self) -> Result<(VnodeReply, Option<c_int>), Errno> {
        self.send_with::<128>(&mut [])
    }

    /// As [`Request::send`], for an answer with bytes; how many.
    pub fn send_for(self, to: &mut [u8; XATTRS_LEN_MAX]) -> Result<usize, Errno> {
        const ROOM: usize = HEADER_LEN + size_of::<VnodeReply>() + XATTRS_LEN_MAX;
        let (reply, _) = self.send_with::<ROOM>(to)?;
        Ok((reply.created.get() as usize).min(XATTRS_LEN_MAX))
    }

    /// `LEN`: the longest reply frame. Bytes that follow the reply's fixed part go to `more`.
    fn send_with<const LEN: usize>(mut self, more: &mut [u8]) -> Result<(VnodeReply, Option<c_int>), Errno> {
        self.body.name_len = U16::new(self.name.len() as u16);
        self.body.name2_len = U16::new(self.name2.len() as u16);
        view::count(counters::REQUESTS);
        let state = state()?;
        let me = crate::errno::thread_id();
        loop {
            match state.lock.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => break,
                // A signal handler interrupted this thread's own request: it gets a connection for itself.
                Err(owner) if owner == me => return self.send_aside::<LEN>(more),
                Err(_) => raw::sched_yield(),
            }
        }
        let line = Line::Shared { state, child: AtomicI32::new(0) };
        let result = self.send_over::<LEN>(&line, more);
        line.leave();
        state.lock.store(0, Ordering::Release);
        result
    }

    /// As [`Request::send`], for a request whose answer brings an fd: where no number is left for it, that is said
    /// before anything is made, as by the kernel.
    pub fn send_for_fd(self) -> Result<(VnodeReply, c_int), Errno> {
        if let Some(fd) = connection() {
            raw::close(match raw::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) {
                Err(errno @ libc::EMFILE) => return Err(errno),
                Ok(fd) => fd,
                Err(_) => -1,
            });
        }
        match self.send()? {
            (reply, Some(fd)) => Ok((reply, fd)),
            // The kernel drops an fd that it has no number for.
            (_, None) => Err(libc::EMFILE),
        }
    }

    fn send_aside<const LEN: usize>(&self, more: &mut [u8]) -> Result<(VnodeReply, Option<c_int>), Errno> {
        let line = Line::Own { fd: AtomicI32::new(0), client_id: raw::random_u64() };
        let result = self.send_over::<LEN>(&line, more);
        line.disconnect();
        result
    }

    fn send_over<const LEN: usize>(
        &self,
        line: &Line<'_>,
        more: &mut [u8],
    ) -> Result<(VnodeReply, Option<c_int>), Errno> {
        let mut header = FrameHeader::request(
            self.op,
            line.next_id(),
            size_of::<VnodeRequest>() + self.name.len() + self.name2.len(),
        );
        let mut deadline_ns = 0;
        let answered = |deadline_ns: i64| {
            if deadline_ns != 0 {
                let left_ns = deadline_ns - raw::now_ns();
                let waited_us = RECONNECT_TIMEOUT_MS as i64 * 1_000 - left_ns / 1_000;
                view::raise(counters::LONGEST_WAIT_US, waited_us.max(0) as u64);
            }
        };
        loop {
            let attempt =
                line.connected().and_then(|fd| self.exchange::<LEN>(fd, line.patience(), &header, more));
            match attempt {
                Ok((status, reply, fd)) => {
                    answered(deadline_ns);
                    return if status == 0 { Ok((reply, fd)) } else { Err(status as Errno) };
                }
                Err(errno @ (libc::EMFILE | libc::ENFILE | libc::ENOMEM)) => return Err(errno),
                Err(libc::EACCES) => {
                    init::complain(&[b"this user may not reach the daemon: see docs/limits.md"]);
                    return Err(libc::EIO);
                }
                Err(libc::ETIMEDOUT) => {
                    line.disconnect();
                    view::raise(counters::LONGEST_WAIT_US, SILENT_US);
                    init::complain(&[NO_ANSWER]);
                    return Err(libc::EIO);
                }
                Err(_) => {}
            }
            line.disconnect();
            let now_ns = raw::now_ns();
            if deadline_ns == 0 {
                deadline_ns = now_ns + RECONNECT_TIMEOUT_MS as i64 * 1_000_000;
            } else if now_ns > deadline_ns {
                answered(deadline_ns);
                init::complain(&[NO_ANSWER]);
                return Err(libc::EIO);
            } else {
                raw::sleep_us(RETRY_PAUSE_US);
            }
            header.flags = U32::new(FLAG_RETRY);
        }
    }

    fn exchange<const LEN: usize>(
        &self,
        fd: c_int,
        patience: Option<&Patience>,
        header: &FrameHeader,
        more: &mut [u8],
    ) -> Result<(u32, VnodeReply, Option<c_int>), Errno> {
        let parts = [header.as_bytes(), self.body.as_bytes(), self.name, self.name2];
        send_parts(fd, &parts)?;
        loop {
            let mut bytes = [0u8; LEN];
            let (len, passed) = match receive(fd, &mut bytes, self.cloexec, patience) {
                Err(libc::EAGAIN) if daemon_is_there() => continue,
                Err(libc::EAGAIN) => return Err(libc::ETIMEDOUT),
                received => received?,
            };
            let drop_passed = || {
                if let Some(fd) = passed {
                    raw::close(fd);
                }
            };
            let Ok((reply, op, body)) = FrameHeader::parse(&bytes[..len]) else {
                drop_passed();
                return Err(libc::EPROTO);
            };
            if reply.flags.get() & FLAG_REPLY == 0 || reply.request_id != header.request_id || op != self.op {
                // The answer to Hello, or one that an interrupted request did not wait for.
                drop_passed();
                if op == Op::Hello && reply.status.get() != 0 {
                    return Err(libc::EPROTO);
                }
                continue;
            }
            let (body, rest) = VnodeReply::read_from_prefix(body).unwrap_or((VnodeReply::default(), &[]));
            for (to, from) in more.iter_mut().zip(rest) {
                *to = *from;
            }
            if let Some(patience) = patience {
                patience.answered();
            }
            return Ok((reply.status.get(), body, passed));
        }
    }
}

/// The process's connection, or one for a single request.
enum Line<'a> {
    /// `child`: in a child that shares memory but has fds of its own, the fd + 1 of the connection that it made
    /// for this request; -1: its parent's is not to be used. The parent must not take such an fd for its own.
    Shared {
        state: &'a ForkState,
        child: AtomicI32,
    },
    Own {
        fd: AtomicI32,
        client_id: u64,
    },
}

impl Line<'_> {
    fn next_id(&self) -> u64 {
        match self {
            Line::Shared { state, .. } => state.next_id.fetch_add(1, Ordering::Relaxed) + 1,
            Line::Own { .. } => 1,
        }
    }

    /// A process that takes turns with the daemon may wait without sleep.
    fn patience(&self) -> Option<&Patience> {
        match self {
            Line::Shared { state, .. } => Some(&state.patience),
            Line::Own { .. } => None,
        }
    }

    fn client_id(&self) -> u64 {
        match self {
            Line::Own { client_id, .. } => *client_id,
            Line::Shared { state, .. } => match state.client_id.load(Ordering::Relaxed) {
                0 => {
                    let id = raw::random_u64() | 1;
                    state.client_id.store(id, Ordering::Relaxed);
                    id
                }
                id => id,
            },
        }
    }

    /// The fd of a live connection, made if need be.
    fn connected(&self) -> Result<c_int, Errno> {
        match self {
            Line::Own { fd, .. } => match fd.load(Ordering::Relaxed) {
                0 => {
                    let (new, _) = connect(self.client_id(), SILENCE_TIMEOUT_MS)?;
                    fd.store(new + 1, Ordering::Relaxed);
                    Ok(new)
                }
                fd => Ok(fd - 1),
            },
            Line::Shared { state, child } => {
                let own = child.load(Ordering::Relaxed);
                if own > 0 {
                    return Ok(own - 1);
                }
                let fd = state.fd.load(Ordering::Relaxed) - 1;
                if own == 0 && fd >= 0 && is_socket(fd, state.inode.load(Ordering::Relaxed)) {
                    return Ok(fd);
                }
                if shares_memory() {
                    let (fd, _) = connect(self.client_id(), SILENCE_TIMEOUT_MS)?;
                    child.store(fd + 1, Ordering::Relaxed);
                    return Ok(fd);
                }
                close_inherited();
                let (fd, inode) = connect(self.client_id(), SILENCE_TIMEOUT_MS)?;
                state.fd.store(fd + 1, Ordering::Relaxed);
                state.inode.store(inode, Ordering::Relaxed);
                INHERITED_INODE.store(inode, Ordering::Relaxed);
                INHERITED_FD.store(fd + 1, Ordering::Relaxed);
                Ok(fd)
            }
        }
    }

    /// After the request.
    fn leave(&self) {
        if let Line::Shared { child, .. } = self
            && child.load(Ordering::Relaxed) > 0
        {
            self.disconnect();
        }
    }

    fn disconnect(&self) {
        match self {
            Line::Own { fd, .. } => {
                let fd = fd.swap(0, Ordering::Relaxed);
                if fd != 0 {
                    raw::close(fd - 1);
                }
            }
            Line::Shared { child, .. } if shares_memory() => {
                let fd = child.swap(-1, Ordering::Relaxed) - 1;
                if fd >= 0 {
                    raw::close(fd);
                }
            }
            Line::Shared { state, .. } => {
                let fd = state.fd.swap(0, Ordering::Relaxed) - 1;
                if fd >= 0 && is_socket(fd, state.inode.load(Ordering::Relaxed)) {
                    raw::close(fd);
                }
                INHERITED_FD.store(0, Ordering::Relaxed);
            }
        }
    }
}

/// A forked child has its parent's connection open: it is of no use to it and must not keep the parent's
/// session alive. Not called in a child that shares memory.
fn close_inherited() {
    let fd = INHERITED_FD.load(Ordering::Relaxed) - 1;
    if fd >= 0 && is_socket(fd, INHERITED_INODE.load(Ordering::Relaxed)) {
        raw::close(fd);
    }
}

fn is_socket(fd: c_int, inode: u64) -> bool {
    raw::fstat(fd).is_ok_and(|stat| stat.st_ino == inode && stat.st_mode & libc::S_IFMT == libc::S_IFSOCK)
}

/// Connects and says hello without waiting for the answer, which comes before the first reply.
fn connect(client_id: u64, timeout_ms: u64) -> Result<(c_int, u64), Errno> {
    let fd = raw::socket_seqpacket()?;
    let fd = out_of_the_way(fd);
    // Where there are no timeouts, waiting has no bound: no reason to fail.
    let _ = raw::set_socket_timeouts(fd, timeout_ms);
    let connected =
        daemon_path(names::SOCKET_FILE).and_then(|path| raw::connect(fd, &address_of(path.as_bytes())));
    let connected = match (connected, handle::socket()) {
        (Err(libc::EACCES), Some(path)) => raw::connect(fd, &address_of(path.as_bytes())),
        (connected, _) => connected,
    };
    let connected = connected.and_then(|()| {
        let hello = Hello {
            client_id: U64::new(client_id),
            workspace: U32::new(workspace()?),
            reserved: U32::new(0),
        };
        let header = FrameHeader::request(Op::Hello, 0, hello.as_bytes().len());
        send_parts(fd, &[header.as_bytes(), hello.as_bytes()])?;
        Ok(raw::fstat(fd)?.st_ino)
    });
    match connected {
        Ok(inode) => Ok((fd, inode)),
        Err(errno) => {
            raw::close(fd);
            Err(errno)
        }
    }
}

/// Whether the daemon does anything: it answers a greeting, or has just ended, which the connection then tells.
fn daemon_is_there() -> bool {
    let mut bytes = [0u8; 128];
    match connect(raw::random_u64() | 1, PROBE_TIMEOUT_MS) {
        Ok((fd, _)) => {
            let answer = receive(fd, &mut bytes, true, None);
            raw::close(fd);
            !matches!(answer, Err(libc::EAGAIN))
        }
        Err(errno) => errno == libc::ECONNREFUSED,
    }
}

/// The same fd with a number that programs do not expect.
pub fn out_of_the_way(fd: c_int) -> c_int {
    FD_FLOORS
        .iter()
        .find_map(|floor| raw::fcntl(fd, libc::F_DUPFD_CLOEXEC, *floor).ok())
        .inspect(|_| raw::close(fd))
        .unwrap_or(fd)
}

/// RUNTIME/../../NAME: the workspace's folder is two below the daemon's.
pub fn daemon_path(name: &str) -> Result<Text<108>, Errno> {
    let runtime = init::settings().runtime.as_bytes();
    let mut parts = runtime.rsplitn(3, |byte| *byte == b'/');
    let (_, _, root) = (parts.next(), parts.next(), parts.next().unwrap_or(b""));
    let path: Text<108> = Text::from_parts(&[root, b"/", name.as_bytes()]);
    if path.overflowed() { Err(libc::ENAMETOOLONG) } else { Ok(path) }
}

/// The workspace's number is the name of its folder: the index may not be there yet.
fn workspace() -> Result<u32, Errno> {
    let name = init::settings().runtime.as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or(b"");
    let number: Text<17> = Text::from_parts(&[b"00000000", name]);
    crate::text::parse_hex16(number.as_bytes()).and_then(|number| number.try_into().ok()).ok_or(libc::EIO)
}
