//! Synced puts beside SQLite (WAL, synchronous=FULL) and redb.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use redb::{Database, TableDefinition};
use rusqlite::Connection;
use statefs_journal::Store;

use super::{create, key, value};
use crate::report::Row;

const CLIENTS: u64 = 8;
const PUTS_TOGETHER: u64 = 1600;
const PUTS_ALONE: u64 = 300;
const TABLE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("state");
/// Writers of SQLite take turns by trying again.
const BUSY_TIMEOUT: Duration = Duration::from_secs(60);

/// A store that makes each put durable before it says so.
trait Peer: Sync {
    type Client<'a>
    where
        Self: 'a;
    fn client(&self) -> Result<Self::Client<'_>>;
    fn put(client: &mut Self::Client<'_>, number: u64) -> Result<()>;
}

struct Sqlite<'a>(&'a Path);

impl Peer for Sqlite<'_> {
    type Client<'a>
        = Connection
    where
        Self: 'a;
    fn client(&self) -> Result<Connection> {
        let client = Connection::open(self.0)?;
        client.busy_timeout(BUSY_TIMEOUT)?;
        client.pragma_update(None, "journal_mode", "WAL")?;
        client.pragma_update(None, "synchronous", "FULL")?;
        client.execute(
            "CREATE TABLE IF NOT EXISTS state(key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID",
            [],
        )?;
        Ok(client)
    }
    fn put(client: &mut Connection, number: u64) -> Result<()> {
        let mut statement = client.prepare_cached("INSERT OR REPLACE INTO state VALUES(?, ?)")?;
        statement.execute((key(number)?.as_bytes(), value(number)))?;
        Ok(())
    }
}

impl Peer for Database {
    type Client<'a> = &'a Database;
    fn client(&self) -> Result<&Database> {
        Ok(self)
    }
    fn put(client: &mut &Database, number: u64) -> Result<()> {
        let transaction = client.begin_write()?;
        transaction.open_table(TABLE)?.insert(key(number)?.as_bytes(), &value(number)[..])?;
        transaction.commit()?;
        Ok(())
    }
}

impl Peer for Store {
    type Client<'a> = &'a Store;
    fn client(&self) -> Result<&Store> {
        Ok(self)
    }
    fn put(client: &mut &Store, number: u64) -> Result<()> {
        client.state_put(&key(number)?, &value(number))?;
        client.sync()?;
        Ok(())
    }
}

/// Microseconds a put, with so many clients at once.
fn puts<P: Peer>(peer: &P, clients: u64, count: u64, from: &AtomicU64) -> Result<f64> {
    let started = Instant::now();
    std::thread::scope(|scope| {
        let run = || -> Result<()> {
            let mut client = peer.client()?;
            for _ in 0..count / clients {
                P::put(&mut client, from.fetch_add(1, Ordering::Relaxed))?;
            }
            Ok(())
        };
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(run)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| anyhow::bail!("a client panicked")))
    })?;
    Ok(started.elapsed().as_secs_f64() * 1e6 / count as f64)
}

pub fn measure(dir: &Path, pairs: u32) -> Result<Vec<Row>> {
    let database = dir.join("peer.sqlite");
    let sqlite = Sqlite(&database);
    drop(sqlite.client()?);
    let redb = Database::create(dir.join("peer.redb"))?;
    let ours = create(&dir.join("peer.img"))?;
    let target = "at most 1.0";
    let mut rows = Vec::new();
    for (clients, count, what) in [
        (CLIENTS, PUTS_TOGETHER, "64-byte put, synced, 8 clients at once"),
        (1, PUTS_ALONE, "64-byte put, synced, one client"),
    ] {
        let mut beside_sqlite = Row::new(what, "us", target).against("SQLite WAL, FULL");
        let mut beside_redb = Row::new(what, "us", target).against("redb");
        let from = AtomicU64::new(clients << 32);
        for _ in 0..=pairs {
            let (one, two) = (puts(&sqlite, clients, count, &from)?, puts(&redb, clients, count, &from)?);
            let own = puts(&ours, clients, count, &from)?;
            beside_sqlite.push(one, own);
            beside_redb.push(two, own);
        }
        // The first of each grew its file.
        for row in [&mut beside_sqlite, &mut beside_redb] {
            row.native.remove(0);
            row.vrift.remove(0);
        }
        rows.extend([beside_sqlite, beside_redb]);
    }
    Ok(rows)
}
