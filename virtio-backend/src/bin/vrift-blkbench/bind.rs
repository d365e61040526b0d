//! Which driver has the device (Documentation/ABI/testing/sysfs-bus-pci).

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(10);

fn folder(bdf: &str) -> PathBuf {
    Path::new("/sys/bus/pci/devices").join(bdf)
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Gives the device to that driver.
fn to(bdf: &str, driver: &str) -> Result<()> {
    let folder = folder(bdf);
    let has = || fs::read_link(folder.join("driver")).is_ok_and(|link| link.ends_with(driver));
    if has() {
        return Ok(());
    }
    if folder.join("driver").exists() {
        write(&folder.join("driver/unbind"), bdf)?;
    }
    write(&folder.join("driver_override"), driver)?;
    write(Path::new("/sys/bus/pci/drivers_probe"), bdf)?;
    if has() { Ok(()) } else { bail!("{bdf} was not taken by {driver}") }
}

/// The device's node.
pub fn to_kernel(bdf: &str) -> Result<PathBuf> {
    to(bdf, "virtio-pci")?;
    let started = Instant::now();
    loop {
        if let Some(path) = node(bdf) {
            return Ok(path);
        }
        if started.elapsed() > SOON {
            bail!("the kernel's driver makes no block device of {bdf}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn node(bdf: &str) -> Option<PathBuf> {
    let virtio = fs::read_dir(folder(bdf)).ok()?.flatten();
    let virtio = virtio.map(|entry| entry.path()).find(|path| path.join("block").exists())?;
    let block = fs::read_dir(virtio.join("block")).ok()?.flatten().next()?;
    Some(Path::new("/dev").join(block.file_name())).filter(|path| path.exists())
}

pub fn to_vfio(bdf: &str) -> Result<()> {
    to(bdf, "vfio-pci")
}
