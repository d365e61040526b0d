//! The state folder and the runtime folder of this user.

use crate::error::{CliError, Result};
use nix::unistd::{AccessFlags, access};
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use vrift_protocol::{locate, names};

#[derive(Clone, Debug)]
pub struct Places {
    /// Canonical.
    pub home: PathBuf,
    pub runtime: PathBuf,
}

impl Places {
    /// Makes the state folder if it is not there, and checks that it can be used.
    pub fn prepare() -> Result<Places> {
        let home = locate_home()?;
        let at = |source| CliError::Home { path: home.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&home).map_err(at)?;
        let canonical = home.canonicalize().map_err(at)?;
        access(&canonical, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|errno| at(errno.into()))?;
        Ok(Places::of(&canonical))
    }

    /// The folders, if there is a state folder; makes nothing.
    pub fn existing() -> Result<Option<Places>> {
        let home = locate_home()?;
        match home.canonicalize() {
            Ok(canonical) if canonical.is_dir() => Ok(Some(Places::of(&canonical))),
            Ok(_) => Err(CliError::Home { path: home, source: io::ErrorKind::NotADirectory.into() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(CliError::Home { path: home, source }),
        }
    }

    /// Those of the view that this process was started from, whatever else its environment says. None: it is in none.
    pub fn of_view() -> Option<Places> {
        let home = std::env::var_os(names::ENV_HOME)?;
        let runtime = PathBuf::from(std::env::var_os(names::ENV_RUNTIME)?);
        // The workspace's folder is w/WS.
        Some(Places { home: home.into(), runtime: runtime.parent()?.parent()?.to_path_buf() })
    }

    fn of(home: &Path) -> Places {
        Places { home: home.to_path_buf(), runtime: locate::runtime_dir(home) }
    }

    pub fn socket(&self) -> PathBuf {
        self.runtime.join(names::SOCKET_FILE)
    }
    pub fn log(&self) -> PathBuf {
        self.runtime.join(names::LOG_FILE)
    }
    pub fn pid_file(&self) -> PathBuf {
        self.runtime.join(names::PID_FILE)
    }
}

fn locate_home() -> Result<PathBuf> {
    locate::home_dir().map_err(|source| CliError::Home { path: PathBuf::new(), source })
}
