//! A switch for tests: the device fails when a test says so.
//!
//! The variable VRIFT_TEST_FAIL has the path of a file, which is looked at before every write and flush while the variable
//! is set. As long as it is there, they fail with the errno that it has as a number.

use statefs_journal::{BlockDevice, DevOffset, FileDevice};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

const VARIABLE: &str = "VRIFT_TEST_FAIL";

struct Failing {
    device: FileDevice,
    file: PathBuf,
}

/// The device, or one that may fail.
pub fn device(device: FileDevice) -> Arc<dyn BlockDevice> {
    match std::env::var_os(VARIABLE) {
        Some(file) => Arc::new(Failing { device, file: file.into() }),
        None => Arc::new(device),
    }
}

impl Failing {
    fn check(&self) -> io::Result<()> {
        let Ok(errno) = std::fs::read_to_string(&self.file) else { return Ok(()) };
        Err(io::Error::from_raw_os_error(errno.trim().parse().unwrap_or(nix::libc::EIO)))
    }
}

impl BlockDevice for Failing {
    fn len_bytes(&self) -> u64 {
        self.device.len_bytes()
    }
    fn read_at(&self, offset: DevOffset, buf: &mut [u8]) -> io::Result<()> {
        self.device.read_at(offset, buf)
    }
    fn write_at(&self, offset: DevOffset, buf: &[u8]) -> io::Result<()> {
        self.check()?;
        self.device.write_at(offset, buf)
    }
    fn write_unit_bytes(&self) -> usize {
        self.device.write_unit_bytes()
    }
    fn likes_written_places(&self) -> bool {
        self.device.likes_written_places()
    }
    fn flush(&self) -> io::Result<()> {
        self.check()?;
        self.device.flush()
    }
    fn discard(&self, offset: DevOffset, len_bytes: u64) -> io::Result<()> {
        self.device.discard(offset, len_bytes)
    }
    fn reserve(&self, offset: DevOffset, len_bytes: u64) -> io::Result<()> {
        self.device.reserve(offset, len_bytes)
    }
    fn expect_writes(&self, offset: DevOffset, len_bytes: u64) {
        self.device.expect_writes(offset, len_bytes);
    }
    fn grow(&self, len_bytes: u64) -> io::Result<()> {
        self.check()?;
        self.device.grow(len_bytes)
    }
}
