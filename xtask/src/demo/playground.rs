//! A folder of its own for the demo: project, VRIFT_HOME, runtime folder, and a daemon that ends with it.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::{process, workspace};

pub struct Playground {
    folder: TempDir,
    pub project: PathBuf,
}

impl Playground {
    /// Copies the example `name` into a fresh folder.
    pub fn new(name: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("vrift-demo.").tempdir()?;
        for private in ["home", "run"] {
            fs::DirBuilder::new().mode(0o700).create(folder.path().join(private))?;
        }
        let example = workspace::root().join("examples").join(name);
        process::output(process::program("cp").arg("-a").arg(&example).arg(folder.path()))?;
        let project = folder.path().join(name);
        if project.join("build").exists() {
            bail!("{} was built in place; run `make clean` there first", example.display());
        }
        Ok(Playground { folder, project })
    }

    /// A `vrift` command in the project's folder.
    pub fn vrift(&self, args: &[&str]) -> Command {
        let mut command = process::program(workspace::release().join("vrift"));
        command
            .args(args)
            .current_dir(&self.project)
            .env("VRIFT_HOME", self.folder.path().join("home"))
            .env("XDG_RUNTIME_DIR", self.folder.path().join("run"))
            .env_remove("VRIFT_WORKSPACE")
            .env_remove("LD_PRELOAD");
        // `cargo xtask` itself may run below make.
        command.env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
        command
    }

    /// Stops the daemon and makes sure that it is gone.
    pub fn stop(&self) -> Result<()> {
        let pids = self.daemons();
        process::output(&mut self.vrift(&["daemon", "stop"]))?;
        for pid in pids {
            if is_vriftd(&pid) {
                bail!("`vrift daemon stop` says it is done, but process {pid} is still there");
            }
        }
        Ok(())
    }

    /// The process ids in the pid files below the runtime folder.
    fn daemons(&self) -> Vec<String> {
        let runtime = self.folder.path().join("run/vrift");
        let Ok(homes) = fs::read_dir(runtime) else { return Vec::new() };
        homes
            .filter_map(|home| fs::read_to_string(home.ok()?.path().join("pid")).ok())
            .map(|pid| pid.trim().to_string())
            .collect()
    }
}

impl Drop for Playground {
    /// Also after a step that failed: no daemon may outlive the demo.
    fn drop(&mut self) {
        for pid in self.daemons().into_iter().filter(|pid| is_vriftd(pid)) {
            if let Err(error) = process::output(Command::new("kill").arg(&pid)) {
                eprintln!("xtask: the daemon {pid} of the demo is still there: {error:#}");
            }
        }
    }
}

fn is_vriftd(pid: &str) -> bool {
    let name = Path::new("/proc").join(pid).join("comm");
    fs::read_to_string(name).context("gone").is_ok_and(|name| name.trim() == "vriftd")
}
