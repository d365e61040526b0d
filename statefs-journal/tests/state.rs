//! The key-value space: what is put is read back, transactions are whole, listings are exact.

mod common;

use std::sync::Arc;

use common::{content, memory, open};
use statefs_journal::state::{
    INLINE_LEN_MAX, KEY_LEN_MAX, NAME_LEN_MAX, OPS_MAX, VALUE_LEN_MAX, check_prefix,
};
use statefs_journal::{Key, KeyError, StateOp, Store, StoreError, Transaction};

fn key(path: &str) -> Key {
    Key::new(path.as_bytes()).unwrap()
}

fn names(store: &Store, prefix: &str) -> Vec<String> {
    let page = store.state_list(prefix.as_bytes(), None, 1000, &|_| true);
    page.rows.iter().map(|row| row.key.to_string()).collect()
}

#[test]
fn keys_have_one_spelling() {
    let long = format!("/state/{}", "n".repeat(NAME_LEN_MAX));
    let longest = format!("/state/{}", "n/".repeat(508) + "n");
    assert_eq!(longest.len(), KEY_LEN_MAX);
    for good in ["/state/a", "/state/a/b", "/state/..a", "/state/a b", &long, &longest] {
        assert_eq!(key(good).as_bytes(), good.as_bytes());
        check_prefix(good.as_bytes()).unwrap();
    }
    let too_long = format!("/state/{}", "n".repeat(NAME_LEN_MAX + 1));
    let too_deep = format!("/state/{}nn", "n/".repeat(508));
    for (bad, why) in [
        ("", KeyError::NotBelowState),
        ("/state", KeyError::NotBelowState),
        ("/state/", KeyError::NotBelowState),
        ("state/a", KeyError::NotBelowState),
        ("/stateful/a", KeyError::NotBelowState),
        ("/state//a", KeyError::EmptyName),
        ("/state/a/", KeyError::EmptyName),
        ("/state/a//b", KeyError::EmptyName),
        ("/state/./a", KeyError::DotName),
        ("/state/a/..", KeyError::DotName),
        ("/state/a\0b", KeyError::Nul),
        (&too_long, KeyError::NameTooLong(NAME_LEN_MAX + 1)),
        (&too_deep, KeyError::TooLong(KEY_LEN_MAX + 1)),
    ] {
        assert_eq!(Key::new(bad.as_bytes()), Err(why), "{bad:?}");
    }
    for prefix in ["", "/", "/sta", "/state/", "/state/a/", "/state/a/.", "/state/a/.."] {
        check_prefix(prefix.as_bytes()).unwrap();
    }
    for bad in ["x", "/state/a//", "/state/../a", "/state/a/./b", "/state//"] {
        check_prefix(bad.as_bytes()).unwrap_err();
    }
}

#[test]
fn every_value_that_can_be_put_is_read_back_at_every_length() {
    let dev = memory();
    let lengths = [0, 1, 64, INLINE_LEN_MAX, INLINE_LEN_MAX + 1, 4096, 65_536, 65_537, VALUE_LEN_MAX];
    let store = open(dev.clone()).unwrap().0;
    for (i, len) in lengths.into_iter().enumerate() {
        store.state_put(&key(&format!("/state/len/{len}")), &content(i as u64, len).1).unwrap();
    }
    let too_long = store.state_put(&key("/state/len/more"), &vec![1; VALUE_LEN_MAX + 1]);
    assert!(matches!(too_long, Err(StoreError::Bound { .. })));
    let check = |store: &Store| {
        for (i, len) in lengths.into_iter().enumerate() {
            let value = store.state_get(&key(&format!("/state/len/{len}"))).unwrap().unwrap();
            assert!(value == content(i as u64, len).1, "{len}");
        }
        assert_eq!(store.stats().state_keys, lengths.len() as u64);
        assert_eq!(store.state_get(&key("/state/len/more")).unwrap(), None);
    };
    check(&store);
    store.sync().unwrap();
    drop(store);
    let store = open(dev.clone()).unwrap().0;
    check(&store);
    // From a checkpoint, and from a checkpoint with a journal behind it.
    store.checkpoint(&mut |_| Ok(())).unwrap();
    store.state_put(&key("/state/other"), b"x").unwrap();
    assert!(store.state_delete(&key("/state/other")).unwrap());
    assert!(!store.state_delete(&key("/state/other")).unwrap());
    drop(store);
    check(&open(dev).unwrap().0);
}

#[test]
fn a_transaction_is_there_whole_or_not_at_all() {
    let dev = memory();
    let store = open(dev.clone()).unwrap().0;
    store.state_put(&key("/state/old"), b"1").unwrap();
    let mut transaction = Transaction::default();
    transaction.add(StateOp::Put(key("/state/a"), b"first".to_vec())).unwrap();
    transaction.add(StateOp::Put(key("/state/a"), b"second".to_vec())).unwrap();
    transaction.add(StateOp::Put(key("/state/long"), vec![7; 200_000])).unwrap();
    transaction.add(StateOp::Delete(key("/state/old"))).unwrap();
    assert_eq!(transaction.get(&key("/state/a")), Some(Some(&b"second"[..])));
    assert_eq!(transaction.get(&key("/state/old")), Some(None));
    assert_eq!(transaction.get(&key("/state/b")), None);
    assert_eq!(names(&store, "/state/"), ["/state/old"]);
    store.state_apply(transaction.into_ops()).unwrap();
    for store in [store, open(Arc::new(dev.fork())).unwrap().0] {
        assert_eq!(names(&store, "/state/"), ["/state/a", "/state/long"]);
        assert_eq!(store.state_get(&key("/state/a")).unwrap().unwrap(), b"second");
        assert_eq!(store.state_get(&key("/state/long")).unwrap().unwrap(), vec![7; 200_000]);
    }
}

