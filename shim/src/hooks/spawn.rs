//! posix_spawn(3), posix_spawnp and the file actions with paths.
//!
//! The C library carries file actions out in a child that runs no hook, so a path of the view is turned into a
//! real one when its action is added. Two things differ from doing it in the child: a file is created and
//! truncated when the action is added, and an action that cannot work may already fail then.

use super::exec::search;
use super::open::{Opened, open_at};
use super::{hook, settled};
use crate::arena::Arena;
use crate::content;
use crate::creds::{Creds, SEARCH};
use crate::envp;
use crate::errno;
use crate::exec_prep::{Prepared, Target, prepare};
use crate::fds::{self, FdKind};
use crate::init;
use crate::raw::{self, Errno};
use crate::real::{Symbol, address, real};
use crate::resolve::{Place, resolve_bytes};
use crate::spawn_state::{Actions, Folder};
use crate::text::{PathText, bytes_of};
use crate::view;
use core::ffi::{CStr, c_char, c_int, c_void};
use libc::{AT_FDCWD, O_ACCMODE, O_CLOEXEC, O_CREAT, O_EXCL, O_NOFOLLOW, O_RDONLY, O_TRUNC, mode_t, pid_t};
use vrift_manifest::Content;

type Strings = *const *const c_char;
type Attributes = *const c_void;

/// Everything but the program.
#[derive(Clone, Copy)]
struct Spawn {
    pid: *mut pid_t,
    actions: *mut Actions,
    attributes: Attributes,
    argv: Strings,
}

/// Starts `path`; `envp` carries the view already. 0 or an errno.
///
/// # Safety
/// As posix_spawn(3)'s arguments.
unsafe fn start(spawn: Spawn, path: *const c_char, envp: Strings, arena: &Arena) -> Errno {
    let Spawn { pid, actions, attributes, argv } = spawn;
    let (mut real, mut absolute) = (PathText::new(), PathText::new());
    // SAFETY: by contract: null or a live object, null or a C string.
    let folder = unsafe { actions.as_ref() }.map_or(Folder::Inherited, Actions::folder);
    // SAFETY: as above.
    let path = match folder.absolute(unsafe { bytes_of(path) }.unwrap_or(b""), &mut absolute) {
        Ok(true) => absolute.as_ptr(),
        Ok(false) => path,
        Err(errno) => return errno,
    };
    // SAFETY: by contract.
    let (path, argv) = match unsafe { prepare(Target::path(path), argv, &mut real, arena) } {
        Ok(Prepared::AsGiven) => (path, argv),
        Ok(Prepared::At(argv)) => (real.as_ptr(), argv),
        Err(errno) => return errno,
    };
    real!(posix_spawn(
        pid: *mut pid_t, path: *const c_char, actions: *mut Actions, attributes: Attributes,
        argv: Strings, envp: Strings
    ) -> c_int)
}

/// Whether a file may be there to execute: an attempt to start it repeats all file actions. 0 or an errno.
fn probe(path: &CStr, actions: *mut Actions) -> Errno {
    let (mut elsewhere, mut absolute) = (PathText::new(), PathText::new());
    // SAFETY: null or the caller's object.
    let folder = unsafe { actions.as_ref() }.map_or(Folder::Inherited, Actions::folder);
    let path = match folder.absolute(path.to_bytes(), &mut absolute) {
        Ok(true) => absolute.as_c_str(),
        Ok(false) => path,
        Err(errno) => return errno,
    };
    let creds = Creds::effective();
    match resolve_bytes(AT_FDCWD, path.to_bytes(), true, &creds, &mut elsewhere) {
        Ok(Place::Outside) => raw::may_execute(path).err().unwrap_or(0),
        Ok(Place::Elsewhere) => raw::may_execute(elsewhere.as_c_str()).err().unwrap_or(0),
        Ok(Place::Inside(inside)) => match inside.existing() {
            Ok(attr) if attr.kind() == libc::S_IFREG && attr.may(&creds, SEARCH) => 0,
            Ok(_) => libc::EACCES,
            Err(errno) => errno,
        },
        Err(errno) => errno,
    }
}

