//! The mkstemp(3) family, mktemp, tempnam, tmpnam and tmpfile: the C library would try its names on the real tree.

use super::open::{Opened, open_at};
use super::{Routed, hook, route};
use crate::elsewhere::Elsewhere;
use crate::envp;
use crate::errno;
use crate::fds;
use crate::heap;
use crate::init;
use crate::raw::{self, Errno};
use crate::real::real;
use crate::text::{PATH_MAX, PathText, Text, bytes_of};
use core::ffi::{c_char, c_int};
use core::ptr::null_mut;
use libc::{AT_FDCWD, FILE, O_ACCMODE, O_CREAT, O_EXCL, O_RDWR};

/// What a template ends in, before its suffix.
const BLANKS: &[u8; 6] = b"XXXXXX";
const LETTERS: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
/// Names tried before EEXIST: as many as glibc tries.
const ATTEMPTS_MAX: u32 = 62 * 62 * 62;
/// P_tmpdir
const TEMP_DIR: &[u8] = b"/tmp";
/// L_tmpnam
const TMPNAM_LEN: usize = 20;

/// The six bytes of a template to fill: C's memory, which calls in between read as a string.
struct Blanks(*mut [u8; BLANKS.len()]);

impl Blanks {
    /// EINVAL: the template has none before its suffix.
    ///
    /// # Safety
    /// `template` is a writable C string for as long as the result is used.
    unsafe fn of(template: *mut c_char, suffix_len: c_int) -> Result<Blanks, Errno> {
        // SAFETY: by contract.
        let path = unsafe { bytes_of(template) }.ok_or(libc::EINVAL)?;
        let suffix_len = usize::try_from(suffix_len).map_err(|_| libc::EINVAL)?;
        let start = path.len().checked_sub(suffix_len).and_then(|end| end.checked_sub(BLANKS.len()));
        let start = start.ok_or(libc::EINVAL)?;
        if path.get(start..start + BLANKS.len()) != Some(BLANKS) {
            return Err(libc::EINVAL);
        }
        // SAFETY: inside the string, by the check above.
        Ok(Blanks(unsafe { template.add(start) }.cast()))
    }

    fn set(&mut self, bytes: [u8; BLANKS.len()]) {
        // SAFETY: writable, by the contract of `of`; bytes have no alignment.
        unsafe { self.0.write(bytes) };
    }

    fn fill(&mut self) {
        self.set(random_letters());
    }
}

fn random_letters() -> [u8; BLANKS.len()] {
    let mut random = raw::random_u64();
    BLANKS.map(|blank| {
        let which = (random % LETTERS.len() as u64) as usize;
        random /= LETTERS.len() as u64;
        LETTERS.get(which).copied().unwrap_or(blank)
    })
}

/// Fills the template until `attempt` does not say EEXIST; None: the path is not in the view.
fn with_names<T>(
    blanks: &mut Blanks,
    mut attempt: impl FnMut() -> Result<Option<T>, Errno>,
) -> Result<Option<T>, Errno> {
    for _ in 0..ATTEMPTS_MAX {
        blanks.fill();
        match attempt() {
            Err(libc::EEXIST) => {}
            Ok(None) => {
                blanks.set(*BLANKS);
                return Ok(None);
            }
            result => return result,
        }
    }
    Err(libc::EEXIST)
}

/// Goes on with the C library's call: on the template itself, or, when it leads out of the view by way of the view,
/// on the path that it leads to, whose end is the template's.
///
/// # Safety
/// `template` is a writable C string and `blanks` are its.
unsafe fn beyond<T>(
    template: *mut c_char,
    blanks: &mut Blanks,
    suffix_len: c_int,
    elsewhere: &Elsewhere,
    real: impl FnOnce(*mut c_char) -> T,
) -> T {
    let path = elsewhere.as_bytes();
    let end = path.len().checked_sub(suffix_len.max(0) as usize);
    let Some(start) = end.and_then(|end| end.checked_sub(BLANKS.len())) else { return real(template) };
    let mut copy = [0u8; PATH_MAX];
    if let Some(to) = copy.get_mut(..path.len()) {
        to.copy_from_slice(path);
    }
    // The random name of the attempt that went there becomes blank again.
    if let Some(name) = copy.get_mut(start..start + BLANKS.len()) {
        name.copy_from_slice(BLANKS);
    }
    let result = real(copy.as_mut_ptr().cast());
    if let Some(name) = copy.get(start..).and_then(|name| name.first_chunk()) {
        blanks.set(*name);
    }
    result
}

