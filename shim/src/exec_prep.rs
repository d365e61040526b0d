//! What exec really executes: a program of the view by the link that the daemon makes for it, a script by its
//! interpreter, as the kernel would if it saw the view.

use crate::arena::{Arena, entries};
use crate::creds::{Creds, READ, SEARCH};
use crate::elsewhere::Elsewhere;
use crate::exec_image::{self, Head};
use crate::fds::{self, FdKind};
use crate::hooks::settled;
use crate::init;
use crate::raw::{self, Errno};
use crate::request::Request;
use crate::resolve::{Attr, Inside, Place, resolve_bytes};
use crate::text::{PathText, Text, bytes_of};
use crate::unreached::{self, Why};
use crate::view;
use core::ffi::{CStr, c_char, c_int};
use libc::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, S_IFREG};
use vrift_manifest::VnodeNo;
use vrift_protocol::Op;
use zerocopy::byteorder::little_endian::U64;

/// Interpreters of interpreters that the kernel goes through before it says ELOOP.
const SCRIPTS_MAX: usize = 5;
/// Strings in front of the caller's arguments: interpreter and argument at each level, and the script.
const FRONT_MAX: usize = 2 * SCRIPTS_MAX + 1;

/// What the caller wants executed; `flags` as execveat(2)'s.
pub struct Target {
    pub dirfd: c_int,
    pub path: *const c_char,
    pub flags: c_int,
}

/// How to go on.
pub enum Prepared {
    /// With what the caller gave.
    AsGiven,
    /// With the image's path and these arguments.
    At(*const *const c_char),
}

/// The program that the kernel is to run.
pub struct Image {
    /// Its real path, unless it is what the caller gave.
    pub path: PathText,
    /// Its folder in the view.
    pub folder: Option<VnodeNo>,
    /// It is `vrift`, which runs the program elsewhere: this library must do nothing in it.
    pub is_helper: bool,
}

impl Image {
    pub const fn new() -> Image {
        Image { path: PathText::new(), folder: None, is_helper: false }
    }
}

/// Where a target is.
pub enum Located {
    /// Outside the view: the caller's (dirfd, path) names it.
    AsNamed,
    /// At the path in `real`; what it is if it is in the view.
    At(Option<Linked>),
}

/// A file of the view that has a real name.
#[derive(Clone, Copy)]
pub struct Linked {
    pub vnode: VnodeNo,
    pub folder: VnodeNo,
}

impl Target {
    pub fn path(path: *const c_char) -> Target {
        Target { dirfd: AT_FDCWD, path, flags: 0 }
    }

    /// # Safety
    /// `path` is null or a C string.
    pub unsafe fn bytes(&self) -> &[u8] {
        // SAFETY: by contract.
        unsafe { bytes_of(self.path) }.unwrap_or(b"")
    }

    /// Whether the fd itself is meant.
    ///
    /// # Safety
    /// As [`Target::bytes`].
    unsafe fn is_fd(&self) -> bool {
        // SAFETY: by contract.
        self.flags & AT_EMPTY_PATH != 0 && self.dirfd != AT_FDCWD && unsafe { self.bytes() }.is_empty()
    }

    /// The name by which the kernel gives a script to its interpreter.
    ///
    /// # Safety
    /// As [`Target::bytes`].
    #[inline(never)]
    unsafe fn shown(&self, vnode: Option<VnodeNo>, arena: &Arena) -> Result<*const c_char, Errno> {
        // SAFETY: by contract.
        let (path, is_fd) = unsafe { (self.bytes(), self.is_fd()) };
        if !is_fd && (self.dirfd == AT_FDCWD || path.first() == Some(&b'/')) {
            return Ok(self.path);
        }
        // The name is that of an fd which will be closed by then.
        if raw::fcntl(self.dirfd, libc::F_GETFD, 0)? & libc::FD_CLOEXEC != 0 {
            return Err(libc::ENOENT);
        }
        let mut name = PathText::new();
        if vnode.is_none_or(|vnode| view::path_of(vnode, &mut name).is_err()) {
            name.clear();
            name.push(b"/dev/fd/");
            name.push_decimal(self.dirfd.max(0) as u64);
            name.push(if is_fd { b"" } else { b"/" });
            name.push(path);
        }
        arena.string(&[name.as_bytes()])
    }