hook! {
    fn posix_spawn(
        pid: *mut pid_t,
        path: *const c_char,
        actions: *mut Actions,
        attributes: Attributes,
        argv: Strings,
        envp: Strings,
    ) -> c_int {
        if !init::in_view() {
            return real!(posix_spawn(
                pid: *mut pid_t, path: *const c_char, actions: *mut Actions, attributes: Attributes,
                argv: Strings, envp: Strings
            ) -> c_int);
        }
        let arena = Arena::new();
        // SAFETY: C's arguments.
        unsafe {
            match envp::carrying_view(envp, &arena) {
                Ok(envp) => start(Spawn { pid, actions, attributes, argv }, path, envp, &arena),
                Err(errno) => errno,
            }
        }
    }
}

hook! {
    fn posix_spawnp(
        pid: *mut pid_t,
        file: *const c_char,
        actions: *mut Actions,
        attributes: Attributes,
        argv: Strings,
        envp: Strings,
    ) -> c_int {
        // SAFETY: C's argument.
        let name = unsafe { bytes_of(file) };
        let (true, Some(name)) = (init::in_view(), name) else {
            return real!(posix_spawnp(
                pid: *mut pid_t, file: *const c_char, actions: *mut Actions, attributes: Attributes,
                argv: Strings, envp: Strings
            ) -> c_int);
        };
        let arena = Arena::new();
        // SAFETY: C's arguments.
        let envp = match unsafe { envp::carrying_view(envp, &arena) } {
            Ok(envp) => envp,
            Err(errno) => return errno,
        };
        search(name, |path| match probe(path, actions) {
            // SAFETY: C's arguments.
            0 => unsafe { start(Spawn { pid, actions, attributes, argv }, path.as_ptr(), envp, &arena) },
            errno => errno,
        })
    }
}

/// A real path that gives the errno which an action in the child must end with.
fn failing(errno: Errno) -> Option<&'static CStr> {
    match errno {
        libc::ENOENT => Some(c"/proc/0"),
        libc::ENOTDIR => Some(c"/dev/null/-"),
        _ => None,
    }
}

/// Where the path of an action leads.
enum Routed {
    AsGiven,
    /// To this real path.
    At(PathText),
}

/// The real path for an open in the child, and the flags that are left for it.
fn route_open(
    actions: &mut Actions,
    path: &[u8],
    flags: c_int,
    mode: mode_t,
) -> Result<(Routed, c_int), Errno> {
    let mut absolute = PathText::new();
    let moved = actions.folder().absolute(path, &mut absolute)?;
    let path = if moved { absolute.as_bytes() } else { path };
    let creates = flags & (O_CREAT | O_TRUNC) != 0;
    let follow = flags & O_NOFOLLOW == 0 && flags & (O_CREAT | O_EXCL) != O_CREAT | O_EXCL;
    let mut elsewhere = PathText::new();
    let place = resolve_bytes(AT_FDCWD, path, follow, &Creds::effective(), &mut elsewhere)?;
    let inside = match place {
        Place::Outside => return Ok((Routed::AsGiven, flags)),
        Place::Elsewhere => return Ok((Routed::At(elsewhere), flags)),
        Place::Inside(inside) => inside,
    };
    let mut named = PathText::new();
    named.push(path);
    // SAFETY: a C string that outlives the call.
    let fd = match unsafe { open_at(AT_FDCWD, named.as_ptr(), flags | O_CLOEXEC, mode, &mut elsewhere) }? {
        Opened::View(fd) => fd,
        Opened::Real(..) => return Err(libc::ESTALE),
    };
    let result = settled(|| match fds::identify(fd) {
        FdKind::View(vnode) => real_of(&inside, vnode, flags).map(Routed::At),
        FdKind::Outside => Err(libc::EIO),
    });
    if result.is_ok() && (creates || flags & O_ACCMODE != O_RDONLY) && actions.hold(fd) {
        // Open until the actions are destroyed: a file that is being written keeps its staging name.
    } else {
        raw::close(fd);
        fds::forget(fd);
    }
    result.map(|routed| (routed, flags & !(O_CREAT | O_TRUNC | O_EXCL | O_NOFOLLOW)))
}