/// # Safety
/// `template` is a writable C string.
unsafe fn make_file(
    template: *mut c_char,
    suffix_len: c_int,
    flags: c_int,
    real: impl FnOnce(*mut c_char) -> c_int,
) -> c_int {
    if !init::in_view() {
        return real(template);
    }
    let mut elsewhere = Elsewhere::new();
    // SAFETY: by contract.
    let mut blanks = match unsafe { Blanks::of(template, suffix_len) } {
        Ok(blanks) => blanks,
        Err(errno) => return errno::fail(errno),
    };
    let flags = flags & !O_ACCMODE | O_RDWR | O_CREAT | O_EXCL;
    // SAFETY: by contract.
    let made = with_names(&mut blanks, || unsafe {
        elsewhere.clear();
        Ok(match open_at(AT_FDCWD, template, flags, 0o600, &mut elsewhere)? {
            Opened::View(fd) => Some(fd),
            Opened::Real(..) => None,
        })
    });
    match made {
        Ok(Some(fd)) => fd,
        Ok(None) => {
            // SAFETY: by contract.
            let fd = unsafe { beyond(template, &mut blanks, suffix_len, &elsewhere, real) };
            fds::forget(fd);
            fd
        }
        Err(errno) => errno::fail(errno),
    }
}

macro_rules! mkstemp_hooks {
    ($($name:ident($($arg:ident: $type:ty),*; $suffix_len:expr, $flags:expr);)*) => {$(
        hook! {
            fn $name(template: *mut c_char $(, $arg: $type)*) -> c_int {
                // SAFETY: C's arguments.
                unsafe {
                    make_file(template, $suffix_len, $flags, |template| {
                        real!($name(template: *mut c_char $(, $arg: $type)*) -> c_int)
                    })
                }
            }
        }
    )*};
}

mkstemp_hooks! {
    mkstemp(; 0, 0);
    mkstemp64(; 0, 0);
    mkostemp(flags: c_int; 0, flags);
    mkostemp64(flags: c_int; 0, flags);
    mkstemps(suffix_len: c_int; suffix_len, 0);
    mkstemps64(suffix_len: c_int; suffix_len, 0);
    mkostemps(suffix_len: c_int, flags: c_int; suffix_len, flags);
    mkostemps64(suffix_len: c_int, flags: c_int; suffix_len, flags);
}

/// Whether a path is the view's; `elsewhere` is left empty when it is outside as it stands.
///
/// # Safety
/// `path` is a C string.
unsafe fn is_inside(path: *const c_char, elsewhere: &mut Elsewhere) -> Result<Option<bool>, Errno> {
    elsewhere.clear();
    // SAFETY: by contract.
    Ok(match unsafe { route(AT_FDCWD, path, false, elsewhere) }? {
        Routed::View(inside) => Some(inside.target.is_some()),
        Routed::Real(..) => None,
    })
}

hook! {
    fn mkdtemp(template: *mut c_char) -> *mut c_char {
        let real = |template| real!(mkdtemp(template: *mut c_char) -> *mut c_char);
        if !init::in_view() {
            return real(template);
        }
        let mut elsewhere = Elsewhere::new();
        // SAFETY: C's argument.
        let mut blanks = match unsafe { Blanks::of(template, 0) } {
            Ok(blanks) => blanks,
            Err(errno) => {
                errno::set(errno);
                return null_mut();
            }
        };
        let before = errno::get();
        // SAFETY: C's argument.
        let made = with_names(&mut blanks, || unsafe {
            if is_inside(template, &mut elsewhere)?.is_none() {
                return Ok(None);
            }
            match super::names::mkdir(template, 0o700) {
                0 => Ok(Some(())),
                _ => Err(errno::get()),
            }
        });
        errno::set(before);
        match made {
            Ok(Some(())) => template,
            Ok(None) => {
                // SAFETY: C's argument.
                let made = unsafe { beyond(template, &mut blanks, 0, &elsewhere, real) };
                if made.is_null() { made } else { template }
            }
            Err(errno) => {
                errno::set(errno);
                null_mut()
            }
        }
    }
}

