//! Collecting what nothing refers to: blobs of the store, files of the hot tier.
//!
//! Marks come from [`roots`]. What comes into use meanwhile is noted by the store. Who puts content first and refers to
//! it later holds a [`Hold`]: a collection waits for the holds that are older than itself.

mod roots;

use crate::admin::{Refusal, Teller};
use crate::daemon::Daemon;
use crate::kill_points;
use statefs_journal::{BlobHash, Collection};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use vrift_cas::HotFile;
use vrift_protocol::admin::Collected;

/// How long a collection that somebody asked for waits for take-ins that are older than itself.
const HOLD_TIMEOUT: Duration = Duration::from_secs(120);
/// Pause between two batches of a collection that nobody waits for.
const GENTLE_PAUSE: Duration = Duration::from_millis(20);
const PROGRESS_PAUSE: Duration = Duration::from_millis(100);
/// A collection starts by itself when the store has grown by this and doubled since the last one.
const HIGH_WATER_BYTES: u64 = 1 << 30;
/// Hot files that are removed under one hold of the namespace lock.
const HOT_BATCH: usize = 64;

/// Who is between putting content and referring to it, and when the next collection is due.
#[derive(Default)]
pub struct Collector {
    holds: Mutex<Holds>,
    released: Condvar,
}

#[derive(Default)]
struct Holds {
    /// One more with each collection.
    generation: u64,
    /// Holds by the generation in which they began.
    open: BTreeMap<u64, u64>,
    /// Bytes in use after the last collection; 0: there was none.
    after_last: u64,
    /// Something failed half way and left content that nothing refers to.
    wanted: bool,
}

/// As long as it lives, what its owner has put is not collected.
pub struct Hold<'a> {
    collector: &'a Collector,
    generation: u64,
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let mut holds = self.collector.lock();
        if let Some(count) = holds.open.get_mut(&self.generation) {
            *count -= 1;
            if *count == 0 {
                holds.open.remove(&self.generation);
            }
        }
        drop(holds);
        self.collector.released.notify_all();
    }
}

impl Collector {
    fn lock(&self) -> std::sync::MutexGuard<'_, Holds> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Taken before content is put that is referred to later.
    pub fn hold(&self) -> Hold<'_> {
        let mut holds = self.lock();
        let generation = holds.generation;
        *holds.open.entry(generation).or_default() += 1;
        Hold { collector: self, generation }
    }

    /// A collection should come soon, however little there is.
    pub fn want(&self) {
        self.lock().wanted = true;
    }

    /// Waits until no hold is older than this call; false when the time is over, or `goes_on` says so now and then.
    fn wait_for_older(&self, timeout: Duration, goes_on: &dyn Fn() -> bool) -> bool {
        let until = Instant::now() + timeout;
        let mut holds = self.lock();
        holds.generation += 1;
        let generation = holds.generation;
        let older = |holds: &mut Holds| holds.open.range(..generation).next().is_some();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let waited = self.released.wait_timeout_while(holds, left.min(PROGRESS_PAUSE), older);
            let (all, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            if !waited.timed_out() {
                return true;
            }
            drop(all);
            if left.is_zero() || !goes_on() {
                return false;
            }
            holds = self.lock();
        }
    }
}

/// How a collection goes about it.
struct Manner<'a> {
    /// Keep garbage as long as store and hot tier together are no larger.
    max_bytes: Option<u64>,
    hold_timeout: Duration,
    pause: Duration,
    /// False: nobody waits for it.
    progress: &'a dyn Fn(&str, u64, u64) -> bool,
}

/// `vrift gc`.
pub fn collect(daemon: &Daemon, max_bytes: Option<u64>, tell: &Teller<'_>) -> Result<Collected, Refusal> {
    let progress = |stage: &str, files, bytes| tell.progress(stage, files, bytes);
    let manner = Manner { max_bytes, hold_timeout: HOLD_TIMEOUT, pause: Duration::ZERO, progress: &progress };
    run(daemon, &manner)
}

/// Called by the flusher: collects when much has come together, gently, and never when something is under way.
pub fn collect_if_due(daemon: &Daemon) {
    let max_size_bytes = daemon.config.store.max_size_bytes;
    {
        let mut holds = daemon.gc.lock();
        let used = daemon.store.stats().used_bytes;
        let limit = high_water(holds.after_last, max_size_bytes);
        if !std::mem::take(&mut holds.wanted) && used < limit {
            return;
        }
        // Whatever comes of it: not again until as much has come together.
        holds.after_last = used;
    }
    let manner = Manner {
        max_bytes: (max_size_bytes > 0).then_some(max_size_bytes),
        hold_timeout: Duration::ZERO,
        pause: GENTLE_PAUSE,
        progress: &|_, _, _| true,
    };
    match run(daemon, &manner) {
        Ok(found) => tracing::info!(blobs = found.blobs, bytes = found.blob_bytes, "collected"),
        Err(refusal) => tracing::info!(why = refusal.what, "not collected"),
    }
}

