//! qemu's command line. One machine for both backends, so that they can be compared: q35 with an IOMMU, the store on a
//! virtio-blk device behind it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use clap::ValueEnum;

use crate::drive::Source;

/// Who drives the device in the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// The guest kernel's virtio-blk driver: /dev/vda
    Kernel,
    /// vrift's own driver in user space, by VFIO
    Vfio,
}

/// qemu's `cache=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    None,
    Writeback,
}

impl Backend {
    pub const BOTH: [Backend; 2] = [Backend::Kernel, Backend::Vfio];

    pub fn name(self) -> &'static str {
        match self {
            Backend::Kernel => "kernel",
            Backend::Vfio => "vfio",
        }
    }
}

impl Cache {
    pub fn name(self) -> &'static str {
        match self {
            Cache::None => "none",
            Cache::Writeback => "writeback",
        }
    }
}

pub struct Machine {
    image: PathBuf,
    pub backend: Backend,
    pub drive: Source,
    /// Further properties of the virtio-blk device, for example `,logical_block_size=4096`.
    pub device_properties: String,
    /// More such devices, each with its properties, at the addresses from [`FURTHER_ADDRESS`] on.
    pub further: Vec<(Source, String)>,
    /// Something stands between devices and memory.
    pub has_iommu: bool,
    /// The device sits behind a port of its own, from which it can be unplugged; its address is then another.
    pub can_be_unplugged: bool,
    /// For the program in the guest: `NAME=VALUE`.
    pub arguments: Vec<String>,
}

/// The device's name in the monitor.
pub const DEVICE: &str = "store";
/// Slots of the PCI bus.
const FURTHER_ADDRESS: usize = 5;
const BLOCK_DEVICE: &str = "virtio-blk-pci,disable-legacy=on,iommu_platform=on,ats=on";
const MEMORY_MIB: u32 = 1024;
const CPUS: u32 = 2;

impl Machine {
    pub fn new(image: PathBuf, backend: Backend) -> Machine {
        Machine {
            image,
            backend,
            drive: Source::None,
            device_properties: String::new(),
            further: Vec::new(),
            has_iommu: true,
            can_be_unplugged: false,
            arguments: Vec::new(),
        }
    }

    /// qemu with everything but where the console and the monitor are.
    fn command(&self) -> Result<Command> {
        let (kernel, initramfs) = (self.image.join("vmlinuz"), self.image.join("initramfs.cpio"));
        for file in [&kernel, &initramfs] {
            ensure!(file.is_file(), "{} is not there; cargo xtask guest makes it", file.display());
        }
        let mut command = Command::new("qemu-system-x86_64");
        command.args(["-nodefaults", "-no-user-config", "-display", "none"]);
        // The IOMMU needs the split chip, and translation of instructions works on every machine.
        command.args(["-M", "q35,accel=tcg,kernel-irqchip=split", "-cpu", "max"]);
        command.args(["-smp", &CPUS.to_string(), "-m", &MEMORY_MIB.to_string()]);
        // Without remapping of interrupts, with which the kernel finds no timer now and then where instructions are
        // translated and the machine is busy.
        if self.has_iommu {
            command.args(["-device", "intel-iommu,intremap=off,caching-mode=on,device-iotlb=on"]);
        }
        command.arg("-kernel").arg(kernel).arg("-initrd").arg(initramfs);
        let mut append = String::from("console=ttyS0 quiet panic=-1 intel_iommu=on iommu=pt");
        append.push_str(&format!(" vrift.backend={}", self.backend.name()));
        for argument in &self.arguments {
            append.push_str(&format!(" vrift.{argument}"));
        }
        if let Some(drive) = self.drive.option() {
            command.args(["-drive", &format!("{drive},if=none,id=d0")]);
            let mut device = format!("virtio-blk-pci,drive=d0,disable-legacy=on,id={DEVICE}");
            device.push_str(if self.has_iommu { ",iommu_platform=on,ats=on" } else { "" });
            if self.can_be_unplugged {
                command.args(["-device", "pcie-root-port,id=port0,chassis=1,addr=0x4"]);
                device.push_str(",bus=port0");
                append.push_str(" vrift.pci=0000:01:00.0");
            } else {
                device.push_str(",addr=0x3");
            }
            device.push_str(&self.device_properties);
            command.args(["-device", &device]);
        }
        for (number, (source, properties)) in self.further.iter().enumerate() {
            let Some(drive) = source.option() else { continue };
            command.args(["-drive", &format!("{drive},if=none,id=f{number}")]);
            let address = FURTHER_ADDRESS + number;
            command
                .args(["-device", &format!("{BLOCK_DEVICE},drive=f{number},addr={address:#x}{properties}")]);
        }
        command.args(["-append", &append]);
        Ok(command)
    }

    /// With the console on standard output and the monitor at `monitor`.
    pub fn with_monitor(&self, monitor: &Path) -> Result<Command> {
        let mut command = self.command()?;
        command.args(["-serial", "stdio"]);
        command.args(["-qmp", &format!("unix:{},server=on,wait=off", monitor.display())]);
        Ok(command)
    }

    /// With console and monitor where the user sits.
    pub fn on_this_terminal(&self, _folder: &Path) -> Result<()> {
        let status = self.command()?.args(["-serial", "mon:stdio"]).status()?;
        ensure!(status.success(), "qemu: {status}");
        Ok(())
    }
}
