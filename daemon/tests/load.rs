//! A thousand puts and a thousand gets a second from 16 clients, and the daemon killed in the middle.

mod common;

use common::World;
use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};
use vrift_protocol::pipeline::{Endpoint, Pipeline, RequestId, Retry};
use vrift_protocol::state::{State, StateRequest, Verb};

const CLIENTS: u32 = 16;
/// Of each client, one after the other.
const KEYS: u32 = 8;
/// All together: a little more than a thousand, as the kill takes some of the time.
const PER_SECOND: u32 = 1040;
/// Half of what one client may have under way.
const UNDER_WAY_MAX: usize = 64;

/// What one client did.
#[derive(Default)]
struct Done {
    puts: u32,
    gets: u32,
    longest: Duration,
    /// The last number that was acknowledged of each key.
    acknowledged: HashMap<u32, u32>,
}

struct Sent {
    key: u32,
    /// The number that was put; of a get, what must be there at least.
    number: u32,
    is_put: bool,
    at: Instant,
}

fn name(client: u32, key: u32) -> String {
    format!("/state/load/{client}/{key}")
}

fn take(pipeline: &mut Pipeline, sent: &mut HashMap<RequestId, Sent>, done: &mut Done, wait: Duration) {
    let Some(completion) = pipeline.next(wait) else { return };
    let request = sent.remove(&completion.id).expect("an answer to a request of ours");
    done.longest = done.longest.max(request.at.elapsed());
    let value = completion.result.expect("an answer that is no error");
    if request.is_put {
        done.puts += 1;
        done.acknowledged.insert(request.key, request.number);
    } else {
        done.gets += 1;
        let got = u32::from_le_bytes(value[..].try_into().unwrap());
        assert!(got >= request.number, "{got} was there after {} was acknowledged", request.number);
    }
}

/// Puts and gets at its share of the rate for so long; is behind where the daemon is, and does not give up.
fn client(socket: &Path, number: u32, time: Duration) -> Done {
    let mut pipeline = Pipeline::new(Endpoint::Path(socket.to_path_buf()));
    let (mut sent, mut done) = (HashMap::new(), Done::default());
    let started = Instant::now();
    let total = PER_SECOND / CLIENTS * u32::try_from(time.as_secs()).unwrap();
    for round in 1..=total {
        let due = started + time * round / total;
        while Instant::now() < due || sent.len() >= UNDER_WAY_MAX {
            take(
                &mut pipeline,
                &mut sent,
                &mut done,
                due.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)),
            );
        }
        let key = round % KEYS;
        let path = name(number, key);
        if let Some(least) = done.acknowledged.get(&key).copied() {
            let get = StateRequest::new(Verb::Get, path.as_bytes());
            let id = pipeline.submit_state(&get, Retry::Again, None).unwrap();
            sent.insert(id, Sent { key, number: least, is_put: false, at: Instant::now() });
        }
        let value = round.to_le_bytes();
        let put = StateRequest { bytes: &value, ..StateRequest::new(Verb::Put, path.as_bytes()) };
        let id = pipeline.submit_state(&put, Retry::Again, None).unwrap();
        sent.insert(id, Sent { key, number: round, is_put: true, at: Instant::now() });
    }
    while !sent.is_empty() {
        take(&mut pipeline, &mut sent, &mut done, common::SOON);
    }
    done
}

fn load(time: Duration) {
    let world = World::started();
    let socket = world.socket();
    let started = Instant::now();
    let all: Vec<Done> = std::thread::scope(|scope| {
        let socket = &socket;
        let clients: Vec<_> =
            (0..CLIENTS).map(|number| scope.spawn(move || client(socket, number, time))).collect();
        std::thread::sleep(time / 2);
        world.kill_and_wait();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let elapsed = started.elapsed().as_secs_f64();
    let sum = |count: fn(&Done) -> u32| all.iter().map(count).sum::<u32>();
    let longest = all.iter().map(|done| done.longest).max().unwrap_or_default();
    println!(
        "{CLIENTS} clients, {elapsed:.1} s, a kill: {:.0} puts and {:.0} gets a second, longest wait {longest:?}",
        f64::from(sum(|done| done.puts)) / elapsed,
        f64::from(sum(|done| done.gets)) / elapsed,
    );
    // Acknowledged is acknowledged, over another death.
    world.kill_and_wait();
    let mut reader = world.client();
    for (number, done) in (0..).zip(&all) {
        assert_eq!(done.acknowledged.len(), KEYS as usize);
        for (key, last) in &done.acknowledged {
            let value = State(&mut reader).get(name(number, *key).as_bytes()).unwrap().unwrap();
            assert_eq!(u32::from_le_bytes(value[..].try_into().unwrap()), *last, "client {number} key {key}");
        }
    }
    let put = PER_SECOND / CLIENTS * u32::try_from(time.as_secs()).unwrap() * CLIENTS;
    assert_eq!(sum(|done| done.puts), put, "every put was acknowledged");
}

#[test]
fn nothing_acknowledged_is_lost_under_load_with_a_kill_in_the_middle() {
    load(Duration::from_secs(4));
}

#[test]
#[ignore = "takes a minute: cargo xtask test --long"]
fn nothing_acknowledged_is_lost_in_a_minute_of_load_with_a_kill_in_the_middle() {
    load(Duration::from_secs(60));
}
