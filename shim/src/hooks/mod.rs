//! The hooks, one file per group of calls. Each resolves its path; outside the view it calls the function
//! behind it unchanged, inside it answers from the index or asks the daemon.

pub mod access;
pub mod aliases;
pub mod attrs;
pub mod dir_read;
pub mod dirs;
pub mod dl;
pub mod env;
pub mod exec;
pub mod exit;
pub mod fd;
pub mod fork;
pub mod fts;
pub mod glob;
pub mod ids;
pub mod links;
pub mod names;
pub mod objects;
pub mod open;
pub mod open2;
pub mod other;
pub mod paths;
pub mod realpath;
pub mod refused;
pub mod rename;
pub mod scandir;
pub mod signals;
pub mod sockets;
pub mod spawn;
pub mod stat;
pub mod stdio;
pub mod sync;
pub mod syscall;
pub mod temp;
pub mod times;
pub mod walk;
pub mod watches;
pub mod words;
pub mod xattrs;

use crate::elsewhere::Elsewhere;
use crate::raw::Errno;
use crate::resolve::{Inside, Place, resolve, resolve_name};
use core::ffi::{c_char, c_int};

include!(concat!(env!("OUT_DIR"), "/listed.rs"));
pub(crate) use {listed, listed_call};

/// Defines an exported C function of the table in table/hooks.txt. The body is an unsafe context's: the arguments are what C gave us.
macro_rules! hook {
    ($(#[$meta:meta])* fn $name:ident($($arg:ident: $type:ty),* $(,)?) -> $result:ty $body:block) => {
        $crate::hooks::listed!($name);
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

/// Whether flags are to be refused with EINVAL before anything else is looked at, as the kernel does.
pub fn unknown(given: c_int, known: c_int) -> bool {
    given & !known != 0 && crate::init::in_view()
}

/// What a path call does: its path is the view's, or it goes on with (dirfd, path).
#[expect(clippy::large_enum_variant, reason = "there is no heap to put it on")]
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
    elsewhere: &mut Elsewhere,
) -> Result<Routed, Errno> {
    // SAFETY: by contract.
    match unsafe { resolve(dirfd, path, follow, elsewhere) }? {
        Place::Inside(inside) => Ok(Routed::View(inside)),
        Place::Outside => Ok(Routed::Real(dirfd, path)),
        Place::Elsewhere => Ok(Routed::Real(libc::AT_FDCWD, elsewhere.as_ptr())),
    }
}

/// As [`route`], for a call on a name: a symlink there is not followed, whatever comes behind it.
///
/// # Safety
/// As [`route`].
pub unsafe fn route_name(
    dirfd: c_int,
    path: *const c_char,
    elsewhere: &mut Elsewhere,
) -> Result<Routed, Errno> {
    // SAFETY: by contract.
    match unsafe { resolve_name(dirfd, path, elsewhere) }? {
        Place::Inside(inside) => Ok(Routed::View(inside)),
        Place::Outside => Ok(Routed::Real(dirfd, path)),
        Place::Elsewhere => Ok(Routed::Real(libc::AT_FDCWD, elsewhere.as_ptr())),
    }
}

/// The shape of most path calls: `view` decides inside the view (called again while it says ESTALE), `real`
/// is the call behind the hook with the path it goes on with.
///
/// # Safety
/// `path` is null or a C string.
pub unsafe fn on_path(
    dirfd: c_int,
    path: *const c_char,
    follow: bool,
    view: impl FnMut(&Inside) -> Result<c_int, Errno>,
    real: impl FnOnce(c_int, *const c_char) -> c_int,
) -> c_int {
    let mut elsewhere = Elsewhere::new();
    // SAFETY: by contract; `elsewhere` outlives the call.
    on_routed(|| unsafe { route(dirfd, path, follow, &mut elsewhere) }, view, real)
}

/// As [`on_path`], for a call on a name, as [`route_name`].
///
/// # Safety
/// As [`on_path`].
pub unsafe fn on_name(
    dirfd: c_int,
    path: *const c_char,
    view: impl FnMut(&Inside) -> Result<c_int, Errno>,
    real: impl FnOnce(c_int, *const c_char) -> c_int,
) -> c_int {
    let mut elsewhere = Elsewhere::new();
    // SAFETY: by contract; `elsewhere` outlives the call.
    on_routed(|| unsafe { route_name(dirfd, path, &mut elsewhere) }, view, real)
}

fn on_routed(
    mut routed: impl FnMut() -> Result<Routed, Errno>,
    mut view: impl FnMut(&Inside) -> Result<c_int, Errno>,
    real: impl FnOnce(c_int, *const c_char) -> c_int,
) -> c_int {
    let mut beyond = None;
    let result = settled(|| match routed()? {
        Routed::View(inside) => view(&inside),
        Routed::Real(dirfd, path) => {
            beyond = Some((dirfd, path));
            Ok(0)
        }
    });
    match (result, beyond) {
        (_, Some((dirfd, path))) => real(dirfd, path),
        (Ok(value), None) => value,
        (Err(errno), None) => crate::errno::fail(errno),
    }
}
