//! scandir(3) and scandirat: the entries of a directory as memory that the caller frees piece by piece.

use super::dirs::{Opened, open_dir};
use super::hook;
use crate::elsewhere::Elsewhere;
use crate::errno;
use crate::heap::{self, List};
use crate::raw::Errno;
use crate::real::real;
use crate::stream::Stream;
use core::ffi::{c_char, c_int, c_void};
use libc::{AT_FDCWD, DIR, dirent64, size_t};

type Filter = Option<unsafe extern "C" fn(*const dirent64) -> c_int>;
type Compare = Option<unsafe extern "C" fn(*mut *const dirent64, *mut *const dirent64) -> c_int>;

/// Copies made so far; freed unless they are handed over.
struct Entries(List<*mut dirent64>);

impl Entries {
    /// # Safety
    /// `entry` is a record of a listing.
    unsafe fn push_copy(&mut self, entry: *const dirent64) -> Result<(), Errno> {
        self.0.reserve(1)?;
        // SAFETY: by contract.
        let len = usize::from(unsafe { (*entry).d_reclen });
        let copy = heap::allocate(len)?;
        // SAFETY: new memory of the record's length.
        unsafe { copy.copy_from_nonoverlapping(entry.cast(), len) };
        self.0.push(copy.cast())
    }

    fn hand_over(mut self) -> *mut *mut dirent64 {
        core::mem::replace(&mut self.0, List::new()).into_raw()
    }
}

impl Drop for Entries {
    fn drop(&mut self) {
        for entry in self.0.iter() {
            // SAFETY: copies of ours that nobody has seen.
            unsafe { heap::release(*entry) };
        }
    }
}

/// Reads `dir` to its end and closes it; the number of entries in `list`.
///
/// # Safety
/// `dir` is a stream of ours; the others are scandir's arguments.
unsafe fn collect(
    dir: *mut DIR,
    list: *mut *mut *mut dirent64,
    filter: Filter,
    compare: Compare,
) -> Result<c_int, Errno> {
    let mut entries = Entries(List::new());
    // SAFETY: by contract; each reference ends before the filter runs.
    let next = || unsafe { Stream::of(dir) }.map_or(Ok(None), Stream::next);
    let result = loop {
        match next() {
            Ok(None) => break Ok(()),
            Err(errno) => break Err(errno),
            Ok(Some(entry)) => {
                // SAFETY: the caller's filter takes an entry; the entry is a record of the listing.
                let kept = unsafe {
                    match filter {
                        Some(filter) if filter(entry) == 0 => Ok(()),
                        _ => entries.push_copy(entry),
                    }
                };
                if let Err(errno) = kept {
                    break Err(errno);
                }
            }
        }
    };
    // SAFETY: by contract.
    unsafe { super::dirs::closedir(dir) };
    result?;
    let count = c_int::try_from(entries.0.len()).map_err(|_| libc::EOVERFLOW)?;
    if let Some(compare) = compare {
        sort(&mut entries.0, compare);
    }
    // SAFETY: C's argument.
    unsafe { list.write(entries.hand_over()) };
    Ok(count)
}

fn sort(
    entries: &mut [*mut dirent64],
    compare: unsafe extern "C" fn(*mut *const dirent64, *mut *const dirent64) -> c_int,
) {
    let (start, count): (*mut c_void, size_t) = (entries.as_mut_ptr().cast(), entries.len());
    let size: size_t = size_of::<*mut dirent64>();
    let compare = compare as *const c_void;
    real!(qsort(start: *mut c_void, count: size_t, size: size_t, compare: *const c_void) -> ())
}

/// # Safety
/// scandirat's arguments; `real` is the call behind the hook.
unsafe fn scan(
    (dirfd, path): (c_int, *const c_char),
    list: *mut *mut *mut dirent64,
    filter: Filter,
    compare: Compare,
    real: impl FnOnce(c_int, *const c_char) -> c_int,
) -> c_int {
    let mut elsewhere = Elsewhere::new();
    // SAFETY: by contract.
    let result = match unsafe { open_dir(dirfd, path, &mut elsewhere) } {
        Ok(Opened::View(dir)) => {
            let before = errno::get();
            // SAFETY: by contract.
            let result = unsafe { collect(dir, list, filter, compare) };
            // The caller's filter may have left its own.
            errno::set(before);
            result
        }
        Ok(Opened::Real(dirfd, path)) => return real(dirfd, path),
        Err(errno) => Err(errno),
    };
    result.unwrap_or_else(errno::fail)
}

macro_rules! scandir_hooks {
    ($($name:ident)*) => {$(
        hook! {
            fn $name(path: *const c_char, list: *mut *mut *mut dirent64, filter: Filter, compare: Compare) -> c_int {
                // SAFETY: C's arguments.
                unsafe {
                    scan((AT_FDCWD, path), list, filter, compare, |_, path| {
                        real!($name(path: *const c_char, list: *mut *mut *mut dirent64, filter: Filter, compare: Compare) -> c_int)
                    })
                }
            }
        }
    )*};
}

scandir_hooks! { scandir scandir64 }

macro_rules! scandirat_hooks {
    ($($name:ident)*) => {$(
        hook! {
            fn $name(dirfd: c_int, path: *const c_char, list: *mut *mut *mut dirent64, filter: Filter, compare: Compare) -> c_int {
                // SAFETY: C's arguments.
                unsafe {
                    scan((dirfd, path), list, filter, compare, |dirfd, path| {
                        real!($name(dirfd: c_int, path: *const c_char, list: *mut *mut *mut dirent64, filter: Filter, compare: Compare) -> c_int)
                    })
                }
            }
        }
    )*};
}

scandirat_hooks! { scandirat scandirat64 }
