//! A daemon in a state folder of its own, and clients of both kinds: the command line's, and raw frames as the
//! preload library sends them.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod sys;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, connect, recvmsg, send,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::{IoSliceMut, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use vrift_protocol::admin::{AdminReply, AdminRequest, Change, Entry, Taken, Target, View};
use vrift_protocol::client::Client;
use vrift_protocol::frame::FLAG_RETRY;
use vrift_protocol::{FrameHeader, HEADER_LEN, Hello, Op, VnodeReply, VnodeRequest};
use zerocopy::{FromBytes, IntoBytes};

/// Longest wait for anything that should happen at once.
pub const SOON: Duration = Duration::from_secs(60);

/// Held while a child is started that inherits something.
static SPAWN: Mutex<()> = Mutex::new(());

/// A temporary state folder, runtime folder and project, and the daemon in them.
pub struct World {
    pub dir: TempDir,
    pub supervisor: Option<Child>,
    /// Checkpoints come at a few KiB of journal.
    pub short_journal: bool,
}

impl World {
    pub fn new() -> World {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("run")).unwrap();
        fs::create_dir(dir.path().join("project")).unwrap();
        World { dir, supervisor: None, short_journal: false }
    }

    /// With a daemon that serves.
    pub fn started() -> World {
        let mut world = World::new();
        world.start();
        world
    }

    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }
    /// As long as it is there, the store's device fails with the errno in it.
    pub fn fail_file(&self) -> PathBuf {
        self.dir.path().join("fail")
    }
    pub fn project(&self) -> PathBuf {
        fs::canonicalize(self.dir.path().join("project")).unwrap()
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vriftd"));
        command.arg("--home").arg(self.home()).env("XDG_RUNTIME_DIR", self.dir.path().join("run"));
        command.env("VRIFT_TEST_FAIL", self.fail_file());
        if self.short_journal {
            // Nobody is killed as long as there is no such file.
            command.env("VRIFT_TEST_DIE", self.dir.path().join("die"));
        }
        command.stdin(Stdio::null());
        command
    }

    /// Starts the daemon as the command line does: what it said on its ready fd.
    pub fn start_with_ready(&self) -> (Child, String) {
        let (ready, theirs) = nix::unistd::pipe2(OFlag::O_CLOEXEC).unwrap();
        let mut command = self.command();
        command.arg("--ready-fd").arg(theirs.as_raw_fd().to_string());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = {
            // A daemon that another test starts at this moment must not inherit it.
            let _one = SPAWN.lock().unwrap_or_else(PoisonError::into_inner);
            fcntl(&theirs, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
            let child = command.spawn().unwrap();
            drop(theirs);
            child
        };
        let mut said = String::new();
        File::from(ready).read_to_string(&mut said).unwrap();
        (child, said)
    }

    pub fn start(&mut self) {
        let (child, said) = self.start_with_ready();
        assert_eq!(said, "ok\n", "log: {}", self.log());
        self.supervisor = Some(child);
    }

    pub fn runtime(&self) -> PathBuf {
        let vrift = self.dir.path().join("run/vrift");
        let entry = fs::read_dir(vrift).unwrap().next().unwrap().unwrap();
        entry.path()
    }
    pub fn socket(&self) -> PathBuf {
        self.runtime().join("sock")
    }
    pub fn log(&self) -> String {
        fs::read_to_string(self.runtime().join("log")).unwrap_or_default()
    }
    pub fn pid(&self) -> i32 {
        fs::read_to_string(self.runtime().join("pid")).unwrap().trim().parse().unwrap()
    }

    /// kill -9 of the serving process; returns when its successor serves.
    pub fn kill_and_wait(&self) {
        let old = self.pid();
        kill(Pid::from_raw(old), Signal::SIGKILL).unwrap();
        eventually("a successor", || {
            let now = fs::read_to_string(self.runtime().join("pid")).ok()?.trim().parse::<i32>().ok()?;
            (now != old && Client::connect(&self.socket()).is_ok()).then_some(())
        });
    }

    pub fn client(&self) -> Client {
        eventually("a connection", || Client::connect(&self.socket()).ok())
    }

    pub fn ask(&self, request: &AdminRequest) -> (Vec<AdminReply>, Option<OwnedFd>) {
        let mut all = Vec::new();
        let (_, fd) = self.client().call(request, &mut |reply| all.push(reply.clone())).unwrap();
        (all, fd)
    }

    pub fn ingest(&self) -> Taken {
        match self.ask(&AdminRequest::Ingest { dir: self.project().into(), name: None }).0.pop() {
            Some(AdminReply::Taken(taken)) => taken,
            other => panic!("{other:?}"),
        }
    }
    pub fn target(&self) -> Target {
        Target::Holding(self.project().into())
    }
    pub fn sync(&self) -> Taken {
        match self.ask(&AdminRequest::Sync { target: self.target(), settle: None, all: false }).0.pop() {
            Some(AdminReply::Taken(taken)) => taken,
            other => panic!("{other:?}"),
        }
    }
    pub fn enter(&self) -> View {
        let request = AdminRequest::Enter { target: self.target(), create: true, run: false };
        match self.ask(&request).0.pop() {
            Some(AdminReply::View(view)) => view,
            other => panic!("{other:?}"),
        }
    }
    pub fn diff(&self, against_real: bool) -> Vec<Change> {
        let mut rows = Vec::new();
        for reply in self.ask(&AdminRequest::Diff { target: self.target(), against_real }).0 {
            match reply {
                AdminReply::Changes(some) => rows.extend(some),
                other => panic!("{other:?}"),
            }
        }
        rows
    }
    pub fn list(&self) -> Vec<Entry> {
        let mut rows = Vec::new();
        let request = AdminRequest::List {
            target: self.target(),
            snapshot: None,
            path: (&b""[..]).into(),
            recursive: true,
        };
        for reply in self.ask(&request).0 {
            match reply {
                AdminReply::Entries(some) => rows.extend(some),
                other => panic!("{other:?}"),
            }
        }
        rows
    }
    pub fn entry(&self, path: &str) -> Option<Entry> {
        let request =
            AdminRequest::Stat { target: self.target(), snapshot: None, path: path.as_bytes().into() };
        match self.ask(&request).0.pop() {
            Some(AdminReply::Entries(mut rows)) => rows.pop(),
            _ => None,
        }
    }
    pub fn cat_bytes(&self, path: &str) -> Vec<u8> {
        let request =
            AdminRequest::Cat { target: self.target(), snapshot: None, path: path.as_bytes().into() };
        let (reply, fd) = self.ask(&request);
        let mut bytes = Vec::new();
        File::from(fd.unwrap_or_else(|| panic!("{reply:?}"))).read_to_end(&mut bytes).unwrap();
        bytes
    }
    pub fn cat(&self, path: &str) -> String {
        let request =
            AdminRequest::Cat { target: self.target(), snapshot: None, path: path.as_bytes().into() };
        let (reply, fd) = self.ask(&request);
        let mut text = String::new();
        File::from(fd.unwrap_or_else(|| panic!("{reply:?}"))).read_to_string(&mut text).unwrap();
        text
    }
    /// A raw client in the workspace that has the project.
    pub fn raw(&self, client_id: u64) -> Raw {
        Raw::connect(&self.socket(), client_id, self.enter().id)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut supervisor) = self.supervisor.take() {
            if std::thread::panicking() {
                eprintln!("log of the daemon:\n{}", self.log());
            }
            let _ = kill(Pid::from_raw(supervisor.id() as i32), Signal::SIGTERM);
            let _ = supervisor.wait();
        }
    }
}

