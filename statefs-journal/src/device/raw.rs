//! A block device of the kernel as the device: past the page cache, and for nobody else.
//!
//! Sources: open(2) (O_DIRECT, O_EXCL on block devices), ioctl numbers of `linux/fs.h`, fdatasync(2), which on a block
//! device ends with a flush of its cache.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::BlockDevice;
use crate::error::StoreError;
use crate::layout::{BLOCK_LEN, BLOCK_LEN_BYTES};
use crate::sys::block;
use crate::sys::pages::Pages;
use crate::types::DevOffset;

/// Smallest logical block size that there is.
const SECTOR_LEN_MIN: usize = 512;
/// A buffer that is not aligned goes through memory that is, in pieces of this.
const BOUNCE_LEN: usize = 1 << 20;
/// Such memory that is kept.
const BOUNCES_KEPT: usize = 4;

/// A block device that is open for this process alone: not mounted, not part of a volume, not another daemon's store.
#[derive(Debug)]
pub struct RawDevice {
    file: File,
    path: PathBuf,
    len_bytes: u64,
    sector_len: usize,
    /// It said that it cannot.
    never_discards: AtomicBool,
    /// It was told that the device is gone.
    gone: AtomicBool,
    bounces: Mutex<Vec<Pages>>,
}

impl RawDevice {
    /// Opens it for reading and writing.
    ///
    /// # Errors
    /// `Held` when the kernel or another program has it, `Unfit` when it is no block device, is read-only or has blocks
    /// longer than the store's, `Io` for everything else the kernel says.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let io = |what| move |source| StoreError::Io { what, offset: 0, source };
        let unfit = |why: String| StoreError::Unfit { name: path.display().to_string(), why };
        let kind = std::fs::metadata(path).map_err(io("stat of the device"))?.file_type();
        if !kind.is_block_device() {
            return Err(unfit("it is no block device".into()));
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(libc::O_DIRECT | libc::O_EXCL);
        let file = options.open(path).map_err(|source| match source.raw_os_error() {
            Some(libc::EBUSY) => StoreError::Held { name: path.display().to_string() },
            Some(libc::EROFS) => unfit("it is read-only".into()),
            Some(libc::EACCES | libc::EPERM) if is_read_only(path) => unfit("it is read-only".into()),
            Some(libc::ENXIO | libc::ENODEV | libc::ENOMEDIUM) => {
                unfit(format!("there is no device behind this name ({source})"))
            }
            _ => StoreError::Io { what: "open of the device", offset: 0, source },
        })?;
        if block::is_read_only(&file).map_err(io("BLKROGET"))? {
            return Err(unfit("it is read-only".into()));
        }
        let sector_len = block::sector_len(&file).map_err(io("BLKSSZGET"))?;
        let len_bytes = block::len_bytes(&file).map_err(io("BLKGETSIZE64"))?;
        Self::over(file, path, sector_len, len_bytes)
    }

    /// An open file that takes reads and writes of whole `sector_len` from aligned memory alone.
    fn over(file: File, path: &Path, sector_len: usize, len_bytes: u64) -> Result<Self, StoreError> {
        if !(SECTOR_LEN_MIN..=BLOCK_LEN).contains(&sector_len) || !sector_len.is_power_of_two() {
            return Err(StoreError::Unfit {
                name: path.display().to_string(),
                why: format!(
                    "its blocks have {sector_len} bytes: {SECTOR_LEN_MIN} to {BLOCK_LEN} are supported"
                ),
            });
        }
        Ok(Self {
            file,
            path: path.to_owned(),
            len_bytes: len_bytes - len_bytes % BLOCK_LEN_BYTES,
            sector_len,
            never_discards: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            bounces: Mutex::default(),
        })
    }

    /// Logical block size in bytes.
    pub fn sector_len(&self) -> usize {
        self.sector_len
    }

    fn is_aligned(&self, buf: &[u8]) -> bool {
        (buf.as_ptr() as usize).is_multiple_of(self.sector_len)
    }

