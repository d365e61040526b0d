//! What a client sends never disturbs another one, and never ends the daemon.

mod common;

use common::*;
use nix::libc::{O_CREAT, O_WRONLY};
use std::time::Duration;
use vrift_protocol::admin::{AdminReply, AdminRequest};
use vrift_protocol::{FrameHeader, HEADER_LEN, MAX_FRAME_LEN, Op, VnodeRequest};
use zerocopy::IntoBytes;

const EPROTO: u32 = 71;
const EBADMSG: u32 = 74;
const EPROTONOSUPPORT: u32 = 93;
const EOPNOTSUPP: u32 = 95;

fn world() -> World {
    let world = World::started();
    write(world.project().join("a"), "a\n");
    world.ingest();
    world
}

#[test]
fn malformed_frames_are_answered_and_disturb_nobody() {
    let world = world();
    let pid = world.pid();
    let mut good = world.raw(1);
    let mut bad = world.raw(2);
    let header = |op: Op, body_len: usize| FrameHeader::request(op, 9, body_len);
    let mut magic = header(Op::Mkdir, 0);
    magic.magic = 1.into();
    let mut version = header(Op::Mkdir, 0);
    version.version = 99.into();
    let mut op = header(Op::Mkdir, 0);
    op.op = 999.into();
    let names = VnodeRequest { name_len: 9.into(), ..at(ROOT) };
    let long_name = VnodeRequest { name_len: 300.into(), ..at(ROOT) };
    let cases: Vec<(Vec<u8>, u32)> = vec![
        (b"short".to_vec(), EPROTO),
        (header(Op::Mkdir, 50).as_bytes().to_vec(), EPROTO),
        (magic.as_bytes().to_vec(), EPROTO),
        (version.as_bytes().to_vec(), EPROTONOSUPPORT),
        (op.as_bytes().to_vec(), EOPNOTSUPP),
        (header(Op::Mkdir, 0).as_bytes().to_vec(), EBADMSG),
        ([header(Op::Mkdir, 97).as_bytes(), names.as_bytes(), b"x"].concat(), EBADMSG),
        ([header(Op::Mkdir, 96 + 300).as_bytes(), long_name.as_bytes(), &[b'x'; 300]].concat(), EBADMSG),
        ([header(Op::Admin, 4).as_bytes(), b"{{{{"].concat(), EBADMSG),
        ([header(Op::Hello, 3).as_bytes(), b"abc"].concat(), EBADMSG),
    ];
    for (number, (datagram, errno)) in cases.iter().enumerate() {
        if number + 1 == cases.len() {
            // A second hello ends the connection.
            bad.send(datagram);
            assert_eq!(bad.receive().unwrap().0.status.get(), *errno);
            assert!(bad.receive().is_none());
            break;
        }
        bad.send(datagram);
        assert_eq!(bad.receive().unwrap().0.status.get(), *errno, "case {number}");
        let made = good.request(Op::Mkdir, at(ROOT), format!("d{number}").as_bytes(), b"");
        assert!(made.is_ok(), "case {number}: {made:?}");
    }
    let mut long = header(Op::Mkdir, MAX_FRAME_LEN).as_bytes().to_vec();
    long.resize(HEADER_LEN + MAX_FRAME_LEN, 7);
    let mut bad = world.raw(3);
    bad.send(&long);
    assert_eq!(bad.receive().unwrap().0.status.get(), EPROTO);
    // Deeply nested JSON is refused, not recursed into.
    let nested = [b"[".repeat(30_000), b"]".repeat(30_000)].concat();
    bad.send(&[header(Op::Admin, nested.len()).as_bytes(), &nested].concat());
    assert_eq!(bad.receive().unwrap().0.status.get(), EBADMSG);
    assert_eq!(world.pid(), pid);
    match world.ask(&AdminRequest::Status).0.pop() {
        Some(AdminReply::Status(status)) => assert!(status.requests > 20),
        other => panic!("{other:?}"),
    }
}

#[test]
fn impossible_requests_get_an_errno() {
    let world = world();
    let pid = world.pid();
    let mut raw = world.raw(1);
    let file = world.entry("a").unwrap().vnode;
    let wild = at(u64::MAX);
    for op in [Op::Open, Op::Mkdir, Op::Symlink, Op::Link, Op::Unlink, Op::Rmdir, Op::Rename, Op::Mknod] {
        let request = VnodeRequest { flags: (O_CREAT as u32).into(), ..wild };
        assert!(raw.request(op, request, b"x", b"y").is_err(), "{op:?}");
        let in_file = VnodeRequest { dir: file.into(), flags: (O_CREAT as u32).into(), ..wild };
        assert!(raw.request(op, in_file, b"x", b"y").is_err(), "{op:?} in a file");
        for name in [&b""[..], b".", b"..", b"a/b", b"a\0b"] {
            let result = raw.request(op, VnodeRequest { dir: ROOT.into(), ..request }, name, b"t");
            assert!(result.is_err(), "{op:?} {name:?}");
        }
    }
    for op in [Op::Materialise, Op::Mirror, Op::ExecLink, Op::SetAttr, Op::Removed] {
        let request = VnodeRequest { vnode: u64::MAX.into(), set: 255.into(), ..wild };
        assert!(raw.request(op, request, b"x", b"").is_err(), "{op:?}");
    }
    let link = VnodeRequest { vnode: file.into(), ..at(ROOT) };
    assert_eq!(raw.request(Op::ExecLink, link, b"../../x", b"").unwrap_err(), 22);
    assert_eq!(world.pid(), pid);
    assert_eq!(world.cat("a"), "a\n");
}

#[test]
fn a_client_that_says_nothing_is_dropped_and_others_go_on() {
    let world = world();
    let mut silent = Raw::silent(&world.socket());
    let mut rude = Raw::silent(&world.socket());
    let request = FrameHeader::request(Op::Mkdir, 1, 0);
    rude.send(request.as_bytes());
    assert_eq!(rude.receive().unwrap().0.status.get(), EPROTO);
    assert!(rude.receive().is_none());
    let mut raw = world.raw(1);
    raw.request(Op::Mkdir, at(ROOT), b"d", b"").unwrap();
    assert!(silent.receive().is_none());
}

#[test]
fn a_client_that_never_reads_holds_up_nobody() {
    let world = world();
    let flood = world.raw(1);
    nix::fcntl::fcntl(&flood.socket, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK)).unwrap();
    use std::os::fd::AsRawFd;
    let body = at(ROOT);
    let header = FrameHeader::request(Op::Unlink, 1, body.as_bytes().len() + 1);
    let frame = [header.as_bytes(), VnodeRequest { name_len: 1.into(), ..body }.as_bytes(), b"n"].concat();
    let mut dropped = false;
    for _ in 0..200_000 {
        match nix::sys::socket::send(
            flood.socket.as_raw_fd(),
            &frame,
            nix::sys::socket::MsgFlags::MSG_NOSIGNAL,
        ) {
            Ok(_) => {}
            Err(nix::errno::Errno::EAGAIN) => std::thread::sleep(Duration::from_millis(1)),
            Err(_) => {
                dropped = true;
                break;
            }
        }
    }
    assert!(dropped, "its replies were kept without bound");
    let mut raw = world.raw(2);
    raw.request(Op::Open, opening(ROOT, O_CREAT | O_WRONLY), b"f", b"").unwrap();
}
