//! The pipelined client: many requests under way, answers in any order, a connection that comes back.
//!
//! Nothing here blocks but [`Pipeline::next`] within its timeout, and no thread runs behind the caller's back. A request
//! has a number that is on the wire, is echoed by the daemon and is never used again, so an answer belongs to one request
//! or to none. A request that may be done twice ([`Retry::Again`]) is sent again, with the same number and
//! [`FLAG_RETRY`], when the connection was lost; the others end with [`Failure::Lost`].

mod blocking;
mod link;

pub use blocking::Blocking;
pub use link::Endpoint;

use crate::frame::{FLAG_MORE, FLAG_RETRY, FrameHeader, HEADER_LEN, MAX_FRAME_LEN, Op};
use crate::state::{PIECE_LEN, StateRequest, VALUE_LEN_MAX, Verb};
use link::{Link, Received};
use nix::errno::Errno;
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};
use zerocopy::IntoBytes;

/// Number of a request, on the wire and in its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Frames that may be under way at a time: what the daemon keeps for one connection.
pub const IN_FLIGHT_MAX: usize = 128;
/// Longest answer that is gathered; longer ones come from no daemon of this build.
const ANSWER_LEN_MAX: usize = VALUE_LEN_MAX + MAX_FRAME_LEN;
/// How long a connection that was lost is tried again before what waits for it fails.
const RECONNECT_TIMEOUT: Duration = Duration::from_millis(crate::frame::RECONNECT_TIMEOUT_MS);

/// Whether a request whose connection was lost before its answer came may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// To do it twice is to do it once.
    Again,
    /// It fails with [`Failure::Lost`]; it may or may not have been carried out.
    Never,
    /// As [`Retry::Never`], and it is not sent at all over another connection than this
    /// ([`Completion::connection`]): it belongs to a transaction that began there.
    Within(u64),
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The daemon said no.
    #[error("{text}")]
    Refused { errno: Errno, text: String },
    #[error("no answer in time")]
    Deadline,
    #[error("cancelled")]
    Cancelled,
    /// The connection ended, and the request is none that may be sent again, or nobody could be reached.
    #[error("the connection to the daemon was lost: {0}")]
    Lost(String),
}

/// What became of a request: exactly one for each that was submitted.
#[derive(Debug)]
pub struct Completion {
    pub id: RequestId,
    pub result: Result<Vec<u8>, Failure>,
    /// It was sent more than once: an earlier attempt may have been carried out.
    pub retried: bool,
    /// The connection over which it was answered, for [`Retry::Within`].
    pub connection: u64,
}

/// Why a request was not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Take completions first.
    #[error("{IN_FLIGHT_MAX} requests are under way")]
    Full,
    #[error("the request does not fit a frame")]
    TooLong,
}

struct Pending {
    /// The frames of the request, kept until it is answered; the last one has the request's number, the others the
    /// numbers before it.
    frames: Vec<Vec<u8>>,
    deadline: Option<Instant>,
    retry: Retry,
    /// How often its first frame was sent.
    sent: u32,
    answer: Vec<u8>,
    /// Why one of the frames before the last was refused.
    spoiled: Option<Failure>,
}

/// See the module. Dropping it gives up what is under way.
pub struct Pipeline {
    link: Link,
    next_id: u64,
    pending: BTreeMap<u64, Pending>,
    /// Frames that wait for room in the socket: request and index.
    unsent: VecDeque<(u64, usize)>,
    /// Number of a frame that is not a request's last -> the request.
    parts: BTreeMap<u64, u64>,
    done: VecDeque<Completion>,
    strays: u64,
    /// Since when there is no connection.
    lost_at: Option<Instant>,
}

impl Pipeline {
    /// Connects when the first request is submitted.
    pub fn new(endpoint: Endpoint) -> Pipeline {
        Pipeline {
            link: Link::new(endpoint),
            next_id: 1,
            pending: BTreeMap::new(),
            unsent: VecDeque::new(),
            parts: BTreeMap::new(),
            done: VecDeque::new(),
            strays: 0,
            lost_at: None,
        }
    }

    /// Requests without a completion yet.
    pub fn in_flight(&self) -> usize {
        self.pending.len()
    }

    /// Answers that belonged to no request: late ones of requests that were given up.
    pub fn strays(&self) -> u64 {
        self.strays
    }

