//! The key-value space against a plain map: random histories of puts, deletes, transactions, listings, syncs,
//! checkpoints, collections and deaths. A history that fails is made short by proptest and kept in `regressions`.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{content, memory, open};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use statefs_journal::{Key, MemDevice, StateOp, Store};

/// Histories in one run of the test.
const CASES: u32 = 300;
/// Paths are few, so that they are met again; some are beginnings of others.
const PATHS: [&str; 8] = ["a", "a/b", "a/b/c", "ab", "b", "b/a", "c", "long/name/of/some/length"];
/// In the journal, as a packed blob, as a blob of its own.
const LENGTHS: [usize; 6] = [0, 1, 60, 1024, 1025, 90_000];

#[derive(Clone, Debug)]
enum Step {
    Put {
        path: usize,
        len: usize,
        seed: u8,
    },
    Delete {
        path: usize,
    },
    Apply(Vec<(usize, Option<(usize, u8)>)>),
    List {
        prefix: usize,
        after: Option<usize>,
        limit: usize,
    },
    Sync,
    Checkpoint,
    Collect,
    /// The process dies; the device keeps what it was given.
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let (path, len) = (0..PATHS.len(), 0..LENGTHS.len());
    let change = (path.clone(), proptest::option::weighted(0.7, (len.clone(), 0..4_u8)));
    prop_oneof![
        6 => (path.clone(), len, 0..4_u8).prop_map(|(path, len, seed)| Step::Put { path, len, seed }),
        3 => path.clone().prop_map(|path| Step::Delete { path }),
        3 => proptest::collection::vec(change, 1..6).prop_map(Step::Apply),
        3 => (path.clone(), proptest::option::of(path), 1..10_usize)
            .prop_map(|(prefix, after, limit)| Step::List { prefix, after, limit }),
        2 => Just(Step::Sync),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Collect),
        2 => Just(Step::Reopen),
    ]
}

fn key(path: usize) -> Key {
    Key::new(format!("/state/{}", PATHS[path]).as_bytes()).unwrap()
}

fn value(len: usize, seed: u8) -> Vec<u8> {
    content(u64::from(seed), LENGTHS[len]).1
}

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn perform(step: &Step, store: &mut Store, dev: &mut Arc<MemDevice>, model: &mut Model) {
    match step {
        Step::Put { path, len, seed } => {
            store.state_put(&key(*path), &value(*len, *seed)).unwrap();
            model.insert(key(*path).as_bytes().to_vec(), value(*len, *seed));
        }
        Step::Delete { path } => {
            let was_there = store.state_delete(&key(*path)).unwrap();
            assert_eq!(was_there, model.remove(key(*path).as_bytes()).is_some());
        }
        Step::Apply(changes) => {
            let ops = changes.iter().map(|(path, put)| match put {
                Some((len, seed)) => StateOp::Put(key(*path), value(*len, *seed)),
                None => StateOp::Delete(key(*path)),
            });
            store.state_apply(ops.collect()).unwrap();
            for (path, put) in changes {
                match put {
                    Some((len, seed)) => {
                        drop(model.insert(key(*path).as_bytes().to_vec(), value(*len, *seed)))
                    }
                    None => drop(model.remove(key(*path).as_bytes())),
                }
            }
        }
        Step::List { prefix, after, limit } => {
            let prefix = format!("/state/{}", PATHS[*prefix]).into_bytes();
            let after = after.map(key);
            let page = store.state_list(&prefix, after.as_ref().map(Key::as_bytes), *limit, &|_| true);
            let all: Vec<_> = model
                .iter()
                .filter(|(path, _)| path.starts_with(&prefix))
                .filter(|(path, _)| after.as_ref().is_none_or(|after| path.as_slice() > after.as_bytes()))
                .collect();
            let found: Vec<_> = page.rows.iter().map(|row| row.key.as_bytes().to_vec()).collect();
            let wanted: Vec<_> = all.iter().take(*limit).map(|(path, _)| (*path).clone()).collect();
            assert_eq!((found, page.more), (wanted, all.len() > *limit));
        }
        Step::Sync => drop(store.sync().unwrap()),
        Step::Checkpoint => store.checkpoint(&mut |_| Ok(())).unwrap(),
        Step::Collect => {
            let mut live = std::collections::HashSet::new();
            let collection = store.collect().unwrap();
            store.for_each_state_blob(&mut |hash| _ = live.insert(*hash));
            let mut garbage = Vec::new();
            store.for_each_blob(&mut |hash, _| {
                if !live.contains(hash) {
                    garbage.push(*hash);
                }
            });
            collection.sweep(&garbage, &mut |_| true).unwrap();
        }
        Step::Reopen => {
            // The device is its bytes; the store that was open goes on nowhere.
            *dev = Arc::new(dev.fork());
            *store = open(dev.clone()).unwrap().0;
        }
    }
}

fn check(store: &Store, model: &Model) {
    for path in 0..PATHS.len() {
        assert_eq!(store.state_get(&key(path)).unwrap().as_ref(), model.get(key(path).as_bytes()), "{path}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: CASES,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_key_value_space_is_a_map(steps in proptest::collection::vec(step(), 1..40)) {
        let mut dev = memory();
        let mut store = open(dev.clone()).unwrap().0;
        let mut model = Model::new();
        for step in &steps {
            perform(step, &mut store, &mut dev, &mut model);
            check(&store, &model);
        }
    }
}
