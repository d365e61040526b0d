//! The real directory changes, the workspace changes, both change.

mod common;

use common::*;
use nix::libc::{O_CREAT, O_TRUNC, O_WRONLY};
use std::fs::{self, File};
use std::io::Write;
use vrift_protocol::Op;
use vrift_protocol::admin::{AdminReply, AdminRequest, Failure, Problem};

fn world() -> World {
    let world = World::started();
    let dir = world.project();
    for name in ["a", "b", "c", "d/e", "d/f", "g/h"] {
        write(dir.join(name), &format!("{name}\n"));
    }
    world.ingest();
    world
}

fn change(world: &World, path: &str, text: &str) {
    let vnode = world.entry(path).unwrap().vnode;
    let mut request = opening(0, O_WRONLY | O_TRUNC);
    request.vnode = vnode.into();
    let (_, fd) = world.raw(99).request(Op::Open, request, b"", b"").unwrap();
    File::from(fd.unwrap()).write_all(text.as_bytes()).unwrap();
}

fn names(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(|problem| String::from_utf8_lossy(&problem.path.0).into_owned()).collect()
}

#[test]
fn what_only_the_real_directory_changed_is_taken_in() {
    let world = world();
    let dir = world.project();
    write(dir.join("a"), "changed\n");
    write(dir.join("new/deep/file"), "new\n");
    fs::remove_file(dir.join("b")).unwrap();
    fs::remove_dir_all(dir.join("d")).unwrap();
    fs::remove_dir_all(dir.join("g")).unwrap();
    write(dir.join("g"), "now a file\n");
    let taken = world.sync();
    assert!(taken.conflicts.is_empty(), "{:?}", taken.conflicts);
    assert_eq!(world.cat("a"), "changed\n");
    assert_eq!(world.cat("new/deep/file"), "new\n");
    assert_eq!(world.cat("g"), "now a file\n");
    assert!(world.entry("b").is_none() && world.entry("d").is_none());
    assert!(world.diff(true).is_empty(), "{:?}", world.diff(true));
    assert!(world.diff(false).is_empty());
    let again = world.sync();
    assert_eq!((again.added, again.modified, again.deleted), (0, 0, 0));
}