    /// Finds the target. One in the view is checked as exec does, and its bytes get a real name.
    ///
    /// # Safety
    /// As [`Target::bytes`].
    unsafe fn locate(&self, real: &mut PathText) -> Result<Located, Errno> {
        // SAFETY: by contract.
        let (path, is_fd) = unsafe { (self.bytes(), self.is_fd()) };
        if is_fd {
            return match settled(|| link_fd(self.dirfd, SEARCH, real))? {
                Some(linked) => Ok(Located::At(Some(linked))),
                None => Ok(Located::AsNamed),
            };
        }
        let follow = self.flags & AT_SYMLINK_NOFOLLOW == 0;
        let creds = Creds::effective();
        settled(|| {
            let place = resolve_bytes(self.dirfd, path, follow, &creds, &mut Elsewhere::within(real))?;
            match place {
                Place::Outside => Ok(Located::AsNamed),
                Place::Elsewhere => Ok(Located::At(None)),
                Place::Inside(inside) => {
                    let linked = link_inside(&inside, SEARCH, real)?;
                    Ok(Located::At(Some(linked)))
                }
            }
        })
    }

    /// Why the program is out of reach, from a longer part of the file.
    ///
    /// # Safety
    /// As [`Target::bytes`].
    #[inline(never)]
    unsafe fn why_by_long_head(&self, located: &Located, real: &PathText) -> Option<Why> {
        let mut head = Head::<{ exec_image::LONG }>::new();
        // SAFETY: by contract.
        unsafe { self.read_head(located, real, &mut head) }.ok()?;
        Why::of(&head)
    }

    /// # Safety
    /// As [`Target::bytes`].
    unsafe fn read_head<const LEN: usize>(
        &self,
        located: &Located,
        real: &PathText,
        head: &mut Head<LEN>,
    ) -> Result<(), Errno> {
        match located {
            Located::At(_) => head.read(AT_FDCWD, real.as_c_str()),
            // SAFETY: by contract.
            Located::AsNamed if unsafe { self.is_fd() } => {
                let mut name: Text<32> = Text::from_parts(&[b"/proc/self/fd/"]);
                name.push_decimal(self.dirfd.max(0) as u64);
                head.read(AT_FDCWD, name.as_c_str())
            }
            // SAFETY: not null: `prepare` turns that away.
            Located::AsNamed => head.read(self.dirfd, unsafe { CStr::from_ptr(self.path) }),
        }
    }
}

/// As [`link_inside`] for the file of an fd. None: it is not the view's, or has lost its name, and only the fd
/// leads to the bytes.
pub fn link_fd(fd: c_int, want: u32, real: &mut PathText) -> Result<Option<Linked>, Errno> {
    let FdKind::View(vnode) = fds::identify(fd) else { return Ok(None) };
    let named = view::read(|reader| {
        let slot = reader.slot(vnode)?;
        let (parent, dentry) = reader.naming_dentry(slot)?;
        let mut bytes = [0; 256];
        let len = reader.name(dentry, &mut bytes);
        let name: Text<256> = Text::from_parts(&[bytes.get(..len)?]);
        let (parent, target) = (Attr::of(reader, parent), Some(Attr::of(reader, slot)));
        Some(Inside { parent, name, target, slash: false })
    })?;
    named.map(|inside| link_inside(&inside, want, real)).transpose()
}

