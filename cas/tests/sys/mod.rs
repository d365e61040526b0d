//! A shared writable mapping of a file's first page.

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use std::ffi::c_void;
use std::fs::File;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

const PAGE_LEN: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// Unmapped when dropped.
pub struct SharedPage(NonNull<c_void>);

impl SharedPage {
    pub fn of(file: &File) -> SharedPage {
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice, to which no reference is ever made.
        SharedPage(unsafe { mmap(None, PAGE_LEN, access, MapFlags::MAP_SHARED, file, 0) }.unwrap())
    }
}

impl Drop for SharedPage {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping that `of` made.
        unsafe { munmap(self.0, PAGE_LEN.get()) }.unwrap();
    }
}
