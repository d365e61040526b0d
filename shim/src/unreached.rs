//! Programs that this library cannot be put before: recognised by a look at the file, and executed by way of
//! `vrift`, which runs them in the workspace's worktree (RFC 0005).

use crate::arena::{Arena, entries};
use crate::creds::Creds;
use crate::elsewhere::Elsewhere;
use crate::exec_image::{Head, Kind};
use crate::exec_prep::{Image, Located, Target};
use crate::init::settings;
use crate::raw::{self, Errno};
use crate::resolve::{Place, resolve_bytes};
use crate::text::PathText;
use crate::view;
use core::ffi::{CStr, c_char};
use libc::AT_FDCWD;

/// The loader by which this process was started, or one that is as good.
const USUAL_LOADER: &[u8] = b"/lib64/ld-linux-x86-64.so.2";
/// Handlers for programs of other processors are told to the kernel here.
const OTHER_FORMATS: &CStr = c"/proc/sys/fs/binfmt_misc/status";
/// The hidden command of `vrift`.
const COMMAND: &CStr = c"__unreached";
/// Where `vrift` is, seen from this library's folder.
const PLACES: [&[u8]; 2] = [b"/vrift", b"/../../bin/vrift"];

/// Why a program is out of reach.
#[derive(Clone, Copy)]
pub enum Why {
    Static,
    Elf32,
    Foreign,
    OtherLoader,
    Go,
    /// Its loader is one of the view.
    LoaderInView,
    /// It gets other rights than this process has.
    OtherRights,
}

impl Why {
    /// None: this library will be in it, or it is no program.
    pub fn of<const LEN: usize>(head: &Head<LEN>) -> Option<Why> {
        if has_other_rights(head) {
            return Some(Why::OtherRights);
        }
        match head.kind() {
            Kind::Static => Some(Why::Static),
            Kind::Elf32(None) => Some(Why::Elf32),
            Kind::Elf32(Some(loader)) => with_loader(loader, Why::Elf32),
            Kind::OtherLoader(loader) => with_loader(loader, Why::OtherLoader),
            Kind::Go => Some(Why::Go),
            // Without a handler the kernel says that it is no program, as the caller must hear it.
            Kind::Foreign => raw::stat(OTHER_FORMATS).is_ok().then_some(Why::Foreign),
            Kind::Dynamic(loader) if loader != USUAL_LOADER => {
                is_in_view(loader).then_some(Why::LoaderInView)
            }
            Kind::Dynamic(_) | Kind::Other => None,
        }
    }

    /// As `vrift` knows it.
    fn word(self) -> &'static CStr {
        match self {
            Why::Static => c"static",
            Why::Elf32 => c"elf32",
            Why::Foreign => c"foreign",
            Why::OtherLoader => c"other-loader",
            Why::Go => c"go",
            Why::LoaderInView => c"loader-in-view",
            Why::OtherRights => c"other-rights",
        }
    }
}

/// Whether ld.so(8) will run in secure-execution mode, in which it loads nothing that it is told to.
fn has_other_rights<const LEN: usize>(head: &Head<LEN>) -> bool {
    let creds = Creds::effective();
    let mode = head.stat.st_mode;
    let set_group = libc::S_ISGID | libc::S_IXGRP;
    mode & libc::S_ISUID != 0 && head.stat.st_uid != creds.uid()
        || mode & set_group == set_group && head.stat.st_gid != creds.gid()
        || head.has_capabilities && !creds.is_root()
}

/// Of a program that needs this loader. None: it is not there, as the kernel says.
fn with_loader(loader: &[u8], why: Why) -> Option<Why> {
    if is_in_view(loader) {
        return Some(Why::LoaderInView);
    }
    raw::stat(PathText::from_parts(&[loader]).as_c_str()).is_ok().then_some(why)
}

fn is_in_view(loader: &[u8]) -> bool {
    let found = resolve_bytes(AT_FDCWD, loader, true, &Creds::effective(), &mut Elsewhere::new());
    matches!(found, Ok(Place::Inside(inside)) if inside.target.is_some())
}

/// The loader itself has no loader, but does all that one does.
pub fn is_loader(path: &[u8]) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    name.starts_with(b"ld-linux") || name.starts_with(b"ld.so") || name.starts_with(b"ld-2.")
}

/// The arguments with which `vrift`, whose path is put into `image`, runs the program. None: it cannot, or need
/// not; the program is to be executed as it is.
///
/// # Safety
/// As [`crate::exec_prep::prepare`].
pub unsafe fn by_helper(
    target: &Target,
    located: &Located,
    why: Why,
    argv: *const *const c_char,
    image: &mut Image,
    arena: &Arena,
) -> Result<Option<*const *const c_char>, Errno> {
    let mut program = PathText::new();
    // SAFETY: by contract.
    let given = unsafe { target.bytes() };
    match located {
        Located::At(Some(linked)) => {
            let name = image.path.as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or(b"");
            view::path_of(linked.folder, &mut program)?;
            program.push(b"/");
            program.push(name);
        }
        Located::At(None) => program.push(image.path.as_bytes()),
        // An fd, or relative to one that may be closed by then.
        Located::AsNamed if given.first() != Some(&b'/') && target.dirfd != AT_FDCWD => return Ok(None),
        Located::AsNamed if given.is_empty() => return Ok(None),
        Located::AsNamed => program.push(given),
    }
    if program.overflowed() {
        return Err(libc::ENAMETOOLONG);
    }
    if !matches!(located, Located::At(Some(_))) {
        raw::may_execute(program.as_c_str())?;
    }
    let mut helper = PathText::new();
    if !find_helper(&mut helper) {
        return Ok(None);
    }
    image.path = helper;
    let program = arena.string(&[program.as_bytes()])?;
    // SAFETY: by contract.
    let count = unsafe { entries(argv) }.count();
    let mut all = arena.pointers(count + 5)?;
    all.push(arena.string(&[image.path.as_bytes()])?);
    all.push(COMMAND.as_ptr());
    all.push(why.word().as_ptr());
    all.push(program);
    if count == 0 {
        all.push(program);
    }
    // SAFETY: by contract.
    for argument in unsafe { entries(argv) } {
        all.push(argument);
    }
    image.folder = None;
    image.is_helper = true;
    Ok(Some(all.finish()))
}

fn find_helper(path: &mut PathText) -> bool {
    let library = settings().library.as_bytes();
    let folder = library.iter().rposition(|byte| *byte == b'/').and_then(|end| library.get(..end));
    let Some(folder) = folder else { return false };
    PLACES.iter().any(|place| {
        path.clear();
        path.push(folder);
        path.push(place);
        !path.overflowed() && raw::may_execute(path.as_c_str()).is_ok()
    })
}
