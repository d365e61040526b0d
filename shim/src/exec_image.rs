//! What the first bytes of a file say about how the kernel will run it.

use crate::raw::{self, Errno};
use core::ffi::{CStr, c_int};

/// The kernel looks for `#!` in this much (BINPRM_BUF_SIZE).
const SCRIPT_LEN: usize = 256;
/// An ELF header, program headers, and where most linkers put the loader's name and the first notes.
pub const SHORT: usize = 1024;
/// A page: what the others put there, Go's among them.
pub const LONG: usize = 4096;
/// Processors, in elf(5)'s numbers.
const EM_386: u16 = 3;
const EM_X86_64: u16 = 62;
const CLASS_32: u8 = 1;
const CLASS_64: u8 = 2;
const PROGRAM_HEADER_LEN: u16 = 56;

/// The beginning of an executable file, up to `LEN` bytes.
pub struct Head<const LEN: usize> {
    bytes: [u8; LEN],
    len: usize,
    pub stat: libc::stat,
    /// It has file capabilities (capabilities(7)).
    pub has_capabilities: bool,
}

impl<const LEN: usize> Head<LEN> {
    pub fn new() -> Head<LEN> {
        // SAFETY: all fields are integers, for which zero is a value.
        let stat = unsafe { core::mem::zeroed() };
        Head { bytes: [0; LEN], len: 0, stat, has_capabilities: false }
    }

    /// Reads the file at (dirfd, path), which must be a real one. In place: what is returned by value is copied, in pages
    /// of the stack that are used for nothing else.
    pub fn read(&mut self, dirfd: c_int, path: &CStr) -> Result<(), Errno> {
        // O_NONBLOCK: a fifo must not hold the call up.
        let fd = raw::openat(
            dirfd,
            path,
            libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY,
            0,
        )?;
        let result = raw::fstat_to(fd, &raw mut self.stat).and_then(|()| {
            (self.len, self.has_capabilities) = (0, false);
            if self.stat.st_mode & libc::S_IFMT == libc::S_IFREG {
                // Root gets no other rights by them.
                let matters = raw::geteuid() != 0;
                self.has_capabilities = matters && raw::has_xattr(fd, c"security.capability");
                self.len = raw::pread(fd, &mut self.bytes, 0)?;
            }
            Ok(())
        });
        raw::close(fd);
        result
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    /// The `#!` line; None: not a script, or one that the kernel refuses with ENOEXEC.
    pub fn script(&self) -> Option<Script<'_>> {
        if !self.bytes().starts_with(b"#!") {
            return None;
        }
        // The kernel's buffer is padded with NULs.
        self.bytes.get(..SCRIPT_LEN).and_then(Script::parse)
    }

    /// Whether [`Head::kind`] needs more of the file than was read.
    pub fn is_cut(&self) -> bool {
        self.len == LEN && reach(self.bytes()).is_none_or(|end| end > LEN)
    }

