//! Devices with something special or something wrong.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use vrift_guest::markers;

use crate::cuts::{self, Acknowledged};
use crate::drive::{self, Source};
use crate::guest::Guest;
use crate::machine::{Backend, Cache, DEVICE};
use crate::qmp::Monitor;
use crate::suite::Bench;

const LIMIT: Duration = Duration::from_secs(1200);
/// The guest writes for so long before its device goes.
const WRITING: Duration = Duration::from_secs(3);
/// Too small for a store, large enough for a file system.
const SMALL_BYTES: u64 = 256 << 10;
/// How many refusals the guest prints.
const REFUSALS: usize = 13;

/// A device whose sectors are as long as the store's blocks.
pub fn long_sectors(bench: &Bench, name: &str, backend: Backend) -> Result<()> {
    let mut machine = bench.machine(backend);
    machine.drive = Source::File { path: bench.drive(name)?, cache: Cache::Writeback };
    machine.device_properties = ",logical_block_size=4096,physical_block_size=4096".into();
    machine.arguments = vec!["mode=quick".into(), "sector=4096".into()];
    let mut guest = Guest::start(&machine, &bench.folder, name, false)?;
    guest.await_line(LIMIT, |line| line == markers::QUICK)?;
    guest.await_end(LIMIT)
}

/// Our driver, when whoever waits asks the device again and again.
pub fn polled(bench: &Bench, name: &str) -> Result<()> {
    let mut machine = bench.machine(Backend::Vfio);
    machine.drive = Source::File { path: bench.drive(name)?, cache: Cache::Writeback };
    machine.arguments = vec!["mode=quick".into(), "options=poll".into()];
    let mut guest = Guest::start(&machine, &bench.folder, name, false)?;
    guest.await_line(LIMIT, |line| line == markers::QUICK)?;
    guest.await_end(LIMIT)
}

/// Where nothing stands between device and memory, our driver takes none.
pub fn without_iommu(bench: &Bench, name: &str) -> Result<()> {
    let mut machine = bench.machine(Backend::Vfio);
    machine.drive = Source::File { path: bench.drive(name)?, cache: Cache::Writeback };
    machine.has_iommu = false;
    machine.arguments = vec!["mode=no-iommu".into()];
    let mut guest = Guest::start(&machine, &bench.folder, name, false)?;
    for _ in 0..2 {
        guest.await_line(LIMIT, |line| line.ends_with(markers::REFUSED))?;
    }
    guest.await_end(LIMIT)
}

pub fn refusals(bench: &Bench, name: &str) -> Result<()> {
    let small = drive::empty(&bench.folder.join(format!("{name}-small.img")), SMALL_BYTES)?;
    let plain = |path| Source::File { path, cache: Cache::Writeback };
    let mut machine = bench.machine(Backend::Kernel);
    machine.drive = plain(bench.drive(name)?);
    machine.further = vec![
        (Source::ReadOnly { path: bench.drive(&format!("{name}-read-only"))? }, String::new()),
        (plain(small), String::new()),
        (plain(bench.drive(&format!("{name}-unflushed"))?), ",write-cache=off,config-wce=off".into()),
    ];
    machine.arguments = vec!["mode=refusals".into()];
    let mut guest = Guest::start(&machine, &bench.folder, name, false)?;
    for _ in 0..REFUSALS {
        let line = guest.await_line(LIMIT, |line| line.ends_with(markers::REFUSED))?;
        println!("# {}", line.trim_start_matches("SELFTEST: "));
    }
    guest.await_end(LIMIT)
}

/// Clients are told, nothing hangs, and what was acknowledged before is there at the next start.
pub fn unplugged(bench: &Bench, name: &str, backend: Backend) -> Result<()> {
    let drive = bench.drive(name)?;
    let mut machine = bench.machine(backend);
    machine.drive = Source::File { path: drive.clone(), cache: Cache::Writeback };
    machine.can_be_unplugged = true;
    machine.arguments = vec!["mode=unplug".into()];
    let mut guest = Guest::start(&machine, &bench.folder, name, false)?;
    guest.await_line(LIMIT, |line| line == markers::WRITING)?;
    std::thread::sleep(WRITING);
    Monitor::connect(&guest.monitor)?.execute("device_del", &json!({ "id": DEVICE }))?;
    guest.await_line(LIMIT, |line| line == markers::UNPLUGGED)?;
    guest.await_end(LIMIT)?;
    let mut acknowledged = Acknowledged::default();
    acknowledged.lines(guest.lines());
    ensure!(acknowledged.state > 0, "nothing was acknowledged before ({name}.log)");
    println!("# {} values were acknowledged before", acknowledged.state);
    cuts::check(bench, &format!("{name}-after"), Backend::Kernel, &drive, &acknowledged)
}
