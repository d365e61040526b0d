//! The run path in an ELF file: which folders ld.so searches for what the file needs. Files are anybody's: each
//! offset is looked at with pread and each loop is bounded.

use crate::exec_image::{u16_at, u32_at, u64_at};
use crate::raw;
use crate::text::PathText;
use core::ffi::{CStr, c_int};

const HEADER_LEN: usize = 64;
const PROGRAM_HEADER_LEN: usize = 56;
const DYNAMIC_LEN: usize = 16;
/// Program headers and dynamic entries that are looked at; linkers write a dozen of the one and three of the other.
const PROGRAM_HEADERS_MAX: u16 = 64;
const DYNAMIC_MAX: u64 = 512;

const DT_NULL: u64 = 0;
const DT_STRTAB: u64 = 5;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

/// Reads DT_RUNPATH, or else DT_RPATH, into `to`; it stays empty when the file has neither.
pub fn read(path: &CStr, to: &mut PathText) {
    to.clear();
    let Ok(fd) = raw::open(path, libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY) else {
        return;
    };
    if find(fd, to).is_none() {
        to.clear();
    }
    raw::close(fd);
}

fn bytes_at<const N: usize>(fd: c_int, offset: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    (raw::pread(fd, &mut bytes, offset).ok()? == N).then_some(bytes)
}

fn find(fd: c_int, to: &mut PathText) -> Option<()> {
    let header: [u8; HEADER_LEN] = bytes_at(fd, 0)?;
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let table = Table { fd, at: u64_at(&header, 32)?, count: u16_at(&header, 56)?.min(PROGRAM_HEADERS_MAX) };
    let (dynamic_at, dynamic_len) = table.dynamic()?;
    let (mut strings, mut run_path, mut old_run_path) = (None, None, None);
    for index in 0..(dynamic_len / DYNAMIC_LEN as u64).min(DYNAMIC_MAX) {
        let entry: [u8; DYNAMIC_LEN] = bytes_at(fd, dynamic_at.checked_add(index * DYNAMIC_LEN as u64)?)?;
        let value = u64_at(&entry, 8)?;
        match u64_at(&entry, 0)? {
            DT_NULL => break,
            DT_STRTAB => strings = Some(value),
            DT_RPATH => old_run_path = Some(value),
            DT_RUNPATH => run_path = Some(value),
            _ => {}
        }
    }
    let text_at = table.offset_of(strings?)?.checked_add(run_path.or(old_run_path)?)?;
    to.fill(|bytes| raw::pread(fd, bytes, text_at)).ok()?;
    let end = to.as_bytes().iter().position(|byte| *byte == 0)?;
    to.truncate(end);
    Some(())
}

/// The program headers.
struct Table {
    fd: c_int,
    at: u64,
    count: u16,
}

impl Table {
    fn headers(&self) -> impl Iterator<Item = [u8; PROGRAM_HEADER_LEN]> {
        (0..u64::from(self.count))
            .map_while(|index| bytes_at(self.fd, self.at.checked_add(index * PROGRAM_HEADER_LEN as u64)?))
    }

    /// File offset and length of the dynamic section.
    fn dynamic(&self) -> Option<(u64, u64)> {
        let header = self.headers().find(|header| u32_at(header, 0) == Some(libc::PT_DYNAMIC))?;
        Some((u64_at(&header, 8)?, u64_at(&header, 32)?))
    }

    /// File offset of an address.
    fn offset_of(&self, address: u64) -> Option<u64> {
        self.headers().filter(|header| u32_at(header, 0) == Some(libc::PT_LOAD)).find_map(|header| {
            let (offset, start, len) = (u64_at(&header, 8)?, u64_at(&header, 16)?, u64_at(&header, 32)?);
            let within = address.checked_sub(start)?;
            if within < len { offset.checked_add(within) } else { None }
        })
    }
}
