//! Whether memory that a program names can be read: the kernel answers EFAULT for a bad pointer, a hook that
//! looks at it would die.

use crate::raw;
use core::sync::atomic::{AtomicUsize, Ordering};

const PAGE: usize = 4096;
/// Pages found readable before, by the low bits of their number: strings come from the same few stack, heap and
/// data pages over and over. A page that was unmapped since is trusted wrongly, and then the program dies where
/// the kernel would have said EFAULT.
const REMEMBERED: usize = 128;

/// Part of the file, as what does not fit the last page of it costs each process start one more mmap(2).
#[unsafe(link_section = ".data")]
static READABLE: [AtomicUsize; REMEMBERED] = [const { AtomicUsize::new(0) }; REMEMBERED];

/// The string at `at` without its NUL; None if some of it cannot be read.
///
/// # Safety
/// What can be read stays as it is while the result is used.
pub unsafe fn string<'a>(at: *const u8) -> Option<&'a [u8]> {
    let mut len = 0;
    loop {
        let from = (at as usize).checked_add(len)?;
        if !is_readable(from) {
            return None;
        }
        let rest = PAGE - from % PAGE;
        // SAFETY: the page of `from` is readable up to its end.
        let part = unsafe { core::slice::from_raw_parts(from as *const u8, rest) };
        match core::ffi::CStr::from_bytes_until_nul(part) {
            // SAFETY: all pages up to the NUL were found readable.
            Ok(end) => return Some(unsafe { core::slice::from_raw_parts(at, len + end.count_bytes()) }),
            Err(_) => len += rest,
        }
    }
}

fn is_readable(at: usize) -> bool {
    let page = at / PAGE;
    let remembered = &READABLE[page % REMEMBERED];
    if remembered.load(Ordering::Relaxed) == page && page != 0 {
        return true;
    }
    let readable = raw::can_read(page * PAGE);
    if readable {
        remembered.store(page, Ordering::Relaxed);
    }
    readable
}
