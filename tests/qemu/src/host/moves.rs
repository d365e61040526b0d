//! The same store as a file of this machine, and in the guest by both drivers.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use vrift_guest::markers;

use crate::drive::Source;
use crate::guest::Guest;
use crate::machine::{Backend, Cache};
use crate::suite::Bench;

const LIMIT: Duration = Duration::from_secs(1200);

/// This machine, the guest's kernel, our driver, this machine again: each reads what all before it wrote.
pub fn round_trip(bench: &Bench, name: &str) -> Result<()> {
    let drive = bench.drive(name)?;
    let here = Here::new(bench, &drive)?;
    here.ok("vriftd", &["--store", &drive.display().to_string(), "--init"])?;
    here.write("host")?;
    here.stop()?;
    guest(bench, &format!("{name}-kernel"), Backend::Kernel, &here, "host")?;
    guest(bench, &format!("{name}-vfio"), Backend::Vfio, &here, "host,kernel")?;
    for writer in ["host", "kernel", "vfio"] {
        let value = here.ok("vrift", &["state", "get", &format!("/state/moved/{writer}")])?;
        ensure!(value == writer, "/state/moved/{writer} is {value:?}");
        let file = here.ok("vrift", &["cat", "-w", WORKSPACE, writer])?;
        ensure!(file == format!("{writer}\n"), "the file {writer} is {file:?}");
    }
    here.write("again")?;
    here.stop()
}

const WORKSPACE: &str = "moved";

fn guest(bench: &Bench, name: &str, backend: Backend, here: &Here, from: &str) -> Result<()> {
    let mut machine = bench.machine(backend);
    machine.drive = Source::File { path: here.drive.clone(), cache: Cache::Writeback };
    machine.arguments =
        ["mode=move".to_string(), format!("from={from}"), format!("name={}", backend.name())].to_vec();
    machine.arguments.push(format!("path={}", here.workspace.display()));
    let mut guest = Guest::start(&machine, &bench.folder, name, false)?;
    guest.await_line(LIMIT, |line| line == markers::MOVED)?;
    guest.await_end(LIMIT)
}

/// vrift on this machine, with folders of its own; its programs are beside this one.
struct Here {
    drive: std::path::PathBuf,
    workspace: std::path::PathBuf,
    home: std::path::PathBuf,
    runtime: std::path::PathBuf,
    programs: std::path::PathBuf,
}

impl Here {
    fn new(bench: &Bench, drive: &Path) -> Result<Here> {
        let programs =
            std::env::current_exe()?.parent().context("this program is in no folder")?.to_path_buf();
        let made = |name: &str| -> Result<std::path::PathBuf> {
            use std::os::unix::fs::DirBuilderExt;
            let path = bench.folder.join(name);
            std::fs::DirBuilder::new().mode(0o700).create(&path)?;
            Ok(path)
        };
        let (workspace, home, runtime) = (made(WORKSPACE)?, made("home")?, made("user")?);
        Ok(Here { drive: drive.to_path_buf(), workspace, home, runtime, programs })
    }

    fn write(&self, name: &str) -> Result<()> {
        self.ok("vrift", &["-q", "run", "--", "sh", "-c", &format!("echo {name} >{name}")])?;
        self.ok("vrift", &["state", "put", "--sync", &format!("/state/moved/{name}"), name])?;
        Ok(())
    }

    fn stop(&self) -> Result<()> {
        self.ok("vrift", &["daemon", "stop"])?;
        self.ok("vrift", &["fsck"]).map(drop)
    }

    fn ok(&self, program: &str, args: &[&str]) -> Result<String> {
        let mut command = Command::new(self.programs.join(program));
        command.args(args).current_dir(&self.workspace).stdin(Stdio::null());
        command.env("VRIFT_HOME", &self.home).env("XDG_RUNTIME_DIR", &self.runtime);
        command.env("VRIFT_STORE", &self.drive).env_remove("VRIFT_WORKSPACE").env_remove("LD_PRELOAD");
        let output = command.output().with_context(|| format!("cannot start {program}"))?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{program} {}: {}: {errors}", args.join(" "), output.status);
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Here {
    /// After a test that failed the daemon may still run.
    fn drop(&mut self) {
        let _ = self.ok("vrift", &["daemon", "stop"]);
    }
}
