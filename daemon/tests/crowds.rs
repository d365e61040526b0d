//! Crowds, and clients that are slow on purpose: others are served.

mod common;

use common::{Raw, World};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{MsgFlags, send};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};
use vrift_protocol::admin::AdminRequest;
use vrift_protocol::client::Client;
use vrift_protocol::state::{PIECE_LEN, State, StateError, StateRequest, VALUE_LEN_MAX, Verb};
use vrift_protocol::{FrameHeader, HEADER_LEN, Hello, MAX_FRAME_LEN, Op};
use zerocopy::IntoBytes;

/// What the daemon lets in at most, where it may have twice as many files open; of one user three quarters of that.
const CONNECTIONS_MAX: u64 = 8192;

fn state_frame(id: u64, request: &StateRequest<'_>) -> Vec<u8> {
    let body = request.encode().unwrap();
    [FrameHeader::request(Op::State, id, body.len()).as_bytes(), &body].concat()
}

fn hello() -> Vec<u8> {
    let hello = Hello { client_id: 0.into(), workspace: 0.into(), line: 0.into() };
    let header = FrameHeader::request(Op::Hello, 0, hello.as_bytes().len());
    [header.as_bytes(), hello.as_bytes()].concat()
}

/// Connects so often, says hello, and keeps what was let in.
fn crowd(path: &std::path::Path, count: usize) -> Vec<Raw> {
    let mut inside = Vec::new();
    for _ in 0..count {
        let mut raw = Raw::silent(path);
        // Refused ones are closed by the daemon, before or after they have said it.
        let said = send(raw.socket.as_raw_fd(), &hello(), MsgFlags::MSG_NOSIGNAL).is_ok();
        if said && raw.receive().is_some_and(|(header, _, _)| header.status.get() == 0) {
            inside.push(raw);
        }
    }
    inside
}

#[test]
fn ten_thousand_connections_of_one_user_are_bounded_and_others_are_served() {
    const COUNT: usize = 10_000;
    let (_, fds) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, fds, fds).unwrap();
    let of_one_max = (CONNECTIONS_MAX.min(fds / 2) / 4 * 3) as usize;
    let mut world = World::new();
    std::fs::create_dir(world.home()).unwrap();
    let rule = "may = [\"read\", \"write\", \"list\"]\nbelow = \"/state/\"\n";
    let policy = format!("[[allow]]\nuid = \"owner\"\n{rule}[[allow]]\nuid = 65534\n{rule}");
    std::fs::write(world.home().join("policy.toml"), policy).unwrap();
    world.start();
    let mut before = world.client();
    State(&mut before).put(b"/state/a", b"1").unwrap();
    let inside = if nix::unistd::geteuid().is_root() {
        // Another user crowds root's daemon; root is let in all the same.
        let door = world.runtime().join(vrift_protocol::names::DOOR_DIR);
        let flags = nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_CLOEXEC;
        let door = nix::fcntl::open(&door, flags, nix::sys::stat::Mode::empty()).unwrap();
        let path = format!("/proc/self/fd/{}/sock", door.as_raw_fd());
        let path = std::path::Path::new(&path);
        let inside = std::thread::scope(|scope| {
            let crowding = scope.spawn(|| {
                common::sys::become_user(65534, &[]);
                crowd(path, COUNT)
            });
            crowding.join().unwrap()
        });
        let mut root = Client::connect(&world.socket()).unwrap();
        assert_eq!(State(&mut root).get(b"/state/a").unwrap().unwrap(), b"1");
        inside
    } else {
        crowd(&world.socket(), COUNT)
    };
    assert!((of_one_max - 2..=of_one_max).contains(&inside.len()), "{} were let in", inside.len());
    // Who was there before goes on; so do those who were let in.
    assert_eq!(State(&mut before).get(b"/state/a").unwrap().unwrap(), b"1");
    let mut last = inside.into_iter().last().unwrap();
    last.send(&state_frame(1, &StateRequest::new(Verb::Get, b"/state/a")));
    assert_eq!(last.receive().unwrap().1, b"1");
    // All but one are gone: there is room again.
    let again = common::eventually("room", || Client::connect(&world.socket()).ok());
    drop(again);
    assert_eq!(crowd(&world.socket(), 100).len(), 100);
}

