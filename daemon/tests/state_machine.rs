//! The key-value space over the socket against a plain map: several clients, each with or without a transaction, deaths of
//! the daemon between. A history that fails is made short by proptest and kept in `regressions`.

mod common;

use common::World;
use nix::errno::Errno;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use std::collections::BTreeMap;
use vrift_protocol::client::Client;
use vrift_protocol::state::{PIECE_LEN, State, StateError};

/// Histories in one run of the test, in one daemon each.
const CASES: u32 = 20;
const CLIENTS: usize = 3;
/// Paths are few, so that they are met again; some are beginnings of others.
/// The daemon's own keys are no part of the map.
const POLICY: &str = "[[allow]]\nuid = \"owner\"\nmay = [\"read\", \"write\", \"list\"]\nbelow = \"/state/\"\nexcept = [\"/state/audit/\"]\n";
const PATHS: [&str; 6] = ["a", "a/b", "a/b/c", "ab", "b", "b/a"];
/// In the journal, as a blob, in several pieces.
const LENGTHS: [usize; 4] = [0, 60, 1025, PIECE_LEN + 1];

#[derive(Clone, Debug)]
enum Step {
    Put {
        client: usize,
        path: usize,
        len: usize,
        seed: u8,
    },
    Get {
        client: usize,
        path: usize,
    },
    Delete {
        client: usize,
        path: usize,
    },
    List {
        client: usize,
        prefix: usize,
        after: Option<usize>,
        limit: u32,
    },
    Begin(usize),
    Commit(usize),
    Abort(usize),
    Sync(usize),
    /// It goes and comes again.
    Leave(usize),
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    let (client, path) = (0..CLIENTS, 0..PATHS.len());
    let place = (client.clone(), path.clone());
    let after = proptest::option::of(path.clone());
    prop_oneof![
        8 => (place.clone(), 0..LENGTHS.len(), 0..4_u8)
            .prop_map(|((client, path), len, seed)| Step::Put { client, path, len, seed }),
        4 => place.clone().prop_map(|(client, path)| Step::Get { client, path }),
        4 => place.clone().prop_map(|(client, path)| Step::Delete { client, path }),
        4 => (place, after, 1..5_u32)
            .prop_map(|((client, prefix), after, limit)| Step::List { client, prefix, after, limit }),
        4 => client.clone().prop_map(Step::Begin),
        3 => client.clone().prop_map(Step::Commit),
        1 => client.clone().prop_map(Step::Abort),
        1 => client.clone().prop_map(Step::Sync),
        1 => client.prop_map(Step::Leave),
        1 => Just(Step::Kill),
    ]
}

type Map = BTreeMap<Vec<u8>, Vec<u8>>;
/// What a transaction changes.
type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

fn key(path: usize) -> Vec<u8> {
    format!("/state/{}", PATHS[path]).into_bytes()
}

fn value(len: usize, seed: u8) -> Vec<u8> {
    (0..LENGTHS[len]).map(|at| (at * 7) as u8 ^ seed).collect()
}

fn refused<T: std::fmt::Debug>(answer: Result<T, StateError>) -> Errno {
    match answer {
        Err(StateError::Refused { errno, .. }) => errno,
        other => panic!("{other:?}"),
    }
}

struct Both<'a> {
    world: &'a World,
    clients: Vec<(Client, Option<Changes>)>,
    map: Map,
}

impl Both<'_> {
    /// As the client sees it.
    fn get(&self, client: usize, key: &[u8]) -> Option<Vec<u8>> {
        let changed = self.clients[client].1.as_ref().and_then(|changes| changes.get(key));
        changed.cloned().unwrap_or_else(|| self.map.get(key).cloned())
    }

    fn set(&mut self, client: usize, key: Vec<u8>, value: Option<Vec<u8>>) {
        match (&mut self.clients[client].1, value) {
            (Some(changes), value) => drop(changes.insert(key, value)),
            (None, Some(value)) => drop(self.map.insert(key, value)),
            (None, None) => drop(self.map.remove(&key)),
        }
    }

    fn perform(&mut self, step: &Step) {
        match *step {
            Step::Put { client, path, len, seed } => {
                State(&mut self.clients[client].0).put(&key(path), &value(len, seed)).unwrap();
                self.set(client, key(path), Some(value(len, seed)));
            }
            Step::Get { client, path } => {
                let got = State(&mut self.clients[client].0).get(&key(path)).unwrap();
                assert_eq!(got, self.get(client, &key(path)));
            }
            Step::Delete { client, path } => {
                let was_there = State(&mut self.clients[client].0).delete(&key(path)).unwrap();
                // Within a transaction nothing is said of it.
                let in_transaction = self.clients[client].1.is_some();
                assert_eq!(was_there, in_transaction || self.get(client, &key(path)).is_some());
                self.set(client, key(path), None);
            }
            Step::List { client, prefix, after, limit } => {
                let (prefix, after) = (key(prefix), after.map(key).unwrap_or_default());
                let page = State(&mut self.clients[client].0).list(&prefix, &after, limit).unwrap();
                // What is committed, whoever asks.
                let all: Vec<_> =
                    self.map.iter().filter(|(key, _)| key.starts_with(&prefix) && **key > after).collect();
                let wanted: Vec<_> = all
                    .iter()
                    .take(limit as usize)
                    .map(|(key, value)| ((*key).clone(), value.len() as u32))
                    .collect();
                let found: Vec<_> = page.0.into_iter().map(|row| (row.key, row.len_bytes)).collect();
                assert_eq!((found, page.1), (wanted, all.len() > limit as usize));
            }
            Step::Begin(client) => {
                let (connection, changes) = &mut self.clients[client];
                let begun = State(connection).begin();
                match changes {
                    Some(_) => assert_eq!(refused(begun), Errno::EBUSY),
                    None => {
                        begun.unwrap();
                        *changes = Some(Changes::new());
                    }
                }
            }
            Step::Commit(client) => {
                let (connection, changes) = &mut self.clients[client];
                let committed = State(connection).commit();
                match changes.take() {
                    None => assert_eq!(refused(committed), Errno::ENOTCONN),
                    Some(changes) => {
                        committed.unwrap();
                        changes.into_iter().for_each(|(key, value)| self.set(client, key, value));
                    }
                }
            }
            Step::Abort(client) => {
                let (connection, changes) = &mut self.clients[client];
                let aborted = State(connection).abort();
                match changes.take() {
                    None => assert_eq!(refused(aborted), Errno::ENOTCONN),
                    Some(_) => aborted.unwrap(),
                }
            }
            Step::Sync(client) => State(&mut self.clients[client].0).sync().unwrap(),
            Step::Leave(client) => self.clients[client] = (self.world.client(), None),
            Step::Kill => {
                self.world.kill_and_wait();
                self.clients = (0..CLIENTS).map(|_| (self.world.client(), None)).collect();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: CASES,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        // Each try starts a daemon.
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_key_value_space_is_one_map_for_all_clients(history in proptest::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        std::fs::create_dir(world.home()).unwrap();
        std::fs::write(world.home().join("policy.toml"), POLICY).unwrap();
        world.start();
        let clients = (0..CLIENTS).map(|_| (world.client(), None)).collect();
        let mut both = Both { world: &world, clients, map: Map::new() };
        history.iter().for_each(|step| both.perform(step));
        both.perform(&Step::Kill);
        (0..PATHS.len()).for_each(|path| both.perform(&Step::Get { client: 0, path }));
        both.perform(&Step::List { client: 0, prefix: 0, after: None, limit: 100 });
    }
}
