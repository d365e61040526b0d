//! `vriftd --fsck`: a look at a store that no daemon serves. Prints one JSON document.

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
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use vrift_protocol::admin::{Checked, Flaw, PathBytes};

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
        check_content(device, &folders, repairs, &mut checked).with_context(|| folders.store.to_string())?;
    } else {
        checked.complete = false;
    }
    checked.elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    println!("{}", serde_json::to_string(&checked)?);
    Ok(true)
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
    repairs: bool,
    checked: &mut Checked,
) -> Result<()> {
    let (store, spaces) = recover::replay_store(device, folders)?;
    let trees = crate::snapshots::kept::trees(&spaces);
    for hash in store.blobs_after(None) {
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
