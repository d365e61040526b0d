//! The one error type of this crate.

use std::io;

/// Why a device cannot be used, or no longer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VirtioError {
    /// The text does not name a device.
    #[error("{text:?} is no device: expected vfio:DDDD:BB:DD.F, then poll or noiommu behind commas")]
    BadAddress { text: String },
    /// No such function on the PCI bus.
    #[error("there is no PCI device {address}")]
    NoDevice { address: String },
    /// A kernel driver has it.
    #[error("{address} is held by the driver {driver}; bind it to vfio-pci first")]
    WrongDriver { address: String, driver: String },
    /// No driver has it.
    #[error("{address} has no driver; bind it to vfio-pci first")]
    NoDriver { address: String },
    /// No driver has it, and vfio-pci does not take it.
    #[error(
        "{address} has no driver, and there is no IOMMU, without which vfio-pci takes a device only in \
         enable_unsafe_noiommu_mode (and ,noiommu uses it)"
    )]
    NoDriverNoIommu { address: String },
    /// Another process has it, or another device of its IOMMU group is in use by the kernel.
    #[error("{address} is in use: {why}")]
    Held { address: String, why: String },
    /// Nothing keeps the device from the rest of the memory.
    #[error("{address}: there is no IOMMU; the device could reach all memory (,noiommu allows that)")]
    NoIommu { address: String },
    /// `noiommu` was asked for where there is an IOMMU.
    #[error("{address}: there is an IOMMU; leave out noiommu")]
    HasIommu { address: String },
    /// The device is not one that a store can be on.
    #[error("{address}: {why}")]
    Unfit { address: String, why: String },
    /// A call of the kernel failed.
    #[error("{what} failed: {error}")]
    Io { what: &'static str, error: io::Error },
}

impl VirtioError {
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { what, error }
    }
}
