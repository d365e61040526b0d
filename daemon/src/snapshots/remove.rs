//! `vrift rm`: a workspace with its snapshots, or one snapshot.

use crate::admin::Refusal;
use crate::daemon::Daemon;
use crate::record::Record;
use crate::snapshots::model::Snapshot;
use nix::errno::Errno;
use statefs_journal::Key;
use std::fs;
use std::sync::PoisonError;
use vrift_protocol::boot::{BOOT_KEY, Boot, Slot};

/// Removes a workspace, or only one of its snapshots; durable when this returns. Content that nothing refers to any
/// more is collected later.
pub fn remove(daemon: &Daemon, id: u32, snapshot: Option<&str>) -> Result<(), Refusal> {
    let turn = daemon.turn(id);
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    let failed = |errno: Errno| Refusal::errno("the workspace", errno, daemon);
    if let Some(text) = snapshot {
        let snapshot = super::compare::find(daemon, id, text)?;
        let number = snapshot.number;
        refuse_staged(daemon, id, Some(&snapshot))?;
        let mut spaces = daemon.spaces();
        daemon.log(&mut spaces, &[Record::RemoveSnapshot { workspace: id, number }]).map_err(failed)?;
        spaces.snapshots.remove(&(id, number));
    } else {
        refuse_staged(daemon, id, None)?;
        let mut spaces = daemon.spaces();
        refuse_in_use(&spaces, id)?;
        daemon.log(&mut spaces, &[Record::Remove { workspace: id }]).map_err(failed)?;
        if let Some(workspace) = spaces.workspaces.get(&id) {
            workspace.index.retire_self();
        }
        spaces.forget(id);
        drop(spaces);
        forget_files(daemon, id);
    }
    daemon.gc.want();
    daemon.store.sync().map(drop).map_err(|error| Refusal::store(format!("cannot sync: {error}"), daemon))
}

/// An error when a boot slot has the snapshot, or any of the workspace: what is started from must be there.
fn refuse_staged(daemon: &Daemon, id: u32, snapshot: Option<&Snapshot>) -> Result<(), Refusal> {
    let unreadable = |why: String| Refusal::store(format!("whether a boot slot has it: {why}"), daemon);
    let key = Key::new(BOOT_KEY.as_bytes()).map_err(|error| unreadable(error.to_string()))?;
    let value = daemon.store.state_get(&key).map_err(|error| unreadable(error.to_string()))?;
    let Some(value) = value else { return Ok(()) };
    let boot: Boot =
        serde_json::from_slice(&value).map_err(|error| unreadable(format!("{BOOT_KEY}: {error}")))?;
    let Some(name) = daemon.spaces().name_of(id) else { return Ok(()) };
    for slot in [Slot::A, Slot::B] {
        let Some(tree) = boot.tree(slot).filter(|tree| tree.workspace == name) else { continue };
        let is = |snapshot: &Snapshot| {
            snapshot.number == tree.number && super::compare::root_hex(&snapshot.root) == tree.root
        };
        if snapshot.is_none_or(is) {
            let what = format!("snapshot {} of {name} is in boot slot {}", tree.number, slot.name());
            return Err(Refusal::negative(what, "stage another one first: vrift boot stage".into()));
        }
    }
    Ok(())
}

/// An error when runs of the workspace are under way.
pub fn refuse_in_use(spaces: &crate::namespace::Namespaces, id: u32) -> Result<(), Refusal> {
    let runs = spaces.workspaces.get(&id).map_or(0, |workspace| workspace.runs.len());
    if runs == 0 {
        return Ok(());
    }
    let runs = if runs == 1 { "a run is".to_string() } else { format!("{runs} runs are") };
    let what = format!("the workspace is in use: {runs} under way");
    Err(Refusal::negative(what, "wait for the end, or end it, and try again".into()))
}

fn forget_files(daemon: &Daemon, id: u32) {
    let folders = &daemon.folders;
    let dirs = [
        folders.workspace_runtime(id),
        folders.mirror_dir(id),
        folders.worktree_dir(id),
        folders.staging_dir(id),
    ];
    for dir in dirs {
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                // The next start removes folders of workspaces that are not there.
                tracing::warn!(dir = %dir.display(), %error, "cannot be removed");
            }
            _ => {}
        }
    }
    daemon.worktrees.forget(id);
    daemon.noticed.forget(id);
    daemon.tables.forget(id);
}
