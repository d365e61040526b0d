//! The keystore over a space in memory, whose records somebody else can change.

use crate::Keystore;
use nix::errno::Errno;
use std::sync::{Arc, Mutex};
use vrift_protocol::keystore::{Reply, Request};
use vrift_protocol::pipeline::Blocking;
use vrift_protocol::service::{Caller, Need, Service};
use vrift_service::memory::{self, Map};
use vrift_service::{Refusal, Serve};

/// Keys and values, and a keystore that has them.
struct World {
    map: Arc<Mutex<Map>>,
    space: Blocking,
    keystore: Keystore,
}

/// A connection to the space.
fn space(map: &Arc<Mutex<Map>>) -> Blocking {
    memory::space(map, Box::new(|_| Err(Errno::ENOSYS))).unwrap()
}

fn caller(service: Option<Service>, uid: u32, need: Need) -> Caller {
    let service = service.map_or(0, |service| service as u8);
    Caller { uid: uid.into(), gid: 0.into(), service, need: need as u8, reserved: 0.into() }
}

impl World {
    fn new() -> World {
        World::of(Arc::default())
    }

    fn of(map: Arc<Mutex<Map>>) -> World {
        let mut space = space(&map);
        let keystore = Keystore::open(&mut space, None).unwrap();
        World { map, space, keystore }
    }

    /// As after a restart of the service.
    fn again(&mut self) -> Result<(), Refusal> {
        self.keystore = Keystore::open(&mut self.space, None)?;
        Ok(())
    }

    fn ask_as(&mut self, service: Option<Service>, uid: u32, request: Request) -> Result<Reply, Errno> {
        let caller = caller(service, uid, request.need());
        self.keystore.answer(&mut self.space, &caller, request).map_err(|refusal| refusal.0)
    }

    fn put(&mut self, service: Service, name: &str, value: &str) -> Result<Reply, Errno> {
        let request = Request::PutItem { name: name.into(), value: value.into() };
        self.ask_as(Some(service), 0, request)
    }

    fn get(&mut self, service: Service, name: &str) -> Result<Option<String>, Errno> {
        match self.ask_as(Some(service), 0, Request::GetItem { name: name.into() })? {
            Reply::Item { value } => Ok(value),
            other => panic!("{other:?}"),
        }
    }

    fn record(&self, key: &str) -> Vec<u8> {
        self.map.lock().unwrap()[key.as_bytes()].clone()
    }

    fn overwrite(&self, key: &str, value: Vec<u8>) {
        self.map.lock().unwrap().insert(key.as_bytes().to_vec(), value);
    }
}

const A: &str = "/state/keystore/items/timed/a";

#[test]
fn each_service_and_each_user_has_items_of_their_own() {
    let mut world = World::new();
    world.put(Service::Time, "a", "of timed").unwrap();
    world.put(Service::Boot, "a", "of updated").unwrap();
    for (uid, value) in [(0, "of root"), (5, "of five")] {
        let request = Request::PutItem { name: "a".into(), value: value.into() };
        world.ask_as(None, uid, request).unwrap();
    }
    world.again().unwrap();
    assert_eq!(world.get(Service::Time, "a").unwrap().as_deref(), Some("of timed"));
    assert_eq!(world.get(Service::Boot, "a").unwrap().as_deref(), Some("of updated"));
    assert_eq!(world.get(Service::Identity, "a").unwrap(), None);
    for (uid, value) in [(0, Some("of root")), (5, Some("of five")), (6, None)] {
        match world.ask_as(None, uid, Request::GetItem { name: "a".into() }).unwrap() {
            Reply::Item { value: found } => assert_eq!(found.as_deref(), value),
            other => panic!("{other:?}"),
        }
    }
    let listed = world.ask_as(Some(Service::Boot), 0, Request::ListItems).unwrap();
    assert!(matches!(listed, Reply::Items(names) if names == ["a"]));
    for name in ["", "../timed/a", "a/b", ".", &"x".repeat(101)] {
        assert_eq!(world.put(Service::Boot, name, "v").unwrap_err(), Errno::EINVAL, "{name}");
    }
    assert_eq!(world.put(Service::Boot, "long", &"x".repeat(4097)).unwrap_err(), Errno::EFBIG);
    world.ask_as(Some(Service::Boot), 0, Request::DeleteItem { name: "a".into() }).unwrap();
    assert_eq!(world.get(Service::Boot, "a").unwrap(), None);
    assert_eq!(world.get(Service::Time, "a").unwrap().as_deref(), Some("of timed"));
    let again = world.ask_as(Some(Service::Boot), 0, Request::DeleteItem { name: "a".into() });
    assert_eq!(again.unwrap_err(), Errno::ENOENT);
}