#[test]
fn clients_that_read_no_values_hold_no_thread_of_those_who_do() {
    let world = World::started();
    let mut client = world.client();
    State(&mut client).put(b"/state/long", &vec![7; VALUE_LEN_MAX]).unwrap();
    // More of them than the daemon has threads, with more asked for than sockets and queues hold.
    let deaf: Vec<Raw> = (0..32)
        .map(|_| {
            let raw = Raw::connect(&world.socket(), 0, 0);
            for id in 0..20 {
                raw.send(&state_frame(id, &StateRequest::new(Verb::Get, b"/state/long")));
            }
            raw
        })
        .collect();
    // Answered in time, whatever they do: this client waits for ten seconds.
    let mut raw = Raw::connect(&world.socket(), 0, 0);
    for id in 0..50 {
        raw.send(&state_frame(id, &StateRequest::new(Verb::Get, b"/state/none")));
        let (header, _, _) = raw.receive().expect("an answer");
        assert_eq!((header.request_id.get(), header.status.get()), (id, Errno::ENOENT as u32));
    }
    // One that begins to read gets all of it, whole and in order.
    let mut late = deaf.into_iter().next().unwrap();
    for id in 0..20 {
        let mut len = 0;
        while len < VALUE_LEN_MAX {
            let (header, body, _) = late.receive().expect("a piece");
            assert_eq!((header.request_id.get(), header.status.get()), (id, 0));
            assert!(body.iter().all(|byte| *byte == 7));
            len += body.len();
        }
    }
}

#[test]
fn clients_that_read_no_listings_hold_half_of_the_threads_at_most() {
    let world = World::started();
    let name = "n".repeat(240);
    for number in 0..6000 {
        std::fs::write(world.project().join(format!("{name}{number}")), "").unwrap();
    }
    world.ingest();
    let list = AdminRequest::List {
        target: world.target(),
        snapshot: None,
        path: (&b""[..]).into(),
        recursive: true,
    };
    let body = serde_json::to_vec(&list).unwrap();
    let frame = [FrameHeader::request(Op::Admin, 1, body.len()).as_bytes(), &body].concat();
    // More of them than the daemon has threads.
    let deaf: Vec<Raw> = (0..32)
        .map(|_| {
            let raw = Raw::connect(&world.socket(), 0, 0);
            raw.send(&frame);
            raw
        })
        .collect();
    // This client waits for ten seconds.
    let mut raw = Raw::connect(&world.socket(), 0, 0);
    for id in 0..50 {
        raw.send(&state_frame(id, &StateRequest::new(Verb::Get, b"/state/none")));
        assert_eq!(raw.receive().expect("an answer").0.status.get(), Errno::ENOENT as u32);
    }
    drop(deaf);
    assert_eq!(world.list().len(), 6000);
}

#[test]
fn a_byte_at_a_time_and_frames_that_are_cut_or_sent_twice_disturb_nobody() {
    let world = World::started();
    let pid = world.pid();
    let mut good = world.client();
    let mut slow = Raw::connect(&world.socket(), 0, 0);
    let whole =
        state_frame(3, &StateRequest { bytes: b"value", ..StateRequest::new(Verb::Put, b"/state/slow") });
    for len in 1..whole.len() {
        // A datagram is a frame: what is cut is no beginning of one.
        slow.send(&whole[len - 1..len]);
        assert_ne!(slow.receive().unwrap().0.status.get(), 0);
        slow.send(&whole[..len]);
        assert_ne!(slow.receive().unwrap().0.status.get(), 0);
        State(&mut good).put(b"/state/good", &len.to_le_bytes()).unwrap();
    }
    assert_eq!(State(&mut good).get(b"/state/slow").unwrap(), None);
    for _ in 0..3 {
        slow.send(&whole);
        let (header, _, _) = slow.receive().unwrap();
        assert_eq!((header.request_id.get(), header.status.get()), (3, 0), "the same frame again");
    }
    assert_eq!(State(&mut good).get(b"/state/slow").unwrap().unwrap(), b"value");
    // A value by pieces of a byte is one value, whoever else puts meanwhile.
    for (at, byte) in b"/slowly".iter().enumerate() {
        slow.send(&state_frame(
            9,
            &StateRequest { bytes: &[*byte], begins: at == 0, ..StateRequest::new(Verb::Part, b"") },
        ));
        assert_eq!(slow.receive().unwrap().0.status.get(), 0);
        State(&mut good).put(b"/state/slow", b"another").unwrap();
    }
    slow.send(&state_frame(10, &StateRequest::new(Verb::Put, b"/state/slow")));
    assert_eq!(slow.receive().unwrap().0.status.get(), 0);
    assert_eq!(State(&mut good).get(b"/state/slow").unwrap().unwrap(), b"/slowly");
    // Longer than a frame, longer than a value, of a kind that there is not, with a key that climbs.
    let mut long = FrameHeader::request(Op::State, 5, MAX_FRAME_LEN).as_bytes().to_vec();
    long.resize(HEADER_LEN + MAX_FRAME_LEN, 1);
    slow.send(&long);
    assert_eq!(slow.receive().unwrap().0.status.get(), Errno::EPROTO as u32);
    for at in 0..=VALUE_LEN_MAX / PIECE_LEN + 1 {
        let piece =
            StateRequest { bytes: &[0; PIECE_LEN], begins: at == 0, ..StateRequest::new(Verb::Part, b"") };
        slow.send(&state_frame(11, &piece));
        slow.receive().unwrap();
    }
    slow.send(&state_frame(12, &StateRequest::new(Verb::Put, b"/state/slow")));
    assert_eq!(slow.receive().unwrap().0.status.get(), Errno::EFBIG as u32);
    let mut unknown = state_frame(13, &StateRequest::new(Verb::Get, b"/state/slow"));
    unknown[HEADER_LEN] = 200;
    slow.send(&unknown);
    assert_eq!(slow.receive().unwrap().0.status.get(), Errno::EBADMSG as u32);
    slow.send(&state_frame(14, &StateRequest::new(Verb::Get, b"/state/../state/slow")));
    assert_eq!(slow.receive().unwrap().0.status.get(), Errno::EINVAL as u32);
    assert_eq!(State(&mut good).get(b"/state/slow").unwrap().unwrap(), b"/slowly");
    assert_eq!(world.pid(), pid);
}

