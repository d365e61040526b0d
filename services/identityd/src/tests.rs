//! identityd over a space in memory, whose records somebody else can change, and a keystore that they cannot.

use crate::Identity;
use crate::space::{Keys, Space};
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use vrift_protocol::identity::{self, Lock, MachineKeys, Reply, Request, Standing, USERS_PREFIX};
use vrift_protocol::keystore::{self, Reply as Kept};
use vrift_protocol::pipeline::Blocking;
use vrift_protocol::service::{Caller, Service, parse};
use vrift_secret::keys;
use vrift_service::Serve;
use vrift_service::memory::{self, Map};

const ME: u32 = 7;
const MACHINE: &str = "/state/identity/users/7/machine_keys/laptop.json";
const LEDGER: &str = "/state/identity/users/7/ledger.json";

type Items = Arc<Mutex<BTreeMap<String, String>>>;

struct World {
    map: Arc<Mutex<Map>>,
    items: Items,
    locked: Arc<Mutex<bool>>,
    space: Blocking,
    identity: Identity,
    owner: keys::Keys,
    laptop: keys::Keys,
}

/// What the keystore answers to this service.
fn kept(items: &Items, locked: bool, body: &[u8]) -> Result<Vec<u8>, Errno> {
    let Some((Service::Keystore, need, json)) = parse(body) else { panic!("not for the keystore") };
    let request: keystore::Request = serde_json::from_slice(json).unwrap();
    assert_eq!(request.need(), need);
    if locked {
        return Err(Errno::ENOKEY);
    }
    let mut items = items.lock().unwrap();
    let reply = match request {
        keystore::Request::GetItem { name } => Kept::Item { value: items.get(&name).cloned() },
        keystore::Request::PutItem { name, value } => {
            items.insert(name, value);
            Kept::Done
        }
        keystore::Request::DeleteItem { name } => {
            items.remove(&name).map(|_| Kept::Done).ok_or(Errno::ENOENT)?
        }
        other => panic!("{other:?}"),
    };
    Ok(serde_json::to_vec(&reply).unwrap())
}

impl World {
    fn new() -> World {
        let (map, items, locked) = (Arc::default(), Items::default(), Arc::new(Mutex::new(false)));
        let (theirs, lock) = (Arc::clone(&items), Arc::clone(&locked));
        let ask = move |body: &[u8]| kept(&theirs, *lock.lock().unwrap(), body);
        let space = memory::space(&map, Box::new(ask)).unwrap();
        let (owner, laptop) = (keys::Keys::made().unwrap(), keys::Keys::made().unwrap());
        World { map, items, locked, space, identity: Identity::new(ME), owner, laptop }
    }

    /// With a user, a machine and a credential.
    fn filled() -> World {
        let mut world = World::new();
        world.add_user().unwrap();
        world.enrol().unwrap();
        world.ask(put("store")).unwrap();
        world
    }

    fn ask(&mut self, request: Request) -> Result<Reply, Errno> {
        let need = request.need() as u8;
        let caller = Caller { uid: ME.into(), gid: 0.into(), service: 0, need, reserved: 0.into() };
        self.identity.answer(&mut self.space, &caller, request).map_err(|refusal| refusal.0)
    }

    fn add_user(&mut self) -> Result<Reply, Errno> {
        let public = self.owner.public();
        let proof = self.owner.sign(&identity::possession("7", "", &public.sign, &public.seal));
        let lock = Lock { salt: "00".into(), memory_kib: 8, passes: 1, sealed: "00".into() };
        self.ask(Request::AddUser { name: "me".into(), sign: public.sign, seal: public.seal, lock, proof })
    }

    fn enrol(&mut self) -> Result<Reply, Errno> {
        let public = self.laptop.public();
        let proof = self.laptop.sign(&identity::possession("7", "laptop", &public.sign, &public.seal));
        let keys = MachineKeys { sign: public.sign, seal: public.seal, unlock: None, proof };
        self.ask(Request::Enrol { machine: "laptop".into(), keys, expires_ns: None, capabilities: vec![] })
    }

    fn challenge(&mut self) -> Result<Reply, Errno> {
        self.ask(Request::Challenge { machine: "laptop".into() })
    }

    /// As after a restart of the service.
    fn restart(&mut self) {
        self.identity = Identity::new(ME);
    }

    fn snapshot(&self) -> Map {
        self.map.lock().unwrap().clone()
    }

    fn record(&self, key: &str) -> Vec<u8> {
        self.map.lock().unwrap()[key.as_bytes()].clone()
    }

    fn set(&self, key: &str, value: Option<Vec<u8>>) {
        match value {
            Some(value) => drop(self.map.lock().unwrap().insert(key.as_bytes().to_vec(), value)),
            None => drop(self.map.lock().unwrap().remove(key.as_bytes())),
        }
    }

    /// A record as the service itself would have written it.
    fn put_record(&mut self, key: &str, value: &str) {
        let mut keys = Keys::new();
        let mut space = Space { inner: &mut self.space, keys: &mut keys };
        space.put(key.into(), value.as_bytes().to_vec()).map_err(|refusal| refusal.1).unwrap();
    }
}

fn put(name: &str) -> Request {
    Request::PutCredential { name: name.into(), url: None, expires_ns: None, sealed: "00".into() }
}

