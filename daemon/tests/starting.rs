//! One daemon per state folder, however many start it.

mod common;

use common::*;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use vrift_protocol::Op;
use vrift_protocol::admin::{AdminReply, AdminRequest};
use vrift_protocol::client::Client;

#[test]
fn a_second_daemon_is_refused() {
    let world = World::started();
    for flag in ["--foreground", "--serve"] {
        let output = world.command().arg(flag).output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("already serves") && said.lines().count() <= 3, "{said}");
    }
    let output = world.command().output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&world.pid().to_string()));
}

#[test]
fn a_client_may_say_hello_with_its_first_request() {
    let world = World::started();
    let mut client = Client::open(&world.socket()).unwrap();
    for _ in 0..2 {
        let (answer, _) = client.call(&AdminRequest::Status, &mut |_| {}).unwrap();
        assert!(matches!(answer, AdminReply::Status(_)), "{answer:?}");
    }
}

#[test]
fn ten_starts_at_once_leave_one_daemon() {
    let mut world = World::new();
    let children: Vec<_> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..10).map(|_| scope.spawn(|| world.start_with_ready())).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    let pid = world.pid();
    let mut winners = Vec::new();
    for (mut child, said) in children {
        assert!(said.starts_with("ok\n"), "{said}");
        assert!(Client::connect(&world.socket()).is_ok());
        std::thread::sleep(std::time::Duration::from_millis(20));
        match child.try_wait().unwrap() {
            None => winners.push(child),
            Some(status) => assert_eq!(status.code(), Some(3)),
        }
    }
    eventually("only one", || {
        winners.retain_mut(|child| child.try_wait().unwrap().is_none());
        (winners.len() == 1).then_some(())
    });
    assert_eq!(world.pid(), pid);
    world.supervisor = winners.pop();
}

#[test]
fn sigterm_ends_both_processes_in_order() {
    let mut world = World::started();
    let served = world.pid();
    kill(Pid::from_raw(served), Signal::SIGTERM).unwrap();
    let status = world.supervisor.take().unwrap().wait().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(kill(Pid::from_raw(served), None).is_err());
    assert!(!world.socket().exists());
    world.start();
}

#[test]
fn folders_are_private_and_a_foreign_one_is_refused() {
    let world = World::started();
    for dir in [world.home(), world.runtime()] {
        assert_eq!(fs::metadata(dir).unwrap().permissions().mode() & 0o777, 0o700);
    }
    let other = World::new();
    fs::write(other.home(), "not a folder").unwrap();
    let (mut child, said) = other.start_with_ready();
    assert!(!child.wait().unwrap().success());
    assert!(!said.contains("ok\n"), "{said}");
}

#[test]
fn a_damaged_store_is_reported_and_left_alone() {
    let mut world = World::started();
    assert!(matches!(world.ask(&AdminRequest::Stop).0.pop(), Some(AdminReply::Done)));
    world.supervisor.take().unwrap().wait().unwrap();
    let store = world.home().join("store.img");
    fs::write(&store, "no store").unwrap();
    let (mut child, said) = world.start_with_ready();
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert!(said.contains("store.img") && said.lines().count() <= 3, "{said}");
    assert_eq!(fs::read_to_string(store).unwrap(), "no store");
    assert!(!world.runtime().join("pid").exists(), "nobody serves");
}

#[test]
fn a_store_that_is_not_the_folders_own_is_refused_while_files_are_being_written() {
    let stopped = |world: &mut World| {
        assert!(matches!(world.ask(&AdminRequest::Stop).0.pop(), Some(AdminReply::Done)));
        world.supervisor.take().unwrap().wait().unwrap();
    };
    let taken_in = || {
        let world = World::started();
        write(world.project().join("a"), "a\n");
        world.ingest();
        world
    };
    let (mut world, mut other) = (taken_in(), taken_in());
    let store = |world: &World| world.home().join("store.img");
    let opening = opening(ROOT, nix::libc::O_CREAT | nix::libc::O_RDWR);
    let (_, fd) = world.raw(7).request(Op::Open, opening, b"open", b"").unwrap();
    let mut open = fs::File::from(fd.unwrap());
    open.write_all(b"not yet sealed").unwrap();
    stopped(&mut world);
    stopped(&mut other);
    let own = world.dir.path().join("own");
    fs::rename(store(&world), &own).unwrap();
    fs::copy(store(&other), store(&world)).unwrap();
    let (mut child, said) = world.start_with_ready();
    assert!(said.contains("belongs to store") && said.contains("VRIFT_HOME"), "{said}");
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert!(!world.runtime().join("pid").exists(), "nobody serves");
    // Nothing was touched: with its own store the folder is as it was.
    fs::copy(&own, store(&world)).unwrap();
    world.start();
    assert_eq!(world.cat("open"), "not yet sealed");
    drop(open);
    // Without such a file there is nothing to mix up.
    world.ask(&AdminRequest::Sync { target: world.target(), settle: None, all: false });
    stopped(&mut world);
    fs::copy(store(&other), store(&world)).unwrap();
    world.start();
}

#[test]
fn what_cannot_be_kept_is_never_called_ready() {
    // All of them take writes, or say that they do, and give nothing back.
    for device in ["/dev/null", "/dev/zero", "/dev/full"] {
        let world = World::new();
        fs::create_dir(world.home()).unwrap();
        fs::set_permissions(world.home(), fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::symlink(device, world.home().join("store.img")).unwrap();
        let (mut child, said) = world.start_with_ready();
        assert_eq!(child.wait().unwrap().code(), Some(3), "{device}");
        assert!(said.contains("store.img") && said.lines().count() <= 3, "{device}: {said}");
        assert!(Client::connect(&world.socket()).is_err(), "{device}");
    }
}

#[test]
fn doctor_and_status_say_how_the_daemon_does() {
    let world = World::started();
    match world.ask(&AdminRequest::Doctor).0.pop() {
        Some(AdminReply::Checks(checks)) => {
            let names: Vec<_> = checks.iter().map(|check| check.name.as_str()).collect();
            for name in ["daemon", "store", "leases", "inotify", "fds", "space", "kernel"] {
                assert!(names.contains(&name), "{names:?}");
            }
        }
        other => panic!("{other:?}"),
    }
    match world.ask(&AdminRequest::Status).0.pop() {
        Some(AdminReply::Status(status)) => assert_eq!(status.pid as i32, world.pid()),
        other => panic!("{other:?}"),
    }
}