#[test]
fn clients_that_send_a_byte_each_second_are_bounded_and_others_are_served_meanwhile() {
    /// As many of one user as may hold a value that is not whole.
    const SLOW: usize = 24;
    /// What the daemon gives a value, and a second.
    const GIVEN: Duration = Duration::from_secs(31);
    /// Wide: what is to happen takes half a minute.
    const LONGEST: Duration = Duration::from_secs(300);
    let world = World::started();
    let pid = world.pid();
    let long = vec![7; PIECE_LEN + 1];
    // A hello by bytes is none: it is refused with the first one.
    let mut mute = Raw::silent(&world.socket());
    mute.send(&hello()[..1]);
    assert_eq!(mute.receive().unwrap().0.status.get(), Errno::EPROTO as u32);
    assert!(mute.receive().is_none());
    let piece = |id: u64| {
        let part = StateRequest { bytes: b"b", begins: id == 0, ..StateRequest::new(Verb::Part, b"") };
        state_frame(id, &part)
    };
    let mut slow: Vec<Raw> = (0..SLOW).map(|_| Raw::connect(&world.socket(), 0, 0)).collect();
    let mut cut = Raw::connect(&world.socket(), 0, 0);
    let whole = state_frame(1, &StateRequest { bytes: b"x", ..StateRequest::new(Verb::Put, b"/state/cut") });
    let mut client = world.client();
    let (began, mut second, mut refused) = (Instant::now(), 0, false);
    let mut all_began = began;
    loop {
        for raw in &mut slow {
            raw.send(&piece(second));
            assert_eq!(raw.receive().unwrap().0.status.get(), 0);
        }
        if second == 0 {
            all_began = Instant::now();
        }
        cut.send(&whole[second as usize % whole.len()..][..1]);
        assert_ne!(cut.receive().unwrap().0.status.get(), 0);
        // Everybody else is answered meanwhile; each answer has ten seconds.
        for _ in 0..10 {
            State(&mut client).put(b"/state/quick", &second.to_le_bytes()).unwrap();
            assert_eq!(State(&mut client).get(b"/state/quick").unwrap().unwrap(), second.to_le_bytes());
            std::thread::sleep(Duration::from_millis(100));
        }
        second += 1;
        match State(&mut client).put(b"/state/long", &long) {
            Ok(()) => break,
            Err(StateError::Refused { errno: Errno::EAGAIN, .. }) => refused = true,
            Err(error) => panic!("{error}"),
        }
        assert!(began.elapsed() < LONGEST, "they hold their place for good");
    }
    assert!(refused, "there was a place all the time");
    std::thread::sleep(GIVEN.saturating_sub(all_began.elapsed()));
    for raw in &mut slow {
        raw.send(&state_frame(99, &StateRequest::new(Verb::Put, b"/state/slow")));
        assert_eq!(raw.receive().unwrap().0.status.get(), Errno::ETIMEDOUT as u32);
    }
    for key in [&b"/state/slow"[..], b"/state/cut"] {
        assert_eq!(State(&mut client).get(key).unwrap(), None);
    }
    assert_eq!(State(&mut client).get(b"/state/long").unwrap().unwrap(), long);
    assert_eq!(world.pid(), pid);
}
