//! Numbers and structures of `linux/vfio.h`, and the one place where they meet ioctl(2).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// `_IO(';', 100)` and those behind it.
const BASE: libc::Ioctl = 0x3b64;
pub(super) const GET_API_VERSION: libc::Ioctl = BASE;
pub(super) const CHECK_EXTENSION: libc::Ioctl = BASE + 1;
pub(super) const SET_IOMMU: libc::Ioctl = BASE + 2;
pub(super) const GROUP_GET_STATUS: libc::Ioctl = BASE + 3;
pub(super) const GROUP_SET_CONTAINER: libc::Ioctl = BASE + 4;
pub(super) const GROUP_GET_DEVICE_FD: libc::Ioctl = BASE + 6;
pub(super) const DEVICE_GET_INFO: libc::Ioctl = BASE + 7;
pub(super) const DEVICE_GET_REGION_INFO: libc::Ioctl = BASE + 8;
pub(super) const DEVICE_GET_IRQ_INFO: libc::Ioctl = BASE + 9;
pub(super) const DEVICE_SET_IRQS: libc::Ioctl = BASE + 10;
pub(super) const DEVICE_RESET: libc::Ioctl = BASE + 11;
pub(super) const IOMMU_MAP_DMA: libc::Ioctl = BASE + 13;
pub(super) const IOMMU_UNMAP_DMA: libc::Ioctl = BASE + 14;

pub(super) const API_VERSION: i32 = 0;
pub(super) const TYPE1V2_IOMMU: libc::c_ulong = 3;
pub(super) const NOIOMMU_IOMMU: libc::c_ulong = 8;
pub(super) const GROUP_VIABLE: u32 = 1;
pub(super) const DEVICE_CAN_RESET: u32 = 1;
pub(super) const DEVICE_IS_PCI: u32 = 2;
pub(super) const REGION_READ_WRITE_MMAP: u32 = 7;
pub(super) const IRQ_BY_EVENTFD: u32 = 1;
pub(super) const IRQ_SET_EVENTFDS_TRIGGER: u32 = 1 << 2 | 1 << 5;
pub(super) const DMA_READ_WRITE: u32 = 3;
pub(super) const CONFIG_REGION: u32 = 7;
pub(super) const MSIX_IRQ: u32 = 2;
/// The kernel wants the device back.
pub(super) const REQUEST_IRQ: u32 = 4;

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct GroupStatus {
    pub(super) argsz: u32,
    pub(super) flags: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DeviceInfo {
    pub(super) argsz: u32,
    pub(super) flags: u32,
    pub(super) regions: u32,
    pub(super) irqs: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RegionInfo {
    pub(super) argsz: u32,
    pub(super) flags: u32,
    pub(super) index: u32,
    pub(super) cap_offset: u32,
    pub(super) len: u64,
    pub(super) offset: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct IrqInfo {
    pub(super) argsz: u32,
    pub(super) flags: u32,
    pub(super) index: u32,
    pub(super) count: u32,
}

/// `vfio_irq_set` with room for the eventfds of [`IRQS_MAX`] vectors.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct IrqSet {
    pub(super) argsz: u32,
    pub(super) flags: u32,
    pub(super) index: u32,
    pub(super) start: u32,
    pub(super) count: u32,
    pub(super) fds: [i32; IRQS_MAX],
}
pub(super) const IRQS_MAX: usize = 16;

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DmaMap {
    pub(super) argsz: u32,
    pub(super) flags: u32,
    pub(super) vaddr: u64,
    pub(super) iova: u64,
    pub(super) len: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DmaUnmap {
    pub(super) argsz: u32,
    pub(super) flags: u32,
    pub(super) iova: u64,
    pub(super) len: u64,
}

fn check(rc: libc::c_int) -> io::Result<i32> {
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(rc) }
}

/// A request whose argument is a number, or a pointer to something that stays as it is while the call lasts.
pub(super) fn call(fd: BorrowedFd<'_>, request: libc::Ioctl, argument: libc::c_ulong) -> io::Result<i32> {
    // SAFETY: VFIO's requests that take numbers read no memory; callers with pointers hand over what is said above.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), request, argument) })
}

/// A structure that begins with `argsz`, its own length.
pub(super) trait Argument: Sized {
    fn set_argsz(&mut self, len: u32);
}

macro_rules! arguments {
    ($($name:ty),*) => {
        $(impl Argument for $name {
            fn set_argsz(&mut self, len: u32) {
                self.argsz = len;
            }
        })*
    };
}
arguments!(GroupStatus, DeviceInfo, RegionInfo, IrqInfo, IrqSet, DmaMap, DmaUnmap);

/// A request with a structure, which the kernel reads and writes up to its `argsz`.
pub(super) fn exchange<T: Argument>(
    fd: BorrowedFd<'_>,
    request: libc::Ioctl,
    argument: &mut T,
) -> io::Result<()> {
    argument.set_argsz(u32::try_from(size_of::<T>()).unwrap_or(0));
    // SAFETY: the structure has the layout of the header and says how long it is; it lives until the call returns.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), request, std::ptr::from_mut(argument)) }).map(drop)
}
