//! One PCI function: its configuration space, its memory regions and its interrupts.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::ptr::NonNull;
use std::sync::Arc;

use super::abi;
use super::container::Container;
use crate::address::Address;
use crate::bell::EventFd;
use crate::error::VirtioError;
use crate::mmio::Mapping;
use crate::pci::ConfigSpace;

/// See the module. The kernel resets it when it is closed.
#[derive(Debug)]
pub(crate) struct Function {
    file: File,
    config: abi::RegionInfo,
    _container: Arc<Container>,
}

impl Function {
    /// # Errors
    /// What the kernel says.
    pub(crate) fn open(container: &Arc<Container>, address: Address) -> Result<Self, VirtioError> {
        let mut name = address.to_string().into_bytes();
        name.push(0);
        // The kernel reads a string that ends with a zero.
        let fd = abi::call(container.group(), abi::GROUP_GET_DEVICE_FD, name.as_ptr() as libc::c_ulong)
            .map_err(VirtioError::io("VFIO_GROUP_GET_DEVICE_FD"))?;
        // SAFETY: a new descriptor that nobody else has.
        let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
        // SAFETY: takes a descriptor, which is open, and integers.
        unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
        let mut info = abi::DeviceInfo::default();
        abi::exchange(file.as_fd(), abi::DEVICE_GET_INFO, &mut info)
            .map_err(VirtioError::io("VFIO_DEVICE_GET_INFO"))?;
        if info.flags & abi::DEVICE_IS_PCI == 0 {
            let why = "it is no PCI device".to_owned();
            return Err(VirtioError::Unfit { address: address.to_string(), why });
        }
        let mut function = Self { file, config: abi::RegionInfo::default(), _container: container.clone() };
        if info.flags & abi::DEVICE_CAN_RESET != 0 {
            abi::call(function.file.as_fd(), abi::DEVICE_RESET, 0)
                .map_err(VirtioError::io("VFIO_DEVICE_RESET"))?;
        }
        function.config = function.region(abi::CONFIG_REGION)?;
        Ok(function)
    }

    fn region(&self, index: u32) -> Result<abi::RegionInfo, VirtioError> {
        let mut info = abi::RegionInfo { index, ..abi::RegionInfo::default() };
        abi::exchange(self.file.as_fd(), abi::DEVICE_GET_REGION_INFO, &mut info)
            .map_err(VirtioError::io("VFIO_DEVICE_GET_REGION_INFO"))?;
        Ok(info)
    }

    /// Maps a memory region (a BAR); `None`: it cannot be mapped.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn map(&self, bar: u8) -> Result<Option<Arc<Mapping>>, VirtioError> {
        let info = self.region(u32::from(bar))?;
        let flags = abi::REGION_READ_WRITE_MMAP;
        let (Ok(len), Ok(offset)) = (usize::try_from(info.len), libc::off64_t::try_from(info.offset)) else {
            return Ok(None);
        };
        if info.flags & flags != flags || len == 0 {
            return Ok(None);
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let fd = self.file.as_raw_fd();
        // SAFETY: a new mapping at an address of the kernel's choice.
        let start =
            unsafe { libc::mmap64(std::ptr::null_mut(), len, protection, libc::MAP_SHARED, fd, offset) };
        if start == libc::MAP_FAILED {
            return Err(VirtioError::Io {
                what: "mmap of the device's registers",
                error: io::Error::last_os_error(),
            });
        }
        // SAFETY: the mapping that was just made.
        Ok(NonNull::new(start.cast()).map(|start| Arc::new(unsafe { Mapping::new(start, len) })))
    }

    /// How many MSI-X vectors there are.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn vectors(&self) -> Result<usize, VirtioError> {
        let mut info = abi::IrqInfo { index: abi::MSIX_IRQ, ..abi::IrqInfo::default() };
        abi::exchange(self.file.as_fd(), abi::DEVICE_GET_IRQ_INFO, &mut info)
            .map_err(VirtioError::io("VFIO_DEVICE_GET_IRQ_INFO"))?;
        let usable = info.flags & abi::IRQ_BY_EVENTFD != 0;
        Ok(if usable { (info.count as usize).min(abi::IRQS_MAX) } else { 0 })
    }

    /// Connects vectors, from the first on, with eventfds.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn connect(&self, bells: &[&EventFd]) -> Result<(), VirtioError> {
        let fds: Vec<RawFd> = bells.iter().map(|bell| bell.fd()).collect();
        self.set_irqs(abi::MSIX_IRQ, &fds).map_err(VirtioError::io("VFIO_DEVICE_SET_IRQS"))
    }

    /// Connects the kernel's wish to have the device back; false: this kernel does not say it.
    pub(crate) fn connect_request(&self, bell: &EventFd) -> bool {
        self.set_irqs(abi::REQUEST_IRQ, &[bell.fd()]).is_ok()
    }

    fn set_irqs(&self, index: u32, fds: &[RawFd]) -> io::Result<()> {
        let mut set = abi::IrqSet {
            argsz: 0,
            flags: abi::IRQ_SET_EVENTFDS_TRIGGER,
            index,
            start: 0,
            count: u32::try_from(fds.len()).unwrap_or(0),
            fds: [-1; abi::IRQS_MAX],
        };
        if fds.len() > abi::IRQS_MAX {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        set.fds[..fds.len()].copy_from_slice(fds);
        abi::exchange(self.file.as_fd(), abi::DEVICE_SET_IRQS, &mut set)
    }
}

impl ConfigSpace for Function {
    fn read(&self, offset: u16, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, self.config.offset + u64::from(offset))
    }

    fn write(&self, offset: u16, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.config.offset + u64::from(offset))
    }
}
