//! The pipelined client against a server that answers in random order and drops connections.

mod sys;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, Backlog, MsgFlags, SockFlag, SockType, UnixAddr, accept4, bind, listen, recv, send, socket,
};
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use vrift_protocol::frame::FLAG_RETRY;
use vrift_protocol::pipeline::{Blocking, Endpoint, Failure, IN_FLIGHT_MAX, Pipeline, Retry, SubmitError};
use vrift_protocol::state::{PIECE_LEN, StateRequest, VALUE_LEN_MAX, Verb};
use vrift_protocol::{FrameHeader, MAX_FRAME_LEN, Op};
use zerocopy::IntoBytes;

/// Wide: what is waited for comes at once, or the test fails.
const WAIT: Duration = Duration::from_secs(300);

/// Numbers that look random and are the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % bound
    }
}

/// What the server does with the frames of a connection.
#[derive(Clone, Copy)]
struct Manner {
    /// Answers are held back until there are so many, and then given in random order.
    holds: usize,
    /// One in so many frames ends the connection, with all that was held back.
    drops: usize,
    /// One in so many answers is followed by one to a request that there is not.
    lies: usize,
    /// Nothing is answered before so many requests came.
    waits: usize,
}

struct Server {
    dir: tempfile::TempDir,
    stop: Arc<AtomicBool>,
    dropped: Arc<AtomicU64>,
    retried: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(manner: Manner) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let (stop, dropped, retried): (Arc<AtomicBool>, Arc<AtomicU64>, Arc<AtomicU64>) = Default::default();
        let listener =
            socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_NONBLOCK, None).unwrap();
        bind(listener.as_raw_fd(), &UnixAddr::new(&dir.path().join("sock")).unwrap()).unwrap();
        listen(&listener, Backlog::new(16).unwrap()).unwrap();
        let (ended, count, again) = (Arc::clone(&stop), Arc::clone(&dropped), Arc::clone(&retried));
        let thread = std::thread::spawn(move || serve(&listener, manner, &ended, &count, &again));
        Server { dir, stop, dropped, retried, thread: Some(thread) }
    }

    fn socket(&self) -> &Path {
        self.dir.path()
    }

    fn pipeline(&self) -> Pipeline {
        Pipeline::new(Endpoint::Path(self.socket().join("sock")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking());
        }
    }
}

/// The answer that belongs to a body, and to no other.
fn answer_to(body: &[u8]) -> Vec<u8> {
    body.iter().rev().map(|byte| byte ^ 0x5a).collect()
}

fn serve(listener: &OwnedFd, manner: Manner, stop: &AtomicBool, dropped: &AtomicU64, retried: &AtomicU64) {
    let mut random = Random(7);
    let mut buffer = vec![0; MAX_FRAME_LEN];
    let mut client: Option<OwnedFd> = None;
    let mut held: Vec<(FrameHeader, Vec<u8>)> = Vec::new();
    let mut came = 0;
    while !stop.load(Ordering::Relaxed) {
        let watched = client.as_ref().unwrap_or(listener);
        poll(&mut [PollFd::new(watched.as_fd(), PollFlags::POLLIN)], PollTimeout::from(1u8)).unwrap();
        let Some(socket) = &client else {
            client = accept4(listener.as_raw_fd(), SockFlag::SOCK_NONBLOCK).ok().map(sys::own);
            held.clear();
            continue;
        };
        let read = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty());
        match read {
            Ok(0) => {
                client = None;
                continue;
            }
            Ok(len) => {
                let (header, op, body) = FrameHeader::parse(&buffer[..len]).unwrap();
                if op == Op::Hello {
                    reply(socket, &header, &[0; 16]);
                    continue;
                }
                retried.fetch_add(u64::from(header.flags.get() & FLAG_RETRY != 0), Ordering::Relaxed);
                held.push((header, body.to_vec()));
                came += 1;
                if manner.drops > 0 && random.below(manner.drops) == 0 {
                    dropped.fetch_add(1, Ordering::Relaxed);
                    client = None;
                    continue;
                }
            }
            // Nothing more comes: what is held back is all there is.
            Err(Errno::EAGAIN) => {
                while came >= manner.waits && !held.is_empty() {
                    one_answer(socket, &mut held, manner, &mut random);
                }
                continue;
            }
            Err(_) => {
                client = None;
                continue;
            }
        }
        while came >= manner.waits && held.len() > manner.holds {
            one_answer(socket, &mut held, manner, &mut random);
        }
    }
}