#[test]
fn what_both_changed_stays_as_the_workspace_has_it_and_is_named() {
    let world = world();
    let dir = world.project();
    change(&world, "a", "workspace\n");
    change(&world, "c", "same\n");
    write(dir.join("a"), "real\n");
    write(dir.join("c"), "same\n");
    let mut raw = world.raw(5);
    raw.request(Op::Unlink, at(ROOT), b"b", b"").unwrap();
    write(dir.join("b"), "changed\n");
    let taken = world.sync();
    assert_eq!(names(&taken.conflicts), ["a", "b"]);
    assert_eq!(world.cat("a"), "workspace\n");
    assert!(world.entry("b").is_none());
    // Named until it is resolved, and never exported over.
    assert_eq!(names(&world.sync().conflicts), ["a", "b"]);
    let export = |force| AdminRequest::Export { target: world.target(), paths: vec![], to: None, force };
    match world.ask(&export(false)).0.pop() {
        Some(AdminReply::Exported(done)) => {
            assert_eq!(names(&done.conflicts), ["a", "b"]);
            assert_eq!((done.written, done.deleted), (0, 0));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read_to_string(dir.join("a")).unwrap(), "real\n");
    match world.ask(&export(true)).0.pop() {
        Some(AdminReply::Exported(done)) => assert_eq!((done.written, done.deleted), (1, 1)),
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read_to_string(dir.join("a")).unwrap(), "workspace\n");
    assert!(world.sync().conflicts.is_empty());
    assert!(world.diff(true).is_empty());
}

#[test]
fn outputs_in_a_directory_outlive_its_deletion() {
    let world = world();
    let dir = world.entry("d").unwrap().vnode;
    let mut raw = world.raw(5);
    let (_, fd) = raw.request(Op::Open, opening(dir, O_CREAT | O_WRONLY), b"e.o", b"").unwrap();
    File::from(fd.unwrap()).write_all(b"object").unwrap();
    fs::remove_dir_all(world.project().join("d")).unwrap();
    let taken = world.sync();
    assert!(taken.conflicts.is_empty());
    assert_eq!(world.cat("d/e.o"), "object");
    assert!(world.entry("d/e").is_none());
}

#[test]
fn a_hard_link_that_was_broken_changes_one_name() {
    let world = world();
    let dir = world.project();
    fs::hard_link(dir.join("a"), dir.join("a2")).unwrap();
    world.sync();
    assert_eq!(world.entry("a").unwrap().vnode, world.entry("a2").unwrap().vnode);
    fs::remove_file(dir.join("a")).unwrap();
    write(dir.join("a"), "apart\n");
    world.sync();
    assert_eq!(world.cat("a"), "apart\n");
    assert_eq!(world.cat("a2"), "a\n");
    assert_eq!(world.entry("a2").unwrap().nlink, 1);
}

#[test]
fn what_happens_to_one_name_of_a_file_is_no_conflict_at_another() {
    let world = world();
    let dir = world.project();
    fs::hard_link(dir.join("a"), dir.join("a2")).unwrap();
    fs::hard_link(dir.join("b"), dir.join("b2")).unwrap();
    world.sync();
    write(dir.join("a"), "written\n");
    write(dir.join("new"), "in its place\n");
    fs::rename(dir.join("new"), dir.join("a2")).unwrap();
    write(dir.join("b2"), "written\n");
    fs::remove_file(dir.join("b")).unwrap();
    let taken = world.sync();
    assert!(taken.conflicts.is_empty(), "{taken:?}");
    assert_eq!((world.cat("a"), world.cat("a2")), ("written\n".into(), "in its place\n".into()));
    assert_eq!(world.cat("b2"), "written\n");
    assert!(world.entry("b").is_none());
}

#[test]
fn what_cannot_be_taken_in_is_named() {
    let world = World::started();
    let dir = world.project();
    write(dir.join("a"), "a\n");
    nix::unistd::mkfifo(&dir.join("pipe"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.join("sock")).unwrap();
    let taken = world.ingest();
    let mut skipped = names(&taken.skipped);
    skipped.sort();
    assert_eq!(skipped, ["pipe", "sock"]);
    assert_eq!(taken.files, 1);
}

#[test]
fn the_state_folder_is_left_out() {
    let world = World::started();
    let request =
        AdminRequest::Ingest { dir: fs::canonicalize(world.dir.path()).unwrap().into(), name: None };
    match world.ask(&request).0.pop() {
        Some(AdminReply::Taken(taken)) => assert!(names(&taken.skipped).contains(&"home".to_string())),
        other => panic!("{other:?}"),
    }
}

#[test]
fn bad_directories_are_refused_with_a_hint() {
    let world = world();
    for dir in [world.dir.path().join("none"), world.project().join("a"), "relative".into()] {
        match world.ask(&AdminRequest::Ingest { dir: dir.clone().into(), name: None }).0.pop() {
            Some(AdminReply::Error { failure: Failure::Input, what, hint }) => {
                assert!(what.contains(&*dir.to_string_lossy()) && !hint.is_empty(), "{what}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_run_counts_what_it_changed_and_nothing_else() {
    let world = world();
    let mut client = world.client();
    let enter = AdminRequest::Enter { target: world.target(), create: true, run: true };
    client.call(&enter, &mut |_| {}).unwrap();
    let leave = |client: &mut vrift_protocol::client::Client| match client
        .call(&AdminRequest::Leave { report: None, dates: None }, &mut |_| {})
        .unwrap()
    {
        (AdminReply::RunEnd(end), _) => end,
        other => panic!("{other:?}"),
    };
    let end = leave(&mut client);
    assert_eq!((end.files_changed, end.new_bytes, end.synced), (0, 0, true));
    client.call(&enter, &mut |_| {}).unwrap();
    change(&world, "a", "bytes that are new here\n");
    let end = leave(&mut client);
    assert_eq!((end.files_changed, end.new_bytes), (1, 24));
}
