//! A regular file as the device, locked against a second opener.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::BlockDevice;
use crate::error::StoreError;
use crate::sys;
use crate::types::DevOffset;

/// A regular file, sparse, grown on demand. The exclusive lock lasts as long as the value.
#[derive(Debug)]
pub struct FileDevice {
    file: File,
    len_bytes: AtomicU64,
    max_len_bytes: u64,
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
        Ok(Self { file, len_bytes: AtomicU64::new(len_bytes), max_len_bytes: u64::MAX })
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
        self.file.write_all_at(buf, offset.0)
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
        match sys::preallocate(&self.file, offset.0, len_bytes) {
            Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(()),
            other => other,
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