fn one_answer(socket: &OwnedFd, held: &mut Vec<(FrameHeader, Vec<u8>)>, manner: Manner, random: &mut Random) {
    let (header, body) = held.swap_remove(random.below(held.len()));
    reply(socket, &header, &answer_to(&body));
    if manner.lies > 0 && random.below(manner.lies) == 0 {
        let nobody = FrameHeader::request(Op::State, header.request_id.get() + 1_000_000_000, 0);
        reply(socket, &nobody, b"nobody's");
    }
}

fn reply(socket: &OwnedFd, header: &FrameHeader, body: &[u8]) {
    let frame = [header.reply(0, body.len()).as_bytes(), body].concat();
    while let Err(Errno::EAGAIN) = send(socket.as_raw_fd(), &frame, MsgFlags::MSG_NOSIGNAL) {
        poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)], PollTimeout::from(10u8)).unwrap();
    }
}

#[test]
fn of_100_000_requests_none_gets_the_answer_of_another() {
    const REQUESTS: u64 = 100_000;
    let server = Server::start(Manner { holds: 40, drops: 500, lies: 300, waits: 0 });
    let mut pipeline = server.pipeline();
    let mut open = HashMap::new();
    let (mut next, mut ended, mut out_of_order, mut newest) = (0, 0, 0, 0);
    while ended < REQUESTS {
        while next < REQUESTS && pipeline.in_flight() < IN_FLIGHT_MAX {
            let body = format!("request {next} {}", "x".repeat(next as usize % 97)).into_bytes();
            let id = pipeline.submit(Op::State, &body, Retry::Again, None).unwrap();
            assert!(open.insert(id, body).is_none(), "a number was used twice");
            next += 1;
        }
        let Some(done) = pipeline.next(WAIT) else { panic!("nothing for so long") };
        let body = open.remove(&done.id).expect("an answer to a request that is open");
        assert_eq!(done.result.unwrap(), answer_to(&body));
        out_of_order += u64::from(done.id.0 < newest);
        newest = newest.max(done.id.0);
        ended += 1;
    }
    assert!(open.is_empty() && pipeline.in_flight() == 0);
    // The server was as bad as it was meant to be.
    assert!(out_of_order > REQUESTS / 10, "{out_of_order}");
    assert!(server.dropped.load(Ordering::Relaxed) > 100);
    assert!(server.retried.load(Ordering::Relaxed) > 100);
    assert!(pipeline.strays() > 100);
}

