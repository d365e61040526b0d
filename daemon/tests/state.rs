//! The key-value space over the socket: values of every length, transactions and their owners, kill -9.

mod common;

use common::{Raw, World, eventually};
use nix::errno::Errno;
use std::collections::HashMap;
use vrift_protocol::client::Client;
use vrift_protocol::pipeline::{Blocking, Endpoint, Failure, Pipeline, Retry};
use vrift_protocol::state::{PIECE_LEN, State, StateError, StateRequest, VALUE_LEN_MAX, Verb};
use vrift_protocol::{FrameHeader, Op};
use zerocopy::IntoBytes;

fn errno<T: std::fmt::Debug>(answer: Result<T, StateError>) -> Errno {
    match answer {
        Err(StateError::Refused { errno, .. }) => errno,
        other => panic!("{other:?}"),
    }
}

/// Names of keys, without those of the daemon's own log.
fn names(client: &mut Client, prefix: &[u8]) -> Vec<Vec<u8>> {
    let (rows, more) = State(client).list(prefix, b"", 100).unwrap();
    assert!(!more);
    rows.into_iter().map(|row| row.key).filter(|key| !key.starts_with(b"/state/audit/")).collect()
}

#[test]
fn values_of_every_length_survive_the_wire_and_kill_9() {
    let world = World::started();
    let mut client = world.client();
    let lengths = [0, 1, 1024, 1025, PIECE_LEN - 1, PIECE_LEN, PIECE_LEN + 1, 3 * PIECE_LEN, VALUE_LEN_MAX];
    let key = |len: usize| format!("/state/len/{len}").into_bytes();
    let value = |len: usize| (0..len).map(|i| (i * 31 + len) as u8).collect::<Vec<u8>>();
    for len in lengths {
        State(&mut client).put(&key(len), &value(len)).unwrap();
    }
    assert_eq!(errno(State(&mut client).put(b"/state/x", &vec![0; VALUE_LEN_MAX + 1])), Errno::EFBIG);
    world.kill_and_wait();
    let mut client = world.client();
    for len in lengths {
        assert!(State(&mut client).get(&key(len)).unwrap().unwrap() == value(len), "{len}");
    }
    assert_eq!(names(&mut client, b"/state/").len(), lengths.len());
    assert!(State(&mut client).delete(&key(0)).unwrap());
    assert!(!State(&mut client).delete(&key(0)).unwrap());
    assert_eq!(State(&mut client).get(&key(0)).unwrap(), None);
    State(&mut client).sync().unwrap();
}

#[test]
fn bad_requests_are_named_and_change_nothing() {
    let world = World::started();
    let mut client = world.client();
    for bad in [&b"/state/"[..], b"/etc/passwd", b"/state/a/../b", b"/state/a\0b", &[b'x'; 2000]] {
        assert_eq!(errno(State(&mut client).put(bad, b"v")), Errno::EINVAL);
        assert_eq!(errno(State(&mut client).get(bad)), Errno::EINVAL);
        assert_eq!(errno(State(&mut client).delete(bad)), Errno::EINVAL);
    }
    assert_eq!(errno(State(&mut client).list(b"/elsewhere", b"", 9)), Errno::EINVAL);
    assert_eq!(names(&mut client, b"/state/"), [b""; 0]);
    // A body that is no request; the connection goes on.
    let mut raw = Raw::connect(&world.socket(), 0, 0);
    for body in [&b""[..], b"\x01", &[99, 0, 0, 0, 0, 0, 0, 0], &[1, 0, 255, 255, 0, 0, 0, 0]] {
        raw.send(&[FrameHeader::request(Op::State, 7, body.len()).as_bytes(), body].concat());
        assert_eq!(raw.receive().unwrap().0.status.get(), Errno::EBADMSG as u32);
    }
}

#[test]
fn a_transaction_is_seen_by_its_owner_alone_until_it_is_committed() {
    let world = World::started();
    let (mut one, mut other) = (world.client(), world.client());
    State(&mut one).put(b"/state/old", b"1").unwrap();
    State(&mut one).begin().unwrap();
    assert_eq!(errno(State(&mut one).begin()), Errno::EBUSY);
    State(&mut one).put(b"/state/a", &vec![7; 100_000]).unwrap();
    assert!(State(&mut one).delete(b"/state/old").unwrap());
    assert_eq!(State(&mut one).get(b"/state/old").unwrap(), None);
    assert_eq!(State(&mut one).get(b"/state/a").unwrap().unwrap(), vec![7; 100_000]);
    assert_eq!(State(&mut other).get(b"/state/a").unwrap(), None);
    assert_eq!(names(&mut other, b"/state/"), [b"/state/old"]);
    State(&mut one).commit().unwrap();
    assert_eq!(names(&mut other, b"/state/"), [b"/state/a"]);
    assert_eq!(errno(State(&mut one).commit()), Errno::ENOTCONN);
    State(&mut one).begin().unwrap();
    State(&mut one).put(b"/state/b", b"2").unwrap();
    State(&mut one).abort().unwrap();
    assert_eq!(names(&mut other, b"/state/"), [b"/state/a"]);
}

#[test]
fn a_transaction_is_dropped_when_its_client_leaves_or_the_daemon_dies() {
    let world = World::started();
    let mut leaving = world.client();
    State(&mut leaving).begin().unwrap();
    State(&mut leaving).put(b"/state/never", b"1").unwrap();
    drop(leaving);
    let mut staying = world.client();
    State(&mut staying).begin().unwrap();
    State(&mut staying).put(b"/state/neither", b"1").unwrap();
    world.kill_and_wait();
    let mut client = world.client();
    assert_eq!(names(&mut client, b"/state/"), [b""; 0]);
    State(&mut client).put(b"/state/after", b"1").unwrap();
    assert_eq!(names(&mut client, b"/state/"), [b"/state/after"]);
}

