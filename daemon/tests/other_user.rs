//! Another user at root's daemon: whoever holds an fd of the folder with the daemon's door. What they may do is in the
//! policy, by user, by group and by further groups; it is as the kernel says, whatever a request says.

mod common;

use common::{Raw, World};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use vrift_protocol::admin::AdminRequest;
use vrift_protocol::client::{Client, ClientError};
use vrift_protocol::service::{Need, Service, encode};
use vrift_protocol::state::{State, StateError};
use vrift_protocol::{FrameHeader, Op};
use zerocopy::IntoBytes;

const OTHER: u32 = 65534;
const GROUP: u32 = 4242;

/// Does something as that user, with a path to the daemon's socket.
fn with_user<T: Send>(world: &World, uid: u32, groups: &[u32], action: impl FnOnce(&Path) -> T + Send) -> T {
    let door = world.runtime().join(vrift_protocol::names::DOOR_DIR);
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let door = nix::fcntl::open(&door, flags, Mode::empty()).unwrap();
    let path = PathBuf::from(format!("/proc/self/fd/{}/sock", door.as_raw_fd()));
    std::thread::scope(|scope| {
        let done = scope.spawn(|| {
            common::sys::become_user(uid, groups);
            action(&path)
        });
        done.join().unwrap()
    })
}

fn errno<T: std::fmt::Debug>(answer: Result<T, StateError>) -> Errno {
    match answer {
        Err(StateError::Refused { errno, .. }) => errno,
        other => panic!("{other:?}"),
    }
}

/// None: the daemon is not root's, and lets no other user in.
fn world(policy: &str) -> Option<World> {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not tried: this takes root");
        return None;
    }
    let mut world = World::new();
    std::fs::create_dir(world.home()).unwrap();
    if !policy.is_empty() {
        std::fs::write(world.home().join("policy.toml"), policy).unwrap();
    }
    world.start();
    Some(world)
}

const OWNER: &str =
    "[[allow]]\nuid = \"owner\"\nmay = [\"read\", \"write\", \"list\"]\nbelow = \"/state/\"\n";

#[test]
fn without_a_rule_another_user_may_do_nothing() {
    let Some(world) = world("") else { return };
    State(&mut world.client()).put(b"/state/a", b"1").unwrap();
    with_user(&world, OTHER, &[], |path| {
        let mut client = Client::connect(path).unwrap();
        assert_eq!(errno(State(&mut client).get(b"/state/a")), Errno::EACCES);
        assert_eq!(errno(State(&mut client).put(b"/state/a", b"2")), Errno::EACCES);
        assert_eq!(errno(State(&mut client).list(b"/state/", b"", 9)), Errno::EACCES);
        assert_eq!(errno(State(&mut client).begin()), Errno::EACCES);
        let refused = client.call(&AdminRequest::Status, &mut |_| {});
        assert!(matches!(refused, Err(ClientError::Io(Errno::EPERM))), "{refused:?}");
        for service in Service::ALL {
            for need in [Need::Read, Need::Write, Need::Admin] {
                let mut raw = Raw::connect(path, 0, 0);
                let body = encode(service, need, b"\"show\"");
                let header = FrameHeader::request(Op::Service, 1, body.len());
                raw.send(&[header.as_bytes(), &body].concat());
                assert_eq!(raw.receive().unwrap().0.status.get(), Errno::EACCES as u32);
            }
        }
    });
    let mut mine = world.client();
    assert_eq!(State(&mut mine).get(b"/state/a").unwrap().unwrap(), b"1");
    // Each is written down, with the user that the kernel named.
    let (rows, _) = State(&mut mine).list(b"/state/audit/log/", b"", 100).unwrap();
    assert!(rows.len() >= 10);
    // The first two are the log's beginning and the policy.
    let mut command_line = 0;
    for row in &rows[2..] {
        let entry = String::from_utf8(State(&mut mine).get(&row.key).unwrap().unwrap()).unwrap();
        assert!(entry.contains("uid 65534 gid 65534"), "{entry}");
        command_line += usize::from(entry.contains("\"the command line\""));
    }
    assert_eq!(command_line, 1);
}

#[test]
fn a_rule_is_for_a_user_or_a_group_also_a_further_one() {
    let policy = format!(
        "{OWNER}[[allow]]\nuid = {OTHER}\nmay = [\"read\", \"list\"]\nbelow = \"/state/user/\"\n\
         [[allow]]\ngid = {OTHER}\nmay = [\"read\"]\nbelow = \"/state/group/\"\n\
         [[allow]]\ngid = {GROUP}\nmay = [\"read\", \"write\"]\nbelow = \"/state/further/\"\n"
    );
    let Some(world) = world(&policy) else { return };
    for key in [&b"/state/user/a"[..], b"/state/group/a", b"/state/further/a", b"/state/none/a"] {
        State(&mut world.client()).put(key, b"1").unwrap();
    }
    let many: Vec<u32> = (5000..5300).chain([GROUP]).collect();
    let tried = |uid: u32, groups: &[u32]| {
        with_user(&world, uid, groups, |path| {
            let mut client = Client::connect(path).unwrap();
            let space = &mut State(&mut client);
            let mut may = String::new();
            for (letter, key) in [
                ("u", &b"/state/user/a"[..]),
                ("g", b"/state/group/a"),
                ("f", b"/state/further/a"),
                ("n", b"/state/none/a"),
            ] {
                match space.get(key) {
                    Ok(Some(_)) => may += letter,
                    other => assert_eq!(errno(other), Errno::EACCES),
                }
                match space.put(key, b"2") {
                    Ok(()) => may += "w",
                    other => assert_eq!(errno(other), Errno::EACCES),
                }
            }
            may
        })
    };
    assert_eq!(tried(OTHER, &[]), "ug");
    assert_eq!(tried(OTHER, &[7, GROUP]), "ugfw");
    assert_eq!(tried(OTHER, &many), "ugfw");
    assert_eq!(tried(1234, &[]), "");
    assert_eq!(tried(1234, &[GROUP]), "fw");
    // A listing shows what may be read.
    let listed = with_user(&world, OTHER, &[GROUP], |path| {
        State(&mut Client::connect(path).unwrap()).list(b"/state/", b"", 99).unwrap().0
    });
    assert_eq!(listed.into_iter().map(|row| row.key).collect::<Vec<_>>(), [b"/state/user/a"]);
}
