//! A switch for tests: the device fails when a test says so.
//!
//! The variable VRIFT_TEST_FAIL has the path of a file, which is looked at before every write and flush while the variable
//! is set. As long as it is there, they fail with the errno that it has as a number. With `ERRNO NTH` in it only the NTH
//! (0: the next) does, and the file is removed then; with `ERRNO NTH short` half of what it writes is written before.

use statefs_journal::device::IoBuf;
use statefs_journal::{BlockDevice, DevOffset};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const VARIABLE: &str = "VRIFT_TEST_FAIL";

struct Failing {
    device: Arc<dyn BlockDevice>,
    file: PathBuf,
    /// Writes and flushes since there is a file.
    passed: AtomicU64,
}

/// What goes wrong.
struct Fault {
    error: io::Error,
    is_short: bool,
}

/// The device, or one that may fail.
pub fn device(device: Arc<dyn BlockDevice>) -> Arc<dyn BlockDevice> {
    match std::env::var_os(VARIABLE) {
        Some(file) => Arc::new(Failing { device, file: file.into(), passed: AtomicU64::new(0) }),
        None => device,
    }
}

impl Failing {
    fn fault(&self) -> Option<Fault> {
        let text = std::fs::read_to_string(&self.file).ok()?;
        let words: Vec<&str> = text.split_whitespace().collect();
        let errno = words.first().and_then(|word| word.parse().ok()).unwrap_or(nix::libc::EIO);
        let fault = Fault { error: io::Error::from_raw_os_error(errno), is_short: words.len() > 2 };
        let Some(nth) = words.get(1).and_then(|word| word.parse::<u64>().ok()) else { return Some(fault) };
        if self.passed.fetch_add(1, Ordering::Relaxed) != nth {
            return None;
        }
        let _ = std::fs::remove_file(&self.file);
        Some(fault)
    }

    fn check(&self) -> io::Result<()> {
        self.fault().map_or(Ok(()), |fault| Err(fault.error))
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
        let Some(fault) = self.fault() else { return self.device.write_at(offset, buf) };
        if fault.is_short {
            let unit = self.device.write_unit_bytes();
            let half = buf.len() / 2 / unit * unit;
            self.device.write_at(offset, &buf[..half])?;
        }
        Err(fault.error)
    }
    fn buffer(&self, len: usize) -> IoBuf {
        self.device.buffer(len)
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
