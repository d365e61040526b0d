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

impl World {
    fn ask_as(&mut self, uid: u32, service: u8, request: Request) -> Result<Reply, Errno> {
        let need = request.need() as u8;
        let caller = Caller { uid: uid.into(), gid: 0.into(), service, need, reserved: 0.into() };
        self.identity.answer(&mut self.space, &caller, request).map_err(|refusal| refusal.0)
    }

    fn word(&mut self) -> String {
        match self.challenge().unwrap() {
            Reply::Challenge { challenge } => challenge,
            other => panic!("{other:?}"),
        }
    }

    fn login(&mut self, challenge: &str, by: &keys::Keys) -> Result<String, Errno> {
        let signature = by.sign(&identity::login("7", "laptop", challenge));
        let challenge = challenge.to_string();
        match self.ask(Request::Login { machine: "laptop".into(), challenge, signature })? {
            Reply::LoggedIn { session, .. } => Ok(session),
            other => panic!("{other:?}"),
        }
    }
}

/// A machine's keys, with a proof by `by`.
fn handed_in(of: &keys::Keys, by: &keys::Keys, machine: &str) -> MachineKeys {
    let public = of.public();
    let proof = by.sign(&identity::possession("7", machine, &public.sign, &public.seal));
    MachineKeys { sign: public.sign, seal: public.seal, unlock: None, proof }
}

#[test]
fn a_login_is_by_the_machines_key_for_a_word_that_was_given_once() {
    let mut world = World::filled();
    let (stranger, laptop) =
        (keys::Keys::made().unwrap(), keys::Keys::of_seed((*world.laptop.seed()).into()));
    let word = world.word();
    assert_eq!(world.login(&word, &stranger).unwrap_err(), Errno::EILSEQ);
    assert_eq!(world.login(&word, &laptop).unwrap_err(), Errno::EILSEQ, "it is good for one attempt");
    let word = world.word();
    let session = world.login(&word, &laptop).unwrap();
    assert_eq!(world.login(&word, &laptop).unwrap_err(), Errno::EILSEQ, "once");
    assert_eq!(world.login(&"00".repeat(32), &laptop).unwrap_err(), Errno::EILSEQ, "never given");
    // Another user, and a session that nobody has.
    assert_eq!(world.ask_as(8, 0, Request::Unlock { session: session.clone() }).unwrap_err(), Errno::EILSEQ);
    assert_eq!(world.ask(Request::Unlock { session: "00".into() }).unwrap_err(), Errno::EILSEQ);
    assert_eq!(world.ask(Request::Unlock { session }).unwrap_err(), Errno::EILSEQ, "it may not open");
    let word = world.word();
    world.restart();
    assert_eq!(world.login(&word, &laptop).unwrap_err(), Errno::EILSEQ, "words do not outlive the service");
}

#[test]
fn whoever_hands_in_a_key_has_it_and_what_it_replaces() {
    let mut world = World::new();
    let stranger = keys::Keys::made().unwrap();
    let public = world.owner.public();
    let lock = Lock { salt: "00".into(), memory_kib: 8, passes: 1, sealed: "00".into() };
    let proof = stranger.sign(&identity::possession("7", "", &public.sign, &public.seal));
    let (name, sign, seal) = ("me".to_string(), public.sign, public.seal);
    let add = Request::AddUser { name, sign, seal, lock: lock.clone(), proof };
    assert_eq!(world.ask(add).unwrap_err(), Errno::EINVAL);
    world.add_user().unwrap();
    assert_eq!(world.add_user().unwrap_err(), Errno::EEXIST);
    let laptop = keys::Keys::of_seed((*world.laptop.seed()).into());
    let enrol =
        |keys| Request::Enrol { machine: "laptop".into(), keys, expires_ns: None, capabilities: vec![] };
    assert_eq!(world.ask(enrol(handed_in(&laptop, &stranger, "laptop"))).unwrap_err(), Errno::EINVAL);
    assert_eq!(
        world.ask(enrol(handed_in(&laptop, &laptop, "other"))).unwrap_err(),
        Errno::EINVAL,
        "its name"
    );
    world.enrol().unwrap();
    let new = keys::Keys::made().unwrap();
    let rotate = |by: &keys::Keys| {
        let public = new.public();
        let signature = by.sign(&identity::rotation("7", "laptop", &public.sign, &public.seal));
        Request::Rotate { machine: "laptop".into(), keys: handed_in(&new, &new, "laptop"), signature }
    };
    assert_eq!(world.ask(rotate(&stranger)).unwrap_err(), Errno::EILSEQ);
    world.ask(rotate(&laptop)).unwrap();
    // What locks the owner's seed, by somebody who has it not.
    let relock = |by: &keys::Keys| {
        let signature = by.sign(&identity::relock("7", &lock.sealed));
        Request::Relock { lock: lock.clone(), signature }
    };
    assert_eq!(world.ask(relock(&stranger)).unwrap_err(), Errno::EILSEQ);
    let recovery =
        identity::Recovery { set: "00".into(), threshold: 3, shares: 5, sealed: "00".into(), since_ns: 0 };
    let share_out = |by: &keys::Keys| {
        let signature = by.sign(&identity::relock("7", &recovery.sealed));
        Request::ShareOut { recovery: recovery.clone(), signature }
    };
    assert_eq!(world.ask(share_out(&stranger)).unwrap_err(), Errno::EILSEQ);
    let owner = keys::Keys::of_seed((*world.owner.seed()).into());
    world.ask(relock(&owner)).unwrap();
    world.ask(share_out(&owner)).unwrap();
}

#[test]
fn a_user_has_what_is_theirs_and_a_service_is_no_user() {
    let mut world = World::filled();
    for request in [Request::Show, Request::Machines, Request::Credentials, Request::Private, put("theirs")] {
        assert_eq!(world.ask_as(8, 0, request.clone()).unwrap_err(), Errno::ENOENT, "{request:?}");
        assert_eq!(world.ask_as(ME, Service::Time as u8, request).unwrap_err(), Errno::EACCES);
    }
    assert_eq!(world.ask_as(8, 0, Request::Users).unwrap_err(), Errno::EACCES);
    assert!(matches!(world.ask(Request::Users), Ok(Reply::Users(users)) if users.len() == 1));
    for name in ["../8/x", "a/b", "", ".a", "a b"] {
        assert_eq!(world.ask(put(name)).unwrap_err(), Errno::EINVAL, "{name}");
        let revoke = Request::Revoke { machine: name.into() };
        assert_eq!(world.ask(revoke).unwrap_err(), Errno::EINVAL, "{name}");
    }
}
