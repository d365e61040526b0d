//! The program that tests vrift in the guest. The kernel's arguments say what it is to do; what it finds is on the
//! serial console. A marker is printed only after the thing it speaks of was read back.
#![forbid(unsafe_code)]

mod arguments;
mod boot;
mod build;
mod cuts;
mod device;
mod identity;
mod keys;
mod moves;
mod refusals;
mod say;
mod selftest;
mod state;
mod unplug;
mod vrift;

use std::process::ExitCode;

use anyhow::{Result, bail};
use arguments::Arguments;
use vrift_guest::markers;

fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        None => as_told(),
        Some("write-files") => cuts::write_files(),
        Some("check-files") => cuts::check_files(),
        Some(other) => Err(anyhow::anyhow!("unknown argument {other}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::line(&format!("{} {error:#}", markers::FAIL));
            ExitCode::FAILURE
        }
    }
}

fn as_told() -> Result<()> {
    let arguments = Arguments::of_kernel()?;
    let result = match arguments.text("mode") {
        "selftest" => selftest::run(&arguments),
        "cut" => cuts::run(&arguments),
        "move" => moves::run(&arguments),
        "quick" => moves::quick(&arguments),
        "refusals" => refusals::run(),
        "no-iommu" => refusals::without_iommu(),
        "unplug" => unplug::run(&arguments),
        "program" => program(&arguments),
        other => bail!("vrift.mode={other} is not known"),
    };
    if result.is_err() {
        vrift::show_log();
    }
    result
}

/// Runs `vrift.program=NAME,ARG,...` with the device brought up for the backend; `{store}` in an ARG is what the daemon
/// would be told.
fn program(arguments: &Arguments) -> Result<()> {
    let device = device::Device::up(arguments)?;
    let line = arguments.text("program").replace("{store}", &device.store);
    let mut words = line.split(',');
    let status = std::process::Command::new(words.next().unwrap_or_default()).args(words).status()?;
    say::line(&format!("program: {status}"));
    anyhow::ensure!(status.success(), "{line}: {status}");
    Ok(())
}
