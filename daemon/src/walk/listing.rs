//! The names of a directory, sorted, in one piece of memory.

use nix::errno::Errno;
use rustix::fs::RawDir;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

/// What getdents(2) gives at once.
const BUFFER_LEN: usize = 32 << 10;

/// The names but `.` and `..`, in the order of their bytes.
#[derive(Default)]
pub(super) struct Listing {
    /// Each with its NUL.
    bytes: Vec<u8>,
    spans: Vec<(u32, u32)>,
    /// It could not be read to its end.
    pub failed: Option<Errno>,
}

impl Listing {
    pub fn of(dir: &OwnedFd) -> Listing {
        let mut listing = Listing::default();
        let mut buffer = [MaybeUninit::uninit(); BUFFER_LEN];
        let mut entries = RawDir::new(dir, &mut buffer);
        while let Some(entry) = entries.next() {
            match entry {
                Ok(entry) if entry.file_name() == c"." || entry.file_name() == c".." => {}
                Ok(entry) => listing.push(entry.file_name()),
                Err(error) => {
                    listing.failed = Some(Errno::from_raw(error.raw_os_error()));
                    break;
                }
            }
        }
        let bytes = &listing.bytes;
        listing.spans.sort_unstable_by(|one, two| bytes_of(bytes, *one).cmp(bytes_of(bytes, *two)));
        listing
    }

    fn push(&mut self, name: &CStr) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name.to_bytes_with_nul());
        // A directory whose names fill 4 GiB is read as far as that, and said not to be read to its end.
        match (u32::try_from(start), u32::try_from(self.bytes.len())) {
            (Ok(start), Ok(end)) => self.spans.push((start, end)),
            _ => self.failed = Some(Errno::EOVERFLOW),
        }
    }

    pub fn names(&self) -> impl Iterator<Item = &CStr> {
        let name = |span: &(u32, u32)| CStr::from_bytes_with_nul(bytes_of(&self.bytes, *span)).ok();
        self.spans.iter().filter_map(name)
    }

    pub fn has(&self, name: &[u8]) -> bool {
        // The NUL sorts before all that a name may have.
        let without_nul = |span: &(u32, u32)| {
            let bytes = bytes_of(&self.bytes, *span);
            &bytes[..bytes.len() - 1]
        };
        self.spans.binary_search_by(|span| without_nul(span).cmp(name)).is_ok()
    }
}

fn bytes_of(bytes: &[u8], (start, end): (u32, u32)) -> &[u8] {
    &bytes[start as usize..end as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_by_their_bytes_whatever_they_begin_with() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b", "a", "a-b", "ab", ".hidden", "~", "\u{e4}"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let fd = OwnedFd::from(std::fs::File::open(dir.path()).unwrap());
        let listing = Listing::of(&fd);
        let names: Vec<&[u8]> = listing.names().map(CStr::to_bytes).collect();
        assert_eq!(names, [&b".hidden"[..], b"a", b"a-b", b"ab", b"b", b"~", "\u{e4}".as_bytes()]);
        assert!(listing.has(b"a-b") && !listing.has(b"a-") && !listing.has(b"."));
    }
}