    /// Whether this library can be put before the program.
    pub fn kind(&self) -> Kind<'_> {
        Kind::of(self.bytes()).unwrap_or(Kind::Other)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// Started by the loader at this path, which loads this library when asked to.
    Dynamic(&'a [u8]),
    /// Started by another C library's loader, at this path.
    OtherLoader(&'a [u8]),
    /// Go's: it has a loader, and makes its own system calls all the same.
    Go,
    Static,
    /// Of another word size than this library, with its loader if it has one.
    Elf32(Option<&'a [u8]>),
    /// Of another processor.
    Foreign,
    Other,
}

/// Where what [`Kind::of`] looks at ends, as far as the headers that were read say. None: they end before they say it.
fn reach(bytes: &[u8]) -> Option<usize> {
    let is_elf = bytes.starts_with(b"\x7fELF");
    if !is_elf || bytes.get(4) != Some(&CLASS_64) {
        return Some(if is_elf { LONG } else { 0 });
    }
    let headers_at = usize::try_from(u64_at(bytes, 32)?).ok()?;
    let header = |index: u16| headers_at.checked_add(usize::from(index) * usize::from(PROGRAM_HEADER_LEN));
    let mut end = header(u16_at(bytes, 56)?)?;
    for index in 0..u16_at(bytes, 56)? {
        let at = header(index)?;
        if matches!(u32_at(bytes, at)?, libc::PT_INTERP | libc::PT_NOTE) {
            let start = usize::try_from(u64_at(bytes, at + 8)?).ok()?;
            let len = usize::try_from(u64_at(bytes, at + 32)?).ok()?;
            end = end.max(start.checked_add(len)?);
        }
    }
    Some(end)
}

impl Kind<'_> {
    fn of(bytes: &[u8]) -> Option<Kind<'_>> {
        const LOADER: &[u8] = b"/ld-linux-x86-64.so.2";
        if !bytes.starts_with(b"\x7fELF") {
            return None;
        }
        let machine = u16_at(bytes, 18)?;
        if machine != EM_X86_64 && machine != EM_386 {
            return Some(Kind::Foreign);
        }
        if bytes.get(4) == Some(&CLASS_32) {
            return Some(Kind::Elf32(loader_32(bytes)));
        }
        let headers_at = usize::try_from(u64_at(bytes, 32)?).ok()?;
        let (header_len, count) = (u16_at(bytes, 54)?, u16_at(bytes, 56)?);
        if header_len != PROGRAM_HEADER_LEN {
            return None;
        }
        let mut kind = Kind::Static;
        for index in 0..usize::from(count) {
            let at = headers_at.checked_add(index * usize::from(header_len))?;
            // Beyond what was read: nothing is claimed.
            let segment_kind = u32_at(bytes, at)?;
            if segment_kind != libc::PT_INTERP && segment_kind != libc::PT_NOTE {
                continue;
            }
            let start = usize::try_from(u64_at(bytes, at + 8)?).ok()?;
            let len = usize::try_from(u64_at(bytes, at + 32)?).ok()?;
            let segment = bytes.get(start..start.checked_add(len)?);
            if segment_kind == libc::PT_NOTE {
                if segment.is_some_and(has_go_note) {
                    return Some(Kind::Go);
                }
                continue;
            }
            let loader = segment?.split(|byte| *byte == 0).next()?;
            kind = if loader.ends_with(LOADER) { Kind::Dynamic(loader) } else { Kind::OtherLoader(loader) };
        }
        Some(kind)
    }
}

/// The loader of a 32-bit program.
fn loader_32(bytes: &[u8]) -> Option<&[u8]> {
    const PROGRAM_HEADER_LEN: usize = 32;
    let headers_at = u32_at(bytes, 28)? as usize;
    let header = |index: usize| headers_at.checked_add(index * PROGRAM_HEADER_LEN);
    let found = (0..usize::from(u16_at(bytes, 44)?))
        .filter_map(header)
        .find(|at| u32_at(bytes, *at) == Some(libc::PT_INTERP))?;
    let (start, len) = (u32_at(bytes, found + 4)? as usize, u32_at(bytes, found + 16)? as usize);
    bytes.get(start..start.checked_add(len)?)?.split(|byte| *byte == 0).next()
}

/// Whether a note segment, elf(5), has the build id that Go's linker writes.
fn has_go_note(segment: &[u8]) -> bool {
    const GO_BUILD_ID: u32 = 4;
    let padded = |len: u32| (len as usize).checked_next_multiple_of(4);
    let mut rest = segment;
    while let (Some(name_len), Some(len), Some(kind)) = (u32_at(rest, 0), u32_at(rest, 4), u32_at(rest, 8)) {
        if kind == GO_BUILD_ID && rest.get(12..).is_some_and(|name| name.starts_with(b"Go\0\0")) {
            return true;
        }
        let (Some(name_len), Some(len)) = (padded(name_len), padded(len)) else { return false };
        let Some(next) = name_len.checked_add(len).and_then(|len| rest.get(12..)?.get(len..)) else {
            return false;
        };
        rest = next;
    }
    false
}

/// A little-endian number at `at`; None: out of bounds.
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}
pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// A `#!` line, read as the kernel's binfmt_script does.
pub struct Script<'a> {
    pub interpreter: &'a [u8],
    /// All the rest of the line, blanks inside included.
    pub argument: Option<&'a [u8]>,
}

impl Script<'_> {
    /// `buffer` is the file's beginning, padded with NULs to the kernel's buffer length.
    fn parse(buffer: &[u8]) -> Option<Script<'_>> {
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let ends = |byte: &u8| blank(byte) || *byte == 0;
        let line = buffer.get(2..)?;
        let stop = line.iter().position(|byte| matches!(byte, b'\n' | 0));
        let end = match stop.filter(|at| line.get(*at) == Some(&b'\n')) {
            Some(at) => at,
            // No line end: an argument may be cut short by the buffer, a name may not.
            None => {
                let name = line.iter().position(|byte| !blank(byte))?;
                line.get(name..)?.iter().position(ends)?;
                line.len() - 1
            }
        };
        let line = line.get(..end)?;
        let line = line.get(..=line.iter().rposition(|byte| !blank(byte))?)?;
        let line = line.get(line.iter().position(|byte| !blank(byte))?..)?;
        let (interpreter, rest) = line.split_at(line.iter().position(ends).unwrap_or(line.len()));
        let argument = match rest.first() {
            Some(separator) if *separator != 0 => rest
                .iter()
                .position(|byte| !blank(byte))
                .and_then(|start| rest.get(start..))
                .and_then(|text| text.split(|byte| *byte == 0).next()),
            _ => None,
        };
        (!interpreter.is_empty()).then_some(Script { interpreter, argument })
    }
}
