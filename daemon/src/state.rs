//! Requests for the `/state` key-value space: pieces of values, transactions and who owns them.

mod inbox;

pub use inbox::Inbox;

use crate::connection::Connection;
use crate::daemon::{Daemon, store_errno};
use crate::policy::{Right, Who, is_guarded};
use nix::errno::Errno;
use statefs_journal::state::{VALUE_LEN_MAX, check_prefix};
use statefs_journal::{Key, StateOp, StoreError, Transaction};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use vrift_protocol::FrameHeader;
use vrift_protocol::state::{IMPORT, PIECE_LEN, ROWS_MAX, Row, StateRequest, Verb, encode_page};

/// A transaction that is not committed by then is dropped: longer than any program needs that does not wait for
/// a person.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections of people that may hold values or changes in memory at a time: at most 17 MiB each. Services always may.
const HOLDERS_MAX: usize = 32;
/// Of one user: others get their turn.
const HOLDERS_OF_ONE_MAX: usize = 24;

/// Requests of one connection that are answered before others get a thread.
const REQUESTS_PER_TURN: usize = 16;

/// What a connection has begun and not ended.
#[derive(Default)]
struct Begun {
    /// Whose connection it is; None: a service's.
    uid: Option<u32>,
    /// The pieces of the next value, of which the first came at that time.
    gathered: Vec<u8>,
    gathered_since: Option<Instant>,
    /// A piece of the value was refused: so is the put.
    spoiled: Option<(Errno, String)>,
    transaction: Option<Open>,
}

struct Open {
    until: Instant,
    /// None: its time was over; its owner has not been told yet.
    changes: Option<Transaction>,
    /// It is an import.
    imports: bool,
}

/// Everything begun, by connection.
#[derive(Default)]
pub struct Desk {
    /// Bytes of requests in all inboxes.
    pub waiting_bytes: AtomicUsize,
    begun: Mutex<HashMap<u64, Begun>>,
}

/// Why a request is not carried out: an errno, and a text for people.
struct Refusal(Errno, String);

type Answer = Result<Vec<u8>, Refusal>;

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        let errno = match &error {
            StoreError::Bound { .. } => Errno::EFBIG,
            error => store_errno(error),
        };
        Refusal(errno, error.to_string())
    }
}

/// Takes one request, which a thread that may wait for the device answers after those before it.
pub fn serve(daemon: &Arc<Daemon>, connection: &Arc<Connection>, header: FrameHeader, body: &[u8]) {
    if StateRequest::parse(body).is_none() {
        daemon.stats.malformed.fetch_add(1, Ordering::Relaxed);
        return connection.reply(&header, Err(Errno::EBADMSG));
    }
    match connection.state.put(header, body, &daemon.state.waiting_bytes) {
        Err(()) => connection.reply(&header, Err(Errno::EAGAIN)),
        Ok(false) => {}
        Ok(true) => go_on(daemon, connection),
    }
}

/// Has a thread answer what waits in the connection's inbox, some requests at a time so that others get their turn.
fn go_on(daemon: &Arc<Daemon>, connection: &Arc<Connection>) {
    let (this, client) = (Arc::clone(daemon), Arc::clone(connection));
    let threads = match connection.who {
        Who::Service(_) => daemon.services.own_workers(),
        Who::Person { .. } => &daemon.clerks,
    };
    threads.submit(Box::new(move || {
        for _ in 0..REQUESTS_PER_TURN {
            if !client.has_room() {
                client.state.park();
                // It may have read everything just before.
                if !client.has_room() || !client.state.unpark() {
                    return;
                }
            }
            let Some((header, body)) = client.state.take(&this.state.waiting_bytes) else {
                return this.state.worked_off(&client);
            };
            let answer = match StateRequest::parse(&body) {
                Some(request) => answer(&this, &Asker { id: client.id, who: client.who.clone() }, &request),
                None => Err(Refusal(Errno::EBADMSG, String::new())),
            };
            if send(&client, &header, answer).is_err() {
                client.state.forget(&this.state.waiting_bytes);
                return this.state.worked_off(&client);
            }
        }
        go_on(&this, &client);
    }));
}

/// The client has read something: what waits of it is answered if it was parked.
pub fn resume(daemon: &Arc<Daemon>, connection: &Arc<Connection>) {
    if connection.has_room() && connection.state.unpark() {
        go_on(daemon, connection);
    }
}