/// Gives a regular file of the view a real name of its own, for exec (`want` is SEARCH) or for ld.so (READ).
/// The name is put into `real`. ESTALE: what was found is no longer there, resolve again.
pub fn link_inside(inside: &Inside, want: u32, real: &mut PathText) -> Result<Linked, Errno> {
    let attr = inside.existing()?;
    if attr.is_symlink() {
        return Err(libc::ELOOP);
    }
    if attr.kind() != S_IFREG || !attr.may(&Creds::effective(), want) {
        return Err(libc::EACCES);
    }
    if want == SEARCH && attr.mode & libc::S_ISUID != 0 {
        warn(inside.name.as_bytes(), b"has the set-user-ID bit, which means nothing in a view");
    } else if want == SEARCH && attr.mode & (libc::S_ISGID | libc::S_IXGRP) == libc::S_ISGID | libc::S_IXGRP {
        warn(inside.name.as_bytes(), b"has the set-group-ID bit, which means nothing in a view");
    }
    let (folder, name) = (inside.parent.vnode, inside.name.as_bytes());
    exec_link(folder, attr.vnode, name)?;
    if want == SEARCH && crate::handle::is_needed() {
        // Closed by the exec, or left open in a process whose exec failed.
        let link = crate::content::open_by_daemon(folder, name, libc::O_PATH | libc::O_CLOEXEC)?;
        real.clear();
        real.push(raw::name_of_fd(link).as_bytes());
        return Ok(Linked { vnode: attr.vnode, folder });
    }
    view::mirror_path_into(folder, real)?;
    real.push(b"/");
    real.push(name);
    if real.overflowed() { Err(libc::ENAMETOOLONG) } else { Ok(Linked { vnode: attr.vnode, folder }) }
}

/// Has the daemon make the link `name` in a mirror folder. ESTALE as above.
pub fn exec_link(folder: VnodeNo, vnode: VnodeNo, name: &[u8]) -> Result<(), Errno> {
    let mut request = Request::new(Op::ExecLink);
    request.body.dir = U64::new(folder.0);
    request.body.vnode = U64::new(vnode.0);
    request.name = name;
    match request.send() {
        Ok((_, fd)) => {
            if let Some(fd) = fd {
                raw::close(fd);
            }
            Ok(())
        }
        Err(libc::ENOENT | libc::EAGAIN) => Err(libc::ESTALE),
        Err(errno) => Err(errno),
    }
}

/// As [`link_inside`] for a library at `path`. None: not in the view; `real` has the path to go on with if
/// it was reached by way of the view.
pub fn link_library(path: &[u8], real: &mut PathText) -> Result<Option<Linked>, Errno> {
    settled(|| {
        let place = resolve_bytes(AT_FDCWD, path, true, &Creds::effective(), &mut Elsewhere::within(real))?;
        match place {
            Place::Inside(inside) => link_inside(&inside, READ, real).map(Some),
            Place::Elsewhere => Ok(None),
            Place::Outside => {
                real.clear();
                Ok(None)
            }
        }
    })
}

fn warn(name: &[u8], what: &[u8]) {
    init::complain(&[name, b" ", what]);
}

/// The strings before the caller's own arguments, the last one first.
struct Front {
    strings: [*const c_char; FRONT_MAX],
    len: usize,
}

impl Front {
    fn push(&mut self, string: *const c_char) -> Result<(), Errno> {
        *self.strings.get_mut(self.len).ok_or(libc::ELOOP)? = string;
        self.len += 1;
        Ok(())
    }

    /// These strings and then the caller's arguments without the first.
    ///
    /// # Safety
    /// `argv` is null or a null-terminated array.
    unsafe fn before(
        &self,
        argv: *const *const c_char,
        arena: &Arena,
    ) -> Result<*const *const c_char, Errno> {
        // SAFETY: by contract.
        let mut all = arena.pointers(self.len + unsafe { entries(argv) }.count())?;
        for string in self.strings.iter().take(self.len).rev() {
            all.push(*string);
        }
        // SAFETY: by contract.
        for argument in unsafe { entries(argv) }.skip(1) {
            all.push(argument);
        }
        Ok(all.finish())
    }
}

