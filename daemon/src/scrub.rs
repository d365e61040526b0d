//! Reading all content back while the daemon serves: at a bounded rate, in an order that can be resumed.

use crate::admin::{Refusal, Teller};
use crate::daemon::Daemon;
use crate::damage;
use crate::snapshots::kept::trees;
use statefs_journal::{BlobHash, StoreError};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use vrift_protocol::admin::Checked;

/// File in the state folder that says how far the last scrub came.
const POSITION_FILE: &str = "scrub.position";
/// How often the position is written and progress told.
const NOTE_PAUSE: Duration = Duration::from_millis(500);
/// Flaws that one answer names; more are counted by another run.
const FLAWS_MAX: usize = 24;

/// How a scrub goes about it.
pub struct Manner {
    /// Bytes a second; 0: as fast as the device.
    pub rate_bytes: u64,
    /// From the first blob on, wherever the last scrub ended.
    pub restart: bool,
    /// Superblocks, checkpoint and journal, too.
    pub metadata: bool,
    /// Puts damaged blobs back where their bytes are found.
    pub heals: bool,
}

/// Verifies all blobs behind the position of the last scrub that did not come to its end.
pub fn run(daemon: &Daemon, manner: &Manner, tell: &Teller<'_>) -> Result<Checked, Refusal> {
    let started = Instant::now();
    let mut checked = Checked::default();
    let failed = |error: &dyn std::fmt::Display| Refusal::store(format!("cannot check: {error}"), daemon);
    if manner.metadata {
        let mut found = daemon.store.fsck_live().map_err(|error| failed(&error))?;
        if manner.heals && !found.is_sound() {
            daemon.checkpoint(0).map_err(|error| failed(&error))?;
            let sound = daemon.store.fsck_live().map_err(|error| failed(&error))?.is_sound();
            found.findings.iter_mut().for_each(|finding| finding.repaired = sound);
        }
        crate::fsck::note(&mut checked, &found);
        let unstored = damage::unstored(&daemon.store, &daemon.spaces());
        let trees = trees(&daemon.spaces());
        let tables = damage::tables(&daemon.spaces());
        let of_tables = damage::unstored_tables(&daemon.store, &tables);
        for unstored in [unstored, damage::unstored_kept(&daemon.store, &trees), of_tables] {
            checked.flaws.extend(damage::missing(&daemon.store, &daemon.folders.home, unstored));
        }
    }
    let position = position_file(daemon);
    let from = if manner.restart { None } else { read_position(&position) };
    let all = daemon.store.blobs_after(from.as_ref());
    checked.resumed = from.is_some();
    let mut noted = Instant::now();
    for hash in &all {
        if daemon.is_stopping() || tell.connection.is_closed() || checked.flaws.len() >= FLAWS_MAX {
            break;
        }
        match daemon.store.verify_blob(hash) {
            Ok(bytes) => {
                checked.blobs += 1;
                checked.bytes += bytes;
            }
            // Removed meanwhile.
            Err(StoreError::NotFound { .. }) => {}
            Err(StoreError::BlobMismatch { .. } | StoreError::Io { .. } | StoreError::Truncated { .. }) => {
                let hit = damage::hit(&daemon.spaces(), hash);
                let trees = trees(&daemon.spaces());
                let hit = hit.and_kept(&daemon.store, &trees, hash);
                let flaw = damage::judge(&daemon.store, &daemon.folders.home, hit, hash, manner.heals);
                tracing::error!(%hash, repaired = flaw.repaired, "damaged content");
                checked.flaws.push(flaw);
            }
            Err(error) => return Err(failed(&error)),
        }
        if noted.elapsed() >= NOTE_PAUSE {
            noted = Instant::now();
            let _only_costs_a_repetition = fs::write(&position, hash.to_string());
            tell.progress("checking", checked.blobs, checked.bytes);
        }
        keep_rate(manner.rate_bytes, checked.bytes, started);
        if hash == &all[all.len() - 1] {
            checked.complete = true;
        }
    }
    checked.complete |= all.is_empty();
    if checked.complete {
        let _only_costs_a_repetition = fs::remove_file(&position);
    }
    daemon.store.sync().map_err(|error| failed(&error))?;
    checked.elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(checked)
}

fn position_file(daemon: &Daemon) -> PathBuf {
    daemon.folders.in_home(POSITION_FILE)
}

/// Anything but a hash counts as none.
fn read_position(path: &PathBuf) -> Option<BlobHash> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn keep_rate(rate_bytes: u64, done_bytes: u64, started: Instant) {
    if rate_bytes == 0 {
        return;
    }
    let due = Duration::from_secs_f64(done_bytes as f64 / rate_bytes as f64);
    std::thread::sleep(due.saturating_sub(started.elapsed()));
}