#[test]
fn a_request_that_must_not_be_done_twice_fails_when_the_connection_is_lost() {
    let server = Server::start(Manner { holds: 0, drops: 3, lies: 0, waits: 0 });
    let mut pipeline = server.pipeline();
    let (mut lost, mut done) = (0, 0);
    for number in 0..300_u32 {
        let body = number.to_le_bytes();
        let id = pipeline.submit(Op::State, &body, Retry::Never, None).unwrap();
        let ended = pipeline.next(WAIT).unwrap();
        assert_eq!(ended.id, id);
        assert!(!ended.retried);
        match ended.result {
            Ok(answer) => {
                assert_eq!(answer, answer_to(&body));
                done += 1;
            }
            Err(Failure::Lost(_)) => lost += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(lost > 20 && done > 20, "{lost} {done}");
    assert_eq!(server.retried.load(Ordering::Relaxed), 0);
}

#[test]
fn deadlines_and_cancellation_end_a_request_once_and_its_late_answer_is_nobodys() {
    let server = Server::start(Manner { holds: 0, drops: 0, lies: 0, waits: 3 });
    let mut pipeline = server.pipeline();
    let at_once = Some(Duration::ZERO);
    let late = pipeline.submit(Op::State, b"late", Retry::Again, at_once).unwrap();
    let ended = pipeline.next(WAIT).unwrap();
    assert_eq!((ended.id, ended.result), (late, Err(Failure::Deadline)));
    let dropped = pipeline.submit(Op::State, b"cancelled", Retry::Again, None).unwrap();
    assert!(pipeline.cancel(dropped));
    assert!(!pipeline.cancel(dropped));
    let ended = pipeline.next(WAIT).unwrap();
    assert_eq!((ended.id, ended.result), (dropped, Err(Failure::Cancelled)));
    let kept = pipeline.submit(Op::State, b"kept", Retry::Again, None).unwrap();
    let ended = pipeline.next(WAIT).unwrap();
    assert_eq!((ended.id, ended.result), (kept, Ok(answer_to(b"kept"))));
    let until = Instant::now() + WAIT;
    while pipeline.strays() < 2 && Instant::now() < until {
        assert!(pipeline.next(Duration::ZERO).is_none());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(pipeline.strays(), 2);
}

#[test]
fn what_is_under_way_is_bounded_and_long_requests_are_refused() {
    let server = Server::start(Manner { holds: 0, drops: 0, lies: 0, waits: 0 });
    let mut pipeline = server.pipeline();
    let too_long = vec![0; MAX_FRAME_LEN];
    assert_eq!(pipeline.submit(Op::State, &too_long, Retry::Again, None), Err(SubmitError::TooLong));
    let longer = vec![0; VALUE_LEN_MAX + 1];
    let put = StateRequest { bytes: &longer, ..StateRequest::new(Verb::Put, b"/state/k") };
    assert_eq!(pipeline.submit_state(&put, Retry::Again, None), Err(SubmitError::TooLong));
    for _ in 0..IN_FLIGHT_MAX {
        pipeline.submit(Op::State, b"one", Retry::Again, None).unwrap();
    }
    assert_eq!(pipeline.submit(Op::State, b"one", Retry::Again, None), Err(SubmitError::Full));
    for _ in 0..IN_FLIGHT_MAX {
        pipeline.next(WAIT).unwrap().result.unwrap();
    }
    assert!(pipeline.next(Duration::ZERO).is_none());
    pipeline.submit(Op::State, b"one", Retry::Again, None).unwrap();
}

#[test]
fn a_value_in_pieces_is_one_request_with_one_completion() {
    let server = Server::start(Manner { holds: 0, drops: 0, lies: 0, waits: 0 });
    let mut pipeline = server.pipeline();
    let value = vec![7; 3 * PIECE_LEN + 1];
    let put = StateRequest { bytes: &value, ..StateRequest::new(Verb::Put, b"/state/k") };
    let id = pipeline.submit_state(&put, Retry::Again, None).unwrap();
    assert_eq!(id.0, 4, "each piece has a number of its own");
    let ended = pipeline.next(WAIT).unwrap();
    let last = StateRequest { bytes: &[7], ..StateRequest::new(Verb::Put, b"/state/k") };
    assert_eq!((ended.id, ended.result), (id, Ok(answer_to(&last.encode().unwrap()))));
    assert!(pipeline.next(Duration::from_millis(20)).is_none());
    assert_eq!(pipeline.strays(), 0);
}

#[test]
fn what_belongs_to_a_transaction_is_not_sent_over_another_connection() {
    let server = Server::start(Manner { holds: 0, drops: 0, lies: 0, waits: 0 });
    let mut pipeline = server.pipeline();
    pipeline.submit(Op::State, b"begin", Retry::Never, None).unwrap();
    let begun = pipeline.next(WAIT).unwrap();
    let put = StateRequest { bytes: b"v", ..StateRequest::new(Verb::Put, b"/state/k") };
    pipeline.submit_state(&put, Retry::Within(begun.connection), None).unwrap();
    assert!(pipeline.next(WAIT).unwrap().result.is_ok());
    pipeline.submit_state(&put, Retry::Within(begun.connection + 1), None).unwrap();
    let ended = pipeline.next(WAIT).unwrap();
    assert!(matches!(ended.result, Err(Failure::Lost(_))), "{ended:?}");
}

#[test]
fn a_pipeline_that_nobody_answers_fails_what_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::new(Endpoint::Path(dir.path().join("none")));
    let mut blocking = Blocking::new(pipeline, Duration::from_millis(50));
    assert_eq!(blocking.get(b"/state/k"), Err(Failure::Deadline));
    let (ours, theirs) =
        nix::sys::socket::socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
            .unwrap();
    drop(theirs);
    let mut blocking = Blocking::new(Pipeline::new(Endpoint::Given(ours)), WAIT);
    assert!(matches!(blocking.get(b"/state/k"), Err(Failure::Lost(_))));
}
