//! Start-up: which view this process is in, from its environment. Makes no system call.

use crate::text::{Text, value_of};
use core::cell::UnsafeCell;
use core::ffi::{c_char, c_int};
use core::sync::atomic::{AtomicU8, Ordering};
use vrift_protocol::{names, system_folders};

unsafe extern "C" {
    /// environ(7); null before the C library is set up.
    pub static mut environ: *mut *mut c_char;
}

/// One value of the environment, kept: programs may overwrite the environment that they were started with.
/// (None for the empty one is all zeros, which costs no space in the file and no page to be copied.)
#[derive(Clone, Copy)]
pub struct Value(Option<&'static [u8]>);

impl Value {
    pub fn as_bytes(&self) -> &'static [u8] {
        self.0.unwrap_or(&[])
    }

    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }
}

/// What the environment said. Written once, before [`STATE`] says ready.
pub struct Settings {
    /// Absolute view path; empty: this process is in no view and every hook passes through.
    pub view: Value,
    /// The workspace's runtime folder.
    pub runtime: Value,
    /// Name of the workspace.
    pub workspace: Value,
    /// State folder, as the command line spelled it.
    pub home: Value,
    /// Path of this library, as LD_PRELOAD named it.
    pub library: Value,
    /// fsync(2) in the view is left to the end of the run.
    pub fsync_at_end: bool,
    /// Of so many processes one is looked at for system calls of its own; 0: of none.
    pub sample: u16,
    /// The ordinary directory that stands for the workspace in this process (RFC 0005); empty: the index does.
    pub worktree: Value,
    /// The number of the run that this process belongs to, in decimal; empty: of none.
    pub run: Value,
    /// Folders of the system that lead outside: bits of [`vrift_protocol::system_folders`].
    pub system: u64,
}

/// What the values usually need is part of this library's one writable page; longer ones get a mapping.
const BYTES: usize = 512;

struct Kept {
    settings: Settings,
    bytes: [u8; BYTES],
}

struct Cell(UnsafeCell<Kept>);
// SAFETY: written by one thread (STATE), read after it says ready.
unsafe impl Sync for Cell {}

const UNSET_VALUE: Value = Value(None);
static KEPT: Cell = Cell(UnsafeCell::new(Kept {
    settings: Settings {
        view: UNSET_VALUE,
        runtime: UNSET_VALUE,
        workspace: UNSET_VALUE,
        home: UNSET_VALUE,
        library: UNSET_VALUE,
        fsync_at_end: false,
        sample: names::SAMPLE_DEFAULT,
        worktree: UNSET_VALUE,
        run: UNSET_VALUE,
        system: 0,
    },
    bytes: [0; BYTES],
}));

const UNSET: u8 = 0;
const BUSY: u8 = 1;
const READY: u8 = 2;
static STATE: AtomicU8 = AtomicU8::new(UNSET);

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn(c_int, *const *const c_char, *const *const c_char) = constructor;

extern "C" fn constructor(_argc: c_int, argv: *const *const c_char, envp: *const *const c_char) {
    start(envp);
    // SAFETY: what ld.so gives each constructor: the arrays at the end of the first thread's stack.
    unsafe { crate::user_memory::know_arguments(argv, envp) };
    crate::sample::begin();
}

/// Makes sure that start-up is done: another library's constructor may call a hook before ours ran.
#[inline(always)]
pub fn ensure() {
    if STATE.load(Ordering::Acquire) != READY {
        // SAFETY: only read; the C library sets it before any constructor runs.
        start(unsafe { environ }.cast_const().cast());
    }
}

#[cold]
fn start(envp: *const *const c_char) {
    // Run-time libraries of sanitizers call hooks before the C library is set up: they are in no view yet, but find the
    // functions behind the hooks.
    if envp.is_null() {
        crate::real::find_libraries();
        return;
    }
    if STATE.compare_exchange(UNSET, BUSY, Ordering::Acquire, Ordering::Relaxed).is_err() {
        // Ready, or this thread is inside start-up already: no hook is called from there.
        return;
    }
    crate::real::find_libraries();
    // SAFETY: STATE is BUSY: this thread alone writes.
    read_environment(unsafe { &mut *KEPT.0.get() }, envp);
    // SAFETY: the environment as the program starts with it.
    unsafe { crate::libraries::restore(envp.cast_mut().cast()) };
    STATE.store(READY, Ordering::Release);
}

