//! Devices that cannot be used: each is refused with a reason.

use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use nix::libc::O_EXCL;
use vrift_guest::markers;

use crate::device::{self, Device};
use crate::{say, vrift};

/// A good device, and where qemu puts those that have something wrong.
const GOOD: &str = "0000:00:03.0";
const READ_ONLY: &str = "0000:00:05.0";
const SMALL: &str = "0000:00:06.0";
const UNFLUSHED: &str = "0000:00:07.0";
/// The IOMMU's neighbour: there is nothing.
const NOTHING: &str = "0000:00:1d.0";
/// The mark of ext2, ext3 and ext4, and where it is (the kernel's Documentation/filesystems/ext4/super.rst).
const EXT_MAGIC: [u8; 2] = [0x53, 0xef];
const EXT_MAGIC_AT: u64 = 1024 + 0x38;

pub fn run() -> Result<()> {
    let mut wrong = Vec::new();
    let mut refused = |what: &str, store: &str, word: &str| {
        if let Err(error) = check(what, store, word) {
            wrong.push(format!("{error:#}"));
        }
    };
    let good = Device::at(GOOD, "kernel")?.store;
    refused("no such device", "/dev/nothing", "nothing");
    refused("a directory", "/dev", "/dev");
    refused("a read-only device", &Device::at(READ_ONLY, "kernel")?.store, "read-only");
    refused("a device that is too small", &Device::at(SMALL, "kernel")?.store, "too small");
    let held = OpenOptions::new().read(true).custom_flags(O_EXCL).open(&good)?;
    refused("a device that another program holds", &good, "in use");
    drop(held);
    let disk = OpenOptions::new().write(true).open(&good)?;
    disk.write_all_at(&EXT_MAGIC, EXT_MAGIC_AT)?;
    disk.sync_all()?;
    drop(disk);
    refused("a device with a file system", &good, "holds");

    refused("vfio: no such device", &format!("vfio:{NOTHING}"), NOTHING);
    refused("vfio: no address", "vfio:store", "vfio");
    refused("vfio: a device that the kernel's driver has", &format!("vfio:{GOOD}"), "virtio-pci");
    refused("vfio: a device that cannot flush", &Device::at(UNFLUSHED, "vfio")?.store, "FLUSH");
    refused("vfio: a read-only device", &Device::at(READ_ONLY, "vfio")?.store, "read-only");
    refused("vfio: a device that is too small", &Device::at(SMALL, "vfio")?.store, "too small");
    refused("vfio: a device with a file system", &Device::at(GOOD, "vfio")?.store, "holds");
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    Ok(())
}

/// A machine without an IOMMU, whose kernel has no VFIO that does without.
pub fn without_iommu() -> Result<()> {
    device::offer_to_vfio(GOOD)?;
    check("vfio: a device without an IOMMU", &format!("vfio:{GOOD}"), "no IOMMU")?;
    check(
        "vfio: the same where it is allowed and the kernel does not",
        &format!("vfio:{GOOD},noiommu"),
        "no IOMMU",
    )
}

/// Neither made a store of nor served, for a reason in which `word` occurs.
fn check(what: &str, store: &str, word: &str) -> Result<()> {
    for args in [&["--store", store, "--init"][..], &["--store", store, "--foreground"]] {
        let mut command = Command::new("timeout");
        command.args(["-k", "5", "60", "vriftd"]).args(args).stdin(Stdio::null());
        let (code, text) = vrift::exit_of(command).with_context(|| what.to_string())?;
        say::line(&format!("vriftd {}: {code}: {}", args.join(" "), text.trim()));
        ensure!(code == 2 || code == 3, "{what}: exit code {code}: {text}");
        // What has no store is refused for that, if nothing else is wrong with it.
        let init = args.contains(&"--init");
        ensure!(text.contains(word) || (!init && text.contains("not a store")), "{what}: {text}");
    }
    say::line(&format!("SELFTEST: {what}{}", markers::REFUSED));
    Ok(())
}
