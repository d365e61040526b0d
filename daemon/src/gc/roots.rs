//! What keeps content alive: the one list of everything that refers to a blob.
//!
//! Extended attributes, symlinks and the answers kept for retries hold their bytes themselves. The table of a worktree
//! (a copy for programs out of reach) names content only to tell whether a file of the copy has changed: the bytes
//! are in the copy, and what is taken back from it is put again.

use crate::daemon::Daemon;
use crate::namespace::Workspace;
use crate::snapshots::Marked;
use statefs_journal::BlobHash;
use std::collections::{BTreeSet, HashSet};

/// Everything that something refers to. Workspaces are looked at one after the other, each as a whole; what comes into
/// use behind our back is noted as used by the store.
///
/// # Errors
/// A tree of a snapshot that cannot be read.
pub fn collect(daemon: &Daemon) -> std::io::Result<HashSet<BlobHash>> {
    let mut live = HashSet::new();
    let mut marked = Marked::default();
    crate::snapshots::mark(daemon, &mut marked, &mut live)?;
    let mut keep = |hash: BlobHash| _ = live.insert(hash);
    daemon.store.for_each_state_blob(&mut |hash| keep(*hash));
    let mut tables = tables(daemon);
    let ids: Vec<u32> = daemon.spaces().workspaces.keys().copied().collect();
    for id in ids {
        let spaces = daemon.spaces();
        if let Ok(workspace) = spaces.get(id) {
            of_workspace(workspace, &mut keep);
        }
    }
    // Snapshots that were taken since, of files that were gone when we came to their workspace.
    crate::snapshots::mark(daemon, &mut marked, &mut live)?;
    tables.extend(self::tables(daemon));
    live.extend(tables.iter().map(|hash| BlobHash(*hash)));
    let needed = crate::tables::all_needed(daemon, &tables);
    live.extend(
        needed.map_err(|error| std::io::Error::other(format!("a base table cannot be read: {error}")))?,
    );
    Ok(live)
}

/// The tables of what was taken in, of workspaces and of forks that nobody entered.
fn tables(daemon: &Daemon) -> BTreeSet<[u8; 32]> {
    let spaces = daemon.spaces();
    let awake = spaces.workspaces.values().filter_map(|workspace| workspace.base);
    awake.chain(spaces.asleep.values().map(|asleep| asleep.base)).collect()
}

/// Content of files, content that a file being written had before.
fn of_workspace(workspace: &Workspace, keep: &mut dyn FnMut(BlobHash)) {
    workspace.staged.values().flatten().for_each(|hash| keep(BlobHash(*hash)));
    workspace.index.vnodes(&mut |vnode| {
        if let Some(hash) = workspace.sealed_hash(vnode) {
            keep(BlobHash(hash));
        }
    });
}