/// Bytes in use at which a collection starts by itself, when there were so many after the last one.
fn high_water(after_last: u64, max_size_bytes: u64) -> u64 {
    if max_size_bytes == 0 {
        return after_last.saturating_mul(2).max(after_last + HIGH_WATER_BYTES);
    }
    // What could not be made smaller is not tried again for every byte more.
    max_size_bytes.max(after_last + max_size_bytes / 16)
}

fn run(daemon: &Daemon, manner: &Manner<'_>) -> Result<Collected, Refusal> {
    let started = Instant::now();
    let busy = |why: &str| {
        Refusal::negative(format!("cannot collect now: {why}"), "try again when it is over".into())
    };
    let told: Cell<Option<Instant>> = Cell::new(None);
    let goes_on = |stage: &str, files: usize| {
        if told.get().is_some_and(|at| at.elapsed() < PROGRESS_PAUSE) {
            return true;
        }
        told.set(Some(Instant::now()));
        (manner.progress)(stage, files as u64, 0) && !daemon.is_stopping()
    };
    let collection = loop {
        match daemon.store.collect() {
            Some(collection) => break collection,
            // Perhaps one that began by itself a moment ago.
            None if started.elapsed() < manner.hold_timeout && goes_on("waiting", 0) => {
                std::thread::sleep(GENTLE_PAUSE);
            }
            None => return Err(busy("a collection is under way")),
        }
    };
    if !daemon.gc.wait_for_older(manner.hold_timeout, &|| goes_on("waiting", 0)) {
        return Err(busy("a directory is being taken in"));
    }
    let failed = |error: &dyn std::fmt::Display| Refusal::store(format!("cannot collect: {error}"), daemon);
    let mut result =
        Collected { store_bytes_before: daemon.store.stats().used_bytes, ..Collected::default() };
    (manner.progress)("marking", 0, 0);
    // What is queued for the store is its only copy: nothing can be said about it before it is there.
    daemon.flush().map_err(|error| failed(&error))?;
    let marks = |marked| {
        kill_points::pass(|| "gc marking".into());
        goes_on("marking", marked)
    };
    let live = roots::collect(daemon, &marks).map_err(|error| match error.kind() {
        std::io::ErrorKind::Interrupted => busy("interrupted, nothing is removed"),
        _ => failed(&error),
    })?;
    kill_points::pass(|| "gc marked".into());
    let hot = daemon.cas.hot_files().map_err(|error| failed(&error))?;
    let garbage = by_last_use(daemon, &live, &hot);
    let hot_bytes: u64 = hot.values().map(|file| file.bytes).sum();
    let mut total = result.store_bytes_before + hot_bytes;
    let max_bytes = manner.max_bytes.unwrap_or(0);
    let enough = |total: u64| manner.max_bytes.is_some() && total <= max_bytes;

    let mut chosen = Vec::new();
    for hash in garbage {
        if enough(total) {
            break;
        }
        let hot_bytes = hot.get(&hash).map_or(0, |file| file.bytes);
        total = total.saturating_sub(daemon.store.blob_stored_len(&hash).unwrap_or(0) + hot_bytes);
        chosen.push(hash);
    }
    let swept = collection.sweep(&chosen, &mut |so_far| {
        kill_points::pass(|| "gc sweeping".into());
        let goes_on = (manner.progress)("removing", so_far.blobs, so_far.bytes);
        std::thread::sleep(manner.pause);
        goes_on && !daemon.is_stopping()
    });
    let swept = swept.map_err(|error| failed(&error))?;
    (result.blobs, result.blob_bytes) = (swept.blobs, swept.bytes);
    kill_points::pass(|| "gc swept".into());
    prune(daemon, &collection, &chosen, &hot, &mut result).map_err(|error| failed(&error))?;
    kill_points::pass(|| "gc pruned".into());
    if manner.max_bytes.is_some() && !enough(total) {
        // All garbage is gone: what is left of the hot tier can be made again.
        let mut rest: Vec<(i64, BlobHash)> = hot
            .iter()
            .filter(|(hash, _)| live.contains(*hash))
            .map(|(hash, file)| (file.used_s, *hash))
            .collect();
        rest.sort_unstable();
        let mut cached = Vec::new();
        for (_, hash) in rest {
            if enough(total) {
                break;
            }
            total = total.saturating_sub(hot.get(&hash).map_or(0, |file| file.bytes));
            cached.push(hash);
        }
        prune_cached(daemon, &cached, &hot, &mut result).map_err(|error| failed(&error))?;
    }
    // Space is given back when the removals are durable.
    daemon.store.sync().map_err(|error| failed(&error))?;
    daemon.dirty.store(true, Ordering::Release);
    let stats = daemon.store.stats();
    result.store_bytes = stats.used_bytes;
    result.live_blobs = stats.blobs;
    result.total_bytes = stats.used_bytes + hot_bytes.saturating_sub(result.hot_bytes);
    result.fits = manner.max_bytes.is_none_or(|max| result.total_bytes <= max);
    result.elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    daemon.gc.lock().after_last = stats.used_bytes;
    Ok(result)
}

