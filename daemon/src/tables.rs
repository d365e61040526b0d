//! The base tables of workspaces: in memory with what they come to, in the store as a whole table and what changed since,
//! so that taking in an edit writes some hundred bytes and not a row for each file.

use crate::admin::Refusal;
use crate::base::{Base, Changes, Held, Row, Table, encode_changes, whole_of};
use crate::daemon::Daemon;
use crate::record::Record;
use nix::errno::Errno;
use statefs_journal::{Store, StoreError};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use vrift_cas::BlobHash;
use vrift_protocol::admin::Taken;

/// Tables up to this many rows stay in memory between two take-ins (some 40 MB at most).
const CACHED_ROWS_MAX: usize = 200_000;
/// Changes since the whole table are written with each further one as long as they are less than one row in so many.
const CHANGED_PART: usize = 32;

/// The tables in memory.
#[derive(Default)]
pub struct Tables {
    known: Mutex<HashMap<u32, Known>>,
    /// The whole table that each table of changes needs; None for whole ones.
    wholes: Mutex<HashMap<[u8; 32], Option<[u8; 32]>>>,
}

/// The table of a workspace.
#[derive(Clone, Default)]
pub struct Known {
    pub base: Arc<Base>,
    pub sums: Sums,
    /// None: nothing was taken in yet.
    hash: Option<[u8; 32]>,
    /// The whole table in the store, and what changed since.
    whole: [u8; 32],
    since: Arc<Changes>,
}

/// What a table comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    directories: u64,
    symlinks: u64,
    files: u64,
    bytes: u64,
    /// Files with several names: one by which nobody notices may be written to.
    pub linked: Arc<BTreeSet<Vec<u8>>>,
}

impl Sums {
    pub fn of(base: &Base) -> Sums {
        let mut sums = Sums::default();
        base.rows.iter().for_each(|row| sums.count(row, 1));
        sums
    }

    fn count(&mut self, row: &Row, by: i64) {
        if row.path.is_empty() {
            return;
        }
        let (sum, bytes) = match row.held {
            Held::Nothing => (&mut self.directories, 0),
            Held::Target(_) => (&mut self.symlinks, 0),
            Held::Hash(_) => (&mut self.files, row.size),
        };
        *sum = sum.wrapping_add_signed(by);
        self.bytes = self.bytes.wrapping_add_signed(bytes.cast_signed().wrapping_mul(by));
        if row.nlink > 1 && !row.is_dir() {
            let linked = Arc::make_mut(&mut self.linked);
            match by > 0 {
                true => linked.insert(row.path.clone()),
                false => linked.remove(&row.path),
            };
        }
    }

    /// The sums of the table in which the rows of `before` are replaced by those of `now`.
    pub fn with(&self, before: &Base, now: &Base) -> Sums {
        let mut sums = self.clone();
        before.rows.iter().for_each(|row| sums.count(row, -1));
        now.rows.iter().for_each(|row| sums.count(row, 1));
        sums
    }

    pub fn tell(&self, taken: &mut Taken) {
        (taken.directories, taken.symlinks) = (self.directories, self.symlinks);
        (taken.files, taken.bytes) = (self.files, self.bytes);
    }
}

