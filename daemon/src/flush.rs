//! Sealed blobs on their way to the store, in the background and at a sync.

use crate::daemon::Daemon;
use std::collections::HashSet;
use std::time::Duration;
use vrift_cas::{BlobHash, CasError};
use vrift_manifest::Content;

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
            .and_then(|()| daemon.checkpoint(crate::checkpoint::JOURNAL_LEN_MAX_BYTES));
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

    fn forget_unreferenced(&self) {
        // Sealing refers to a blob and queues it under this lock: none is missed.
        let spaces = self.spaces();
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
