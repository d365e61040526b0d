//! A connection's first request may come with its greeting.

mod common;

use common::*;
use vrift_protocol::frame::FLAG_WITH_REQUEST;
use vrift_protocol::{FrameHeader, Hello, Op, VnodeRequest};
use zerocopy::IntoBytes;

const EPROTO: u32 = 71;
const ESTALE: u32 = 116;

const REQUEST_ID: u64 = 7;

/// A frame of a request.
fn frame(op: Op, body: &[u8]) -> Vec<u8> {
    [FrameHeader::request(op, REQUEST_ID, body.len()).as_bytes(), body].concat()
}

fn mkdir(name: &str) -> Vec<u8> {
    let request = VnodeRequest { name_len: (name.len() as u16).into(), mode: 0o755.into(), ..at(ROOT) };
    frame(Op::Mkdir, &[request.as_bytes(), name.as_bytes()].concat())
}

/// Hello for `workspace`, and behind it what else is in the datagram.
fn greeting(workspace: u32, flags: u32, request: &[u8]) -> Vec<u8> {
    let hello = Hello { client_id: 5.into(), workspace: workspace.into(), line: 0.into() };
    let mut header = FrameHeader::request(Op::Hello, 0, hello.as_bytes().len() + request.len());
    header.flags = flags.into();
    [header.as_bytes(), hello.as_bytes(), request].concat()
}

#[test]
fn a_request_that_comes_with_the_greeting_has_the_only_answer() {
    let world = World::started();
    world.ingest();
    let mut client = Raw::silent(&world.socket());
    client.send(&greeting(1, FLAG_WITH_REQUEST, &mkdir("with it")));
    let (answer, _, _) = client.receive().unwrap();
    assert_eq!((answer.op.get(), answer.request_id.get()), (Op::Mkdir as u16, REQUEST_ID));
    assert_eq!(answer.status.get(), 0);
    // The next answer is that of the next request.
    assert!(client.request(Op::Mkdir, at(ROOT), b"after it", b"").is_ok());
    assert!(world.entry("with it").is_some() && world.entry("after it").is_some());
}

#[test]
fn a_greeting_that_is_refused_carries_nothing_out() {
    let world = World::started();
    world.ingest();
    let hello = greeting(1, 0, &[]);
    let cases = [
        (greeting(99, FLAG_WITH_REQUEST, &mkdir("no workspace")), ESTALE),
        (greeting(1, 0, &mkdir("no flag")), 74),
        (greeting(1, FLAG_WITH_REQUEST, b"no frame"), EPROTO),
        (greeting(1, FLAG_WITH_REQUEST, &hello), EPROTO),
        // What may hold a secret comes alone.
        (greeting(1, FLAG_WITH_REQUEST, &frame(Op::State, &[0; 64])), EPROTO),
        (greeting(1, FLAG_WITH_REQUEST, &frame(Op::Service, &[0; 64])), EPROTO),
    ];
    for (number, (datagram, errno)) in cases.iter().enumerate() {
        let mut client = Raw::silent(&world.socket());
        client.send(datagram);
        assert_eq!(client.receive().unwrap().0.status.get(), *errno, "case {number}");
    }
    assert!(world.entry("no workspace").is_none() && world.entry("no flag").is_none());
}