#[test]
fn an_older_record_put_back_is_refused_also_after_a_restart() {
    let mut world = World::filled();
    world.challenge().unwrap();
    let before = world.record(MACHINE);
    world.ask(Request::Revoke { machine: "laptop".into() }).unwrap();
    let after = world.record(MACHINE);
    world.set(MACHINE, Some(before));
    for _ in 0..2 {
        assert_eq!(world.challenge().unwrap_err(), Errno::EBADMSG);
        assert_eq!(world.ask(Request::Machines).unwrap_err(), Errno::EBADMSG);
        assert_eq!(world.enrol().unwrap_err(), Errno::EBADMSG);
        world.restart();
    }
    world.set(MACHINE, Some(after));
    match world.ask(Request::Machines).unwrap() {
        Reply::Machines(machines) => assert_eq!(machines[0].standing, Standing::Revoked),
        other => panic!("{other:?}"),
    }
}

#[test]
fn records_that_were_changed_swapped_removed_or_put_in_are_refused() {
    let mut world = World::filled();
    let whole = world.snapshot();
    let machine = world.record(MACHINE);
    let changed = String::from_utf8(machine.clone()).unwrap().replace("\"older\": []", "\"older\": [ ]");
    assert_ne!(changed.as_bytes(), machine);
    let ledger = String::from_utf8(world.record(LEDGER)).unwrap();
    let all = [Request::Machines, Request::Challenge { machine: "laptop".into() }];
    let other = MACHINE.replace("laptop", "other");
    for (key, value) in [
        (MACHINE, Some(changed.into_bytes())),
        (MACHINE, Some(world.record("/state/identity/users/7/keystore.json"))),
        (MACHINE, None),
        (LEDGER, None),
        (LEDGER, Some(b"{}".to_vec())),
        (LEDGER, Some(ledger.replace("laptop", "toplap").into_bytes())),
    ] {
        world.set(key, value);
        for request in &all {
            assert_eq!(world.ask(request.clone()).unwrap_err(), Errno::EBADMSG, "{key} {request:?}");
        }
        *world.map.lock().unwrap() = whole.clone();
        world.challenge().unwrap();
    }
    // A record and the ledger's line for it, by somebody who has not the ledger's key.
    let mut forged: serde_json::Value = serde_json::from_str(&ledger).unwrap();
    forged["lines"][MACHINE] = blake3::hash(b"{}").to_hex().to_string().into();
    world.set(MACHINE, Some(b"{}".to_vec()));
    world.set(LEDGER, Some(serde_json::to_vec(&forged).unwrap()));
    assert_eq!(world.ask(Request::Show).unwrap_err(), Errno::EBADMSG);
    *world.map.lock().unwrap() = whole;
    world.set(&other, Some(machine));
    assert_eq!(world.ask(Request::Machines).unwrap_err(), Errno::EBADMSG, "one that was put in");
    let other = Request::Challenge { machine: "other".into() };
    assert_eq!(world.ask(other).unwrap_err(), Errno::EBADMSG);
}

#[test]
fn what_was_kept_of_a_user_who_was_removed_does_not_come_back() {
    let mut world = World::filled();
    let kept = world.snapshot();
    world.ask(Request::RemoveUser).unwrap();
    assert!(world.snapshot().is_empty());
    assert!(world.items.lock().unwrap().is_empty());
    assert_eq!(world.ask(Request::Show).unwrap_err(), Errno::ENOENT);
    // With the ledger of that time, and without.
    for ledger in [true, false] {
        *world.map.lock().unwrap() = kept.clone();
        if !ledger {
            world.set(LEDGER, None);
        }
        for _ in 0..2 {
            assert_eq!(world.ask(Request::Show).unwrap_err(), Errno::EBADMSG);
            assert_eq!(world.challenge().unwrap_err(), Errno::EBADMSG);
            assert_eq!(world.ask(put("more")).unwrap_err(), Errno::EBADMSG);
            assert_eq!(world.add_user().unwrap_err(), Errno::EBADMSG);
            world.restart();
        }
        // Whose it is can begin anew.
        world.ask(Request::RemoveUser).unwrap();
        world.add_user().unwrap();
        world.enrol().unwrap();
        // Nor into what they have now.
        world.set(MACHINE, kept.get(MACHINE.as_bytes()).cloned());
        assert_eq!(world.challenge().unwrap_err(), Errno::EBADMSG);
        world.ask(Request::RemoveUser).unwrap();
    }
}

#[test]
fn without_the_keystore_nothing_is_told_and_nothing_changes() {
    let mut world = World::filled();
    let before = world.snapshot();
    world.restart();
    *world.locked.lock().unwrap() = true;
    for request in [Request::Show, Request::Machines, put("more"), Request::RemoveUser] {
        assert_eq!(world.ask(request).unwrap_err(), Errno::ENOKEY);
    }
    assert_eq!(world.snapshot(), before);
    *world.locked.lock().unwrap() = false;
    world.challenge().unwrap();
    // Another keystore, which knows of nothing.
    world.items.lock().unwrap().clear();
    world.restart();
    assert_eq!(world.ask(Request::Show).unwrap_err(), Errno::EBADMSG);
}

#[test]
fn fields_that_are_not_known_are_kept_and_newer_versions_are_refused() {
    let mut world = World::filled();
    world.ask(put("other")).unwrap();
    let key = format!("{USERS_PREFIX}7/credentials.json");
    let text = String::from_utf8(world.record(&key)).unwrap();
    world.put_record(&key, &text.replacen("\"version\": 1", "\"version\": 1, \"newer\": {\"a\": [1]}", 1));
    world.ask(Request::DeleteCredential { name: "other".into() }).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&world.record(&key)).unwrap();
    assert_eq!(value["newer"]["a"][0], 1);
    assert!(value["credentials"]["store"].is_object() && value["credentials"].get("other").is_none());
    world.put_record(&key, &text.replacen("\"version\": 1", "\"version\": 2", 1));
    assert_eq!(world.ask(Request::Credentials).unwrap_err(), Errno::EPROTONOSUPPORT);
}
