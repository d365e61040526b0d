//! The program that tests vrift in the guest. The kernel's arguments say what it is to do; what it finds is on the
//! serial console. A marker is printed only after the thing it speaks of was read back.
#![forbid(unsafe_code)]

mod arguments;
mod boot;
mod build;
mod cuts;
mod device;
mod keys;
mod say;
mod selftest;
mod state;
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
        other => bail!("vrift.mode={other} is not known"),
    };
    if result.is_err() {
        vrift::show_log();
    }
    result
}