fn send(client: &Connection, header: &FrameHeader, answer: Answer) -> Result<(), crate::connection::Gone> {
    let (errno, body) = match answer {
        Ok(body) => (0, body),
        Err(Refusal(errno, text)) => (errno as u32, text.into_bytes()),
    };
    let mut pieces = body.chunks(PIECE_LEN.max(1)).peekable();
    loop {
        let piece = pieces.next().unwrap_or_default();
        let more = pieces.peek().is_some();
        client.reply_bytes(header, errno, piece, more)?;
        if !more {
            return Ok(());
        }
    }
}

/// Whose request it is: the connection, and whom the policy knows there.
struct Asker {
    id: u64,
    who: Who,
}

impl Asker {
    fn is_person(&self) -> bool {
        matches!(self.who, Who::Person { .. })
    }

    /// The connection, and whose it is; None: a service's.
    fn holder(&self) -> (u64, Option<u32>) {
        match self.who {
            Who::Person { uid, .. } => (self.id, Some(uid)),
            Who::Service(_) => (self.id, None),
        }
    }

    /// The key, if the policy lets this one do that with it.
    fn key(&self, daemon: &Daemon, right: Right, path: &[u8]) -> Result<Key, Refusal> {
        let key = Key::new(path).map_err(|error| Refusal(Errno::EINVAL, error.to_string()))?;
        match daemon.may(&self.who, right, path) {
            true => {
                // Before it is done: what is changed may be the log itself.
                if right == Right::Write && self.is_person() && is_guarded(path) {
                    daemon.act(&self.who, right, &key.to_string(), "allowed");
                }
                Ok(key)
            }
            false => Err(denied(&self.who, right, &key.to_string())),
        }
    }
}

fn denied(who: &Who, right: Right, what: &str) -> Refusal {
    Refusal(Errno::EACCES, format!("the policy does not let {who} {} {what}", right.name()))
}

fn answer(daemon: &Daemon, asker: &Asker, request: &StateRequest<'_>) -> Answer {
    let owner = asker.id;
    if !daemon.policy.knows(&asker.who) {
        daemon.denied(&asker.who, Right::Read, request.key, "denied");
        return Err(denied(&asker.who, Right::Read, "anything"));
    }
    match request.verb {
        Verb::Get => get(daemon, owner, &asker.key(daemon, Right::Read, request.key)?),
        Verb::Part => daemon.state.gather(asker.holder(), request.begins, request.bytes).map(|()| Vec::new()),
        Verb::Put => {
            let key = asker.key(daemon, Right::Write, request.key);
            let mut value = daemon.state.take_gathered(owner, request.begins)?;
            value.extend_from_slice(request.bytes);
            change(daemon, owner, StateOp::Put(key?, value))
        }
        Verb::Delete => delete(daemon, owner, asker.key(daemon, Right::Write, request.key)?),
        Verb::List => list(daemon, &asker.who, request),
        Verb::Sync => {
            daemon.store.sync()?;
            Ok(Vec::new())
        }
        Verb::Begin if request.key.is_empty() || request.key == IMPORT => {
            daemon.state.begin(asker.holder(), request.key == IMPORT).map(|()| Vec::new())
        }
        Verb::Begin => Err(Refusal(Errno::EINVAL, "no transaction is of that kind".into())),
        Verb::Commit => {
            let (changes, imports) = daemon.state.end(owner)?;
            let ops = changes.into_ops();
            let count = ops.len();
            let applied = apply(daemon, ops);
            if imports {
                let outcome = if applied.is_ok() { "done" } else { "refused" };
                daemon.act(&asker.who, Right::Admin, &format!("state import, {count} keys"), outcome);
            }
            applied
        }
        Verb::Abort => daemon.state.end(owner).map(|_| Vec::new()),
    }
}

fn absent(key: &Key) -> Refusal {
    Refusal(Errno::ENOENT, format!("there is no key {key}"))
}

/// Within a transaction its own changes count.
fn get(daemon: &Daemon, owner: u64, key: &Key) -> Answer {
    if let Some(own) = daemon.state.own_value(owner, key)? {
        return own.ok_or_else(|| absent(key));
    }
    daemon.store.state_get(key)?.ok_or_else(|| absent(key))
}

