//! The kernel's leave to drive a device from here (Documentation/driver-api/vfio.rst): a container with the memory that
//! the device may reach, a group of what cannot be told apart by the IOMMU, and the device.

mod abi;
mod container;
mod dma;
mod function;
mod modern;

pub(crate) use container::{Container, look};
pub(crate) use dma::arena;
pub(crate) use function::Function;
pub(crate) use modern::Modern;