/// Fills the template with a name that nothing has; None: the path is not in the view.
///
/// # Safety
/// `template` is a writable C string and `blanks` are its.
unsafe fn unused_name(
    template: *const c_char,
    blanks: &mut Blanks,
    elsewhere: &mut Elsewhere,
) -> Result<Option<()>, Errno> {
    // SAFETY: by contract.
    with_names(blanks, || unsafe {
        match is_inside(template, elsewhere) {
            Ok(None) => Ok(None),
            // Also when its directory does not exist, as in glibc.
            Ok(Some(false)) | Err(libc::ENOENT) => Ok(Some(())),
            Ok(Some(true)) => Err(libc::EEXIST),
            Err(errno) => Err(errno),
        }
    })
}

hook! {
    /// On failure the template becomes the empty string.
    fn mktemp(template: *mut c_char) -> *mut c_char {
        let real = |template| real!(mktemp(template: *mut c_char) -> *mut c_char);
        if !init::in_view() {
            return real(template);
        }
        let mut elsewhere = Elsewhere::new();
        // SAFETY: C's argument.
        let result = unsafe {
            Blanks::of(template, 0).and_then(|mut blanks| {
                let found = unused_name(template, &mut blanks, &mut elsewhere)?;
                if found.is_none() {
                    let made = beyond(template, &mut blanks, 0, &elsewhere, real);
                    // SAFETY: mktemp returns its argument.
                    if *made == 0 {
                        return Err(errno::get());
                    }
                }
                Ok(())
            })
        };
        if let Err(errno) = result {
            errno::set(errno);
            // SAFETY: C's argument: at least the NUL is there.
            unsafe { template.write(0) };
        }
        template
    }
}

/// Whether `dir` is a directory, wherever it is.
fn is_dir(dir: &[u8]) -> bool {
    let path: PathText = PathText::from_parts(&[dir]);
    // SAFETY: all fields are integers, for which zero is a value.
    let mut stat: libc::stat = unsafe { core::mem::zeroed() };
    let before = errno::get();
    // SAFETY: a C string and a struct of our own.
    let found = unsafe { super::stat::stat(path.as_ptr(), &mut stat) } == 0;
    errno::set(before);
    found && !path.is_empty() && !path.overflowed() && stat.st_mode & libc::S_IFMT == libc::S_IFDIR
}

/// DIR/PREFIXxxxxxx that nothing has, in the view or outside.
fn unused_in(dir: &[u8], prefix: &[u8]) -> Result<PathText, Errno> {
    let trimmed = dir.iter().rposition(|byte| *byte != b'/').map_or(1, |last| last + 1);
    let dir = dir.get(..trimmed).unwrap_or(dir);
    let mut path: PathText = PathText::from_parts(&[dir, b"/", prefix.get(..5).unwrap_or(prefix), BLANKS]);
    if path.overflowed() {
        return Err(libc::ENAMETOOLONG);
    }
    let start = path.as_bytes().len() - BLANKS.len();
    // SAFETY: all fields are integers, for which zero is a value.
    let mut stat: libc::stat = unsafe { core::mem::zeroed() };
    let before = errno::get();
    for _ in 0..ATTEMPTS_MAX {
        path.truncate(start);
        path.push(&random_letters());
        // SAFETY: a C string and a struct of our own.
        if unsafe { super::stat::lstat(path.as_ptr(), &mut stat) } != 0 {
            return match errno::get() {
                libc::ENOENT => {
                    errno::set(before);
                    Ok(path)
                }
                errno => Err(errno),
            };
        }
    }
    Err(libc::EEXIST)
}

