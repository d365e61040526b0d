//! The list of markers, once for each start of the guest. What an earlier start left is looked for first.

use anyhow::{Context, Result, ensure};
use vrift_guest::markers;

use crate::arguments::Arguments;
use crate::device::Device;
use crate::{boot, build, identity, keys, say, state, vrift};

/// Holds the number of starts that came to their end.
const ROUNDS_KEY: &str = "/state/selftest/rounds";

pub fn run(arguments: &Arguments) -> Result<()> {
    let device = Device::up(arguments)?;
    if arguments.text("backend") == "kernel" {
        say_up(&device);
    }
    vrift::use_store(&device.store, arguments.is_set("init"))?;
    vrift::ok(&["daemon", "start"])?;
    if arguments.text("backend") != "kernel" {
        // What the kernel said of the device before it was handed over; the daemon now read its superblock by itself.
        say_up(&device);
    }
    let before = rounds()?;
    ensure!(
        before >= arguments.number("least")?,
        "the store knows of {before} rounds: an earlier one is lost"
    );
    say::line(markers::READY);
    let round = before + 1;

    let step = |marker: &str, result: Result<()>| -> Result<()> {
        result.with_context(|| format!("instead of \"{marker}\""))?;
        say::line(marker);
        Ok(())
    };
    step(markers::STATE_PUT, state::put(round))?;
    step(markers::STATE_PERSIST, state::persist(round))?;
    step(markers::STATE_UNAUTHORIZED, state::unauthorized())?;
    step(markers::STATE_ATOMIC, state::crash_atomic())?;
    step(markers::KEY_PERSIST, keys::persist(round))?;
    step(markers::KEY_PRIVATE, keys::private_export())?;
    step(markers::BOOT_PERSIST, boot::persist(round))?;
    step(markers::IDENTITY_PERSIST, identity::persist(round))?;
    step(markers::TIME_PERSIST, state::time_persist(round))?;
    step(markers::BUILD, build::build(round))?;
    step(markers::BUILD_PERSIST, build::persist())?;

    vrift::ok(&["state", "put", "--sync", ROUNDS_KEY, &round.to_string()])?;
    if arguments.is_set("fsck") {
        vrift::ok(&["daemon", "stop"])?;
        vrift::ok(&["fsck"])?;
    }
    say::line(&format!("{} {round} done", markers::ROUND));
    // Nothing is shut down before the machine is reset: what was synced must do.
    if round < arguments.number("rounds")? {
        std::process::Command::new("reboot").arg("-f").status()?;
        std::thread::sleep(std::time::Duration::from_secs(60));
    }
    Ok(())
}

fn say_up(device: &Device) {
    say::line(&format!("{}{} nsec={})", markers::BLOCK, device.sector_bytes, device.sectors));
}

fn rounds() -> Result<u64> {
    match vrift::exits(&["state", "get", ROUNDS_KEY])? {
        (0, text) => text.trim().parse().context("the number of rounds is none"),
        (1, _) => Ok(0),
        (code, text) => anyhow::bail!("state get {ROUNDS_KEY}: {code}: {text}"),
    }
}
