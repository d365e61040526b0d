//! The device is taken away while everything writes: clients are told, soon, and nothing hangs.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use vrift_guest::{markers, pattern};

use crate::arguments::Arguments;
use crate::device::Device;
use crate::{build, cuts, say, vrift};

/// How long after the first error everything may take to fail, in this machine that is ten times as slow as others.
const ALL_FAIL_LIMIT: Duration = Duration::from_secs(240);

pub fn run(arguments: &Arguments) -> Result<()> {
    let device = Device::up(arguments)?;
    vrift::use_store(&device.store, true)?;
    vrift::ok(&["daemon", "start"])?;
    vrift::ok_in(build::PROJECT, &["run", "--", "make", "-s"])?;
    say::line(markers::WRITING);
    let error = match cuts::write_state(1) {
        Err(error) => error,
        Ok(()) => bail!("the writer came to its end"),
    };
    let start = Instant::now();
    say::line(&format!("unplug: the client was told: {error:#}"));
    std::fs::write("/tmp/value", pattern::bytes(1))?;
    let (code, text) = vrift::exits(&["state", "put", "--sync", "/state/cut/after", "-f", "/tmp/value"])?;
    say::line(&format!("unplug: put: {code}: {}", text.trim()));
    ensure!(code != 0, "a put was acknowledged without a device");
    let (code, text) = vrift::exits(&["state", "sync"])?;
    say::line(&format!("unplug: sync: {code}: {}", text.trim()));
    ensure!(code != 0, "a sync was acknowledged without a device");
    ensure!(start.elapsed() < ALL_FAIL_LIMIT, "the errors took {:?}", start.elapsed());
    let (code, text) = vrift::exits(&["daemon", "stop"])?;
    say::line(&format!("unplug: stop: {code}: {}", text.trim()));
    ensure!(code == 3 && text.contains("has stopped"), "the daemon does not stop: {code}: {text}");
    vrift::show_log();
    say::line(markers::UNPLUGGED);
    Ok(())
}
