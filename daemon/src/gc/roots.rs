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
/// `goes_on` gets how much was found so far; false ends it.
///
/// # Errors
/// A tree of a snapshot, or a table, that cannot be read; Interrupted when `goes_on` ended it.
pub fn collect(daemon: &Daemon, goes_on: &dyn Fn(usize) -> bool) -> std::io::Result<HashSet<BlobHash>> {
    let mut live = HashSet::new();
    let mut marked = Marked::default();
    crate::snapshots::mark(daemon, &mut marked, &mut live, goes_on)?;
    daemon.store.for_each_state_blob(&mut |hash| _ = live.insert(*hash));
    let mut tables = tables(daemon);
    let ids: Vec<u32> = daemon.spaces().workspaces.keys().copied().collect();
    for id in ids {
        if !goes_on(live.len()) {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        let spaces = daemon.spaces();
        if let Ok(workspace) = spaces.get(id) {
            of_workspace(workspace, &mut |hash| _ = live.insert(hash));
        }
    }
    // Snapshots that were taken since, of files that were gone when we came to their workspace.
    crate::snapshots::mark(daemon, &mut marked, &mut live, goes_on)?;
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
