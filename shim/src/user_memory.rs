//! Whether memory that a program names can be read: the kernel answers EFAULT for a bad pointer, a hook that
//! looks at it would die.

use crate::hot::HOT;
use crate::own_code;
use crate::raw;
use crate::real;
use core::ffi::c_char;
use core::sync::atomic::{AtomicUsize, Ordering};

const PAGE: usize = 4096;
/// Pages found readable before, by the low bits of their number: strings come from the same few stack, heap and
/// data pages over and over. A page that was unmapped since is trusted wrongly, and then the program dies where
/// the kernel would have said EFAULT.
const REMEMBERED: usize = 40;

/// Numbers of pages; 0: none.
pub struct Readable([AtomicUsize; REMEMBERED]);

impl Readable {
    pub const fn new() -> Readable {
        Readable([const { AtomicUsize::new(0) }; REMEMBERED])
    }
}

/// Where the program's arguments and environment begin and end: the upper end of the first thread's stack.
#[unsafe(link_section = ".data")]
static ARGUMENTS: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

/// Takes down where arguments and environment are, so that paths among them need not be asked about.
///
/// # Safety
/// The arrays as the kernel made them: the strings lie behind the arrays, those of the environment last.
pub unsafe fn know_arguments(argv: *const *const c_char, envp: *const *const c_char) {
    /// More than the kernel takes at an execve(2).
    const ARGUMENTS_MAX: usize = 16 << 20;
    let mut at = envp;
    let mut last = core::ptr::null();
    // SAFETY: environ(7): an array of strings, ended by a null pointer.
    unsafe {
        while !at.is_null() && !(*at).is_null() {
            last = *at;
            at = at.add(1);
        }
    }
    let (start, end) = (argv as usize, last as usize);
    if start != 0 && (start..start.saturating_add(ARGUMENTS_MAX)).contains(&end) {
        ARGUMENTS[0].store(start, Ordering::Relaxed);
        ARGUMENTS[1].store(end, Ordering::Relaxed);
    }
}

/// The program's arguments as it was started with them, a blank between two, as far as there is room; how many bytes.
pub fn arguments_into(to: &mut [u8]) -> usize {
    let [start, end] = ARGUMENTS.each_ref().map(|bound| bound.load(Ordering::Relaxed));
    let mut len = 0;
    let mut at = start as *const *const c_char;
    // SAFETY: from `start` on lie an array that ends with a null pointer and, up to the last string, all the arguments;
    // whatever the program has put there since, all of it can be read.
    unsafe {
        while start != 0 && (at as usize) < end && !(*at).is_null() {
            let mut letter = (*at).cast::<u8>();
            if len > 0 && len < to.len() {
                to[len] = b' ';
                len += 1;
            }
            while (start..end).contains(&(letter as usize)) && *letter != 0 && len < to.len() {
                to[len] = *letter;
                len += 1;
                letter = letter.add(1);
            }
            if len == to.len() {
                break;
            }
            at = at.add(1);
        }
    }
    len
}

/// The lowest page of the heap that was found readable; 0: none was.
static HEAP: AtomicUsize = AtomicUsize::new(0);

/// Whether an address is in the heap that brk(2) makes, above where it was found readable before: from there to its end, as
/// the C library knows it, all of it is there.
#[inline(always)]
fn is_in_heap(at: usize) -> bool {
    let start = HEAP.load(Ordering::Relaxed);
    start != 0 && at >= start && at < real::heap_end()
}

/// After a page was found readable. Between the program and its heap nothing is mapped: what can be read between the
/// program's end and the heap's is the heap.
#[cold]
fn note_heap(start: usize) {
    if start < real::heap_end() && own_code::program_end().is_some_and(|end| start >= end) {
        HEAP.store(start, Ordering::Relaxed);
    }
}

/// Whether an address is between this very frame and the end of the first thread's stack, all of which is there.
#[inline(always)]
fn is_on_stack(at: usize) -> bool {
    /// Far less than what lies between that stack and the next mapping below it.
    const NEAR: usize = 1 << 20;
    let [start, end] = ARGUMENTS.each_ref().map(|bound| bound.load(Ordering::Relaxed));
    let here = core::ptr::from_ref(&start) as usize;
    at < end && (at >= start || at >= here && start.saturating_sub(here) < NEAR)
}

/// The string at `at` without its NUL; None if some of it cannot be read.
///
/// # Safety
/// What can be read stays as it is while the result is used.
pub unsafe fn string<'a>(at: *const u8) -> Option<&'a [u8]> {
    let mut len = 0;
    loop {
        let from = (at as usize).checked_add(len)?;
        if !is_on_stack(from) && !is_in_heap(from) && !is_readable(from) {
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
    let remembered = &HOT.readable.0[page % REMEMBERED];
    if remembered.load(Ordering::Relaxed) == page && page != 0 {
        return true;
    }
    let readable = raw::can_read(page * PAGE);
    if readable {
        note_heap(page * PAGE);
        remembered.store(page, Ordering::Relaxed);
    }
    readable
}
