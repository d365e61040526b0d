//! Sealed blobs on their way to the store, in the background and at a sync.

use crate::daemon::{Daemon, cas_errno, store_errno};
use crate::namespace::errno_of;
use crate::record::{Change, Origin, Record};
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

/// fsync(2) of one vnode, or sync(2) of the workspace. The caller has synced what it wrote through its own fd.
pub fn sync_vnode(daemon: &Daemon, call: &Call) -> Result<VnodeNo, Errno> {
    let vnode = call.vnode();
    if vnode.0 == 0 {
        return daemon.sync(Some(call.workspace)).map(|()| vnode).map_err(|_| Errno::EIO);
    }
    daemon.sync_file(call.workspace, vnode).map(|()| vnode)
}

impl Daemon {
    /// Makes durable what leads to a vnode's present bytes: its records, the name of its staging file, and where the
    /// state folder may be gone when the store is not, the bytes that were written to it so far.
    pub fn sync_file(&self, workspace: u32, vnode: VnodeNo) -> Result<(), Errno> {
        // The lock is not held while the disk works.
        let attr = self.spaces().get(workspace)?.index.attr(vnode);
        match attr.map(|attr| attr.content) {
            Some(Content::Sealed(hash)) => {
                self.cas.flush_one(&BlobHash(hash)).map_err(|error| cas_errno(&error))?;
            }
            Some(Content::Staged) => {
                self.keep_written(workspace, vnode)?;
                let folder = File::open(self.folders.staging_dir(workspace));
                folder.and_then(|folder| folder.sync_all()).map_err(|error| errno_of(&error))?;
            }
            // Removed: nobody will look for its name.
            Some(Content::None) | None => {}
        }
        self.store.sync().map(drop).map_err(|error| store_errno(&error))
    }

    /// Puts what was written to a staged file into the store, where that is elsewhere than the state folder: what
    /// recovery gives the vnode when its staging file is gone. Durable after the store's next sync.
    pub fn keep_written(&self, workspace: u32, vnode: VnodeNo) -> Result<(), Errno> {
        if !self.store_is_elsewhere {
            return Ok(());
        }
        // The bytes are put before anything refers to them.
        let _hold = self.gc.hold();
        // Sealed or removed meanwhile.
        let Some(kept) = self.cas.keep_staging(workspace, vnode.0).map_err(|error| cas_errno(&error))? else {
            return Ok(());
        };
        let mut spaces = self.spaces();
        let Ok(of) = spaces.get(workspace) else { return Ok(()) };
        let attr = of.index.attr(vnode).filter(|attr| attr.content == Content::Staged);
        let Some(attr) = attr else { return Ok(()) };
        if of.staged.get(&vnode.0) == Some(&Some(kept.hash.0)) {
            return Ok(());
        }
        // As in sealing: not written since it was staged.
        let ctime_ns = if kept.mtime_ns == attr.mtime_ns {
            attr.ctime_ns
        } else {
            attr.ctime_ns.max(kept.ctime_ns).max(kept.mtime_ns)
        };
        let (size, blocks, mtime_ns) = (kept.size_bytes, kept.blocks, kept.mtime_ns);
        let content = |content| Change::SetContent { vnode, content, size, blocks, mtime_ns, ctime_ns };
        // Sealed and staged again at once, as far as the journal knows.
        let changes = [content(Content::Sealed(kept.hash.0)), content(Content::Staged)];
        let record = |change| Record::Change { workspace, origin: Origin::default(), change };
        self.log(&mut spaces, &changes.map(record))?;
        // No reader must look for it in the hot tier.
        let of = spaces.get_mut(workspace)?;
        of.apply(&changes[1])?;
        of.staged.insert(vnode.0, Some(kept.hash.0));
        Ok(())
    }

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

    /// Gives back the space of removed files that wait to be used again, and of sealed blobs that nothing refers to any
    /// more and the store does not have.
    pub fn forget_unreferenced(&self) {
        // Sealing refers to a blob and queues it under this lock: none is missed.
        let spaces = self.spaces();
        self.spares.give_back(self);
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
