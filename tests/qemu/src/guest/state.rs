//! The key-value space: kept over the daemon's death and over a reset of the machine, closed to whom it is closed, whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use vrift_guest::pattern;
use vrift_protocol::pipeline::{Blocking, Endpoint, Pipeline};

use crate::vrift;

/// Keys of one round.
const KEYS: u64 = 8;
/// Keys of one transaction, so many kills among transactions, and how long before each.
const TRANSACTION_KEYS: u64 = 8;
const KILLS: u64 = 3;
const BEFORE_KILL: Duration = Duration::from_millis(400);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(240);
const ZONES: [&str; 2] = ["Europe/Berlin", "Asia/Tokyo"];

pub fn client() -> Blocking {
    Blocking::new(Pipeline::new(Endpoint::Path(vrift::socket())), REQUEST_TIMEOUT)
}

fn key(round: u64, number: u64) -> String {
    format!("/state/selftest/round/{round}/{number}")
}

fn value(round: u64, number: u64) -> Vec<u8> {
    pattern::bytes(round * 1000 + number)
}

/// Puts, and reads what was put.
pub fn put(round: u64) -> Result<()> {
    let mut client = client();
    for number in 0..KEYS {
        client.put(key(round, number).as_bytes(), &value(round, number))?;
    }
    read_back(&mut client, round)
}

fn read_back(client: &mut Blocking, round: u64) -> Result<()> {
    for number in 0..KEYS {
        let key = key(round, number);
        let found = client.get(key.as_bytes())?.with_context(|| format!("{key} is not there"))?;
        ensure!(found == value(round, number), "{key} has another value");
    }
    Ok(())
}

/// What this round put is there over the daemon's death, what earlier ones put over a reset of the machine.
pub fn persist(round: u64) -> Result<()> {
    client().sync()?;
    vrift::kill_daemon()?;
    vrift::ok(&["daemon", "start"])?;
    let mut client = client();
    for earlier in 1..=round {
        read_back(&mut client, earlier)?;
    }
    Ok(())
}

/// Keys that belong to services are not even their owner's; others do not reach the daemon at all.
pub fn unauthorized() -> Result<()> {
    for key in ["/state/keystore/selftest", "/state/boot/selftest", "/state/system/selftest"] {
        let (code, text) = vrift::exits(&["state", "put", key, "x"])?;
        ensure!(code == 2 && text.contains("does not let"), "put {key}: {code}: {text}");
        let (code, text) = vrift::exits(&["audit", "-n", "1"])?;
        ensure!(
            code == 0 && text.contains(key) && text.contains("denied"),
            "{key} is not in the audit log: {text}"
        );
    }
    let (code, text) = vrift::exits(&["state", "get", "/state/keystore/selftest"])?;
    ensure!(code == 2, "get: {code}: {text}");
    Ok(())
}

/// Transactions while the daemon is killed: all keys of one are of the same number, which is at least the last
/// acknowledged one.
pub fn crash_atomic() -> Result<()> {
    let key = |number: u64| format!("/state/selftest/atomic/{number}").into_bytes();
    for _ in 0..KILLS {
        let acknowledged = Arc::new(AtomicU64::new(0));
        let started = last(&mut client(), &key(0))?;
        let killed = Arc::new(AtomicBool::new(false));
        let (counter, end) = (Arc::clone(&acknowledged), Arc::clone(&killed));
        let writer = std::thread::spawn(move || {
            let mut client = client();
            for generation in started + 1.. {
                let value = Some(generation.to_string().into_bytes());
                let changes: Vec<_> = (0..TRANSACTION_KEYS).map(|n| (key(n), value.clone())).collect();
                // The daemon's death ends a transaction that was under way; between two it is not noticed.
                if client.change(&changes).is_err() {
                    return;
                }
                counter.store(generation, Ordering::SeqCst);
                if end.load(Ordering::SeqCst) {
                    return;
                }
            }
        });
        while acknowledged.load(Ordering::SeqCst) == 0 && !writer.is_finished() {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(BEFORE_KILL);
        let result = vrift::kill_daemon();
        killed.store(true, Ordering::SeqCst);
        writer.join().map_err(|_| anyhow!("the writer panicked"))?;
        result?;
        vrift::ok(&["daemon", "start"])?;
        let acknowledged = acknowledged.load(Ordering::SeqCst);
        ensure!(acknowledged > 0, "no transaction was acknowledged");
        let mut client = client();
        let found = last(&mut client, &key(0))?;
        ensure!(found >= acknowledged, "{acknowledged} was acknowledged, {found} is there");
        for number in 1..TRANSACTION_KEYS {
            let other = last(&mut client, &key(number))?;
            ensure!(other == found, "half a transaction: key 0 is of {found}, key {number} of {other}");
        }
    }
    Ok(())
}

fn last(client: &mut Blocking, key: &[u8]) -> Result<u64> {
    match client.get(key)? {
        Some(value) => Ok(std::str::from_utf8(&value)?.parse()?),
        None => Ok(0),
    }
}

/// The zone that an earlier round set is there; another one is kept over the daemon's death.
pub fn time_persist(round: u64) -> Result<()> {
    let zone = |round: u64| ZONES[usize::try_from(round).unwrap_or(0) % ZONES.len()];
    if round > 1 {
        expect_zone(zone(round - 1))?;
    }
    vrift::ok(&["time", "set", "timezone", zone(round)])?;
    vrift::kill_daemon()?;
    expect_zone(zone(round))
}

fn expect_zone(zone: &str) -> Result<()> {
    let found = vrift::ok(&["time", "get", "timezone"])?;
    ensure!(found.trim() == zone, "the zone is {}, not {zone}", found.trim());
    Ok(())
}
