//! This process's connection to the daemon, and the page that goes with it.
//!
//! Their state is in a page that fork(2) wipes in the child, so a child starts without one, while a vfork(2) child,
//! which shares the memory, goes on with its parent's.

use crate::handle;
use crate::hot::HOT;
use crate::init;
use crate::memory;
use crate::patience::Patience;
use crate::raw::{self, Errno};
use crate::roll;
use crate::slot;
use crate::text::Text;
use crate::wire::{address_of, receive, send_parts};
use core::ffi::c_int;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use vrift_protocol::frame::{PROBE_TIMEOUT_MS, SILENCE_TIMEOUT_MS};
use vrift_protocol::{FrameHeader, Hello, Op, names};
use zerocopy::IntoBytes;
use zerocopy::byteorder::little_endian::{U32, U64};

/// Lowest number asked for the connection's fd, where the limit allows it: out of the way of programs that
/// expect the low numbers.
const FD_FLOORS: [usize; 4] = [900, 200, 60, 10];
/// In the page that fork wipes.
pub struct ForkState {
    /// Thread that is using the connection, by [`crate::errno::thread_id`].
    pub(crate) lock: AtomicUsize,
    /// fd + 1; 0: not connected.
    pub(crate) fd: AtomicI32,
    /// Device and inode of the socket: whether the fd is still ours.
    inode: AtomicU64,
    pub(crate) next_id: AtomicU64,
    client_id: AtomicU64,
    pub(crate) patience: Patience,
    pub(crate) page: slot::Page,
    /// A request that the page took was not answered: the next one over the connection is the same again.
    pub(crate) lost: AtomicBool,
}

/// What copies of the process have of it as well.
pub struct Known {
    /// The process whose memory this is; 0: not asked yet. After a fork(2) that of the parent, until the child asks.
    pid: AtomicI32,
    /// The last connection of this process or of the parent it was forked from: fd + 1 and inode.
    fd: AtomicI32,
    inode: AtomicU64,
}

impl Known {
    pub const fn new() -> Known {
        Known { pid: AtomicI32::new(0), fd: AtomicI32::new(0), inode: AtomicU64::new(0) }
    }
}

pub(crate) fn state() -> Result<&'static ForkState, Errno> {
    memory::fork_state()
}

/// Whether this is a child that shares its parent's memory (vfork(2), CLONE_VM): it must leave no trace in
/// caches that describe the process.
///
/// Who asks first notes the process's number. That must not be such a child, which would make its parent look like one
/// ever after. The C library tells the kernel of a robust list for every process and thread that it starts, and fork(2)
/// in the child does so again; vfork(2) does not, and the kernel hands none on. Where the C library has none to tell
/// (before 2.34, programs without threads), nobody writes and all processes count as such children, which costs them
/// only their caches.
pub fn shares_memory() -> bool {
    let pid = raw::getpid();
    if HOT.line.pid.load(Ordering::Relaxed) == pid {
        return false;
    }
    let is_own = raw::has_robust_list();
    if is_own {
        HOT.line.pid.store(pid, Ordering::Relaxed);
    }
    !is_own
}

/// Whether `fd` is the connection or the handle: programs that close what they do not know must not close them.
pub fn is_own(fd: c_int) -> bool {
    may_be_connection(fd) && connection() == Some(fd) || handle::fd() == Some(fd)
}

/// The lowest of this library's own fds from `low` on.
pub fn next_own(low: c_int) -> Option<c_int> {
    [connection(), handle::fd()].into_iter().flatten().filter(|fd| *fd >= low).min()
}

/// Before `fd` is replaced by something else: the next request makes a connection anew.
pub fn give_up(fd: c_int) {
    handle::give_way(fd);
    if may_be_connection(fd)
        && let Some(state) = memory::existing_fork_state()
        && state.fd.load(Ordering::Relaxed) == fd + 1
    {
        state.fd.store(0, Ordering::Relaxed);
    }
}

/// Whether this process or its origin had its connection there: of most fds that says enough, and the page that fork(2)
/// wipes need not be touched.
fn may_be_connection(fd: c_int) -> bool {
    HOT.line.fd.load(Ordering::Relaxed) == fd + 1
}

/// The connection's fd, if there is one.
pub fn connection() -> Option<c_int> {
    let state = memory::existing_fork_state().filter(|_| HOT.line.fd.load(Ordering::Relaxed) != 0)?;
    let fd = state.fd.load(Ordering::Relaxed);
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
    if let Ok(connected) = line.connected()
        && let Some(hello) = &connected.hello
        && say_hello(connected.fd, hello).is_err()
    {
        line.disconnect();
    }
    line.leave();
    state.lock.store(0, Ordering::Release);
}

/// A live connection. `hello`: it is a new one, on which this must come before or with the first request.
pub(crate) struct Connected {
    pub(crate) fd: c_int,
    pub(crate) hello: Option<Hello>,
}