/// Tries until it succeeds, for [`SOON`].
pub fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + SOON;
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(Instant::now() < until, "no {what} in time");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A connection that sends what it is told.
pub struct Raw {
    pub socket: OwnedFd,
    pub next_id: u64,
}

pub type Reply = Result<(VnodeReply, Option<OwnedFd>), u32>;

impl Raw {
    pub fn silent(path: &Path) -> Raw {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
        connect(socket.as_raw_fd(), &UnixAddr::new(path).unwrap()).unwrap();
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(60)).unwrap();
        Raw { socket, next_id: 1 }
    }

    pub fn connect(path: &Path, client_id: u64, workspace: u32) -> Raw {
        let mut raw = eventually("a connection", || {
            let mut raw = Raw::silent(path);
            let hello = Hello { client_id: client_id.into(), workspace: workspace.into(), line: 0.into() };
            let header = FrameHeader::request(Op::Hello, 0, hello.as_bytes().len());
            raw.send(&[header.as_bytes(), hello.as_bytes()].concat());
            let (reply, _, _) = raw.receive()?;
            assert_eq!(reply.status.get(), 0);
            Some(raw)
        });
        raw.next_id = 1;
        raw
    }

    pub fn send(&self, datagram: &[u8]) {
        send(self.socket.as_raw_fd(), datagram, MsgFlags::MSG_NOSIGNAL).unwrap();
    }

    /// None at end of file.
    pub fn receive(&mut self) -> Option<(FrameHeader, Vec<u8>, Option<OwnedFd>)> {
        let mut buffer = vec![0; 64 * 1024];
        let mut control = nix::cmsg_space!([i32; 1]);
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message = match recvmsg::<()>(self.socket.as_raw_fd(), &mut slices, Some(&mut control), flags) {
            Ok(message) => message,
            Err(Errno::EAGAIN) => panic!("neither an answer nor an end of file"),
            Err(_) => return None,
        };
        let mut fd = None;
        for control in message.cmsgs().unwrap() {
            if let ControlMessageOwned::ScmRights(fds) = control {
                fd = Some(sys::own(fds[0]));
            }
        }
        let len = message.bytes;
        if len == 0 {
            return None;
        }
        buffer.truncate(len);
        let (header, _) = FrameHeader::read_from_prefix(&buffer).unwrap();
        Some((header, buffer[HEADER_LEN..].to_vec(), fd))
    }

    pub fn request(&mut self, op: Op, request: VnodeRequest, name: &[u8], name2: &[u8]) -> Reply {
        let id = self.next_id;
        self.next_id += 1;
        self.send_vnode(op, id, 0, request, name, name2);
        self.answer()
    }

    pub fn retry(&mut self, id: u64, op: Op, request: VnodeRequest, name: &[u8], name2: &[u8]) -> Reply {
        self.send_vnode(op, id, FLAG_RETRY, request, name, name2);
        self.answer()
    }

    pub fn send_vnode(
        &self,
        op: Op,
        id: u64,
        flags: u32,
        mut request: VnodeRequest,
        name: &[u8],
        name2: &[u8],
    ) {
        request.name_len = (name.len() as u16).into();
        request.name2_len = (name2.len() as u16).into();
        let body = [request.as_bytes(), name, name2].concat();
        let mut header = FrameHeader::request(op, id, body.len());
        header.flags = flags.into();
        self.send(&[header.as_bytes(), &body].concat());
    }

    pub fn answer(&mut self) -> Reply {
        let (header, body, fd) = self.receive().expect("the daemon closed the connection");
        match header.status.get() {
            0 => Ok((VnodeReply::read_from_prefix(&body).unwrap().0, fd)),
            errno => Err(errno),
        }
    }
}

/// A request about (dir, ...).
pub fn at(dir: u64) -> VnodeRequest {
    VnodeRequest { dir: dir.into(), mode: 0o755.into(), ..VnodeRequest::default() }
}

/// open(2) of (dir, name) with these flags.
pub fn opening(dir: u64, flags: i32) -> VnodeRequest {
    VnodeRequest { flags: (flags as u32).into(), mode: 0o644.into(), ..at(dir) }
}

pub const ROOT: u64 = 1;

pub fn write(path: impl AsRef<Path>, text: &str) {
    let path = path.as_ref();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
