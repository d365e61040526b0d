//! A regular file as the device, locked against a second opener.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use super::BlockDevice;
use crate::error::StoreError;
use crate::layout::record::RECORD_ALIGN;
use crate::sys::{self, Window};
use crate::types::DevOffset;

/// Ranges that are mapped at a time: the journal's present segment and the one allocated ahead.
const WINDOWS: usize = 2;
/// Longest range that is mapped.
const WINDOW_LEN_MAX: u64 = 4 << 20;
/// Above this many bytes it is asked whether a reservation can fit before it is made.
const LONG_RESERVATION_LEN: u64 = 4 << 20;

/// A regular file, sparse, grown on demand. The exclusive lock lasts as long as the value.
#[derive(Debug)]
pub struct FileDevice {
    file: File,
    len_bytes: AtomicU64,
    max_len_bytes: u64,
    /// The oldest first. Small writes into these make no system call.
    windows: RwLock<VecDeque<Window>>,
    /// False as well once space could not be reserved.
    maps: AtomicBool,
}

impl FileDevice {
    /// Opens an existing file.
    ///
    /// # Errors
    /// `Locked` when another open file description holds it, `Io` for everything the kernel says.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::with(path, OpenOptions::new().read(true).write(true))
    }

    /// Creates a file of length zero, mode 0600, which must not exist.
    ///
    /// # Errors
    /// `Io` with `AlreadyExists` when there is one.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        Self::with(path, OpenOptions::new().read(true).write(true).create_new(true).mode(0o600))
    }

    /// Never lets the file grow beyond `max_len_bytes`.
    pub fn limit(mut self, max_len_bytes: u64) -> Self {
        self.max_len_bytes = max_len_bytes;
        self
    }

    fn with(path: &Path, options: &OpenOptions) -> Result<Self, StoreError> {
        let io = |what| move |source| StoreError::Io { what, offset: 0, source };
        let file = options.open(path).map_err(io("open of the store file"))?;
        if !sys::try_lock_exclusive(&file).map_err(io("lock of the store file"))? {
            return Err(StoreError::Locked { path: path.to_owned() });
        }
        let len_bytes = file.metadata().map_err(io("stat of the store file"))?.len();
        let maps = sys::overwrites_in_place(&file);
        Ok(Self {
            file,
            len_bytes: AtomicU64::new(len_bytes),
            max_len_bytes: u64::MAX,
            windows: RwLock::default(),
            maps: AtomicBool::new(maps),
        })
    }
}

impl BlockDevice for FileDevice {
    fn len_bytes(&self) -> u64 {
        self.len_bytes.load(Ordering::Acquire)
    }

    fn read_at(&self, offset: DevOffset, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buf, offset.0)
    }

    fn write_at(&self, offset: DevOffset, buf: &[u8]) -> io::Result<()> {
        let windows = self.windows.read().unwrap_or_else(PoisonError::into_inner);
        if windows.iter().any(|window| window.write(offset.0, buf)) {
            return Ok(());
        }
        drop(windows);
        self.file.write_all_at(buf, offset.0)
    }

    fn write_unit_bytes(&self) -> usize {
        RECORD_ALIGN
    }

    fn likes_written_places(&self) -> bool {
        true
    }

    fn flush(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn discard(&self, offset: DevOffset, len_bytes: u64) -> io::Result<()> {
        match sys::punch_hole(&self.file, offset.0, len_bytes) {
            Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(()),
            other => other,
        }
    }

    fn reserve(&self, offset: DevOffset, len_bytes: u64) -> io::Result<()> {
        // fallocate(2) takes what there is before it fails and gives it back: others would see a full disk meanwhile.
        let cannot_fit = || sys::available_bytes(&self.file).is_ok_and(|left| left < len_bytes);
        if len_bytes > LONG_RESERVATION_LEN
            && cannot_fit()
            && !sys::is_written(&self.file, offset.0, len_bytes)
        {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        match sys::preallocate(&self.file, offset.0, len_bytes) {
            Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                self.maps.store(false, Ordering::Relaxed);
                Ok(())
            }
            other => other,
        }
    }

    /// Maps it. Where there is no memory for that, writes are system calls as everywhere else.
    fn expect_writes(&self, offset: DevOffset, len_bytes: u64) {
        let within = offset.0.checked_add(len_bytes).is_some_and(|end| end <= self.len_bytes());
        if !self.maps.load(Ordering::Relaxed) || !within || len_bytes > WINDOW_LEN_MAX {
            return;
        }
        let window = usize::try_from(len_bytes).map(|len| Window::new(&self.file, offset.0, len));
        if let Ok(Ok(window)) = window {
            let mut windows = self.windows.write().unwrap_or_else(PoisonError::into_inner);
            windows.retain(|known| !known.begins_at(offset.0));
            if windows.len() >= WINDOWS {
                windows.pop_front();
            }
            windows.push_back(window);
        }
    }

    fn grow(&self, len_bytes: u64) -> io::Result<()> {
        if len_bytes > self.max_len_bytes {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        if len_bytes > self.len_bytes() {
            self.file.set_len(len_bytes)?;
            self.len_bytes.store(len_bytes, Ordering::Release);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_to_an_announced_range_is_in_the_file_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let dev = FileDevice::create(&path).unwrap();
        dev.grow(64 << 10).unwrap();
        for (offset, len_bytes) in [(8 << 10, 8 << 10), (32 << 10, 8 << 10), (16 << 10, 8 << 10)] {
            dev.reserve(DevOffset(offset), len_bytes).unwrap();
            dev.expect_writes(DevOffset(offset), len_bytes);
        }
        let mut expected = vec![0; 64 << 10];
        // Before, at the borders of, across and behind the mapped ranges.
        for (number, at) in [0, 8, 14, 15, 22, 23, 28, 32, 38, 39, 44].into_iter().enumerate() {
            let bytes = vec![u8::try_from(number).unwrap() + 1; 2 << 10];
            dev.write_at(DevOffset(at << 10), &bytes).unwrap();
            let at = usize::try_from(at << 10).unwrap();
            expected[at..at + bytes.len()].copy_from_slice(&bytes);
        }
        assert!(std::fs::read(&path).unwrap() == expected);
        dev.flush().unwrap();
        let mut read = vec![0; 64 << 10];
        dev.read_at(DevOffset(0), &mut read).unwrap();
        assert!(read == expected);
    }
}