#[test]
fn an_item_that_was_rolled_back_swapped_removed_or_brought_back_is_refused_also_after_a_restart() {
    let mut world = World::new();
    world.put(Service::Time, "a", "one").unwrap();
    world.put(Service::Time, "b", "other").unwrap();
    let old = world.record(A);
    world.put(Service::Time, "a", "two").unwrap();
    let new = world.record(A);
    let refused = |world: &mut World, what: &str| {
        for round in ["at once", "after a restart"] {
            assert_eq!(world.get(Service::Time, "a").unwrap_err(), Errno::EBADMSG, "{what} {round}");
            world.again().unwrap();
        }
    };
    world.overwrite(A, old.clone());
    refused(&mut world, "rolled back");
    world.overwrite(A, world.record("/state/keystore/items/timed/b"));
    refused(&mut world, "swapped");
    world.map.lock().unwrap().remove(A.as_bytes());
    refused(&mut world, "removed");
    world.overwrite(A, new.clone());
    assert_eq!(world.get(Service::Time, "a").unwrap().as_deref(), Some("two"));
    world.ask_as(Some(Service::Time), 0, Request::DeleteItem { name: "a".into() }).unwrap();
    for stored in [old, new] {
        world.overwrite(A, stored);
        refused(&mut world, "deleted and brought back");
    }
    // And put again after that, with what was there before it was deleted.
    world.map.lock().unwrap().remove(A.as_bytes());
    let deleted = world.record("/state/keystore/ledger");
    world.put(Service::Time, "a", "two").unwrap();
    assert_eq!(world.get(Service::Time, "a").unwrap().as_deref(), Some("two"));
    // The ledger alone put back: the record is not what it says.
    world.overwrite("/state/keystore/ledger", deleted);
    world.again().unwrap();
    assert_eq!(world.get(Service::Time, "a").unwrap_err(), Errno::EBADMSG);
}

#[test]
fn a_passphrase_seals_everything_and_nothing_is_told_without_it() {
    let mut world = World::new();
    world.put(Service::Time, "a", "the secret").unwrap();
    let clear = world.record(A);
    assert!(String::from_utf8_lossy(&clear).contains(&vrift_secret::hex::encode(b"the secret")));
    let Reply::Keys { keys, sealed: false } = world.ask_as(None, 0, Request::Show).unwrap() else { panic!() };
    world.ask_as(None, 0, Request::Seal { passphrase: "first".into() }).unwrap();
    for (key, value) in world.map.lock().unwrap().iter() {
        let text = String::from_utf8_lossy(value).into_owned();
        assert!(
            !text.contains(&vrift_secret::hex::encode(b"the secret")),
            "{}",
            String::from_utf8_lossy(key)
        );
        assert!(!text.contains("\"sealed\":false"), "{text}");
    }
    assert_eq!(world.get(Service::Time, "a").unwrap().as_deref(), Some("the secret"));
    world.again().unwrap();
    for request in [Request::Show, Request::ListItems, Request::Rotate, Request::GetItem { name: "a".into() }]
    {
        assert_eq!(world.ask_as(None, 0, request).unwrap_err(), Errno::ENOKEY);
    }
    assert_eq!(world.ask_as(None, 0, Request::Private).unwrap_err(), Errno::EOPNOTSUPP);
    let status = world.ask_as(None, 0, Request::Status).unwrap();
    assert!(matches!(status, Reply::Status { sealed_by: Some(_), locked: true }));
    let unlock = |passphrase: &str| Request::Unlock { passphrase: passphrase.into() };
    assert_eq!(world.ask_as(None, 0, unlock("wrong")).unwrap_err(), Errno::EILSEQ);
    world.ask_as(None, 0, unlock("first")).unwrap();
    assert_eq!(world.get(Service::Time, "a").unwrap().as_deref(), Some("the secret"));
    let Reply::Keys { keys: same, sealed: true } = world.ask_as(None, 0, Request::Show).unwrap() else {
        panic!()
    };
    assert_eq!(same, keys);
    // Another passphrase, and a record from before it.
    world.ask_as(None, 0, Request::Seal { passphrase: "second".into() }).unwrap();
    world.again().unwrap();
    assert_eq!(world.ask_as(None, 0, unlock("first")).unwrap_err(), Errno::EILSEQ);
    world.ask_as(None, 0, unlock("second")).unwrap();
    world.overwrite(A, clear);
    assert_eq!(world.get(Service::Time, "a").unwrap_err(), Errno::EBADMSG, "put back in the clear");
}

#[test]
fn services_have_items_and_nothing_is_signed_for_them() {
    let mut world = World::new();
    let digest = "00".repeat(32);
    let sign = Request::Sign { digest: digest.clone() };
    assert_eq!(world.ask_as(Some(Service::Identity), 0, sign.clone()).unwrap_err(), Errno::EACCES);
    let snapshot =
        vrift_protocol::keystore::Snapshot { workspace: "w".into(), number: 1, root: digest, time_ns: 1 };
    let snapshot = Request::SignSnapshot(snapshot);
    assert_eq!(world.ask_as(Some(Service::Identity), 0, snapshot).unwrap_err(), Errno::EACCES);
    world.ask_as(None, 7, sign).unwrap();
    world.put(Service::Identity, "a", "1").unwrap();
}
