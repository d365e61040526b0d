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
use crate::creds::{Creds, READ, SEARCH};
use crate::elsewhere::Elsewhere;
use crate::envp;
use crate::exec_prep::{Image, Prepared, Target, link_fd, prepare};
use crate::fds;
use crate::init;
use crate::libraries::carrying_libraries;
use crate::raw::{self, Errno};
use crate::real::real;
use crate::resolve::{Place, resolve_bytes};
use crate::spawn_state::{Actions, Folder};
use crate::text::{PathText, bytes_of};
use crate::view;
use core::ffi::{CStr, c_char, c_int, c_void};
use libc::{AT_FDCWD, O_ACCMODE, O_CLOEXEC, O_CREAT, O_EXCL, O_NOFOLLOW, O_RDONLY, O_TRUNC, mode_t, pid_t};

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
    let (mut image, mut absolute) = (Image::new(), PathText::new());
    // SAFETY: by contract: null or a live object, null or a C string.
    let folder = unsafe { actions.as_ref() }.map_or(Folder::Inherited, Actions::folder);
    // SAFETY: as above.
    let path = match folder.absolute(unsafe { bytes_of(path) }.unwrap_or(b""), &mut absolute) {
        Ok(true) => absolute.as_ptr(),
        Ok(false) => path,
        Err(errno) => return errno,
    };
    // SAFETY: by contract.
    let prepared = unsafe { prepare(Target::path(path), argv, &mut image, arena) }.and_then(|prepared| {
        // SAFETY: by contract.
        unsafe { carrying_libraries(&image, envp, arena) }.map(|envp| (prepared, envp))
    });
    let (path, argv, envp) = match prepared {
        Ok((Prepared::AsGiven, envp)) => (path, argv, envp),
        Ok((Prepared::At(argv), envp)) => (image.path.as_ptr(), argv, envp),
        Err(errno) => return errno,
    };
    real!(posix_spawn(
        pid: *mut pid_t, path: *const c_char, actions: *mut Actions, attributes: Attributes,
        argv: Strings, envp: Strings
    ) -> c_int)
}