impl Connected {
    fn known(fd: c_int) -> Connected {
        Connected { fd, hello: None }
    }

    fn new(fd: c_int, client_id: u64) -> Result<Connected, Errno> {
        Ok(Connected { fd, hello: Some(hello_of(client_id)?) })
    }
}

/// The process's connection, or one for a single request.
pub(crate) enum Line<'a> {
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
    pub(crate) fn next_id(&self) -> u64 {
        match self {
            Line::Shared { state, .. } => state.next_id.fetch_add(1, Ordering::Relaxed) + 1,
            Line::Own { .. } => 1,
        }
    }

    /// Whether the request to be sent was taken before by a daemon that is gone; asked once.
    pub(crate) fn was_lost(&self) -> bool {
        match self {
            Line::Shared { state, .. } => state.lost.swap(false, Ordering::Relaxed),
            Line::Own { .. } => false,
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

    /// A live connection, made if need be. Who gets a new one says hello on it.
    pub(crate) fn connected(&self) -> Result<Connected, Errno> {
        match self {
            Line::Own { fd, .. } => match fd.load(Ordering::Relaxed) {
                0 => {
                    let (new, _) = connect(SILENCE_TIMEOUT_MS)?;
                    fd.store(new + 1, Ordering::Relaxed);
                    Connected::new(new, self.client_id())
                }
                fd => Ok(Connected::known(fd - 1)),
            },
            Line::Shared { state, child } => {
                let own = child.load(Ordering::Relaxed);
                if own > 0 {
                    return Ok(Connected::known(own - 1));
                }
                let fd = state.fd.load(Ordering::Relaxed) - 1;
                if own == 0 && fd >= 0 && is_socket(fd, state.inode.load(Ordering::Relaxed)) {
                    return Ok(Connected::known(fd));
                }
                if shares_memory() {
                    let (fd, _) = connect(SILENCE_TIMEOUT_MS)?;
                    child.store(fd + 1, Ordering::Relaxed);
                    return Connected::new(fd, self.client_id());
                }
                close_inherited();
                let (fd, inode) = connect(SILENCE_TIMEOUT_MS)?;
                HOT.line.inode.store(inode, Ordering::Relaxed);
                HOT.line.fd.store(fd + 1, Ordering::Relaxed);
                state.fd.store(fd + 1, Ordering::Relaxed);
                state.inode.store(inode, Ordering::Relaxed);
                Connected::new(fd, self.client_id())
            }
        }
    }

    /// After the request.
    pub(crate) fn leave(&self) {
        if let Line::Shared { child, .. } = self
            && child.load(Ordering::Relaxed) > 0
        {
            self.disconnect();
        }
    }

    pub(crate) fn disconnect(&self) {
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
                HOT.line.fd.store(0, Ordering::Relaxed);
                state.page.give_up();
            }
        }
    }
}

/// A forked child has its parent's connection open: it is of no use to it and must not keep the parent's
/// session alive. Not called in a child that shares memory.
fn close_inherited() {
    let fd = HOT.line.fd.load(Ordering::Relaxed) - 1;
    if fd >= 0 && is_socket(fd, HOT.line.inode.load(Ordering::Relaxed)) {
        raw::close(fd);
    }
}

fn is_socket(fd: c_int, inode: u64) -> bool {
    raw::fstat(fd).is_ok_and(|stat| stat.st_ino == inode && stat.st_mode & libc::S_IFMT == libc::S_IFSOCK)
}

fn hello_of(client_id: u64) -> Result<Hello, Errno> {
    Ok(Hello {
        client_id: U64::new(client_id),
        workspace: U32::new(workspace()?),
        line: U32::new(roll::whole_command()),
    })
}

/// Says hello without waiting for the answer, which comes before the first reply.
fn say_hello(fd: c_int, hello: &Hello) -> Result<(), Errno> {
    let header = FrameHeader::request(Op::Hello, 0, hello.as_bytes().len());
    send_parts(fd, &[header.as_bytes(), hello.as_bytes()])
}

/// A new connection: its fd, and the socket's inode.
fn connect(timeout_ms: u64) -> Result<(c_int, u64), Errno> {
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
    match connected.and_then(|()| Ok(raw::fstat(fd)?.st_ino)) {
        Ok(inode) => Ok((fd, inode)),
        Err(errno) => {
            raw::close(fd);
            Err(errno)
        }
    }
}

/// Whether the daemon does anything: it answers a greeting, or has just ended, which the connection then tells.
pub fn daemon_is_there() -> bool {
    let mut bytes = [0u8; 128];
    match connect(PROBE_TIMEOUT_MS) {
        Ok((fd, _)) => {
            let answer = hello_of(raw::random_u64() | 1)
                .and_then(|hello| say_hello(fd, &hello))
                .and_then(|()| receive(fd, &mut bytes, true));
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
