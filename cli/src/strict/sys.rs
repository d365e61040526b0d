//! seccomp(2): the filter that a strict run starts under, and the notifications that it sends.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::libc;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use vrift_protocol::path_calls::CALLS;

/// AUDIT_ARCH_X86_64 of linux/audit.h.
const ARCH_X86_64: u32 = 0xc000_003e;
/// Set in the numbers of the x32 calls, which no program of the C library makes.
const X32_BIT: u32 = 0x4000_0000;
/// Offsets in `struct seccomp_data`.
const NUMBER_AT: u32 = 0;
const ARCH_AT: u32 = 4;
const FLAGS_AT: u32 = 16 + 3 * 8;
const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const IF_ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
/// ioctls of linux/seccomp.h.
const NOTIF_RECV: libc::c_ulong = 0xc050_2100;
const NOTIF_SEND: libc::c_ulong = 0xc018_2101;

fn line(code: u16, k: u32, yes: u8, no: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt: yes, jf: no, k }
}

/// Notifies of the calls in [`CALLS`] but for a newfstatat of an fd, which the C library makes of each fstat.
pub fn filter() -> Vec<libc::sock_filter> {
    let allow = line(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0);
    let mut lines = vec![
        line(LOAD, ARCH_AT, 0, 0),
        line(IF_EQUAL, ARCH_X86_64, 1, 0),
        allow,
        line(LOAD, NUMBER_AT, 0, 0),
        line(IF_ANY_BIT, X32_BIT, 0, 1),
        line(RETURN, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32, 0, 0),
        line(IF_EQUAL, libc::SYS_newfstatat as u32, 0, 4),
        line(LOAD, FLAGS_AT, 0, 0),
        line(IF_ANY_BIT, libc::AT_EMPTY_PATH as u32, 0, 1),
        allow,
        line(RETURN, libc::SECCOMP_RET_USER_NOTIF, 0, 0),
    ];
    for call in &CALLS {
        lines.push(line(IF_EQUAL, call.number as u32, 0, 1));
        lines.push(line(RETURN, libc::SECCOMP_RET_USER_NOTIF, 0, 0));
    }
    lines.push(allow);
    lines
}

/// Has `command`'s process start under `filter`, and send the listener's fd over `socket`.
pub fn start_under(command: &mut Command, filter: Vec<libc::sock_filter>, socket: RawFd) {
    let install = move || {
        let listener = listen(&filter)?;
        let sent = send_fd(socket, listener);
        // SAFETY: an fd that this function was given and nobody else knows.
        drop(unsafe { OwnedFd::from_raw_fd(listener) });
        sent
    };
    // SAFETY: plain system calls on memory of before the fork.
    unsafe { command.pre_exec(install) };
}

fn listen(filter: &[libc::sock_filter]) -> io::Result<RawFd> {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    let install = |flags: libc::c_ulong| {
        let flags = flags | libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
        // SAFETY: the program lives through the call, which only reads it.
        let fd = unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER as libc::c_long, flags, &program)
        };
        Errno::result(fd).map(|fd| fd as RawFd)
    };
    // Not interrupted by signals once it is being answered, where the kernel knows that.
    let attempt = || match install(libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) {
        Err(Errno::EINVAL) => install(0),
        result => result,
    };
    match attempt() {
        // Not root: only who gives up set-user-ID rights for good may.
        Err(Errno::EACCES) => {
            nix::sys::prctl::set_no_new_privs()?;
            Ok(attempt()?)
        }
        result => Ok(result?),
    }
}

#[repr(C)]
union Control {
    header: libc::cmsghdr,
    bytes: [u8; 32],
}

fn send_fd(socket: RawFd, fd: RawFd) -> io::Result<()> {
    let mut byte = 0u8;
    let mut slice = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let mut control = Control { bytes: [0; 32] };
    // SAFETY: all zeroes is an empty message.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut slice;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    // SAFETY: the control buffer is aligned for and larger than one header with one fd.
    let sent = unsafe {
        message.msg_controllen = libc::CMSG_SPACE(size_of::<RawFd>() as u32) as usize;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(size_of::<RawFd>() as u32) as usize;
        libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(fd);
        libc::sendmsg(socket, &raw const message, libc::MSG_NOSIGNAL)
    };
    Ok(Errno::result(sent).map(drop)?)
}

/// A call that waits for its answer.
pub struct Notice {
    pub id: u64,
    /// The thread that made it.
    pub pid: u32,
    pub number: i64,
    pub args: [u64; 6],
    pub instruction: u64,
}

/// Waits for the next call. ENOENT: the one there was is gone.
pub fn receive(listener: &OwnedFd) -> Result<Notice, Errno> {
    // SAFETY: all fields are integers.
    let mut notice: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills the structure that is given.
    Errno::result(unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_RECV, &raw mut notice) })?;
    Ok(Notice {
        id: notice.id,
        pid: notice.pid,
        number: notice.data.nr.into(),
        args: notice.data.args,
        instruction: notice.data.instruction_pointer,
    })
}

/// Answers a call: None: it goes on; else it fails. One that is gone meanwhile needs no answer.
pub fn answer(listener: &OwnedFd, id: u64, errno: Option<Errno>) {
    let flags = if errno.is_none() { libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32 } else { 0 };
    let error = errno.map_or(0, |errno| -(errno as i32));
    let mut reply = libc::seccomp_notif_resp { id, val: 0, error, flags };
    // SAFETY: the kernel reads the structure that is given.
    let _ = unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_SEND, &raw mut reply) };
}

/// Takes ownership of a received fd.
pub fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel installed this descriptor for this message and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
