//! Memory for the device: where it is for this process, and where it is for the device.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::ptr::NonNull;
use std::sync::Arc;

use super::abi;
use super::container::Container;
use crate::arena::{Arena, CHUNK_LEN};
use crate::error::VirtioError;

/// The device's address of the arena behind an IOMMU: above everything that firmware and interrupts have below 4 GiB.
const BUS_START: u64 = 1 << 32;
/// Entries of /proc/self/pagemap (Documentation/admin-guide/mm/pagemap.rst): present, and the frame's number.
const PAGEMAP_PRESENT: u64 = 1 << 63;
const PAGEMAP_FRAME: u64 = (1 << 55) - 1;
const PAGE_LEN: u64 = 4096;

/// An anonymous mapping, and the container in which the device may reach it.
struct Owner {
    container: Arc<Container>,
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: it only gives the memory back.
unsafe impl Send for Owner {}
// SAFETY: as above.
unsafe impl Sync for Owner {}

impl Drop for Owner {
    fn drop(&mut self) {
        if self.container.behind_iommu {
            let mut unmap =
                abi::DmaUnmap { iova: BUS_START, len: self.len as u64, ..abi::DmaUnmap::default() };
            if let Err(error) = abi::exchange(self.container.fd(), abi::IOMMU_UNMAP_DMA, &mut unmap) {
                // The device may still write there, unless the kernel has it back: the memory must belong to nobody else.
                tracing::debug!(%error, "virtio: memory is not taken from the device; it is kept");
                return;
            }
        }
        // SAFETY: ours alone, and the device cannot reach it any more: behind an IOMMU as was just seen, without one
        // because the device was reset before (`VirtioBlk` resets it when it is dropped).
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// So many chunks that the device may read and write.
pub(crate) fn arena(container: &Arc<Container>, chunks: usize) -> Result<Arena, VirtioError> {
    let len = chunks * CHUNK_LEN;
    let huge =
        if container.behind_iommu { 0 } else { libc::MAP_HUGETLB | libc::MAP_POPULATE | libc::MAP_LOCKED };
    // SAFETY: a new mapping at an address of the kernel's choice.
    let start = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | huge,
            -1,
            0,
        )
    };
    let start = if start == libc::MAP_FAILED { None } else { NonNull::new(start.cast::<u8>()) };
    let what =
        if huge == 0 { "mmap of memory for the device" } else { "mmap of huge pages (vm.nr_hugepages)" };
    let start = start.ok_or_else(|| VirtioError::Io { what, error: io::Error::last_os_error() })?;
    // A child of this process must not share the pages that the device writes.
    // SAFETY: the mapping that was just made.
    unsafe { libc::madvise(start.as_ptr().cast(), len, libc::MADV_DONTFORK) };
    let bus = if container.behind_iommu {
        map(container, start, len)?;
        (0..chunks).map(|chunk| BUS_START + (chunk * CHUNK_LEN) as u64).collect()
    } else {
        physical(start, chunks).map_err(VirtioError::io("look at /proc/self/pagemap (CAP_SYS_ADMIN)"))?
    };
    let owner = Owner { container: container.clone(), start, len };
    // SAFETY: a mapping of so many chunks, zero, page aligned; `owner` keeps it and gives it back.
    Ok(unsafe { Arena::new(start, bus, Box::new(owner)) })
}

fn map(container: &Container, start: NonNull<u8>, len: usize) -> Result<(), VirtioError> {
    let mut map = abi::DmaMap {
        flags: abi::DMA_READ_WRITE,
        vaddr: start.as_ptr() as u64,
        iova: BUS_START,
        len: len as u64,
        ..abi::DmaMap::default()
    };
    let what = "VFIO_IOMMU_MAP_DMA (out of memory: raise the limit of locked memory, ulimit -l)";
    abi::exchange(container.fd(), abi::IOMMU_MAP_DMA, &mut map).map_err(VirtioError::io(what))
}

/// Physical addresses of locked huge pages, each in one piece.
fn physical(start: NonNull<u8>, chunks: usize) -> io::Result<Vec<u64>> {
    let pagemap = File::open("/proc/self/pagemap")?;
    let frame = |chunk: usize| {
        let page = (start.as_ptr() as u64 + (chunk * CHUNK_LEN) as u64) / PAGE_LEN;
        let mut entry = [0; 8];
        pagemap.read_exact_at(&mut entry, page * 8)?;
        let entry = u64::from_ne_bytes(entry);
        match entry & PAGEMAP_FRAME {
            0 => Err(io::Error::from(io::ErrorKind::PermissionDenied)),
            _ if entry & PAGEMAP_PRESENT == 0 => Err(io::Error::from(io::ErrorKind::OutOfMemory)),
            frame => Ok(frame * PAGE_LEN),
        }
    };
    (0..chunks).map(frame).collect()
}
