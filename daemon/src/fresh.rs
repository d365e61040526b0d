//! A workspace that is being made: it counts only when it is complete.

use crate::daemon::Daemon;
use crate::namespace::Workspace;
use crate::record::Record;
use nix::errno::Errno;

/// Guards a new workspace's records against a checkpoint, which would not contain them.
pub struct FreshGuard<'a>(&'a Daemon);

impl<'a> FreshGuard<'a> {
    pub fn new(daemon: &'a Daemon) -> FreshGuard<'a> {
        daemon.spaces().fresh += 1;
        FreshGuard(daemon)
    }
    /// Puts the complete workspace among the others.
    pub fn complete(self, workspace: Workspace, base: [u8; 32]) -> Result<(), Errno> {
        // The lock is given back before the guard is dropped, which takes it.
        let mut spaces = self.0.spaces();
        self.0.log(&mut spaces, &[Record::Base { workspace: workspace.id, hash: base }])?;
        spaces.workspaces.insert(workspace.id, Workspace { base: Some(base), ..workspace });
        drop(spaces);
        Ok(())
    }
}

impl Drop for FreshGuard<'_> {
    fn drop(&mut self) {
        self.0.spaces().fresh -= 1;
    }
}
