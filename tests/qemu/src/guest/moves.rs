//! One store, read and written by one after the other: the machine that runs the guest, and both drivers.

use std::fs;

use anyhow::{Context, Result, ensure};
use vrift_guest::{markers, pattern};

use crate::arguments::Arguments;
use crate::device::Device;
use crate::{build, say, state, vrift};

/// The workspace that goes round.
const WORKSPACE: &str = "moved";

/// `vrift.from=A,B`: those whose values and files must be there; `vrift.name=C`: who we are; `vrift.path`: the workspace's.
pub fn run(arguments: &Arguments) -> Result<()> {
    let device = Device::up(arguments)?;
    vrift::use_store(&device.store, false)?;
    vrift::ok(&["daemon", "start"])?;
    for other in arguments.text("from").split(',') {
        let value = vrift::ok(&["state", "get", &format!("/state/moved/{other}")])?;
        ensure!(value == other, "/state/moved/{other} is {value:?}");
        let file = vrift::ok(&["cat", "-w", WORKSPACE, other])?;
        ensure!(file == format!("{other}\n"), "the file {other} is {file:?}");
    }
    let (path, name) = (arguments.text("path"), arguments.text("name"));
    fs::create_dir_all(path)?;
    vrift::ok_in(path, &["-q", "run", "--", "sh", "-c", &format!("echo {name} >{name}")])?;
    vrift::ok(&["state", "put", "--sync", &format!("/state/moved/{name}"), name])?;
    vrift::ok(&["daemon", "stop"])?;
    vrift::ok(&["fsck"])?;
    say::line(markers::MOVED);
    Ok(())
}

/// A store that is made on the device and used a little.
pub fn quick(arguments: &Arguments) -> Result<()> {
    const NUMBERS: std::ops::Range<u64> = 1..20;
    let key = |number: u64| format!("/state/quick/{number}").into_bytes();
    let device = Device::up(arguments)?;
    say::line(&format!("{}{} nsec={})", markers::BLOCK, device.sector_bytes, device.sectors));
    let wanted = arguments.number("sector")?;
    ensure!(wanted == 0 || wanted == device.sector_bytes, "sectors of {} bytes", device.sector_bytes);
    vrift::use_store(&device.store, true)?;
    vrift::ok(&["daemon", "start"])?;
    let mut client = state::client();
    for number in NUMBERS {
        client.put(&key(number), &pattern::bytes(number))?;
    }
    client.sync()?;
    vrift::ok_in(build::PROJECT, &["run", "--", "make", "-s"])?;
    vrift::kill_daemon()?;
    vrift::ok(&["daemon", "start"])?;
    let mut client = state::client();
    for number in NUMBERS {
        let value = client.get(&key(number))?.with_context(|| format!("value {number} is not there"))?;
        ensure!(value == pattern::bytes(number), "value {number} is another");
    }
    build::expect(&build::native()?, true)?;
    vrift::ok(&["daemon", "stop"])?;
    vrift::ok(&["fsck"])?;
    say::line(markers::QUICK);
    Ok(())
}