impl Tables {
    fn known(&self) -> MutexGuard<'_, HashMap<u32, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wholes(&self) -> MutexGuard<'_, HashMap<[u8; 32], Option<[u8; 32]>>> {
        self.wholes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The workspace is gone.
    pub fn forget(&self, id: u32) {
        self.known().remove(&id);
    }

    fn keep(&self, id: u32, known: Known) {
        if known.base.rows.len() <= CACHED_ROWS_MAX {
            self.known().insert(id, known);
        }
    }
}

/// The base table of a workspace.
pub fn of(daemon: &Daemon, id: u32) -> Result<Known, Refusal> {
    let hash = daemon.spaces().get(id).ok().and_then(|workspace| workspace.base);
    let Some(hash) = hash else { return Ok(Known::default()) };
    if let Some(known) = daemon.tables.known().get(&id).filter(|known| known.hash == Some(hash)) {
        return Ok(known.clone());
    }
    let read = read(&daemon.store, hash);
    let known = read.map_err(|error| {
        Refusal::store(format!("the base table of the workspace cannot be read: {error}"), daemon)
    })?;
    daemon.tables.keep(id, known.clone());
    Ok(known)
}

fn read(store: &Store, hash: [u8; 32]) -> Result<Known, Box<dyn std::error::Error>> {
    let table = |hash| -> Result<Table, Box<dyn std::error::Error>> {
        Ok(Table::decode(&store.read_blob_vec(&BlobHash(hash))?)?)
    };
    let (base, whole, since) = match table(hash)? {
        Table::Whole(base) => (base, hash, Changes::new()),
        Table::Changed(whole, since) => match table(whole)? {
            Table::Whole(mut base) => {
                base.change(&since);
                (base, whole, since)
            }
            Table::Changed(..) => return Err("it is made of changes since changes".into()),
        },
    };
    let sums = Sums::of(&base);
    Ok(Known { base: Arc::new(base), sums, hash: Some(hash), whole, since: Arc::new(since) })
}

/// Stores the first table of a workspace, which is not complete before; its hash.
pub fn first(daemon: &Daemon, base: &Base) -> Result<[u8; 32], Errno> {
    put(daemon, &base.encode())
}

fn put(daemon: &Daemon, table: &[u8]) -> Result<[u8; 32], Errno> {
    let put = daemon.cas.ingest_bytes(table).map_err(|error| crate::daemon::cas_errno(&error))?;
    daemon.tables.wholes().insert(put.hash.0, whole_of(table));
    Ok(put.hash.0)
}

/// Changes the table of a workspace, which is `known`; the new one's hash. The caller has the workspace's turn.
pub fn change(daemon: &Daemon, id: u32, known: Known, changes: Changes) -> Result<[u8; 32], Errno> {
    // Alone in our hands, unless somebody compares with it, the table is changed in place.
    daemon.tables.forget(id);
    let Known { mut base, mut sums, hash: _, mut whole, mut since } = known;
    let old = |path: &Vec<u8>| base.find(path).cloned();
    let before = Base { rows: changes.keys().filter_map(old).collect() };
    let now = Base { rows: changes.values().flatten().cloned().collect() };
    sums = sums.with(&before, &now);
    Arc::make_mut(&mut base).change(&changes);
    Arc::make_mut(&mut since).extend(changes);
    let hash = if since.len() * CHANGED_PART < base.rows.len() {
        put(daemon, &encode_changes(&whole, &since))?
    } else {
        since = Arc::default();
        whole = put(daemon, &base.encode())?;
        whole
    };
    let mut spaces = daemon.spaces();
    daemon.log(&mut spaces, &[Record::Base { workspace: id, hash }])?;
    let last = spaces.get_mut(id)?.base.replace(hash);
    drop(spaces);
    daemon.noticed.follow(id, last, hash);
    daemon.tables.keep(id, Known { base, sums, hash: Some(hash), whole, since });
    Ok(hash)
}

/// The whole table that the table with this hash needs, if it is one of changes.
///
/// # Errors
/// It cannot be read.
pub fn needs(store: &Store, hash: &BlobHash) -> Result<Option<BlobHash>, StoreError> {
    Ok(whole_of(&store.read_blob_vec(hash)?).map(BlobHash))
}

/// The whole tables that these need; those of which it is not known are read once.
///
/// # Errors
/// One cannot be read.
pub fn all_needed(daemon: &Daemon, tables: &BTreeSet<[u8; 32]>) -> Result<Vec<BlobHash>, StoreError> {
    let known = daemon.tables.wholes().clone();
    let mut needed = Vec::new();
    for hash in tables {
        let whole = match known.get(hash) {
            Some(whole) => *whole,
            None => {
                let whole = needs(&daemon.store, &BlobHash(*hash))?.map(|whole| whole.0);
                daemon.tables.wholes().insert(*hash, whole);
                whole
            }
        };
        needed.extend(whole.map(BlobHash));
    }
    daemon.tables.wholes().retain(|hash, _| tables.contains(hash));
    Ok(needed)
}