#[test]
fn a_transaction_that_was_accepted_fits_its_record() {
    let store = open(memory()).unwrap().0;
    let mut transaction = Transaction::default();
    let mut keys = 0_u64;
    for i in 0..=OPS_MAX {
        let name = format!("/state/{i:04}/{}", "n/".repeat(500) + "n");
        match transaction.add(StateOp::Put(key(&name), vec![1; INLINE_LEN_MAX])) {
            Ok(()) => keys += 1,
            Err(StoreError::Bound { .. }) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert!((400..600).contains(&keys), "{keys}");
    store.state_apply(transaction.into_ops()).unwrap();
    assert_eq!(store.stats().state_keys, keys);
    // Many short ones are bounded by number, long values by their sum.
    let mut transaction = Transaction::default();
    for i in 0..OPS_MAX {
        transaction.add(StateOp::Delete(key(&format!("/state/{i}")))).unwrap();
    }
    transaction.add(StateOp::Delete(key("/state/0"))).unwrap();
    transaction.add(StateOp::Delete(key("/state/more"))).unwrap_err();
    let mut transaction = Transaction::default();
    for i in 0..16 {
        transaction.add(StateOp::Put(key(&format!("/state/{i}")), vec![0; VALUE_LEN_MAX])).unwrap();
    }
    transaction.add(StateOp::Put(key("/state/0"), vec![1; VALUE_LEN_MAX])).unwrap();
    transaction.add(StateOp::Put(key("/state/16"), vec![0])).unwrap_err();
}

#[test]
fn a_listing_has_every_key_once_and_in_order() {
    let store = open(memory()).unwrap().0;
    let all: Vec<String> = (0..300).map(|i| format!("/state/{}/{i:03}", i % 3)).collect();
    for name in &all {
        store.state_put(&key(name), name.as_bytes()).unwrap();
    }
    let mut found = Vec::new();
    let mut cursor: Option<Key> = None;
    loop {
        let after = cursor.as_ref().map(Key::as_bytes);
        let page = store.state_list(b"/state/1/", after, 7, &|_| true);
        assert!(page.rows.len() == 7 || !page.more);
        found.extend(page.rows.iter().map(|row| row.key.to_string()));
        cursor = page.rows.last().map(|row| row.key.clone());
        if !page.more {
            break;
        }
    }
    let mut expected: Vec<String> = all.iter().filter(|n| n.starts_with("/state/1/")).cloned().collect();
    expected.sort();
    assert_eq!(found, expected);
    // A prefix need not end a component; a cursor need not be a key, nor lie within the prefix.
    assert_eq!(names(&store, "/state/2/29").len(), 4);
    let page = store.state_list(b"/state/1/", Some(b"/state/0"), 1, &|_| true);
    assert_eq!(page.rows[0].key, key("/state/1/001"));
    assert_eq!(store.state_list(b"/state/1/", Some(b"/state/2"), 5, &|_| true).rows, []);
}

#[test]
fn a_listing_shows_no_name_that_may_not_be_read() {
    let store = open(memory()).unwrap().0;
    for i in 0..40 {
        store.state_put(&key(&format!("/state/{}/{i:02}", ["open", "secret"][i % 2])), b"v").unwrap();
    }
    let may = |key: &Key| !key.as_bytes().starts_with(b"/state/secret/");
    let page = store.state_list(b"/state/", None, 20, &may);
    assert_eq!((page.rows.len(), page.more), (20, false));
    assert!(page.rows.iter().all(|row| may(&row.key)));
    assert_eq!(store.state_list(b"/state/secret/", None, 20, &may).rows, []);
}

#[test]
fn a_million_keys_do_not_stop_a_checkpoint() {
    // Scaled down where the optimiser is off: there is no constant in the engine that counts keys.
    let count = if cfg!(debug_assertions) { 50_000_u64 } else { 1_000_000 };
    let dev = memory();
    let store = open(dev.clone()).unwrap().0;
    let keys: Vec<Key> = (0..count).map(|i| key(&format!("/state/many/{i:07}"))).collect();
    for some in keys.chunks(1000) {
        let put = |key: &Key| StateOp::Put(key.clone(), key.as_bytes().to_vec());
        store.state_apply(some.iter().map(put).collect()).unwrap();
    }
    store.checkpoint(&mut |_| Ok(())).unwrap();
    assert!(store.stats().journal_bytes < 10_000);
    drop(store);
    let store = open(dev).unwrap().0;
    assert_eq!(store.stats().state_keys, count);
    let last = &keys[keys.len() - 1];
    assert_eq!(store.state_get(last).unwrap().unwrap(), last.as_bytes());
}

#[test]
fn a_forgotten_transaction_holds_up_no_checkpoint() {
    let dev = memory();
    let store = open(dev.clone()).unwrap().0;
    let mut transaction = Transaction::default();
    transaction.add(StateOp::Put(key("/state/never"), b"x".to_vec())).unwrap();
    for i in 0..200 {
        store.state_put(&key(&format!("/state/{}", i % 5)), &[i; 100]).unwrap();
    }
    store.checkpoint(&mut |_| Ok(())).unwrap();
    assert!(store.stats().journal_bytes < 10_000);
    drop(transaction);
    assert_eq!(open(dev).unwrap().0.stats().state_keys, 5);
}
