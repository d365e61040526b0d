//! The state folder and the runtime folder: made private, checked, named.

use crate::namespace::Places;
use crate::place::Place;
use nix::unistd::geteuid;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use vrift_protocol::{locate, names};

/// All folders of one daemon.
#[derive(Clone, Debug)]
pub struct Folders {
    pub home: PathBuf,
    pub runtime: PathBuf,
    /// Where the store is.
    pub store: Place,
}

/// Makes a folder with mode 0700, and its missing parents.
pub fn make_private(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Makes `dir` private, and refuses one that another user owns or may write.
fn own_private(dir: &Path) -> io::Result<()> {
    let at = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", dir.display()));
    make_private(dir).map_err(at)?;
    let stat = fs::symlink_metadata(dir).map_err(at)?;
    if !stat.is_dir() || stat.uid() != geteuid().as_raw() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("{} is not a folder of yours (owner: user {})", dir.display(), stat.uid()),
        ));
    }
    if stat.mode() & 0o077 != 0 {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(at)?;
    }
    Ok(())
}

impl Folders {
    /// Makes and checks everything that must be there before the lock can be taken.
    pub fn prepare(home: &Path) -> io::Result<Folders> {
        own_private(home)?;
        let home = fs::canonicalize(home)?;
        let runtime = locate::runtime_dir(&home);
        if let Some(base) = runtime.parent() {
            own_private(base)?;
        }
        own_private(&runtime)?;
        for name in
            [names::HOT_DIR, names::STAGING_DIR, names::MIRROR_DIR, names::WORKTREE_DIR, names::TMP_DIR]
        {
            make_private(&home.join(name))?;
        }
        make_private(&runtime.join("w"))?;
        make_private(&runtime.join(names::SOCKETS_DIR))?;
        make_private(&runtime.join(names::WATCHES_DIR))?;
        let store = Place::Path(home.join(names::STORE_FILE));
        Ok(Folders { home, runtime, store })
    }

    pub fn in_runtime(&self, name: &str) -> PathBuf {
        self.runtime.join(name)
    }

    pub fn in_home(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    pub fn workspace_runtime(&self, workspace: u32) -> PathBuf {
        self.runtime.join("w").join(format!("{workspace:08x}"))
    }

    pub fn staging_dir(&self, workspace: u32) -> PathBuf {
        self.home.join(names::STAGING_DIR).join(format!("{workspace:08x}"))
    }

    pub fn staging(&self, workspace: u32, vnode: u64) -> PathBuf {
        self.staging_dir(workspace).join(format!("{vnode:016x}"))
    }

    pub fn mirror_dir(&self, workspace: u32) -> PathBuf {
        self.home.join(names::MIRROR_DIR).join(format!("{workspace:08x}"))
    }

    /// Where the ordinary directory of a workspace and its base table are.
    pub fn worktree_dir(&self, workspace: u32) -> PathBuf {
        self.home.join(names::WORKTREE_DIR).join(format!("{workspace:08x}"))
    }

    pub fn mirror(&self, workspace: u32, vnode: u64) -> PathBuf {
        self.mirror_dir(workspace).join(format!("{vnode:016x}"))
    }
}

impl Places for Folders {
    fn index_path(&self, workspace: u32) -> PathBuf {
        self.workspace_runtime(workspace).join(names::INDEX_FILE)
    }
    fn home(&self) -> &Path {
        &self.home
    }
}