fn delete(daemon: &Daemon, owner: u64, key: Key) -> Answer {
    if daemon.state.in_transaction(owner) {
        return change(daemon, owner, StateOp::Delete(key));
    }
    let was_there = daemon.store.state_delete(&key)?;
    daemon.dirty.store(true, Ordering::Release);
    if was_there { Ok(Vec::new()) } else { Err(absent(&key)) }
}

/// Into the owner's transaction, or at once.
fn change(daemon: &Daemon, owner: u64, op: StateOp) -> Answer {
    match daemon.state.add(owner, op)? {
        None => Ok(Vec::new()),
        Some(op) => apply(daemon, vec![op]),
    }
}

fn apply(daemon: &Daemon, ops: Vec<StateOp>) -> Answer {
    daemon.store.state_apply(ops)?;
    daemon.dirty.store(true, Ordering::Release);
    Ok(Vec::new())
}

/// Shows only what the caller may read.
fn list(daemon: &Daemon, who: &Who, request: &StateRequest<'_>) -> Answer {
    check_prefix(request.key).map_err(|error| Refusal(Errno::EINVAL, error.to_string()))?;
    if !daemon.policy.allows_some_listing(who, request.key) {
        daemon.denied(who, Right::List, request.key, "denied");
        return Err(denied(who, Right::List, &String::from_utf8_lossy(request.key)));
    }
    let after = Some(request.bytes).filter(|after| !after.is_empty());
    let limit = usize::try_from(request.limit.min(ROWS_MAX)).unwrap_or(0);
    let page =
        daemon.store.state_list(request.key, after, limit, &|key| daemon.policy.shows(who, key.as_bytes()));
    let rows = page.rows.iter().map(|row| Row {
        key: row.key.as_bytes().to_vec(),
        len_bytes: u32::try_from(row.len_bytes).unwrap_or(u32::MAX),
    });
    Ok(encode_page(rows, page.more))
}

impl Desk {
    fn begun(&self) -> MutexGuard<'_, HashMap<u64, Begun>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection is gone, and with it what it began.
    pub fn leave(&self, owner: u64) {
        self.begun().remove(&owner);
    }

    /// A thread has nothing more to do for a client, which may have left meanwhile.
    fn worked_off(&self, client: &Connection) {
        if client.state.is_over() {
            self.leave(client.id);
        }
    }

    /// Drops the changes of transactions, and the pieces of values, whose time is over.
    fn expire(begun: &mut HashMap<u64, Begun>) {
        let now = Instant::now();
        for open in begun.values_mut().filter_map(|begun| begun.transaction.as_mut()) {
            if open.until <= now {
                open.changes = None;
            }
        }
        // A value that never ends, a byte a second.
        for own in begun.values_mut() {
            if own.gathered_since.is_some_and(|since| now.duration_since(since) >= TRANSACTION_TIMEOUT) {
                (own.gathered, own.gathered_since) = (Vec::new(), None);
                let limit = TRANSACTION_TIMEOUT.as_secs();
                own.spoiled = Some((Errno::ETIMEDOUT, format!("the value took longer than {limit} s")));
            }
        }
    }

    fn holder(
        begun: &mut HashMap<u64, Begun>,
        (owner, uid): (u64, Option<u32>),
    ) -> Result<&mut Begun, Refusal> {
        Self::expire(begun);
        let holds = |begun: &Begun| {
            !begun.gathered.is_empty()
                || begun.transaction.as_ref().is_some_and(|open| open.changes.is_some())
        };
        let others =
            || begun.iter().filter(|(id, begun)| **id != owner && begun.uid.is_some() && holds(begun));
        let own = others().filter(|(_, begun)| begun.uid == uid).count();
        if uid.is_some() && (others().count() >= HOLDERS_MAX || own >= HOLDERS_OF_ONE_MAX) {
            let text =
                format!("{HOLDERS_OF_ONE_MAX} of one user, or {HOLDERS_MAX} in all, are open; try again");
            return Err(Refusal(Errno::EAGAIN, text));
        }
        let own = begun.entry(owner).or_default();
        own.uid = uid;
        Ok(own)
    }

