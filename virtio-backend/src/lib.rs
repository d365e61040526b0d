//! A `BlockDevice` over virtio-blk, driven from user space: the kernel gives the device away by VFIO and sees no request.
//!
//! Lives here: PCI capabilities, VFIO and its DMA mappings, the virtio-pci transport, the split virtqueue, virtio-blk's
//! requests, and a device in memory that misbehaves, for tests. May be imported: libc and statefs-journal's trait.
//! Must never appear here: anything of the store's format, of views or of the daemon.
//!
//! The device is taken to be hostile: whatever it wrote is read once, checked, and used or the handle is poisoned. It
//! reaches no memory but the arena. Sections named in comments are of the OASIS text "Virtual I/O Device (VIRTIO)
//! Version 1.2"; VFIO is that of `linux/vfio.h`. Design: RFC 0015.

mod address;
mod arena;
mod bell;
mod block;
mod device;
mod error;
mod mmio;
mod pci;
mod queue;
mod transport;
mod vfio;

#[cfg(all(test, not(loom)))]
mod fake;

pub use address::{Address, Spec};
pub use block::request::{Kind, MAX_DATA_LEN};
pub use device::{Buffer, Completion, Stream, VirtioBlk};
pub use error::VirtioError;