hook! {
    fn tempnam(dir: *const c_char, prefix: *const c_char) -> *mut c_char {
        if !init::in_view() {
            return real!(tempnam(dir: *const c_char, prefix: *const c_char) -> *mut c_char);
        }
        // SAFETY: C's arguments.
        let (dir, prefix) = unsafe { (bytes_of(dir), bytes_of(prefix)) };
        let prefix = prefix.filter(|prefix| !prefix.is_empty()).unwrap_or(b"file");
        // A set-user-id program would have to distrust the variable, but the loader preloads nothing there.
        let places = [envp::get("TMPDIR"), dir, Some(TEMP_DIR)];
        let place = places.into_iter().flatten().find(|dir| is_dir(dir));
        let name = place.ok_or(libc::ENOENT).and_then(|dir| unused_in(dir, prefix));
        name.and_then(|name| heap::c_string(name.as_bytes())).unwrap_or_else(|errno| {
            errno::set(errno);
            null_mut()
        })
    }
}

/// Whether the C library's folder for temporary files is in the view.
fn temp_dir_inside() -> bool {
    let path: Text<8> = Text::from_parts(&[TEMP_DIR]);
    let mut elsewhere = Elsewhere::new();
    // SAFETY: a C string of our own.
    init::in_view()
        && matches!(unsafe { route(AT_FDCWD, path.as_ptr(), true, &mut elsewhere) }, Ok(Routed::View(_)))
}

struct Name(core::cell::UnsafeCell<[c_char; TMPNAM_LEN]>);
// SAFETY: C says of tmpnam(NULL) that two threads must not call it at the same time.
unsafe impl Sync for Name {}
static NAME: Name = Name(core::cell::UnsafeCell::new([0; TMPNAM_LEN]));

/// # Safety
/// `to` is valid for L_tmpnam bytes.
unsafe fn name_into(to: *mut c_char) -> *mut c_char {
    let Ok(name) = unused_in(TEMP_DIR, b"file") else { return null_mut() };
    let len = name.as_bytes().len() + 1;
    if len > TMPNAM_LEN {
        return null_mut();
    }
    // SAFETY: by contract and the check above.
    unsafe { to.copy_from_nonoverlapping(name.as_ptr(), len) };
    to
}

hook! {
    fn tmpnam(to: *mut c_char) -> *mut c_char {
        if !temp_dir_inside() {
            return real!(tmpnam(to: *mut c_char) -> *mut c_char);
        }
        let to = if to.is_null() { NAME.0.get().cast() } else { to };
        // SAFETY: C's argument, or the static, which C lets us share between calls.
        unsafe { name_into(to) }
    }
}

hook! {
    fn tmpnam_r(to: *mut c_char) -> *mut c_char {
        if to.is_null() || !temp_dir_inside() {
            return real!(tmpnam_r(to: *mut c_char) -> *mut c_char);
        }
        // SAFETY: C's argument.
        unsafe { name_into(to) }
    }
}

macro_rules! tmpfile_hooks {
    ($($name:ident)*) => {$(
        hook! {
            fn $name() -> *mut FILE {
                if !temp_dir_inside() {
                    return real!($name() -> *mut FILE);
                }
                let mut path = *b"/tmp/tmpfXXXXXX\0";
                let template: *mut c_char = path.as_mut_ptr().cast();
                // SAFETY: a string of our own.
                let fd = unsafe { mkstemp(template) };
                if fd < 0 {
                    return null_mut();
                }
                // SAFETY: as above.
                unsafe { super::names::unlink(template) };
                let mode = c"w+".as_ptr();
                let stream = real!(fdopen(fd: c_int, mode: *const c_char) -> *mut FILE);
                if stream.is_null() {
                    raw::close(fd);
                    fds::forget(fd);
                }
                stream
            }
        }
    )*};
}

tmpfile_hooks! { tmpfile tmpfile64 }
