//! dladdr(3), dladdr1 and dl_iterate_phdr(3): the loader knows a library of the view by the real name that it was
//! loaded from; whoever asks gets its path in the view. What was found is kept, as what these functions give is not
//! freed by the caller. They may be called from within an allocator, so there is no allocation here but whole pages.

use super::hook;
use crate::fds;
use crate::init;
use crate::raw;
use crate::real::real;
use crate::text::{PathText, bytes_of};
use crate::view;
use core::ffi::{c_char, c_int, c_void};
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicPtr, Ordering};
use libc::{Dl_info, dl_phdr_info};

/// A library of the view: the name that the loader has, and its path in the view.
struct Known {
    next: *mut Known,
    real: PathText,
    view: PathText,
}

static KNOWN: AtomicPtr<Known> = AtomicPtr::new(core::ptr::null_mut());

fn known(real: &[u8]) -> Option<*const c_char> {
    let mut at: *const Known = KNOWN.load(Ordering::Acquire);
    // SAFETY: entries are published whole, never changed and never freed.
    while let Some(entry) = unsafe { at.as_ref() } {
        if entry.real.as_bytes() == real {
            return Some(entry.view.as_ptr());
        }
        at = entry.next;
    }
    None
}

#[inline(never)]
fn find(real: &[u8]) -> Option<*const c_char> {
    let vnode = fds::vnode_of_real_path(real).ok().flatten()?;
    let page = raw::map_anonymous(size_of::<Known>()).ok()?.cast::<MaybeUninit<Known>>();
    // SAFETY: a new mapping of this size, which nobody else knows yet.
    let entry = unsafe {
        (*page).write(Known { next: core::ptr::null_mut(), real: PathText::new(), view: PathText::new() })
    };
    entry.real.push(real);
    if view::path_of(vnode, &mut entry.view).is_err() || entry.real.overflowed() {
        // SAFETY: as above.
        unsafe { raw::unmap(page.cast(), size_of::<Known>()) };
        return None;
    }
    let text = entry.view.as_ptr();
    let new: *mut Known = entry;
    let mut first = KNOWN.load(Ordering::Acquire);
    loop {
        // SAFETY: not published yet.
        unsafe { (*new).next = first };
        match KNOWN.compare_exchange(first, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return Some(text),
            Err(other) => first = other,
        }
    }
}

/// The path in the view of a loaded object, or the name as it is.
///
/// # Safety
/// `name` is null or a C string.
unsafe fn in_view_terms(name: *const c_char) -> *const c_char {
    // SAFETY: by contract.
    match unsafe { bytes_of(name) } {
        Some(real) if init::in_view() && real.starts_with(b"/") => {
            known(real).or_else(|| find(real)).unwrap_or(name)
        }
        _ => name,
    }
}

/// # Safety
/// `to` is what dladdr has filled.
unsafe fn rename(found: c_int, to: *mut Dl_info) -> c_int {
    if found != 0 {
        // SAFETY: by contract.
        unsafe { (*to).dli_fname = in_view_terms((*to).dli_fname) };
    }
    found
}

hook! {
    fn dladdr(address: *const c_void, to: *mut Dl_info) -> c_int {
        let found = real!(dladdr(address: *const c_void, to: *mut Dl_info) -> c_int);
        // SAFETY: filled by the call behind the hook.
        unsafe { rename(found, to) }
    }
}

hook! {
    fn dladdr1(address: *const c_void, to: *mut Dl_info, more: *mut *mut c_void, flags: c_int) -> c_int {
        let found = real!(dladdr1(address: *const c_void, to: *mut Dl_info, more: *mut *mut c_void, flags: c_int) -> c_int);
        // SAFETY: filled by the call behind the hook.
        unsafe { rename(found, to) }
    }
}

type Visit = Option<unsafe extern "C" fn(*mut dl_phdr_info, usize, *mut c_void) -> c_int>;

/// The caller's own callback.
struct Visitor {
    visit: unsafe extern "C" fn(*mut dl_phdr_info, usize, *mut c_void) -> c_int,
    data: *mut c_void,
    /// What the loader says of this library.
    own: Option<dl_phdr_info>,
}

unsafe extern "C" fn visit(info: *mut dl_phdr_info, size: usize, data: *mut c_void) -> c_int {
    // SAFETY: the loader gives a whole struct, which is its own copy, and `data` is the Visitor below.
    unsafe {
        let visitor = &mut *data.cast::<Visitor>();
        if size >= size_of::<dl_phdr_info>() && bytes_of((*info).dlpi_name).is_some_and(init::is_own) {
            visitor.own = Some(*info);
            return 0;
        }
        (*info).dlpi_name = in_view_terms((*info).dlpi_name);
        (visitor.visit)(info, size, visitor.data)
    }
}

hook! {
    /// This library comes last: the run-time library of -fsanitize=address, which asks before anything is known about the
    /// view, does not go on unless it is the first one.
    fn dl_iterate_phdr(callback: Visit, data: *mut c_void) -> c_int {
        let Some(visitor) = callback else {
            return real!(dl_iterate_phdr(callback: Visit, data: *mut c_void) -> c_int);
        };
        let mut visitor = Visitor { visit: visitor, data, own: None };
        let callback: Visit = Some(visit);
        let data: *mut c_void = (&raw mut visitor).cast();
        let stopped = real!(dl_iterate_phdr(callback: Visit, data: *mut c_void) -> c_int);
        match visitor.own.as_mut() {
            // SAFETY: the caller's function, with what the loader gave.
            Some(own) if stopped == 0 => unsafe { (visitor.visit)(own, size_of::<dl_phdr_info>(), visitor.data) },
            _ => stopped,
        }
    }
}
