//! Start-up: which view this process is in, from its environment. Makes no system call.

use crate::text::{Text, value_of};
use core::cell::UnsafeCell;
use core::ffi::{c_char, c_int};
use core::sync::atomic::{AtomicU8, Ordering};
use vrift_protocol::names;

unsafe extern "C" {
    /// environ(7); null before the C library is set up.
    pub static mut environ: *mut *mut c_char;
}

/// What the environment said. Written once, before [`STATE`] says ready.
pub struct Settings {
    /// Absolute view path; empty: this process is in no view and every hook passes through.
    pub view: Text<4096>,
    /// The workspace's runtime folder.
    pub runtime: Text<1024>,
    /// Name of the workspace.
    pub workspace: Text<512>,
    /// State folder, as the command line spelled it.
    pub home: Text<4096>,
    /// Path of this library, as LD_PRELOAD named it.
    pub library: Text<4096>,
}

struct Cell(UnsafeCell<Settings>);
// SAFETY: written by one thread (STATE), read after it says ready.
unsafe impl Sync for Cell {}

static SETTINGS: Cell = Cell(UnsafeCell::new(Settings {
    view: Text::new(),
    runtime: Text::new(),
    workspace: Text::new(),
    home: Text::new(),
    library: Text::new(),
}));

const UNSET: u8 = 0;
const BUSY: u8 = 1;
const READY: u8 = 2;
static STATE: AtomicU8 = AtomicU8::new(UNSET);

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn(c_int, *const *const c_char, *const *const c_char) = constructor;

extern "C" fn constructor(_argc: c_int, _argv: *const *const c_char, envp: *const *const c_char) {
    start(envp);
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
    if STATE.compare_exchange(UNSET, BUSY, Ordering::Acquire, Ordering::Relaxed).is_err() {
        // Ready, or this thread is inside start-up already: no hook is called from there.
        return;
    }
    crate::real::resolve_all();
    // SAFETY: STATE is BUSY: this thread alone writes.
    let settings = unsafe { &mut *SETTINGS.0.get() };
    read_environment(settings, envp);
    // SAFETY: the environment as the program starts with it.
    unsafe { crate::libraries::restore(envp.cast_mut().cast()) };
    STATE.store(READY, Ordering::Release);
}

fn read_environment(settings: &mut Settings, envp: *const *const c_char) {
    if envp.is_null() {
        return;
    }
    let mut at = envp;
    // SAFETY: environ(7): an array of strings, ended by a null pointer.
    while let Some(entry) = unsafe { crate::text::bytes_of(*at) } {
        if let Some(value) = value_of(entry, names::ENV_VIEW) {
            settings.view.push(value);
        } else if let Some(value) = value_of(entry, names::ENV_RUNTIME) {
            settings.runtime.push(value);
        } else if let Some(value) = value_of(entry, names::ENV_WORKSPACE) {
            settings.workspace.push(value);
        } else if let Some(value) = value_of(entry, names::ENV_HOME) {
            settings.home.push(value);
        } else if let Some(value) = value_of(entry, names::ENV_PRELOAD)
            && let Some(own) = value.split(|byte| matches!(byte, b':' | b' ')).find(|path| is_own(path))
        {
            settings.library.push(own);
        }
        // SAFETY: not yet at the terminating null.
        at = unsafe { at.add(1) };
    }
    if settings.runtime.is_empty() || !settings.view.as_bytes().starts_with(b"/") {
        settings.view.clear();
    }
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
    unsafe { &*SETTINGS.0.get() }
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
