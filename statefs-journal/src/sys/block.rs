//! What only ioctl(2) tells about a block device, and does with one. Numbers: `linux/fs.h`, from BLKROGET on.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// `_IO(0x12, 94)`: an int, not 0 where the device is read-only.
const BLKROGET: libc::Ioctl = 0x125e;
/// `_IO(0x12, 104)`: an int, the logical block size in bytes.
const BLKSSZGET: libc::Ioctl = 0x1268;
/// `_IOR(0x12, 114, size_t)`: a u64, the length in bytes.
const BLKGETSIZE64: libc::Ioctl = 0x8008_1272_u32 as libc::Ioctl;
/// `_IO(0x12, 119)`: two u64, offset and length in bytes.
const BLKDISCARD: libc::Ioctl = 0x1277;

fn int(file: &File, request: libc::Ioctl) -> io::Result<libc::c_int> {
    let mut value: libc::c_int = 0;
    // SAFETY: both requests that come here write one int; `value` lives until the call returns.
    let rc = unsafe { libc::ioctl(file.as_raw_fd(), request, &raw mut value) };
    if rc == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}

/// Whether the kernel takes no writes for it.
pub(crate) fn is_read_only(file: &File) -> io::Result<bool> {
    int(file, BLKROGET).map(|value| value != 0)
}

/// Logical block size in bytes: what reads and writes past the page cache are aligned to.
pub(crate) fn sector_len(file: &File) -> io::Result<usize> {
    int(file, BLKSSZGET)
        .and_then(|value| usize::try_from(value).map_err(|_| io::Error::from(io::ErrorKind::InvalidData)))
}

/// Length in bytes.
pub(crate) fn len_bytes(file: &File) -> io::Result<u64> {
    let mut value: u64 = 0;
    // SAFETY: the request writes one u64; `value` lives until the call returns.
    let rc = unsafe { libc::ioctl(file.as_raw_fd(), BLKGETSIZE64, &raw mut value) };
    if rc == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}

/// Tells the device that it need not keep the range.
pub(crate) fn discard(file: &File, offset: u64, len_bytes: u64) -> io::Result<()> {
    let range = [offset, len_bytes];
    // SAFETY: the request reads two u64; `range` lives until the call returns.
    let rc = unsafe { libc::ioctl(file.as_raw_fd(), BLKDISCARD, range.as_ptr()) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