/// Finds what is to be executed. `image` and `arena` hold what the result refers to.
///
/// # Safety
/// `target.path` is null or a C string, `argv` null or a null-terminated array of C strings.
pub unsafe fn prepare(
    target: Target,
    argv: *const *const c_char,
    image: &mut Image,
    arena: &Arena,
) -> Result<Prepared, Errno> {
    if target.path.is_null() {
        return Ok(Prepared::AsGiven);
    }
    let mut front = Front { strings: [core::ptr::null(); FRONT_MAX], len: 0 };
    let mut target = target;
    let mut head = Head::<{ exec_image::SHORT }>::new();
    // Whether the kernel would not find by itself what is to be found.
    let mut moved = false;
    for _ in 0..=SCRIPTS_MAX {
        let real = &mut image.path;
        // SAFETY: by contract, or a string of the arena.
        let located = unsafe { target.locate(real) }?;
        moved |= matches!(located, Located::At(_));
        // SAFETY: as above.
        let head = match unsafe { target.read_head(&located, real, &mut head) } {
            Ok(()) => Some(&head),
            Err(errno @ (libc::ENOENT | libc::ENOTDIR)) => return Err(errno),
            // What may be executed may not be readable.
            Err(_) => None,
        };
        let Some(script) = head.and_then(Head::script) else {
            // SAFETY: as above.
            let goes_on =
                unreached::is_loader(unsafe { target.bytes() }) || !init::settings().worktree.is_empty();
            let why = match head {
                // SAFETY: as above.
                Some(head) if head.is_cut() => unsafe { target.why_by_long_head(&located, real) },
                head => head.and_then(Why::of),
            };
            if let Some(why) = why.filter(|_| !goes_on) {
                // SAFETY: by contract.
                let argv = if front.len == 0 { argv } else { unsafe { front.before(argv, arena) }? };
                // SAFETY: by contract, or a string of the arena.
                let argv = unsafe { unreached::by_helper(&target, &located, why, argv, image, arena) }?;
                if let Some(argv) = argv {
                    return Ok(Prepared::At(argv));
                }
                // SAFETY: as above.
                warn(
                    unsafe { target.bytes() },
                    b"cannot be reached: it sees the real files, not the workspace",
                );
            }
            let real = &mut image.path;
            if !moved {
                return Ok(Prepared::AsGiven);
            }
            match located {
                Located::At(linked) => image.folder = linked.map(|linked| linked.folder),
                Located::AsNamed => {
                    real.clear();
                    // SAFETY: as above.
                    real.push(unsafe { target.bytes() });
                }
            }
            if front.len == 0 {
                return Ok(Prepared::At(argv));
            }
            // SAFETY: by contract.
            return unsafe { front.before(argv, arena) }.map(Prepared::At);
        };
        if front.len == 0 {
            let vnode = match located {
                Located::At(linked) => linked.map(|linked| linked.vnode),
                Located::AsNamed => None,
            };
            // SAFETY: as above.
            front.push(unsafe { target.shown(vnode, arena) }?)?;
        }
        if let Some(argument) = script.argument {
            front.push(arena.string(&[argument])?)?;
        }
        let interpreter = arena.string(&[script.interpreter])?;
        front.push(interpreter)?;
        target = Target::path(interpreter);
    }
    Err(libc::ELOOP)
}

/// `/bin/sh FILE` and the caller's arguments: what execvp(3) does with a file that has no magic.
///
/// # Safety
/// As [`prepare`].
pub unsafe fn shell_arguments(
    file: *const c_char,
    argv: *const *const c_char,
    arena: &Arena,
) -> Result<*const *const c_char, Errno> {
    let mut front = Front { strings: [core::ptr::null(); FRONT_MAX], len: 0 };
    front.push(file)?;
    front.push(SHELL.as_ptr())?;
    // SAFETY: by contract.
    unsafe { front.before(argv, arena) }
}

pub const SHELL: &CStr = c"/bin/sh";