#[test]
fn a_client_that_leaves_within_a_request_disturbs_nobody() {
    let world = World::started();
    for verb in [Verb::Part, Verb::Put, Verb::Sync, Verb::List, Verb::Begin] {
        let raw = Raw::connect(&world.socket(), 0, 0);
        let request = StateRequest { bytes: b"bytes", ..StateRequest::new(verb, b"/state/k") };
        let body = request.encode().unwrap();
        raw.send(&[FrameHeader::request(Op::State, 1, body.len()).as_bytes(), &body].concat());
        drop(raw);
    }
    let mut client = world.client();
    eventually("the value that was put", || State(&mut client).get(b"/state/k").unwrap());
}

/// One of the clients of the test below: keys of its own, of which it gets what it put last. What was acknowledged,
/// by key.
fn put_and_get(socket: &std::path::Path, client: usize, rounds: u32) -> Vec<(String, u32)> {
    let mut pipeline = Pipeline::new(Endpoint::Path(socket.to_path_buf()));
    let mut acknowledged: Vec<u32> = vec![0; 8];
    for round in 1..=rounds {
        let mut open = HashMap::new();
        for slot in 0..acknowledged.len() {
            let (key, value) = (format!("/state/load/{client}/{slot}"), round.to_le_bytes());
            let put = StateRequest { bytes: &value, ..StateRequest::new(Verb::Put, key.as_bytes()) };
            open.insert(pipeline.submit_state(&put, Retry::Again, None).unwrap(), (slot, true));
            let get = StateRequest::new(Verb::Get, key.as_bytes());
            open.insert(pipeline.submit_state(&get, Retry::Again, None).unwrap(), (slot, false));
        }
        while !open.is_empty() {
            let done = pipeline.next(common::SOON).expect("an answer");
            let (slot, is_put) = open.remove(&done.id).unwrap();
            let value = done.result.unwrap();
            match is_put {
                true => acknowledged[slot] = round,
                false => {
                    let got = u32::from_le_bytes(value[..].try_into().unwrap());
                    assert!(got >= acknowledged[slot], "{got} after {} was acknowledged", acknowledged[slot]);
                }
            }
        }
    }
    let keys = acknowledged.into_iter().enumerate();
    keys.map(|(slot, round)| (format!("/state/load/{client}/{slot}"), round)).collect()
}

#[test]
fn nothing_acknowledged_to_16_pipelined_clients_is_lost_when_the_daemon_dies() {
    const ROUNDS: u32 = 60;
    let world = World::started();
    let socket = world.socket();
    let all: Vec<(String, u32)> = std::thread::scope(|scope| {
        let socket = &socket;
        let clients: Vec<_> =
            (0..16).map(|client| scope.spawn(move || put_and_get(socket, client, ROUNDS))).collect();
        let mut watcher = world.client();
        for round in [ROUNDS / 4, ROUNDS / 2] {
            eventually("the clients are on their way", || {
                let value = State(&mut watcher).get(b"/state/load/7/7").ok()??;
                (u32::from_le_bytes(value[..].try_into().unwrap()) >= round).then_some(())
            });
            world.kill_and_wait();
            watcher = world.client();
        }
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    world.kill_and_wait();
    let mut client = world.client();
    assert_eq!(all.len(), 16 * 8);
    for (key, round) in all {
        assert_eq!(State(&mut client).get(key.as_bytes()).unwrap().unwrap(), round.to_le_bytes(), "{key}");
    }
}

#[test]
fn a_long_value_is_put_by_pieces_that_do_not_wait_for_each_other() {
    let world = World::started();
    let pipeline = Pipeline::new(Endpoint::Path(world.socket()));
    let mut space = Blocking::new(pipeline, common::SOON);
    let value: Vec<u8> = (0..VALUE_LEN_MAX).map(|i| (i * 7) as u8).collect();
    space.put(b"/state/long", &value).unwrap();
    assert!(space.get(b"/state/long").unwrap().unwrap() == value);
    space.change(&[(b"/state/a".to_vec(), Some(b"1".to_vec())), (b"/state/long".to_vec(), None)]).unwrap();
    assert_eq!(space.get(b"/state/long").unwrap(), None);
    let rows = space.list(b"/state/").unwrap();
    let keys = rows.into_iter().map(|row| row.key).filter(|key| !key.starts_with(b"/state/audit/"));
    assert_eq!(keys.collect::<Vec<_>>(), [b"/state/a"]);
    let failed = space.change(&[(b"/state/b".to_vec(), Some(vec![])), (b"/elsewhere".to_vec(), None)]);
    assert!(matches!(failed, Err(Failure::Refused { errno: Errno::EINVAL, .. })), "{failed:?}");
    assert_eq!(space.get(b"/state/b").unwrap(), None);
}

#[test]
fn a_client_that_reads_no_answers_is_dropped_and_others_are_served() {
    let world = World::started();
    let raw = Raw::connect(&world.socket(), 0, 0);
    let body = StateRequest::new(Verb::Sync, b"").encode().unwrap();
    let frame = [FrameHeader::request(Op::State, 1, body.len()).as_bytes(), &body].concat();
    let dropped = (0..100_000).any(|_| {
        use std::os::fd::AsRawFd;
        nix::sys::socket::send(raw.socket.as_raw_fd(), &frame, nix::sys::socket::MsgFlags::MSG_NOSIGNAL)
            .is_err()
    });
    assert!(dropped);
    assert_eq!(State(&mut world.client()).get(b"/state/k").unwrap(), None);
}