    fn gather(&self, holder: (u64, Option<u32>), begins: bool, bytes: &[u8]) -> Result<(), Refusal> {
        let mut begun = self.begun();
        let owner = holder.0;
        if begins && let Some(own) = begun.get_mut(&owner) {
            (own.gathered, own.gathered_since, own.spoiled) = (Vec::new(), None, None);
        }
        let gathered = match Self::holder(&mut begun, holder) {
            Ok(holder) if holder.spoiled.is_some() => return Ok(()),
            Ok(holder) if holder.gathered.len() + bytes.len() > VALUE_LEN_MAX => {
                Err(Refusal(Errno::EFBIG, format!("a value is at most {VALUE_LEN_MAX} bytes long")))
            }
            Ok(holder) => {
                holder.gathered_since.get_or_insert_with(Instant::now);
                holder.gathered.extend_from_slice(bytes);
                Ok(())
            }
            Err(refusal) => Err(refusal),
        };
        gathered.inspect_err(|Refusal(errno, text)| {
            let own = begun.entry(owner).or_default();
            (own.gathered, own.spoiled) = (Vec::new(), Some((*errno, text.clone())));
        })
    }

    /// The pieces of the value that is put now; those of another one are forgotten if it `begins` here.
    fn take_gathered(&self, owner: u64, begins: bool) -> Result<Vec<u8>, Refusal> {
        let mut begun = self.begun();
        Self::expire(&mut begun);
        let Some(own) = begun.get_mut(&owner) else { return Ok(Vec::new()) };
        own.gathered_since = None;
        let (gathered, spoiled) = (std::mem::take(&mut own.gathered), own.spoiled.take());
        match spoiled {
            _ if begins => Ok(Vec::new()),
            None => Ok(gathered),
            Some((errno, text)) => Err(Refusal(errno, text)),
        }
    }

    fn begin(&self, holder: (u64, Option<u32>), imports: bool) -> Result<(), Refusal> {
        let mut begun = self.begun();
        let holder = Self::holder(&mut begun, holder)?;
        if holder.transaction.as_ref().is_some_and(|open| open.changes.is_some()) {
            return Err(Refusal(Errno::EBUSY, "this connection has a transaction already".into()));
        }
        let until = Instant::now() + TRANSACTION_TIMEOUT;
        holder.transaction = Some(Open { until, changes: Some(Transaction::default()), imports });
        Ok(())
    }

    fn in_transaction(&self, owner: u64) -> bool {
        self.begun().get(&owner).is_some_and(|begun| begun.transaction.is_some())
    }

    /// The open transaction of `owner`; `None`: it has none.
    fn open(begun: &mut HashMap<u64, Begun>, owner: u64) -> Result<Option<&mut Transaction>, Refusal> {
        Self::expire(begun);
        match begun.get_mut(&owner).and_then(|begun| begun.transaction.as_mut()) {
            None => Ok(None),
            Some(Open { changes: Some(changes), .. }) => Ok(Some(changes)),
            Some(Open { changes: None, .. }) => Err(timed_out()),
        }
    }

    /// Adds to the owner's transaction; gives the change back if there is none.
    fn add(&self, owner: u64, op: StateOp) -> Result<Option<StateOp>, Refusal> {
        let mut begun = self.begun();
        match Self::open(&mut begun, owner)? {
            None => Ok(Some(op)),
            Some(changes) => {
                changes.add(op)?;
                Ok(None)
            }
        }
    }

    /// What the owner's transaction says about a key: nothing, or deleted, or a value.
    fn own_value(&self, owner: u64, key: &Key) -> Result<Option<Option<Vec<u8>>>, Refusal> {
        let mut begun = self.begun();
        let changes = Self::open(&mut begun, owner)?;
        Ok(changes.and_then(|changes| changes.get(key)).map(|value| value.map(<[u8]>::to_vec)))
    }

    /// The changes, and whether they are an import.
    fn end(&self, owner: u64) -> Result<(Transaction, bool), Refusal> {
        let mut begun = self.begun();
        Self::expire(&mut begun);
        let open = begun.get_mut(&owner).and_then(|begun| begun.transaction.take());
        let open = open.ok_or_else(|| Refusal(Errno::ENOTCONN, "there is no transaction to end".into()))?;
        open.changes.map(|changes| (changes, open.imports)).ok_or_else(timed_out)
    }
}

