//! The tests, two at a time.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Result, ensure};

use crate::cuts;
use crate::devices;
use crate::drive::{self, Source};
use crate::guest::{self, Guest};
use crate::judge::Rounds;
use crate::machine::{Backend, Cache, Machine};
use crate::moves;
use crate::report::Report;

pub struct Options {
    pub image: PathBuf,
    pub long: bool,
    pub short: bool,
    pub seed: u64,
    pub only: Option<String>,
    pub keep: bool,
}

/// What a test has at hand.
pub struct Bench {
    pub options: Options,
    pub folder: PathBuf,
    pub report: Report,
}

type Job = Box<dyn FnOnce(&Bench) + Send>;

/// A guest keeps one processor busy.
const AT_A_TIME: usize = 2;

/// True: all passed.
pub fn run(options: Options) -> Result<bool> {
    let folder = tempfile::Builder::new().prefix("vqemu.").tempdir()?;
    println!("# seed {}", options.seed);
    let keep = options.keep;
    let bench = Bench { options, folder: folder.path().to_path_buf(), report: Report::default() };
    let jobs = Mutex::new(jobs(bench.options.short));
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).pop();
                    let Some(job) = job else { return };
                    job(&bench);
                }
            });
        }
    });
    let passed = bench.report.finish();
    if keep || !passed {
        println!("# kept: {}", folder.keep().display());
    }
    Ok(passed)
}

/// Each starts guests of its own; the last one is begun first.
fn jobs(short: bool) -> Vec<Job> {
    let mut jobs: Vec<Job> = if short { Vec::new() } else { of_devices() };
    for backend in Backend::BOTH {
        let name = format!(
            "{}: all markers, over restarts of the daemon and a reset of the machine",
            backend.name()
        );
        jobs.push(Box::new(move |bench| {
            bench.test(&name, |bench, name| rounds(bench, name, backend));
        }));
    }
    jobs.push(Box::new(|bench| {
        if bench.wanted("power cut")
            && let Err(error) = cuts::all(bench)
        {
            println!("# {error:#}");
        }
    }));
    jobs
}

/// What is not in the short form.
fn of_devices() -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    let one = |name: &str, test: fn(&Bench, &str) -> Result<()>| -> Job {
        let name = name.to_string();
        Box::new(move |bench| {
            bench.test(&name, test);
        })
    };
    jobs.push(one("a store goes from this machine to both drivers and back", moves::round_trip));
    jobs.push(one("devices that cannot be used are refused", devices::refusals));
    jobs.push(one("a device without an IOMMU is refused", devices::without_iommu));
    jobs.push(one("vfio: a daemon that polls its device", devices::polled));
    jobs.push(one("a drive that lies about flushes is noticed", cuts::planted));
    for backend in Backend::BOTH {
        let mut with = |what: &str, test: fn(&Bench, &str, Backend) -> Result<()>| {
            let name = format!("{}: {what}", backend.name());
            jobs.push(Box::new(move |bench: &Bench| {
                bench.test(&name, |bench, name| test(bench, name, backend));
            }));
        };
        with("sectors of 4096 bytes", devices::long_sectors);
        with("the device is unplugged while the guest writes", devices::unplugged);
    }
    jobs
}

impl Bench {
    /// Runs one, unless another was asked for.
    /// False: it failed.
    pub fn test(&self, name: &str, test: impl FnOnce(&Bench, &str) -> Result<()>) -> bool {
        if !self.wanted(name) {
            return true;
        }
        let short: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let start = Instant::now();
        let result = test(self, &short);
        println!("# {:.0} s: {name}", start.elapsed().as_secs_f64());
        self.report.result(name, result)
    }

    /// `--only power` asks for tests with "power" in their names.
    pub fn wanted(&self, name: &str) -> bool {
        self.options.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    }

    pub fn machine(&self, backend: Backend) -> Machine {
        Machine::new(self.options.image.clone(), backend)
    }

    pub fn drive(&self, name: &str) -> Result<PathBuf> {
        drive::empty(&self.folder.join(format!("{name}.img")), drive::LEN_BYTES)
    }
}

/// The list of markers twice, the machine reset in between without shutting anything down.
fn rounds(bench: &Bench, name: &str, backend: Backend) -> Result<()> {
    let mut machine = bench.machine(backend);
    machine.drive = Source::File { path: bench.drive(name)?, cache: Cache::Writeback };
    machine.arguments = ["mode=selftest", "init", "rounds=2", "fsck"].map(str::to_string).to_vec();
    whole_rounds(&machine, &bench.folder, name, 2)
}

pub fn whole_rounds(machine: &Machine, folder: &Path, name: &str, wanted: u64) -> Result<()> {
    let mut guest = Guest::start(machine, folder, name, false)?;
    guest.await_end(guest::SELFTEST_LIMIT)?;
    let mut rounds = Rounds::default();
    guest.lines().iter().for_each(|line| rounds.line(line));
    let done = rounds.finish();
    ensure!(done > 0, "{} ({name}.log)", rounds.complaint());
    ensure!(done == wanted, "{done} rounds, not {wanted} ({name}.log)");
    Ok(())
}
