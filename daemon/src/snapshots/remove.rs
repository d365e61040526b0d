//! `vrift rm`: a workspace with its snapshots, or one snapshot.

use crate::admin::Refusal;
use crate::daemon::Daemon;
use crate::record::Record;
use nix::errno::Errno;
use std::fs;
use std::sync::PoisonError;

/// Removes a workspace, or only one of its snapshots; durable when this returns. Content that nothing refers to any
/// more is collected later.
pub fn remove(daemon: &Daemon, id: u32, snapshot: Option<&str>) -> Result<(), Refusal> {
    let turn = daemon.turn(id);
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    let failed = |errno: Errno| Refusal::errno("the workspace", errno, daemon);
    if let Some(text) = snapshot {
        let number = super::compare::find(daemon, id, text)?.number;
        let mut spaces = daemon.spaces();
        daemon.log(&mut spaces, &[Record::RemoveSnapshot { workspace: id, number }]).map_err(failed)?;
        spaces.snapshots.remove(&(id, number));
    } else {
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
    daemon.bases.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
}
