//! The virtio-blk device under test: by the kernel's driver, or handed to vfio-pci for the one in user space.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::arguments::Arguments;

/// Where qemu puts it, unless `vrift.pci` says otherwise.
const ADDRESS: &str = "0000:00:03.0";
const APPEARS_TIMEOUT: Duration = Duration::from_secs(60);

/// How the daemon is to name it, and what the kernel's driver says of it.
pub struct Device {
    pub store: String,
    pub sector_bytes: u64,
    pub sectors: u64,
}

impl Device {
    /// Brings it up for the backend that the arguments name.
    pub fn up(arguments: &Arguments) -> Result<Device> {
        let address = match arguments.text("pci") {
            "" => ADDRESS,
            other => other,
        };
        let mut device = Device::at(address, arguments.text("backend"))?;
        // Words behind commas that `vfio:` takes.
        if let Some(options) = Some(arguments.text("options")).filter(|options| !options.is_empty()) {
            device.store = format!("{},{options}", device.store);
        }
        Ok(device)
    }

    /// Brings up the one with this PCI address.
    pub fn at(address: &str, backend: &str) -> Result<Device> {
        let pci = Path::new("/sys/bus/pci/devices").join(address);
        let name = block_name(&pci)?;
        let block = Path::new("/sys/block").join(&name);
        let sector_bytes = number(&block.join("queue/logical_block_size"))?;
        // The kernel counts in 512 bytes, whatever the device's sectors are.
        let sectors = number(&block.join("size"))? * 512 / sector_bytes;
        let node = Path::new("/dev").join(&name);
        let mut first = vec![0; usize::try_from(sector_bytes)?];
        let mut file = File::open(&node).with_context(|| format!("cannot open {}", node.display()))?;
        file.read_exact(&mut first).with_context(|| format!("cannot read {}", node.display()))?;
        drop(file);
        let store = match backend {
            "kernel" => node.display().to_string(),
            "vfio" => {
                give_to_vfio(&pci, address)?;
                format!("vfio:{address}")
            }
            other => bail!("vrift.backend={other} is not known"),
        };
        Ok(Device { store, sector_bytes, sectors })
    }
}

/// Waits for the disk that the kernel's driver makes of it.
fn block_name(pci: &Path) -> Result<String> {
    let until = Instant::now() + APPEARS_TIMEOUT;
    loop {
        if let Some(name) = block_below(pci) {
            return Ok(name);
        }
        ensure!(Instant::now() < until, "no disk below {}", pci.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn block_below(pci: &Path) -> Option<String> {
    let entries = fs::read_dir(pci).ok()?.flatten();
    let virtio = entries
        .map(|entry| entry.path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("virtio")))?;
    let disk = fs::read_dir(virtio.join("block")).ok()?.flatten().next()?;
    Some(disk.file_name().to_string_lossy().into_owned())
}

/// Takes the device from the kernel's driver and lets vfio-pci look at it.
pub fn offer_to_vfio(address: &str) -> Result<()> {
    let pci = Path::new("/sys/bus/pci/devices").join(address);
    block_name(&pci)?;
    write(&pci.join("driver/unbind"), address)?;
    write(&pci.join("driver_override"), "vfio-pci")?;
    write(&PathBuf::from("/sys/bus/pci/drivers_probe"), address)
}

fn give_to_vfio(pci: &Path, address: &str) -> Result<()> {
    offer_to_vfio(address)?;
    let driver = fs::read_link(pci.join("driver")).context("no driver took the device")?;
    ensure!(driver.ends_with("vfio-pci"), "{} took the device", driver.display());
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {text} to {}", path.display()))
}

fn number(path: &Path) -> Result<u64> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.trim().parse().with_context(|| format!("{} has no number", path.display()))
}