fn timed_out() -> Refusal {
    let limit = TRANSACTION_TIMEOUT.as_secs();
    Refusal(Errno::ETIMEDOUT, format!("the transaction was dropped: it was open for more than {limit} s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(path: &str) -> StateOp {
        StateOp::Delete(Key::new(path.as_bytes()).unwrap())
    }

    #[test]
    fn a_transaction_ends_with_its_owner_and_after_its_time() {
        let desk = Desk::default();
        assert_eq!(desk.end(1).err().map(|refusal| refusal.0), Some(Errno::ENOTCONN));
        desk.begin((1, Some(7)), false).ok().unwrap();
        assert_eq!(desk.begin((1, Some(7)), false).err().map(|refusal| refusal.0), Some(Errno::EBUSY));
        assert!(desk.add(1, op("/state/a")).ok().unwrap().is_none());
        assert!(desk.add(2, op("/state/a")).ok().unwrap().is_some(), "another client's change is not in it");
        desk.leave(1);
        assert_eq!(desk.end(1).err().map(|refusal| refusal.0), Some(Errno::ENOTCONN));

        desk.begin((1, Some(7)), false).ok().unwrap();
        desk.begun().get_mut(&1).unwrap().transaction.as_mut().unwrap().until = Instant::now();
        assert_eq!(desk.add(1, op("/state/a")).err().map(|refusal| refusal.0), Some(Errno::ETIMEDOUT));
        assert_eq!(desk.end(1).err().map(|refusal| refusal.0), Some(Errno::ETIMEDOUT));
        assert!(desk.add(1, op("/state/a")).ok().unwrap().is_some(), "told once, it is over");
    }

    #[test]
    fn what_clients_hold_in_memory_is_bounded() {
        let desk = Desk::default();
        for owner in 0..HOLDERS_OF_ONE_MAX as u64 {
            desk.begin((owner, Some(7)), false).ok().unwrap();
        }
        // Another user gets a turn, up to what all may have; a service always.
        for owner in HOLDERS_OF_ONE_MAX as u64..HOLDERS_MAX as u64 {
            desk.begin((owner, Some(8)), false).ok().unwrap();
        }
        assert_eq!(desk.begin((98, Some(8)), false).err().map(|refusal| refusal.0), Some(Errno::EAGAIN));
        desk.begin((97, None), false).ok().unwrap();
        assert_eq!(desk.begin((99, Some(7)), false).err().map(|refusal| refusal.0), Some(Errno::EAGAIN));
        assert_eq!(
            desk.gather((99, Some(7)), true, b"x").err().map(|refusal| refusal.0),
            Some(Errno::EAGAIN)
        );
        desk.leave(0);
        desk.gather((99, Some(7)), true, &vec![0; VALUE_LEN_MAX]).ok().unwrap();
        assert_eq!(
            desk.gather((99, Some(7)), false, b"x").err().map(|refusal| refusal.0),
            Some(Errno::EFBIG)
        );
        let put = |begins| desk.take_gathered(99, begins).map_err(|refusal| refusal.0);
        assert_eq!(put(false), Err(Errno::EFBIG), "the last piece alone is not the value");
        assert_eq!(put(false), Ok(Vec::new()));
        desk.gather((99, Some(7)), true, b"left").ok().unwrap();
        assert_eq!(put(true), Ok(Vec::new()), "another value begins");
    }

    #[test]
    fn a_value_that_comes_a_byte_a_second_ends_with_its_time() {
        let desk = Desk::default();
        desk.gather((1, Some(7)), true, b"a").ok().unwrap();
        let back = |since: Instant| since.checked_sub(TRANSACTION_TIMEOUT).unwrap();
        desk.begun().get_mut(&1).unwrap().gathered_since = Some(back(Instant::now()));
        for owner in 2..=HOLDERS_OF_ONE_MAX as u64 + 1 {
            desk.begin((owner, Some(7)), false).ok().unwrap();
        }
        assert!(desk.begun()[&1].gathered.is_empty(), "it holds up nobody");
        assert_eq!(desk.take_gathered(1, false).err().map(|refusal| refusal.0), Some(Errno::ETIMEDOUT));
        assert_eq!(desk.take_gathered(1, false).ok(), Some(Vec::new()), "told once, it is over");
    }
}
