//! Registers of the device in memory: every access within bounds, of its width, and as often as it is written here.

use std::ptr::NonNull;
use std::sync::Arc;

/// A mapping of a device's registers; unmapped when the last part of it is gone.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the memory is that of a device; it is only accessed by volatile reads and writes.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// # Safety
    /// `start` must be a mapping of `len` bytes by mmap(2) that nobody else unmaps.
    pub(crate) unsafe fn new(start: NonNull<u8>, len: usize) -> Self {
        Self { start, len }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: ours by the contract of `new`; no part of it is left, as each holds this value.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// A part of a mapping.
#[derive(Clone, Debug)]
pub(crate) struct Registers {
    mapping: Arc<Mapping>,
    offset: usize,
    len: usize,
}

impl Registers {
    /// `None`: it does not lie within the mapping, or not at a multiple of 4.
    pub(crate) fn part(mapping: &Arc<Mapping>, offset: u64, len: u64) -> Option<Self> {
        let (offset, len) = (usize::try_from(offset).ok()?, usize::try_from(len).ok()?);
        let end = offset.checked_add(len)?;
        (end <= mapping.len && offset.is_multiple_of(4)).then(|| Self {
            mapping: mapping.clone(),
            offset,
            len,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn at<T>(&self, offset: usize) -> *mut T {
        let width = size_of::<T>();
        assert!(
            offset.checked_add(width).is_some_and(|end| end <= self.len) && offset.is_multiple_of(width),
            "register {offset} of {} bytes",
            self.len
        );
        // SAFETY: within the mapping: `part` checked the bounds of this part, the line above those within it.
        unsafe { self.mapping.start.as_ptr().add(self.offset + offset).cast() }
    }

    pub(crate) fn read<T: Register>(&self, offset: usize) -> T {
        // SAFETY: mapped and aligned (`at`); any bits are a value of these integers.
        unsafe { self.at::<T>(offset).read_volatile() }
    }

    pub(crate) fn write<T: Register>(&self, offset: usize, value: T) {
        // SAFETY: mapped and aligned (`at`).
        unsafe { self.at::<T>(offset).write_volatile(value) }
    }
}

/// What a register can be read as.
pub(crate) trait Register: Copy {}
impl Register for u8 {}
impl Register for u16 {}
impl Register for u32 {}