    fn check(&self, offset: DevOffset, len: usize) -> io::Result<()> {
        let sector = self.sector_len as u64;
        if !offset.0.is_multiple_of(sector) || !(len as u64).is_multiple_of(sector) {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        match offset.0.checked_add(len as u64) {
            Some(end) if end <= self.len_bytes => Ok(()),
            _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        }
    }

    /// A device has no space to run out of and no end that moves: whatever says so means that it is gone.
    fn judge(&self, outcome: io::Result<()>) -> io::Result<()> {
        outcome.map_err(|error| {
            let ended = matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::WriteZero);
            match error.raw_os_error() {
                Some(libc::ENOSPC | libc::ENXIO | libc::ENODEV | libc::ENOMEDIUM) => {}
                None if ended => {}
                _ => return error,
            }
            if !self.gone.swap(true, Ordering::Relaxed) {
                tracing::error!(device = %self.path.display(), %error, "store: the device is gone");
            }
            io::Error::from_raw_os_error(libc::EIO)
        })
    }

    fn with_bounce<T>(&self, work: impl FnOnce(&mut [u8]) -> T) -> T {
        let kept = self.bounces.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut pages = kept.unwrap_or_else(|| Pages::new(BOUNCE_LEN));
        let result = work(pages.bytes_mut());
        let mut bounces = self.bounces.lock().unwrap_or_else(PoisonError::into_inner);
        if bounces.len() < BOUNCES_KEPT {
            bounces.push(pages);
        }
        result
    }
}

/// Whether the kernel says so, who is only asked for reading.
fn is_read_only(path: &Path) -> bool {
    File::open(path).and_then(|file| block::is_read_only(&file)).unwrap_or(false)
}

impl BlockDevice for RawDevice {
    fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    fn read_at(&self, offset: DevOffset, buf: &mut [u8]) -> io::Result<()> {
        self.check(offset, buf.len())?;
        if self.is_aligned(buf) {
            return self.judge(self.file.read_exact_at(buf, offset.0));
        }
        self.with_bounce(|bounce| {
            for (number, piece) in buf.chunks_mut(BOUNCE_LEN).enumerate() {
                let through = &mut bounce[..piece.len()];
                let at = offset.0 + (number * BOUNCE_LEN) as u64;
                self.judge(self.file.read_exact_at(through, at))?;
                piece.copy_from_slice(through);
            }
            Ok(())
        })
    }

    fn write_at(&self, offset: DevOffset, buf: &[u8]) -> io::Result<()> {
        self.check(offset, buf.len())?;
        if self.is_aligned(buf) {
            return self.judge(self.file.write_all_at(buf, offset.0));
        }
        self.with_bounce(|bounce| {
            for (number, piece) in buf.chunks(BOUNCE_LEN).enumerate() {
                let through = &mut bounce[..piece.len()];
                through.copy_from_slice(piece);
                let at = offset.0 + (number * BOUNCE_LEN) as u64;
                self.judge(self.file.write_all_at(through, at))?;
            }
            Ok(())
        })
    }

    fn flush(&self) -> io::Result<()> {
        self.judge(self.file.sync_data())
    }

