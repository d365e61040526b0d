//! The socket at which clients connect: made here, or handed over by systemd (sd_listen_fds(3)).

use anyhow::{Context, Result, bail};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, getsockname, getsockopt, listen,
    socket, sockopt,
};
use nix::unistd::geteuid;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};
use vrift_protocol::names;

/// Connections that wait to be accepted: a parallel build starts many processes at once.
const BACKLOG: i32 = 1024;
/// How long a starter waits for a daemon that somebody else is starting at the same moment.
const OTHER_START_TIMEOUT: Duration = Duration::from_secs(10);

/// The socket that is to be at `path`, and whether it was there before this process.
pub fn listener(path: &Path) -> Result<(OwnedFd, bool)> {
    match given(path)? {
        Some(given) => Ok((given, true)),
        None => Ok((listen_at(path)?, false)),
    }
}

/// The socket with which systemd started this process.
fn given(path: &Path) -> Result<Option<OwnedFd>> {
    let mut fds = sd_notify::listen_fds().context("the service manager's sockets")?;
    let Some(fd) = fds.next() else { return Ok(None) };
    let socket = crate::sys::own(fd);
    let address: UnixAddr =
        getsockname(socket.as_raw_fd()).context("what the service manager gave is no socket")?;
    let at = address.path().unwrap_or(Path::new(""));
    if at != path {
        bail!("the service manager's socket is {}, this state folder's is {}", at.display(), path.display());
    }
    if getsockopt(&socket, sockopt::SockType)? != SockType::SeqPacket {
        bail!("the service manager's socket is none of ListenSequentialPacket=");
    }
    let flags = OFlag::from_bits_retain(fcntl(&socket, FcntlArg::F_GETFL)?);
    fcntl(&socket, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    fcntl(&socket, FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
    if geteuid().is_root() {
        open_door(path).context("cannot let those in who gave up root's rights")?;
    }
    Ok(Some(socket))
}

/// Whether the daemon that has the lock accepts connections, soon.
pub fn answers(path: &Path) -> bool {
    let until = Instant::now() + OTHER_START_TIMEOUT;
    while Instant::now() < until {
        let fd = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None);
        if let (Ok(fd), Ok(address)) = (fd, UnixAddr::new(path))
            && connect(fd.as_raw_fd(), &address).is_ok()
        {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

/// A socket that appears under its name only when it accepts connections. The lock is ours, so what is
/// there is stale.
fn listen_at(path: &Path) -> Result<OwnedFd> {
    let beside = path.with_extension("new");
    let _ = fs::remove_file(&beside);
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let listener = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    let address = UnixAddr::new(&beside)
        .with_context(|| format!("the socket's path {} is too long; set XDG_RUNTIME_DIR", path.display()))?;
    bind(listener.as_raw_fd(), &address).with_context(|| format!("cannot bind {}", beside.display()))?;
    listen(&listener, Backlog::new(BACKLOG)?)?;
    if geteuid().is_root() {
        open_door(&beside).context("cannot let those in who gave up root's rights")?;
    }
    fs::rename(&beside, path).with_context(|| format!("cannot publish {}", path.display()))?;
    Ok(listener)
}

/// A further name of the socket for those who hold an fd of the folder that it is in; the folders around let nobody in.
fn open_door(socket: &Path) -> std::io::Result<()> {
    let door = socket.with_file_name(names::DOOR_DIR);
    crate::folders::make_private(&door)?;
    fs::set_permissions(&door, fs::Permissions::from_mode(0o711))?;
    fs::set_permissions(socket, fs::Permissions::from_mode(0o666))?;
    let beside = door.join("new");
    let _ = fs::remove_file(&beside);
    fs::hard_link(socket, &beside)?;
    fs::rename(&beside, door.join(names::SOCKET_FILE))
}