/// Whether a file may be there to execute: an attempt to start it repeats all file actions. 0 or an errno.
fn probe(path: &CStr, actions: *mut Actions) -> Errno {
    let (mut elsewhere, mut absolute) = (Elsewhere::new(), PathText::new());
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

/// Finds the real path of an open in the child: the file is opened here, and the kernel's name of it taken. The
/// flags that are left for the child's open; None: as given.
fn route_open(
    actions: &mut Actions,
    path: &CStr,
    flags: c_int,
    mode: mode_t,
    real: &mut PathText,
) -> Result<Option<c_int>, Errno> {
    let mut absolute = PathText::new();
    let moved = actions.folder().absolute(path.to_bytes(), &mut absolute)?;
    let path = if moved { absolute.as_ptr() } else { path.as_ptr() };
    // SAFETY: a C string that outlives the call.
    let opened = unsafe { open_at(AT_FDCWD, path, flags | O_CLOEXEC, mode, &mut Elsewhere::within(real)) }?;
    let fd = match opened {
        Opened::View(fd) => fd,
        Opened::Real(_, beyond) if beyond == path => return Ok(None),
        Opened::Real(..) => return Ok(Some(flags)),
    };
    let writes = flags & O_ACCMODE != O_RDONLY;
    let result = real_name(fd, writes, real);
    // A file that is being written has its staging name; as long as this fd is open it will not be sealed.
    if result.is_err() || !writes || !actions.hold(fd) {
        raw::close(fd);
        fds::forget(fd);
    }
    result.map(|()| Some(flags & !(O_CREAT | O_TRUNC | O_EXCL | O_NOFOLLOW)))
}

/// A real path by which the child can open the file of `fd`.
fn real_name(fd: c_int, writes: bool, real: &mut PathText) -> Result<(), Errno> {
    fds::path_of(fd, real)?;
    // Written a moment ago: it would be sealed, and lose this name, at any time.
    if !writes && real.as_bytes().starts_with(view::staging_prefix()?.as_bytes()) {
        let mut link = PathText::new();
        if matches!(settled(|| link_fd(fd, READ, &mut link)), Ok(Some(_))) {
            *real = link;
        }
    }
    Ok(())
}

hook! {
    fn posix_spawn_file_actions_addopen(
        actions: *mut Actions,
        fd: c_int,
        path: *const c_char,
        flags: c_int,
        mode: mode_t,
    ) -> c_int {
        let mut real = PathText::new();
        let (mut path, mut flags) = (path, flags);
        if init::in_view() && !path.is_null() {
            // SAFETY: C's arguments.
            match unsafe { route_open(&mut *actions, CStr::from_ptr(path), flags, mode, &mut real) } {
                Ok(None) => {}
                Ok(Some(left)) => (path, flags) = (real.as_ptr(), left),
                Err(errno) => match failing(errno) {
                    Some(nowhere) => (path, flags) = (nowhere.as_ptr(), O_RDONLY),
                    None => return errno,
                },
            }
        }
        real!(posix_spawn_file_actions_addopen(
            actions: *mut Actions, fd: c_int, path: *const c_char, flags: c_int, mode: mode_t
        ) -> c_int)
    }
}

/// Finds the real folder for a chdir in the child. False: as given.
fn route_chdir(actions: &mut Actions, path: &[u8], real: &mut PathText) -> Result<bool, Errno> {
    let mut absolute = PathText::new();
    let moved = actions.folder().absolute(path, &mut absolute)?;
    let path = if moved { absolute.as_bytes() } else { path };
    let creds = Creds::effective();
    let place = resolve_bytes(AT_FDCWD, path, true, &creds, &mut Elsewhere::within(real))?;
    match place {
        Place::Outside => {
            actions.set_folder(actions.folder().then(path));
            Ok(false)
        }
        Place::Elsewhere => {
            actions.set_folder(Folder::of_real(real.as_bytes()));
            Ok(true)
        }
        Place::Inside(inside) => {
            let attr = inside.existing()?;
            if !attr.is_dir() {
                return Err(libc::ENOTDIR);
            }
            if !attr.may(&creds, SEARCH) {
                return Err(libc::EACCES);
            }
            content::mirror(attr.vnode)?;
            actions.set_folder(Folder::View(attr.vnode));
            *real = view::mirror_path(attr.vnode)?;
            Ok(true)
        }
    }
}

/// The whole of the two names of addchdir; newer C libraries have the second, all have the first.
///
/// # Safety
/// As the C functions' arguments.
unsafe fn add_chdir(actions: *mut Actions, path: *const c_char) -> c_int {
    let mut real = PathText::new();
    let mut path = path;
    // SAFETY: C's argument.
    if let (true, Some(bytes)) = (init::in_view(), unsafe { bytes_of(path) }) {
        // SAFETY: C's argument.
        match route_chdir(unsafe { &mut *actions }, bytes, &mut real) {
            Ok(false) => {}
            Ok(true) => path = real.as_ptr(),
            Err(errno) => match failing(errno) {
                Some(nowhere) => path = nowhere.as_ptr(),
                None => return errno,
            },
        }
    }
    real!(posix_spawn_file_actions_addchdir_np(actions: *mut Actions, path: *const c_char) -> c_int)
}

hook! {
    fn posix_spawn_file_actions_addchdir_np(actions: *mut Actions, path: *const c_char) -> c_int {
        // SAFETY: C's arguments.
        unsafe { add_chdir(actions, path) }
    }
}

hook! {
    fn posix_spawn_file_actions_addchdir(actions: *mut Actions, path: *const c_char) -> c_int {
        // SAFETY: C's arguments.
        unsafe { add_chdir(actions, path) }
    }
}

/// The whole of the two names of addfchdir: the fd of a folder of the view is a real folder's.
///
/// # Safety
/// As the C functions' arguments.
unsafe fn add_fchdir(actions: *mut Actions, fd: c_int) -> c_int {
    let result = real!(posix_spawn_file_actions_addfchdir_np(actions: *mut Actions, fd: c_int) -> c_int);
    if result == 0 && init::in_view() {
        // SAFETY: C's argument.
        unsafe { &mut *actions }.set_folder(Folder::of_fd(fd));
    }
    result
}

hook! {
    fn posix_spawn_file_actions_addfchdir_np(actions: *mut Actions, fd: c_int) -> c_int {
        // SAFETY: C's arguments.
        unsafe { add_fchdir(actions, fd) }
    }
}

hook! {
    fn posix_spawn_file_actions_addfchdir(actions: *mut Actions, fd: c_int) -> c_int {
        // SAFETY: C's arguments.
        unsafe { add_fchdir(actions, fd) }
    }
}

hook! {
    fn posix_spawn_file_actions_destroy(actions: *mut Actions) -> c_int {
        if init::in_view() {
            // SAFETY: C's argument.
            unsafe { &mut *actions }.release();
        }
        real!(posix_spawn_file_actions_destroy(actions: *mut Actions) -> c_int)
    }
}
