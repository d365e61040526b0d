//! `vriftd --fsck`: a look at a store that no daemon serves. Prints one JSON document; with `--progress` others before it, each in
//! a line, which say how far it is.

use crate::args::Args;
use crate::audit::{Audit, Event};
use crate::folders::Folders;
use crate::place::Place;
use crate::policy::{Right, Who};
use crate::record::Record;
use crate::{damage, recover};
use anyhow::{Context, Result};
use nix::unistd::{getgid, getuid};
use statefs_journal::device::OverlayDevice;
use statefs_journal::{BlockDevice, Fsck, Store, StoreError};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use vrift_protocol::admin::{AdminReply, Checked, Flaw, PathBytes};

const PROGRESS_PAUSE: Duration = Duration::from_millis(100);

/// Checks everything, with `repairs` also mends what can be mended. Without it nothing is changed. False, and nothing
/// is done or printed: a daemon serves the store, or is about to.
///
/// # Errors
/// What keeps it from telling what the store holds.
pub fn run(args: &Args, home: &Path) -> Result<bool> {
    let started = Instant::now();
    let repairs = args.repair;
    let mut folders = Folders::prepare(home).context("cannot use the state folder")?;
    // As long as it is held no daemon begins to serve.
    let Some(_lock) = crate::serve::lock_unserved(&folders)? else { return Ok(false) };
    folders.store = Place::choose(args, &crate::config::read(&folders.home)?, &folders.home)?;
    let device = folders.store.open_to_check()?;
    let mut checked = Checked { complete: true, ..Checked::default() };
    let found = Store::fsck(&*device, repairs).with_context(|| folders.store.to_string())?;
    let opens = found.findings.iter().all(|finding| finding.repaired || finding.remedy.is_some());
    note(&mut checked, &found);
    // What was not mended keeps the journal from being read to its end: the rest cannot be told.
    if found.is_sound() || (opens && !repairs && only_superblocks(&found)) {
        let device = if repairs { device } else { Arc::new(OverlayDevice::new(device)) };
        let pace = Pace { is_wanted: args.progress, told: None };
        check_content(device, &folders, (repairs, pace), &mut checked)
            .with_context(|| folders.store.to_string())?;
    } else {
        checked.complete = false;
    }
    checked.elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    println!("{}", serde_json::to_string(&checked)?);
    Ok(true)
}

/// Says how far it is, to whoever asked for that. Somebody who went away keeps it from going on.
struct Pace {
    is_wanted: bool,
    told: Option<Instant>,
}

impl Pace {
    fn tell(&mut self, stage: &str, files: u64, bytes: u64, total_files: u64) -> Result<()> {
        if !self.is_wanted || self.told.is_some_and(|told| told.elapsed() < PROGRESS_PAUSE) {
            return Ok(());
        }
        self.told = Some(Instant::now());
        let told = AdminReply::Progress { stage: stage.into(), files, bytes, total_files };
        let line = serde_json::to_string(&told)?;
        writeln!(std::io::stdout(), "{line}").context("nobody waits for the result any more")
    }
}

/// One bad superblock does not keep the store from being read.
fn only_superblocks(found: &Fsck) -> bool {
    found.findings.iter().all(|finding| finding.what.starts_with("superblock"))
}

/// What the engine found, as it goes over the wire.
pub fn note(checked: &mut Checked, found: &Fsck) {
    checked.records = found.records;
    checked.flaws.extend(found.findings.iter().map(|finding| Flaw {
        what: finding.what.clone(),
        remedy: finding.remedy.map(str::to_string),
        repaired: finding.repaired,
        paths: Vec::new(),
    }));
}

fn check_content(
    device: Arc<dyn BlockDevice>,
    folders: &Folders,
    (repairs, mut pace): (bool, Pace),
    checked: &mut Checked,
) -> Result<()> {
    pace.tell("reading the journal", 0, 0, 0)?;
    let (store, spaces) = recover::replay_store(device, folders)?;
    let trees = crate::snapshots::kept::trees(&spaces);
    let blobs = store.blobs_after(None);
    let total = blobs.len() as u64;
    for (number, hash) in (0..).zip(blobs) {
        pace.tell("checking", number, checked.bytes, total)?;
        match store.verify_blob(&hash) {
            Ok(bytes) => {
                checked.blobs += 1;
                checked.bytes += bytes;
            }
            Err(StoreError::BlobMismatch { .. } | StoreError::Io { .. } | StoreError::Truncated { .. }) => {
                checked.flaws.push(damage::judge(
                    &store,
                    &folders.home,
                    damage::hit(&spaces, &hash).and_kept(&store, &trees, &hash),
                    &hash,
                    repairs,
                ));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let unstored = damage::unstored(&store, &spaces);
    let of_tables = damage::unstored_tables(&store, &damage::tables(&spaces));
    for unstored in [unstored, damage::unstored_kept(&store, &trees), of_tables] {
        checked.flaws.extend(damage::missing(&store, &folders.home, unstored));
    }
    for (id, (name, why)) in &spaces.unreadable {
        if repairs {
            let (kind, payload) = Record::Remove { workspace: *id }.encode();
            store.append(kind, &payload)?;
        }
        checked.flaws.push(Flaw {
            what: format!("the tree of workspace '{name}' cannot be read: {why}"),
            remedy: Some("the workspace is given up".into()),
            repaired: repairs,
            paths: vec![PathBytes(format!("{name}:").into_bytes())],
        });
    }
    if repairs {
        let repaired = checked.flaws.iter().filter(|flaw| flaw.repaired).count();
        let what = format!("fsck --repair, {repaired} repaired");
        let event = Event {
            time_ns: crate::clock::system_now_ns(),
            right: Right::Admin,
            what: what.as_bytes(),
            outcome: "done",
        };
        let who = Who::Person { uid: getuid().as_raw(), gid: getgid().as_raw(), groups: Arc::default() };
        Audit::default().act(&store, &who, &event);
        store.sync()?;
    }
    // Indexes that nobody is going to serve.
    let ids: Vec<u32> = spaces.workspaces.keys().copied().collect();
    drop(spaces);
    for id in ids {
        let _ = fs::remove_file(folders.workspace_runtime(id).join(recover::REPLAY_FILE));
    }
    Ok(())
}
