//! A working folder for measurements: trees, VRIFT_HOME, runtime folder, and a daemon that ends with it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

/// Linux counts processor time for user space in hundredths of a second on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

pub struct Playground {
    folder: TempDir,
}

/// What a measured command took.
#[derive(Clone, Copy)]
pub struct Cost {
    pub wall_s: f64,
    /// User and system time of the command, its children and the daemon.
    pub cpu_s: f64,
}

/// The folder of vrift, vriftd and libvrift_shim.so.
pub fn bin_dir() -> PathBuf {
    std::env::var_os("VRIFT_BIN_DIR").map_or_else(|| repository().join("target/release"), PathBuf::from)
}

pub fn repository() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

impl Playground {
    pub fn new(dir: &Path) -> Result<Self> {
        let vrift = bin_dir().join("vrift");
        ensure!(vrift.is_file(), "{} is not there: cargo xtask build, or set VRIFT_BIN_DIR", vrift.display());
        let folder = tempfile::Builder::new().prefix("vrift-bench.").tempdir_in(dir)?;
        let playground = Playground { folder };
        playground.make_home()?;
        Ok(playground)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A new, empty VRIFT_HOME, and no daemon.
    pub fn fresh(&self) -> Result<()> {
        self.stop()?;
        for name in ["home", "run"] {
            remove_tree(&self.path(name))?;
        }
        self.make_home()
    }

    fn make_home(&self) -> Result<()> {
        for name in ["home", "run"] {
            fs::DirBuilder::new().mode(0o700).create(self.path(name))?;
        }
        Ok(())
    }

    /// Compiles a program of `benches/c` once.
    pub fn compile(&self, name: &str) -> Result<PathBuf> {
        let program = self.path(name);
        let source = repository().join("benches/c").join(format!("{name}.c"));
        run(Command::new("cc").args(["-O2", "-Wall", "-Wextra", "-o"]).arg(&program).arg(source))?;
        Ok(program)
    }

    /// `vrift ARGS` in `dir`.
    pub fn vrift<S: AsRef<OsStr>>(&self, dir: &Path, args: &[S]) -> Command {
        let mut command = native(dir, &bin_dir().join("vrift"), args);
        command.env("VRIFT_HOME", self.path("home")).env("XDG_RUNTIME_DIR", self.path("run"));
        command
    }

    /// `vrift run -- PROGRAM ARGS` in `dir`.
    pub fn in_view(&self, dir: &Path, program: &Path, args: &[&str]) -> Command {
        let mut command = self.vrift(dir, &["run", "--"]);
        command.arg(program).args(args);
        command
    }

    pub fn ingest(&self, dir: &Path) -> Result<()> {
        run(&mut self.vrift(dir, &["ingest"])).map(drop)
    }

    /// Runs a command to success and says what it took.
    pub fn measure(&self, command: &mut Command) -> Result<Cost> {
        let cpu = self.cpu_s()?;
        let start = Instant::now();
        run(command)?;
        let wall_s = start.elapsed().as_secs_f64();
        Ok(Cost { wall_s, cpu_s: self.cpu_s()? - cpu })
    }

    /// Processor time of all commands that ended and of the daemon.
    fn cpu_s(&self) -> Result<f64> {
        let children = ticks("/proc/self/stat", &[15, 16])?;
        let daemon = match self.daemon() {
            Some(pid) => ticks(&format!("/proc/{pid}/stat"), &[13, 14])?,
            None => 0.0,
        };
        Ok((children + daemon) / TICKS_PER_SECOND)
    }

    /// The process id of this playground's daemon, if it runs.
    pub fn daemon(&self) -> Option<u32> {
        let homes = fs::read_dir(self.path("run/vrift")).ok()?;
        homes.filter_map(|home| fs::read_to_string(home.ok()?.path().join("pid")).ok()).find_map(|pid| {
            let pid: u32 = pid.trim().parse().ok()?;
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
            (name.trim() == "vriftd").then_some(pid)
        })
    }

    pub fn stop(&self) -> Result<()> {
        let Some(pid) = self.daemon() else { return Ok(()) };
        run(&mut self.vrift(self.folder.path(), &["daemon", "stop"]))?;
        let start = Instant::now();
        while self.daemon() == Some(pid) {
            ensure!(start.elapsed() < Duration::from_secs(10), "the daemon {pid} does not stop");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Playground {
    /// Also after a measurement that failed: no daemon may outlive the harness.
    fn drop(&mut self) {
        let Some(pid) = self.daemon() else { return };
        if let Err(error) = run(Command::new("kill").arg(pid.to_string())) {
            eprintln!("benches: the daemon {pid} is still there: {error:#}");
        }
    }
}

/// A command in `dir` with nothing of a surrounding make or view.
pub fn native<S: AsRef<OsStr>>(dir: &Path, program: &Path, args: &[S]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(dir).stdin(Stdio::null());
    for name in ["LD_PRELOAD", "MAKEFLAGS", "MAKELEVEL", "VRIFT_WORKSPACE", "VRIFT_VIEW", "VRIFT_RUNTIME"] {
        command.env_remove(name);
    }
    command
}

/// Runs to success, gives standard output; the error shows the end of what it said.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {:?}", command.get_program()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last: Vec<&str> = said.lines().rev().take(5).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        bail!("{command:?}: {}\n{}", output.status, last.join("\n"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A tree of a workspace may hold folders without write permission, which `rm -r` alone refuses.
pub fn remove_tree(path: &Path) -> Result<()> {
    if path.exists() {
        run(Command::new("chmod").args(["-R", "u+rwX"]).arg(path))?;
        fs::remove_dir_all(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

/// The sum of some fields of a process's `stat`, counted from 0 as in proc(5) minus one.
fn ticks(file: &str, fields: &[usize]) -> Result<f64> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    // The name of the program may hold anything, so counting starts behind its last bracket: field 2.
    let rest = text.rsplit_once(") ").context("not a stat line")?.1;
    let values: Vec<&str> = rest.split(' ').collect();
    let mut sum = 0.0;
    for field in fields {
        let value: u32 =
            values.get(field - 2).and_then(|v| v.trim().parse().ok()).context("not a stat line")?;
        sum += f64::from(value);
    }
    Ok(sum)
}