    fn discard(&self, offset: DevOffset, len_bytes: u64) -> io::Result<()> {
        if self.never_discards.load(Ordering::Relaxed) {
            return Ok(());
        }
        match block::discard(&self.file, offset.0, len_bytes) {
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                self.never_discards.store(true, Ordering::Relaxed);
                Ok(())
            }
            other => self.judge(other),
        }
    }

    fn reserve(&self, _offset: DevOffset, _len_bytes: u64) -> io::Result<()> {
        Ok(())
    }

    fn grow(&self, len_bytes: u64) -> io::Result<()> {
        if len_bytes <= self.len_bytes {
            return Ok(());
        }
        Err(io::Error::from(io::ErrorKind::StorageFull))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over_a_file(sector_len: usize, len_bytes: u64) -> (tempfile::TempDir, Result<RawDevice, StoreError>) {
        // Beside the sources: a temporary folder may be on a file system without O_DIRECT.
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = folder.path().join("device");
        File::create(&path).unwrap().set_len(len_bytes).unwrap();
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).custom_flags(libc::O_DIRECT).open(&path).unwrap();
        let device = RawDevice::over(file, &path, sector_len, len_bytes);
        (folder, device)
    }

    #[test]
    fn memory_at_any_address_is_read_and_written_past_the_page_cache() {
        let (_folder, device) = over_a_file(512, 4 << 20);
        let device = device.unwrap();
        let mut expected = vec![0; 4 << 20];
        for (shift, at, len) in
            [(0, 0, 4096), (1, 4096, 8192), (8, 1 << 20, (1 << 20) + 4096), (512, 12288, 512)]
        {
            let mut pages = Pages::new(len + 512);
            let bytes = &mut pages.bytes_mut()[shift..shift + len];
            bytes.iter_mut().enumerate().for_each(|(i, byte)| *byte = (i * 7 + at + 1) as u8);
            device.write_at(DevOffset(at as u64), bytes).unwrap();
            expected[at..at + len].copy_from_slice(bytes);
            let mut back = vec![0; len + 1];
            device.read_at(DevOffset(at as u64), &mut back[1..]).unwrap();
            assert!(back[1..] == *bytes, "{shift}");
        }
        device.flush().unwrap();
        assert!(std::fs::read(&device.path).unwrap() == expected);
    }

    #[test]
    fn only_whole_blocks_of_the_store_are_used_and_longer_ones_are_refused() {
        let (_folder, device) = over_a_file(512, (1 << 20) + 1536);
        let device = device.unwrap();
        assert_eq!((device.len_bytes(), device.write_unit_bytes()), (1 << 20, BLOCK_LEN));
        assert!(device.grow(1 << 20).is_ok());
        assert_eq!(device.grow((1 << 20) + 1).unwrap_err().kind(), io::ErrorKind::StorageFull);
        let (_folder, device) = over_a_file(4096, 1 << 20);
        assert_eq!(device.unwrap().sector_len(), 4096);
        for sector_len in [0, 256, 520, 8192, 65536] {
            let (_folder, device) = over_a_file(sector_len, 1 << 20);
            let said = device.unwrap_err().to_string();
            assert!(said.contains(&format!("{sector_len} bytes")), "{said}");
        }
    }

    #[test]
    fn what_lies_outside_or_across_blocks_is_refused() {
        let (_folder, device) = over_a_file(512, 1 << 20);
        let device = device.unwrap();
        let mut block = [0; 4096];
        assert!(device.read_at(DevOffset(1 << 20), &mut block).is_err());
        assert!(device.write_at(DevOffset(u64::MAX - 511), &block).is_err());
        assert!(device.write_at(DevOffset(100), &block).is_err());
        assert!(device.write_at(DevOffset(0), &block[..100]).is_err());
    }

    #[test]
    fn a_device_that_ends_early_is_gone_and_not_full() {
        let (_folder, device) = over_a_file(512, 1 << 20);
        let device = device.unwrap();
        File::options().write(true).open(&device.path).unwrap().set_len(0).unwrap();
        let error = device.read_at(DevOffset(0), &mut [0; 4096]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EIO));
        let full = device.judge(Err(io::Error::from_raw_os_error(libc::ENOSPC)));
        assert_eq!(full.unwrap_err().raw_os_error(), Some(libc::EIO));
        let other = device.judge(Err(io::Error::from_raw_os_error(libc::EINVAL)));
        assert_eq!(other.unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }

    #[test]
    fn what_is_no_block_device_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path(), Path::new("/dev/null")] {
            assert!(matches!(RawDevice::open(path), Err(StoreError::Unfit { .. })), "{}", path.display());
        }
        let missing = RawDevice::open(&folder.path().join("missing"));
        assert!(matches!(missing, Err(StoreError::Io { what: "stat of the device", .. })));
    }
}
