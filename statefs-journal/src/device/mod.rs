//! The seam between the engine and whatever keeps its bytes.

use std::io;

use crate::layout::BLOCK_LEN;
use crate::types::DevOffset;

pub mod fault;
mod file;
mod io_buf;
mod mem;
mod overlay;
mod raw;
pub mod signatures;

pub use fault::{CrashUnit, Fault, FaultDevice, Op};
pub use file::FileDevice;
pub use io_buf::{IoBuf, Memory};
pub use mem::MemDevice;
pub use overlay::OverlayDevice;
pub use raw::RawDevice;

/// A device that keeps bytes. The engine reads whole blocks at block offsets, and writes so, too, but for journal
/// records where [`BlockDevice::write_unit_bytes`] says that it need not.
///
/// Calls may come from several threads at once. The engine never has two writes to one block in flight.
pub trait BlockDevice: Send + Sync {
    /// Present length. Bytes beyond it cannot be read or written.
    fn len_bytes(&self) -> u64;

    /// True when nothing was ever written or the device was truncated to nothing.
    fn is_empty(&self) -> bool {
        self.len_bytes() == 0
    }

    /// Fills `buf` from `offset`. Never-written bytes read as anything, usually zero.
    fn read_at(&self, offset: DevOffset, buf: &mut [u8]) -> io::Result<()>;

    /// Hands `buf` to the device. A later `read_at` sees it, also after this process was killed.
    fn write_at(&self, offset: DevOffset, buf: &[u8]) -> io::Result<()>;

    /// Memory for writes of many blocks, from which the device need not copy: aligned, or reached by the device itself.
    /// Any other memory will do as well.
    fn buffer(&self, len: usize) -> IoBuf {
        IoBuf::new(len)
    }

    /// Writes begin and end at multiples of this. Less than a block where something in between puts blocks together,
    /// as the page cache does: a power cut then finds the block as it was at some moment, with all that was written
    /// to it before. At least 8, at most a block.
    fn write_unit_bytes(&self) -> usize {
        BLOCK_LEN
    }

    /// Whether the first write to a place takes longer to become durable than those after it: a file system has to
    /// note that there are bytes now.
    fn likes_written_places(&self) -> bool {
        false
    }

    /// Returns when every write that returned before the call is durable.
    fn flush(&self) -> io::Result<()>;

    /// The engine does not need these bytes any more. A hint: may do nothing.
    fn discard(&self, offset: DevOffset, len_bytes: u64) -> io::Result<()>;

    /// Makes sure that later writes to the range cannot fail for want of space, where that is possible.
    fn reserve(&self, offset: DevOffset, len_bytes: u64) -> io::Result<()>;

    /// Many small writes to a reserved range will follow, here and from one thread at a time. A hint: may do nothing.
    fn expect_writes(&self, _offset: DevOffset, _len_bytes: u64) {}

    /// Grows the device to at least `len_bytes`. `Unsupported` or `StorageFull` where it cannot.
    fn grow(&self, len_bytes: u64) -> io::Result<()>;
}