/// Blobs of the store and of the hot tier that are not marked, those first that were not used for the longest time.
fn by_last_use(daemon: &Daemon, live: &HashSet<BlobHash>, hot: &HashMap<BlobHash, HotFile>) -> Vec<BlobHash> {
    let mut garbage: HashSet<BlobHash> = hot.keys().filter(|hash| !live.contains(*hash)).copied().collect();
    daemon.store.for_each_blob(&mut |hash, _| {
        if !live.contains(hash) {
            garbage.insert(*hash);
        }
    });
    let used_s = |hash: &BlobHash| hot.get(hash).map_or(0, |file| file.used_s);
    let mut sorted: Vec<(i64, BlobHash)> = garbage.iter().map(|hash| (used_s(hash), *hash)).collect();
    sorted.sort_unstable();
    sorted.into_iter().map(|(_, hash)| hash).collect()
}

/// Removes the hot files of garbage. Sealing writes its record, which counts as use, and renames under the namespace
/// lock: under the same lock a file that is not used stays so until it is gone.
fn prune(
    daemon: &Daemon,
    collection: &Collection<'_>,
    chosen: &[BlobHash],
    hot: &HashMap<BlobHash, HotFile>,
    result: &mut Collected,
) -> Result<(), vrift_cas::CasError> {
    for batch in chosen.chunks(HOT_BATCH) {
        let _spaces = daemon.spaces();
        for hash in batch {
            if let Some(file) = hot.get(hash)
                && !collection.is_used(hash)
                && daemon.cas.drop_hot(hash, file)?
            {
                result.hot_files += 1;
                result.hot_bytes += file.bytes;
            }
        }
    }
    Ok(())
}

/// Removes hot files that the store has, too.
fn prune_cached(
    daemon: &Daemon,
    cached: &[BlobHash],
    hot: &HashMap<BlobHash, HotFile>,
    result: &mut Collected,
) -> Result<(), vrift_cas::CasError> {
    for hash in cached {
        if let Some(file) = hot.get(hash)
            && daemon.store.has_blob(hash)
            && daemon.cas.drop_hot(hash, file)?
        {
            result.hot_files += 1;
            result.hot_bytes += file.bytes;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_starts_by_itself_at_the_size_that_was_set_or_when_much_came_together() {
        assert_eq!(high_water(0, 0), HIGH_WATER_BYTES);
        assert_eq!(high_water(5 << 30, 0), 10 << 30);
        assert_eq!(high_water(0, 1 << 30), 1 << 30);
        assert_eq!(high_water(2 << 30, 1 << 30), (2 << 30) + (1 << 26));
    }

    #[test]
    fn a_collection_waits_for_older_holds_and_for_no_newer_ones() {
        let collector = Collector::default();
        let older = collector.hold();
        assert!(!collector.wait_for_older(Duration::ZERO, &|| true), "an older one is there");
        std::thread::scope(|scope| {
            let generation = collector.lock().generation;
            let waits = scope.spawn(|| collector.wait_for_older(Duration::from_secs(60), &|| true));
            while collector.lock().generation == generation {
                std::thread::yield_now();
            }
            let newer = collector.hold();
            drop(older);
            assert!(waits.join().unwrap());
            drop(newer);
        });
        assert!(collector.wait_for_older(Duration::ZERO, &|| true), "there are none");
        let _older = collector.hold();
        assert!(
            !collector.wait_for_older(Duration::from_secs(60), &|| false),
            "nobody waits for it any more"
        );
    }
}
