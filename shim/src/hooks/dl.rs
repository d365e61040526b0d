//! dlopen(3) and dlmopen: a library of the view is loaded from the real name that it gets for it. The loader opens
//! files by itself, so it must never see a view path.

use crate::exec_prep::link_library;
use crate::init;
use crate::libraries::link_searched;
use crate::raw::Errno;
use crate::real::{Symbol, address, missing, real};
use crate::text::{PathText, bytes_of};
use core::ffi::{c_char, c_int, c_long, c_void};

type Handle = *mut c_void;

/// What a hook of this file goes on with, in rax and rdx.
#[repr(C)]
struct Next {
    /// The function to jump to with the caller's arguments; 0: none, `handle` is the result.
    function: usize,
    handle: Handle,
}

impl Next {
    fn done(handle: Handle) -> Next {
        Next { function: 0, handle }
    }
}

/// Where the loader must look for the path it was given.
enum Library {
    AsGiven,
    /// In the text.
    At,
}

/// # Safety
/// `path` is null or a C string.
unsafe fn find(path: *const c_char, real: &mut PathText) -> Library {
    // SAFETY: by contract.
    let path = unsafe { bytes_of(path) }.unwrap_or(b"");
    if !init::in_view() {
        return Library::AsGiven;
    }
    if !path.contains(&b'/') {
        link_searched(path);
        return Library::AsGiven;
    }
    match link_library(path, real) {
        Ok(None) if real.is_empty() => Library::AsGiven,
        Ok(_) => Library::At,
        Err(errno) => {
            refused(path, errno, real);
            Library::At
        }
    }
}

/// A path that fails as the library would, and still says which it was: dlerror(3) has the loader's words.
fn refused(path: &[u8], errno: Errno, real: &mut PathText) {
    // No process has the number 0; /dev/null is no folder.
    let nowhere: &[u8] = if errno == libc::ENOTDIR { b"/dev/null/" } else { b"/proc/0/" };
    real.clear();
    real.push(nowhere);
    real.push(path);
    if real.overflowed() {
        real.clear();
        real.push(nowhere);
    }
}

/// # Safety
/// As dlopen(3)'s arguments.
unsafe extern "C" fn dlopen_next(path: *const c_char, flags: c_int) -> Next {
    let mut real = PathText::new();
    // SAFETY: by contract.
    match unsafe { find(path, &mut real) } {
        Library::AsGiven => match address(Symbol::dlopen) {
            Some(function) => Next { function, handle: core::ptr::null_mut() },
            None => Next::done(missing()),
        },
        Library::At => {
            let path = real.as_ptr();
            Next::done(real!(dlopen(path: *const c_char, flags: c_int) -> Handle))
        }
    }
}

/// # Safety
/// As dlmopen(3)'s arguments.
unsafe extern "C" fn dlmopen_next(namespace: c_long, path: *const c_char, flags: c_int) -> Next {
    let mut real = PathText::new();
    // SAFETY: by contract.
    match unsafe { find(path, &mut real) } {
        Library::AsGiven => match address(Symbol::dlmopen) {
            Some(function) => Next { function, handle: core::ptr::null_mut() },
            None => Next::done(missing()),
        },
        Library::At => {
            let path = real.as_ptr();
            Next::done(real!(dlmopen(namespace: c_long, path: *const c_char, flags: c_int) -> Handle))
        }
    }
}

/// The loader takes the run path and the namespace of the caller, which it knows by the return address: what
/// is passed on is a jump, with the arguments as they came and no frame of ours.
macro_rules! loader_hooks {
    ($($name:ident => $next:ident;)*) => {$(
        super::listed!($name);
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        #[allow(clippy::missing_safety_doc, reason = "the C prototype's contract, see the manual page")]
        pub unsafe extern "C" fn $name() -> Handle {
            // Three pushes on top of the return address: rsp is a multiple of 16 at the call.
            core::arch::naked_asm!(
                ".cfi_startproc",
                "push rdi",
                "push rsi",
                "push rdx",
                ".cfi_adjust_cfa_offset 24",
                "call {next}",
                "mov rcx, rdx",
                "pop rdx",
                "pop rsi",
                "pop rdi",
                ".cfi_adjust_cfa_offset -24",
                "test rax, rax",
                "jz 2f",
                "jmp rax",
                "2:",
                "mov rax, rcx",
                "ret",
                ".cfi_endproc",
                next = sym $next,
            )
        }
    )*};
}

loader_hooks! {
    dlopen => dlopen_next;
    dlmopen => dlmopen_next;
}
