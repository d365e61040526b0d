//! Sealed blobs on their way to the store, in the background and at a sync.

use crate::daemon::{Daemon, cas_errno, store_errno};
use crate::namespace::errno_of;
use crate::vnode_ops::Call;
use nix::errno::Errno;
use std::collections::HashSet;
use std::fs::File;
use std::time::Duration;
use vrift_cas::{BlobHash, CasError};
use vrift_manifest::{Content, VnodeNo};

/// Pause when there is nothing to write.
const PAUSE: Duration = Duration::from_millis(500);
/// Pause after the store refused to take something.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(2);

/// The thread that writes sealed blobs to the store and shortens the journal.
pub fn run(daemon: &Daemon) {
    let mut complained = false;
    loop {
        std::thread::sleep(PAUSE);
        let flushed = if daemon.cas.pending() == 0 { Ok(()) } else { daemon.flush() };
        let written = flushed
            .map_err(|error| error.to_string())
            .and_then(|()| daemon.checkpoint(crate::kill_points::journal_len_max_bytes()));
        if written.is_ok() {
            crate::snapshots::prepare(daemon);
            crate::gc::collect_if_due(daemon);
        }
        match written {
            Err(error) if !complained => {
                tracing::error!(error, "cannot write to the store");
                complained = true;
            }
            Err(_) => std::thread::sleep(PAUSE_AFTER_ERROR),
            Ok(()) => complained = false,
        }
    }
}

/// fsync(2) of one vnode, or sync(2) of the workspace. The caller has synced what it wrote through its own fd; the
/// name of a staging file and the records that lead to the vnode are ours.
pub fn sync_vnode(daemon: &Daemon, call: &Call) -> Result<VnodeNo, Errno> {
    let vnode = call.vnode();
    if vnode.0 == 0 {
        return daemon.sync(Some(call.workspace)).map(|()| vnode).map_err(|_| Errno::EIO);
    }
    // The lock is not held while the disk works.
    let attr = daemon.spaces().get(call.workspace)?.index.attr(vnode);
    match attr.map(|attr| attr.content) {
        Some(Content::Sealed(hash)) => {
            daemon.cas.flush_one(&BlobHash(hash)).map_err(|error| cas_errno(&error))?;
        }
        Some(Content::Staged) => {
            let folder = File::open(daemon.folders.staging_dir(call.workspace));
            folder.and_then(|folder| folder.sync_all()).map_err(|error| errno_of(&error))?;
        }
        // Removed: nobody will look for its name.
        Some(Content::None) | None => {}
    }
    daemon.store.sync().map(|_| vnode).map_err(|error| store_errno(&error))
}

impl Daemon {
    /// Puts every sealed blob into the store. When there is no space for all of them, those that nothing refers to
    /// any more make room first: files that were written over or truncated since they were sealed.
    ///
    /// # Errors
    /// As [`vrift_cas::Cas::flush`].
    pub fn flush(&self) -> Result<(), CasError> {
        match self.cas.flush() {
            Err(CasError::NoSpace { .. }) => {
                self.forget_unreferenced();
                self.cas.flush().map(drop)
            }
            result => result.map(drop),
        }
    }

    /// Gives back the space of sealed blobs that nothing refers to any more and the store does not have.
    pub fn forget_unreferenced(&self) {
        // Sealing refers to a blob and queues it under this lock: none is missed.
        let spaces = self.spaces();
        if spaces.rooting > 0 {
            return;
        }
        let mut unreferenced: HashSet<BlobHash> = self.cas.unstored_hashes().into_iter().collect();
        for workspace in spaces.workspaces.values() {
            workspace.index.vnodes(&mut |vnode| {
                if let Some(Content::Sealed(hash)) = workspace.index.attr(vnode).map(|attr| attr.content) {
                    unreferenced.remove(&BlobHash(hash));
                }
            });
        }
        for hash in &unreferenced {
            self.cas.forget_unstored(hash);
        }
    }
}
