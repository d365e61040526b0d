//! A container with one group in it: open for this process alone.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use super::abi;
use crate::address::{Address, Spec};
use crate::error::VirtioError;

/// The driver that gives devices away.
const DRIVER: &str = "vfio-pci";

/// vfio_iommu_type1 refuses a machine where a device could raise interrupts that are not its own.
const NO_REMAPPING: &str = "the IOMMU does not remap interrupts; if its devices are trusted that far: \
     echo Y > /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts";

/// See the module. Closing it takes the device's memory away from it.
#[derive(Debug)]
pub(crate) struct Container {
    file: File,
    group: File,
    /// Whether the IOMMU stands between the device and memory.
    pub(crate) behind_iommu: bool,
}

impl Container {
    /// # Errors
    /// There is no such device, it is not vfio-pci's, somebody has it, or there is no IOMMU and nobody said `noiommu`.
    pub(crate) fn open(spec: &Spec) -> Result<Self, VirtioError> {
        let address = spec.address;
        let folder = look(address)?;
        let (node, behind_iommu) = group_node(&folder, address)?;
        match (behind_iommu, spec.noiommu) {
            (false, false) => return Err(VirtioError::NoIommu { address: address.to_string() }),
            (true, true) => return Err(VirtioError::HasIommu { address: address.to_string() }),
            _ => {}
        }
        let open = |path: &Path| OpenOptions::new().read(true).write(true).open(path);
        let file = open(Path::new("/dev/vfio/vfio")).map_err(VirtioError::io("open of /dev/vfio/vfio"))?;
        let group = open(&node).map_err(|error| match error.raw_os_error() {
            Some(libc::EBUSY) => held(address, "another process has it"),
            _ => VirtioError::Io { what: "open of the device's VFIO group", error },
        })?;
        let container = Self { file, group, behind_iommu };
        container.join(address)?;
        Ok(container)
    }

    fn join(&self, address: Address) -> Result<(), VirtioError> {
        let version =
            abi::call(self.fd(), abi::GET_API_VERSION, 0).map_err(VirtioError::io("VFIO_GET_API_VERSION"))?;
        if version != abi::API_VERSION {
            return Err(unfit(address, format!("the kernel's VFIO has version {version}, not 0")));
        }
        let kind = if self.behind_iommu { abi::TYPE1V2_IOMMU } else { abi::NOIOMMU_IOMMU };
        if abi::call(self.fd(), abi::CHECK_EXTENSION, kind)
            .map_err(VirtioError::io("VFIO_CHECK_EXTENSION"))?
            == 0
        {
            return Err(unfit(
                address,
                "the kernel's VFIO cannot drive this IOMMU (module vfio_iommu_type1)".into(),
            ));
        }
        let mut status = abi::GroupStatus::default();
        abi::exchange(self.group.as_fd(), abi::GROUP_GET_STATUS, &mut status)
            .map_err(VirtioError::io("VFIO_GROUP_GET_STATUS"))?;
        if status.flags & abi::GROUP_VIABLE == 0 {
            return Err(held(address, "the kernel drives another device of its IOMMU group"));
        }
        let container = self.file.as_raw_fd();
        // The kernel reads one int.
        abi::call(
            self.group.as_fd(),
            abi::GROUP_SET_CONTAINER,
            std::ptr::from_ref(&container) as libc::c_ulong,
        )
        .map_err(VirtioError::io("VFIO_GROUP_SET_CONTAINER"))?;
        abi::call(self.fd(), abi::SET_IOMMU, kind).map(drop).map_err(|error| match error.raw_os_error() {
            Some(libc::EPERM) => unfit(address, NO_REMAPPING.into()),
            _ => VirtioError::Io { what: "VFIO_SET_IOMMU", error },
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    pub(super) fn group(&self) -> BorrowedFd<'_> {
        self.group.as_fd()
    }
}

/// The device's folder, if it is there and vfio-pci has it.
///
/// # Errors
/// `NoDevice`, `WrongDriver`, `NoDriver`, `NoDriverNoIommu`.
pub(crate) fn look(address: Address) -> Result<PathBuf, VirtioError> {
    let folder = Path::new("/sys/bus/pci/devices").join(address.to_string());
    if !folder.exists() {
        return Err(VirtioError::NoDevice { address: address.to_string() });
    }
    check_driver(&folder, address)?;
    Ok(folder)
}

fn held(address: Address, why: &str) -> VirtioError {
    VirtioError::Held { address: address.to_string(), why: why.to_owned() }
}

fn unfit(address: Address, why: String) -> VirtioError {
    VirtioError::Unfit { address: address.to_string(), why }
}

fn last_name(link: &Path) -> io::Result<String> {
    let target = fs::read_link(link)?;
    Ok(target.file_name().unwrap_or_default().to_string_lossy().into_owned())
}

fn check_driver(folder: &Path, address: Address) -> Result<(), VirtioError> {
    let address = address.to_string();
    match last_name(&folder.join("driver")) {
        Ok(driver) if driver == DRIVER => Ok(()),
        Ok(driver) => Err(VirtioError::WrongDriver { address, driver }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let has_group = folder.join("iommu_group").exists();
            Err(if has_group {
                VirtioError::NoDriver { address }
            } else {
                VirtioError::NoDriverNoIommu { address }
            })
        }
        Err(error) => Err(VirtioError::Io { what: "look at the device's driver", error }),
    }
}

/// The node of the device's group, and whether the group is one of an IOMMU.
fn group_node(folder: &Path, address: Address) -> Result<(PathBuf, bool), VirtioError> {
    let group = match last_name(&folder.join("iommu_group")) {
        Ok(group) => group,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(VirtioError::NoIommu { address: address.to_string() });
        }
        Err(error) => return Err(VirtioError::Io { what: "look at the device's IOMMU group", error }),
    };
    let fenced = Path::new("/dev/vfio").join(&group);
    let bare = Path::new("/dev/vfio").join(format!("noiommu-{group}"));
    Ok(if bare.exists() { (bare, false) } else { (fenced, true) })
}