    /// The socket, to wait for with others; None: there is no connection at the moment.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.link.socket()
    }

    /// Takes a request of one frame. Never blocks.
    ///
    /// # Errors
    /// [`SubmitError`]; nothing was taken then.
    pub fn submit(
        &mut self,
        op: Op,
        body: &[u8],
        retry: Retry,
        timeout: Option<Duration>,
    ) -> Result<RequestId, SubmitError> {
        self.take(op, vec![body.to_vec()], retry, timeout)
    }

    /// Takes a request for the key-value space; a long value goes out in pieces. Requests of one connection are worked on
    /// in the order in which they were submitted, as long as the connection holds.
    ///
    /// # Errors
    /// As [`Pipeline::submit`].
    pub fn submit_state(
        &mut self,
        request: &StateRequest<'_>,
        retry: Retry,
        timeout: Option<Duration>,
    ) -> Result<RequestId, SubmitError> {
        let retry = match request.verb {
            Verb::Part | Verb::Begin | Verb::Commit | Verb::Abort if retry == Retry::Again => Retry::Never,
            _ => retry,
        };
        if request.verb != Verb::Put {
            let body = request.encode().ok_or(SubmitError::TooLong)?;
            return self.take(Op::State, vec![body], retry, timeout);
        }
        if request.bytes.len() > VALUE_LEN_MAX {
            return Err(SubmitError::TooLong);
        }
        let mut bodies = Vec::new();
        let mut rest = request.bytes;
        while rest.len() > PIECE_LEN {
            let (piece, tail) = rest.split_at(PIECE_LEN);
            let part = StateRequest {
                bytes: piece,
                begins: bodies.is_empty(),
                ..StateRequest::new(Verb::Part, b"")
            };
            bodies.push(part.encode().ok_or(SubmitError::TooLong)?);
            rest = tail;
        }
        let last = StateRequest { bytes: rest, begins: bodies.is_empty(), ..*request };
        bodies.push(last.encode().ok_or(SubmitError::TooLong)?);
        self.take(Op::State, bodies, retry, timeout)
    }

    fn take(
        &mut self,
        op: Op,
        bodies: Vec<Vec<u8>>,
        retry: Retry,
        timeout: Option<Duration>,
    ) -> Result<RequestId, SubmitError> {
        if self.pending.len() + self.parts.len() + bodies.len() > IN_FLIGHT_MAX {
            return Err(SubmitError::Full);
        }
        if bodies.iter().any(|body| HEADER_LEN + body.len() > MAX_FRAME_LEN) {
            return Err(SubmitError::TooLong);
        }
        let first = self.next_id;
        let id = first + bodies.len() as u64 - 1;
        self.next_id = id + 1;
        let mut frames = Vec::new();
        for (number, body) in (first..).zip(&bodies) {
            let mut frame = FrameHeader::request(op, number, body.len()).as_bytes().to_vec();
            frame.extend_from_slice(body);
            self.unsent.push_back((id, frames.len()));
            frames.push(frame);
            if number != id {
                self.parts.insert(number, id);
            }
        }
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let answer = Vec::new();
        self.pending.insert(id, Pending { frames, deadline, retry, sent: 0, answer, spoiled: None });
        self.push_out();
        Ok(RequestId(id))
    }

    /// Gives a request up: its completion says so, and an answer that comes later goes to nobody. False: it is over
    /// already. What the daemon has begun it carries out.
    pub fn cancel(&mut self, id: RequestId) -> bool {
        let known = self.pending.contains_key(&id.0);
        self.end(id.0, Err(Failure::Cancelled));
        known
    }

    /// The next completion, waiting for it up to `timeout`; None: there is none yet.
    pub fn next(&mut self, timeout: Duration) -> Option<Completion> {
        let until = Instant::now() + timeout;
        loop {
            self.turn();
            if let Some(done) = self.done.pop_front() {
                return Some(done);
            }
            let now = Instant::now();
            if now >= until || self.pending.is_empty() {
                return None;
            }
            let wake = self.pending.values().filter_map(|pending| pending.deadline).min();
            let wake = wake.map_or(until, |deadline| deadline.min(until));
            self.link.wait(!self.unsent.is_empty(), wake.saturating_duration_since(now));
        }
    }

    /// All that can be done without waiting.
    fn turn(&mut self) {
        self.push_out();
        loop {
            match self.link.receive() {
                Received::Nothing => break,
                Received::End(why) => {
                    self.lost(&why);
                    break;
                }
                Received::Frame(header, body) => self.frame(&header, body),
            }
        }
        self.push_out();
        let now = Instant::now();
        let over: Vec<u64> = self
            .pending
            .iter()
            .filter(|(_, one)| one.deadline.is_some_and(|at| at <= now))
            .map(|(id, _)| *id)
            .collect();
        over.into_iter().for_each(|id| self.end(id, Err(Failure::Deadline)));
    }

    /// Sends what the socket takes.
    fn push_out(&mut self) {
        if self.unsent.is_empty() || !self.reach() {
            return;
        }
        while let Some((id, index)) = self.unsent.front().copied() {
            let Some(pending) = self.pending.get_mut(&id) else {
                self.unsent.pop_front();
                continue;
            };
            if matches!(pending.retry, Retry::Within(connection) if connection != self.link.connections) {
                self.end(id, Err(Failure::Lost("what it belongs to was begun on another connection".into())));
                continue;
            }
            match self.link.send(&pending.frames[index]) {
                Ok(true) => {
                    pending.sent += u32::from(index == 0);
                    self.unsent.pop_front();
                }
                Ok(false) => return,
                Err(errno) => return self.lost(errno.desc()),
            }
        }
    }

    /// Whether there is a connection; tries to get one if not.
    fn reach(&mut self) -> bool {
        let connected = self.link.connect();
        match connected {
            Ok(true) => {
                self.lost_at = None;
                true
            }
            Ok(false) => {
                let since = *self.lost_at.get_or_insert_with(Instant::now);
                if since.elapsed() > RECONNECT_TIMEOUT {
                    self.give_up("nobody answers at its socket");
                }
                false
            }
            Err(why) => {
                self.give_up(&why);
                false
            }
        }
    }

    fn give_up(&mut self, why: &str) {
        self.lost_at = None;
        let all: Vec<u64> = self.pending.keys().copied().collect();
        all.into_iter().for_each(|id| self.end(id, Err(Failure::Lost(why.into()))));
    }

    /// The connection is gone: what may be sent again waits for the next one, in the order of its numbers.
    fn lost(&mut self, why: &str) {
        self.link.drop_connection();
        self.unsent.clear();
        let hopeless = |one: &Pending| one.sent > 0 && one.retry != Retry::Again;
        let ended: Vec<u64> =
            self.pending.iter().filter(|(_, one)| hopeless(one)).map(|(id, _)| *id).collect();
        ended.into_iter().for_each(|id| self.end(id, Err(Failure::Lost(why.into()))));
        for (id, one) in &mut self.pending {
            one.answer.clear();
            one.spoiled = None;
            for (index, frame) in one.frames.iter_mut().enumerate() {
                if one.sent > 0 {
                    mark_retry(frame);
                }
                self.unsent.push_back((*id, index));
            }
        }
    }

    fn frame(&mut self, header: &FrameHeader, body: Vec<u8>) {
        let number = header.request_id.get();
        let errno = header.status.get();
        let refused = (errno != 0).then(|| refusal(errno, &body));
        if let Some(id) = self.parts.get(&number) {
            if let (Some(refused), Some(pending)) = (refused, self.pending.get_mut(id)) {
                pending.spoiled.get_or_insert(refused);
            }
            return;
        }
        let Some(pending) = self.pending.get_mut(&number) else {
            self.strays += 1;
            return;
        };
        if let Some(refused) = refused {
            let first = pending.spoiled.take().unwrap_or(refused);
            return self.end(number, Err(first));
        }
        if pending.answer.len() + body.len() > ANSWER_LEN_MAX {
            let text = "an answer longer than any answer".to_string();
            return self.end(number, Err(Failure::Refused { errno: Errno::EMSGSIZE, text }));
        }
        match pending.answer.is_empty() {
            true => pending.answer = body,
            false => pending.answer.extend_from_slice(&body),
        }
        if header.flags.get() & FLAG_MORE == 0 {
            let answer = std::mem::take(&mut pending.answer);
            let result = pending.spoiled.take().map_or(Ok(answer), Err);
            self.end(number, result);
        }
    }

    fn end(&mut self, id: u64, result: Result<Vec<u8>, Failure>) {
        let Some(pending) = self.pending.remove(&id) else { return };
        let first = id + 1 - pending.frames.len() as u64;
        self.parts.retain(|number, _| !(first..id).contains(number));
        self.done.push_back(Completion {
            id: RequestId(id),
            result,
            retried: pending.sent > 1,
            connection: self.link.connections,
        });
    }
}

fn refusal(errno: u32, body: &[u8]) -> Failure {
    let errno = Errno::from_raw(errno.cast_signed());
    let text = match body.is_empty() {
        true => errno.desc().to_string(),
        false => String::from_utf8_lossy(body).into_owned(),
    };
    Failure::Refused { errno, text }
}

/// Sets [`FLAG_RETRY`] in a frame of ours.
fn mark_retry(frame: &mut [u8]) {
    const FLAGS_AT: usize = std::mem::offset_of!(FrameHeader, flags);
    if let Some(flags) = frame.get_mut(FLAGS_AT..FLAGS_AT + 4) {
        flags.copy_from_slice(&FLAG_RETRY.to_le_bytes());
    }
}
