//! The hooks, one file per group of calls. Each resolves its path; outside the view it calls the function
//! behind it unchanged, inside it answers from the index or asks the daemon.

pub mod stat;

use crate::raw::Errno;
use crate::resolve::{Inside, Place, resolve};
use crate::text::PathText;
use core::ffi::{c_char, c_int};

/// Defines an exported C function. The body is an unsafe context's: the arguments are what C gave us.
macro_rules! hook {
    ($(#[$meta:meta])* fn $name:ident($($arg:ident: $type:ty),* $(,)?) -> $result:ty $body:block) => {
        $(#[$meta])*
        #[unsafe(no_mangle)]
        #[allow(clippy::missing_safety_doc, reason = "the C prototype's contract, see the manual page")]
        pub unsafe extern "C" fn $name($($arg: $type),*) -> $result $body
    };
}
pub(crate) use hook;

/// How often a call resolves its path again when what it found vanished under it: each time another
/// process made progress, so this many in a row do not happen by themselves.
const ATTEMPTS_MAX: u32 = 1_000;

/// Repeats `attempt` while it says ESTALE.
pub fn settled<T>(mut attempt: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    for _ in 0..ATTEMPTS_MAX {
        match attempt() {
            Err(libc::ESTALE) => {}
            result => return result,
        }
    }
    Err(libc::ESTALE)
}

/// What a path call does: its path is the view's, or it goes on with (dirfd, path).
pub enum Routed {
    View(Inside),
    Real(c_int, *const c_char),
}

/// Resolves a path argument.
///
/// # Safety
/// `path` is null or a C string, and `elsewhere` outlives the use of the result.
pub unsafe fn route(
    dirfd: c_int,
    path: *const c_char,
    follow: bool,
    elsewhere: &mut PathText,
) -> Result<Routed, Errno> {
    // SAFETY: by contract.
    match unsafe { resolve(dirfd, path, follow, elsewhere) }? {
        Place::Inside(inside) => Ok(Routed::View(inside)),
        Place::Outside => Ok(Routed::Real(dirfd, path)),
        Place::Elsewhere => Ok(Routed::Real(libc::AT_FDCWD, elsewhere.as_ptr())),
    }
}
