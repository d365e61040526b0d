//! One request to the daemon and its answer, by the process's page of memory or over its connection.
//!
//! When the daemon goes away the same request is sent again to its successor, which knows whether it was carried out.

use crate::init;
use crate::line::{Connected, ForkState, Line, connection, daemon_is_there, shares_memory, state};
use crate::raw::{self, Errno};
use crate::slot::Outcome;
use crate::view;
use crate::wire::{receive, send_parts};
use core::ffi::c_int;
use core::sync::atomic::{AtomicI32, Ordering};
use vrift_protocol::frame::{
    FLAG_BY_NAME, FLAG_REPLY, FLAG_RETRY, FLAG_WITH_REQUEST, PROBE_TIMEOUT_MS, RECONNECT_TIMEOUT_MS,
    SILENCE_TIMEOUT_MS,
};
use vrift_protocol::slot::FRAME_MAX;
use vrift_protocol::vnode_op::XATTRS_LEN_MAX;
use vrift_protocol::{FrameHeader, HEADER_LEN, Op, VnodeReply, VnodeRequest, counters};
use zerocopy::byteorder::little_endian::{U16, U32};
use zerocopy::{FromBytes, IntoBytes};

/// Pause between two attempts to reach a daemon that is gone.
const RETRY_PAUSE_US: i64 = 5_000;
/// How long a call took that a silent daemon made fail.
const SILENT_US: u64 = (SILENCE_TIMEOUT_MS + PROBE_TIMEOUT_MS) * 1_000;
const NO_ANSWER: &[u8] = b"the daemon does not answer: see 'vrift daemon status'";

/// What to send.
pub struct Request<'a> {
    pub op: Op,
    pub body: VnodeRequest,
    pub name: &'a [u8],
    pub name2: &'a [u8],
    /// Whether an fd that comes back is closed on exec.
    pub cloexec: bool,
    /// Of an open: no fd is to come back.
    pub by_name: bool,
}

impl<'a> Request<'a> {
    pub fn new(op: Op) -> Request<'a> {
        Request { op, body: VnodeRequest::default(), name: &[], name2: &[], cloexec: true, by_name: false }
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
        let result = match self.send_by_page(state) {
            Some(answer) => answer,
            None => {
                state.patience.asked();
                let answer = self.send_over::<LEN>(&line, more);
                state.patience.answered();
                answer
            }
        };
        if state.page.is_due(&state.patience) && !shares_memory() {
            let asked = Request::new(Op::Slot).send_over::<LEN>(&line, &mut []);
            state.page.granted(asked.map(|(_, fd)| fd));
        }
        line.leave();
        state.lock.store(0, Ordering::Release);
        result
    }

    /// By the page of memory, if there is one and nothing but a vnode is to come back.
    fn send_by_page(&self, state: &ForkState) -> Option<Result<(VnodeReply, Option<c_int>), Errno>> {
        let fits = match self.op {
            Op::Open => self.by_name,
            Op::Mkdir | Op::Symlink | Op::Link | Op::Unlink | Op::Rmdir | Op::Rename | Op::SetAttr => true,
            _ => false,
        };
        let fd = state.fd.load(Ordering::Relaxed) - 1;
        if !fits || fd < 0 {
            return None;
        }
        let id = state.next_id.load(Ordering::Relaxed) + 1;
        let header = self.header(id);
        let parts = [header.as_bytes(), self.body.as_bytes(), self.name, self.name2];
        let mut bytes = [0; FRAME_MAX];
        match state.page.exchange(&parts, fd, &state.patience, &mut bytes) {
            Outcome::NotTaken => None,
            Outcome::Answer(len) => {
                state.next_id.store(id, Ordering::Relaxed);
                let answer = FrameHeader::parse(&bytes[..len]).ok();
                let answer =
                    answer.filter(|(reply, op, _)| reply.request_id == header.request_id && *op == self.op);
                let Some((reply, _, body)) = answer else { return Some(Err(libc::EIO)) };
                let body = VnodeReply::read_from_prefix(body).map_or(VnodeReply::default(), |(body, _)| body);
                Some(match reply.status.get() {
                    0 => Ok((body, None)),
                    errno => Err(errno as Errno),
                })
            }
            Outcome::Silent => Some(Err(silent())),
            // The same request again, over a new connection: the next daemon knows whether it was carried out.
            Outcome::Lost => {
                state.lost.store(true, Ordering::Relaxed);
                None
            }
        }
    }

    fn header(&self, id: u64) -> FrameHeader {
        let len = size_of::<VnodeRequest>() + self.name.len() + self.name2.len();
        let flags = if self.by_name { FLAG_BY_NAME } else { 0 };
        FrameHeader { flags: U32::new(flags), ..FrameHeader::request(self.op, id, len) }
    }

    /// As [`Request::send`], for a request whose answer brings an fd: where no number is left for it, that is said
    /// before anything is made, as by the kernel.
    pub fn send_for_fd(self) -> Result<(VnodeReply, c_int), Errno> {
        self.need_fd()?;
        match self.send()? {
            (reply, Some(fd)) => Ok((reply, fd)),
            // The kernel drops an fd that it has no number for.
            (_, None) => Err(libc::EMFILE),
        }
    }

    /// EMFILE where no number is left for an fd.
    pub fn need_fd(&self) -> Result<(), Errno> {
        if let Some(fd) = connection() {
            raw::close(match raw::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) {
                Err(errno @ libc::EMFILE) => return Err(errno),
                Ok(fd) => fd,
                Err(_) => -1,
            });
        }
        Ok(())
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
        let mut header = self.header(line.next_id());
        if line.was_lost() {
            line.disconnect();
            header.flags |= U32::new(FLAG_RETRY);
        }
        let mut deadline_ns = 0;
        let answered = |deadline_ns: i64| {
            if deadline_ns != 0 {
                let left_ns = deadline_ns - raw::now_ns();
                let waited_us = RECONNECT_TIMEOUT_MS as i64 * 1_000 - left_ns / 1_000;
                view::raise(counters::LONGEST_WAIT_US, waited_us.max(0) as u64);
            }
        };
        loop {
            let attempt = line.connected().and_then(|line| self.exchange::<LEN>(&line, &header, more));
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
                    return Err(silent());
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
            header.flags |= U32::new(FLAG_RETRY);
        }
    }

    fn exchange<const LEN: usize>(
        &self,
        line: &Connected,
        header: &FrameHeader,
        more: &mut [u8],
    ) -> Result<(u32, VnodeReply, Option<c_int>), Errno> {
        let fd = line.fd;
        let (hello, body) = (line.hello.as_ref().map_or(&[][..], IntoBytes::as_bytes), self.body.as_bytes());
        let rest_len = hello.len() + header.len.get() as usize;
        let greeting = FrameHeader {
            flags: U32::new(FLAG_WITH_REQUEST),
            ..FrameHeader::request(Op::Hello, 0, rest_len)
        };
        let parts = [greeting.as_bytes(), hello, header.as_bytes(), body, self.name, self.name2];
        send_parts(fd, if line.hello.is_some() { &parts } else { &parts[2..] })?;
        loop {
            let mut bytes = [0u8; LEN];
            let (len, passed) = match receive(fd, &mut bytes, self.cloexec) {
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
                // The answer to a Hello, or one that an interrupted request did not wait for.
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
            return Ok((reply.status.get(), body, passed));
        }
    }
}

/// The daemon is there and does nothing.
fn silent() -> Errno {
    view::raise(counters::LONGEST_WAIT_US, SILENT_US);
    init::complain(&[NO_ANSWER]);
    libc::EIO
}