fn read_environment(kept: &'static mut Kept, envp: *const *const c_char) {
    if envp.is_null() {
        return;
    }
    let Kept { settings, bytes } = kept;
    let mut rest: &'static mut [u8] = bytes;
    let mut keep = |value: &[u8]| {
        if rest.len() < value.len() {
            rest = more(value.len());
        }
        let (mine, free) = core::mem::take(&mut rest).split_at_mut(value.len());
        mine.copy_from_slice(value);
        rest = free;
        Value(Some(mine))
    };
    let mut at = envp;
    let mut passive = false;
    // SAFETY: environ(7): an array of strings, ended by a null pointer.
    while let Some(entry) = unsafe { crate::text::own_bytes_of(*at) } {
        // All names start with one of these letters.
        if matches!(entry.first(), Some(b'V' | b'L')) {
            if let Some(value) = value_of(entry, names::ENV_VIEW) {
                settings.view = keep(value);
            } else if let Some(value) = value_of(entry, names::ENV_RUNTIME) {
                settings.runtime = keep(value);
            } else if let Some(value) = value_of(entry, names::ENV_WORKSPACE) {
                settings.workspace = keep(value);
            } else if let Some(value) = value_of(entry, names::ENV_HOME) {
                settings.home = keep(value);
            } else if let Some(value) = value_of(entry, names::ENV_FSYNC) {
                settings.fsync_at_end = value == names::FSYNC_END.as_bytes();
            } else if let Some(value) = value_of(entry, names::ENV_SAMPLE) {
                settings.sample = names::sample_of(value).unwrap_or(names::SAMPLE_DEFAULT);
            } else if let Some(value) = value_of(entry, names::ENV_SOCKET_FD) {
                crate::handle::inherit(value);
            } else if let Some(value) = value_of(entry, names::ENV_PRELOAD)
                && let Some(own) = value.split(|byte| matches!(byte, b':' | b' ')).find(|path| is_own(path))
            {
                settings.library = keep(own);
            } else if let Some(value) = value_of(entry, names::ENV_WORKTREE) {
                settings.worktree = keep(value);
            } else if let Some(value) = value_of(entry, names::ENV_RUN) {
                settings.run = keep(value);
            } else if let Some(value) = value_of(entry, names::ENV_SYSTEM) {
                settings.system = system_folders::parse(value);
            } else if value_of(entry, names::ENV_PASSIVE).is_some() {
                passive = true;
            }
        }
        // SAFETY: not yet at the terminating null.
        at = unsafe { at.add(1) };
    }
    if passive || settings.runtime.is_empty() || !settings.view.as_bytes().starts_with(b"/") {
        settings.view = UNSET_VALUE;
    }
    if !settings.worktree.as_bytes().starts_with(b"/") {
        settings.worktree = UNSET_VALUE;
    }
}

/// Memory for a value of `len` bytes and some more.
#[cold]
fn more(len: usize) -> &'static mut [u8] {
    let len = len + 4096;
    let Ok(at) = crate::raw::map_anonymous(len) else {
        complain(&[b"no memory for the environment's VRIFT_ variables"]);
        // SAFETY: abort(3) takes no arguments and does not return.
        unsafe { libc::abort() }
    };
    // SAFETY: a fresh mapping of that length, which is never unmapped.
    unsafe { core::slice::from_raw_parts_mut(at, len) }
}

/// Whether an entry of LD_PRELOAD is this library.
pub fn is_own(path: &[u8]) -> bool {
    path.rsplit(|byte| *byte == b'/').next() == Some(names::SHIM_FILE.as_bytes())
}

/// What the environment said at start-up.
#[inline(always)]
pub fn settings() -> &'static Settings {
    ensure();
    // SAFETY: ready, and never written again.
    unsafe { &(*KEPT.0.get()).settings }
}

/// Whether this process is in a view at all.
#[inline(always)]
pub fn in_view() -> bool {
    !settings().view.is_empty()
}

/// A line for the user on stderr.
pub fn complain(parts: &[&[u8]]) {
    let mut line: Text<1024> = Text::from_parts(&[b"vrift: "]);
    for part in parts {
        line.push(part);
    }
    line.push(b"\n");
    crate::raw::write(2, line.as_bytes());
}
