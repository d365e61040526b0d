//! The first failed write poisons the store: writers get EIO, readers go on, the daemon says so, and what had been
//! acknowledged is there after a restart.

mod common;

use common::*;
use std::fs;
use std::io::Write;
use vrift_protocol::Op;
use vrift_protocol::admin::{AdminReply, AdminRequest};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

fn world() -> World {
    let world = World::started();
    write(world.project().join("a"), "a\n");
    world.ingest();
    world
}

fn said(world: &World) -> Option<String> {
    match world.ask(&AdminRequest::Status).0.pop() {
        Some(AdminReply::Status(status)) => status.poisoned,
        other => panic!("{other:?}"),
    }
}

#[test]
fn writers_get_eio_readers_go_on_and_a_restart_finds_what_was_acknowledged() {
    let mut world = world();
    let mut raw = world.raw(7);
    raw.request(Op::Mkdir, at(ROOT), b"before", b"").unwrap();
    let (_, fd) = raw.request(Op::Open, opening(ROOT, nix::libc::O_CREAT | 2), b"staged", b"").unwrap();
    fs::File::from(fd.unwrap()).write_all(b"bytes").unwrap();
    assert_eq!(said(&world), None);
    fs::write(world.fail_file(), EIO.to_string()).unwrap();
    assert_eq!(raw.request(Op::Mkdir, at(ROOT), b"lost", b"").unwrap_err(), EIO as u32);
    assert!(said(&world).is_some(), "the daemon says so");
    assert_eq!(world.cat("a"), "a\n");
    assert_eq!(world.cat("staged"), "bytes");
    assert!(world.entry("before").is_some() && world.entry("lost").is_none());
    // The device works again, but nothing that was written since can be trusted.
    fs::remove_file(world.fail_file()).unwrap();
    assert_eq!(raw.request(Op::Mkdir, at(ROOT), b"lost", b"").unwrap_err(), EIO as u32);
    assert_eq!(world.cat("a"), "a\n");
    world.kill_and_wait();
    assert_eq!(said(&world), None);
    assert!(world.entry("before").is_some() && world.entry("lost").is_none());
    assert_eq!(world.cat("staged"), "bytes");
    world.raw(8).request(Op::Mkdir, at(ROOT), b"after", b"").unwrap();
    assert!(world.entry("after").is_some());
    let mut supervisor = world.supervisor.take().unwrap();
    assert!(matches!(world.ask(&AdminRequest::Stop).0.pop(), Some(AdminReply::Done)));
    assert!(supervisor.wait().unwrap().success());
}

#[test]
fn a_device_without_space_is_said_to_be_full_and_nothing_acknowledged_is_lost() {
    let world = world();
    let mut raw = world.raw(7);
    raw.request(Op::Mkdir, at(ROOT), b"before", b"").unwrap();
    fs::write(world.fail_file(), ENOSPC.to_string()).unwrap();
    let errno = raw.request(Op::Mkdir, at(ROOT), b"lost", b"").unwrap_err();
    assert!([EIO as u32, ENOSPC as u32].contains(&errno), "{errno}");
    assert_eq!(world.cat("a"), "a\n");
    assert!(world.entry("lost").is_none());
    fs::remove_file(world.fail_file()).unwrap();
    world.kill_and_wait();
    assert!(world.entry("before").is_some() && world.entry("lost").is_none());
    world.raw(8).request(Op::Unlink, at(ROOT), b"a", b"").unwrap();
    assert!(world.entry("a").is_none());
}

#[test]
fn a_daemon_whose_store_has_failed_stops_and_says_what_that_means() {
    let mut world = world();
    let mut raw = world.raw(7);
    fs::write(world.fail_file(), EIO.to_string()).unwrap();
    assert_eq!(raw.request(Op::Mkdir, at(ROOT), b"lost", b"").unwrap_err(), EIO as u32);
    match world.ask(&AdminRequest::Stop).0.pop() {
        Some(AdminReply::StoppedUnsynced { why }) => assert!(why.contains("write"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(world.supervisor.take().unwrap().wait().unwrap().success());
    assert!(!world.socket().exists());
    fs::remove_file(world.fail_file()).unwrap();
    world.start();
    assert_eq!(world.cat("a"), "a\n");
}
