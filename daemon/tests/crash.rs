//! kill -9 at any instant: what was acknowledged is there, and what was asked again is not done twice.

mod common;

use common::*;
use nix::libc::{O_CREAT, O_EXCL, O_RDWR, O_WRONLY};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use vrift_protocol::Op;

fn world() -> World {
    let world = World::started();
    write(world.project().join("a"), "a\n");
    world.ingest();
    world
}

#[test]
fn a_retry_after_kill_9_gets_the_recorded_result() {
    let world = world();
    let id = world.enter().id;
    let mut raw = world.raw(77);
    let (dir, _) = raw.request(Op::Mkdir, at(ROOT), b"d", b"").unwrap();
    world.kill_and_wait();
    let mut raw = Raw::connect(&world.socket(), 77, id);
    let (again, _) = raw.retry(1, Op::Mkdir, at(ROOT), b"d", b"").unwrap();
    assert_eq!(again.vnode.get(), dir.vnode.get());
    // Another request of the same client, or the same of another, is a new one.
    assert_eq!(raw.retry(2, Op::Mkdir, at(ROOT), b"d", b"").unwrap_err(), 17);
    let mut other = Raw::connect(&world.socket(), 78, id);
    assert_eq!(other.retry(1, Op::Mkdir, at(ROOT), b"d", b"").unwrap_err(), 17);

    raw.next_id = 3;
    raw.request(Op::Unlink, at(ROOT), b"a", b"").unwrap();
    world.kill_and_wait();
    let mut raw = Raw::connect(&world.socket(), 77, id);
    assert!(raw.retry(3, Op::Unlink, at(ROOT), b"a", b"").is_ok());
}

#[test]
fn a_retried_open_gets_an_fd_of_the_same_file() {
    let world = world();
    let id = world.enter().id;
    let mut raw = world.raw(77);
    let exclusive = opening(ROOT, O_CREAT | O_EXCL | O_RDWR);
    let (made, fd) = raw.request(Op::Open, exclusive, b"f", b"").unwrap();
    drop(fd);
    world.kill_and_wait();
    let mut raw = Raw::connect(&world.socket(), 77, id);
    let (again, fd) = raw.retry(1, Op::Open, exclusive, b"f", b"").unwrap();
    assert_eq!((again.vnode.get(), again.created.get()), (made.vnode.get(), 1));
    File::from(fd.unwrap()).write_all(b"once").unwrap();
    assert_eq!(world.cat("f"), "once");
}

#[test]
fn an_open_file_goes_on_being_written_over_a_kill() {
    let world = world();
    let mut raw = world.raw(77);
    let (_, fd) = raw.request(Op::Open, opening(ROOT, O_CREAT | O_RDWR), b"f", b"").unwrap();
    let mut file = File::from(fd.unwrap());
    file.write_all(b"before ").unwrap();
    world.kill_and_wait();
    assert!(world.entry("f").unwrap().staged);
    file.write_all(b"after").unwrap();
    assert_eq!(world.cat("f"), "before after");
    drop(file);
    eventually("sealing", || world.entry("f").filter(|entry| !entry.staged));
    world.kill_and_wait();
    assert_eq!(world.cat("f"), "before after");
}

/// As after a power cut that takes the staging folder: nothing is there that was not there before or whole.
#[test]
fn a_file_whose_bytes_are_gone_is_absent_or_as_it_was() {
    let world = world();
    let id = world.enter().id;
    let mut raw = world.raw(77);
    let (made, fd) = raw.request(Op::Open, opening(ROOT, O_CREAT | O_RDWR), b"made", b"").unwrap();
    let mut file = File::from(fd.unwrap());
    file.write_all(b"half of it").unwrap();
    let mut link = at(ROOT);
    link.vnode = made.vnode;
    raw.request(Op::Link, link, b"also", b"").unwrap();
    let (_, again) = raw.request(Op::Open, opening(ROOT, O_RDWR), b"a", b"").unwrap();
    File::from(again.as_ref().unwrap().try_clone().unwrap()).write_all(b"b").unwrap();
    for staged in std::fs::read_dir(world.home().join(format!("staging/{id:08x}"))).unwrap() {
        std::fs::remove_file(staged.unwrap().path()).unwrap();
    }
    world.kill_and_wait();
    assert!(world.entry("made").is_none() && world.entry("also").is_none());
    assert_eq!(world.cat("a"), "a\n");
}

#[test]
fn every_acknowledged_change_survives_many_kills() {
    let world = world();
    let id = world.enter().id;
    let mut made = Vec::new();
    for round in 0..8u32 {
        let mut raw = Raw::connect(&world.socket(), u64::from(round) + 1, id);
        for number in 0..20 {
            let name = format!("f{round}-{number}");
            let (reply, fd) =
                raw.request(Op::Open, opening(ROOT, O_CREAT | O_WRONLY), name.as_bytes(), b"").unwrap();
            File::from(fd.unwrap()).write_all(name.as_bytes()).unwrap();
            made.push((name, reply.vnode.get()));
        }
        world.kill_and_wait();
    }
    for (name, vnode) in made {
        let entry = world.entry(&name).unwrap_or_else(|| panic!("{name} is gone"));
        assert_eq!((entry.vnode, entry.size), (vnode, name.len() as u64), "{name}");
        assert_eq!(world.cat(&name), name);
    }
}

#[test]
fn a_reader_of_a_retired_index_is_told() {
    let world = world();
    let view = world.enter();
    let index = view.runtime.as_path().join("index");
    let old = vrift_manifest_reader(&index);
    world.kill_and_wait();
    assert_ne!(std::fs::metadata(&index).unwrap().ino(), old.1);
    let mut header = Vec::new();
    let mut file = old.0;
    file.rewind().unwrap();
    file.take(4096).read_to_end(&mut header).unwrap();
    let at = vrift_manifest::layout::header::RETIRED;
    assert_eq!(u32::from_le_bytes(header[at..at + 4].try_into().unwrap()), 1);
}

fn vrift_manifest_reader(path: &std::path::Path) -> (File, u64) {
    let file = File::open(path).unwrap();
    let ino = file.metadata().unwrap().ino();
    (file, ino)
}
