//! What a new program must find in its environment to be in the view: this library and its variables.
//! Programs clear and rebuild environments; whoever executes something puts these back.

use crate::arena::{Arena, entries};
use crate::errno;
use crate::handle;
use crate::init::{self, environ, is_own, settings};
use crate::raw::Errno;
use crate::real::real;
use crate::text::{bytes_of, value_of};
use core::ffi::{c_char, c_int};
use vrift_protocol::names;

const VARIABLES: usize = 7;

/// The variables that name the view, with this process's values.
fn variables() -> [(&'static str, &'static [u8]); VARIABLES] {
    let settings = settings();
    [
        (names::ENV_VIEW, settings.view.as_bytes()),
        (names::ENV_RUNTIME, settings.runtime.as_bytes()),
        (names::ENV_WORKSPACE, settings.workspace.as_bytes()),
        (names::ENV_HOME, settings.home.as_bytes()),
        (names::ENV_WORKTREE, settings.worktree.as_bytes()),
        (names::ENV_RUN, settings.run.as_bytes()),
        (names::ENV_SOCKET_FD, handle::to_hand_on()),
    ]
}

/// Whether a value of LD_PRELOAD has this library in it.
fn preloads_own(value: &[u8]) -> bool {
    value.split(|byte| matches!(byte, b':' | b' ')).any(is_own)
}

/// What an environment has of ours.
struct Survey<'a> {
    len: usize,
    /// All that have a value here are there. They may name another view, chosen by a `vrift run` inside this one.
    variables: bool,
    /// Every LD_PRELOAD has this library, and there is one.
    preload: bool,
    /// The first LD_PRELOAD without it.
    foreign_preload: &'a [u8],
}

impl Survey<'_> {
    /// # Safety
    /// As [`entries`].
    unsafe fn of<'a>(envp: *const *const c_char) -> Survey<'a> {
        let wanted = variables();
        let mut found = wanted.map(|(_, value)| value.is_empty());
        let (mut len, mut own, mut foreign) = (0, false, None);
        // SAFETY: by contract.
        for entry in unsafe { entries(envp) } {
            len += 1;
            // SAFETY: an entry of the array.
            let Some(entry) = (unsafe { bytes_of(entry) }) else { continue };
            if let Some(value) = value_of(entry, names::ENV_PRELOAD) {
                if preloads_own(value) {
                    own = true;
                } else {
                    foreign = foreign.or(Some(value));
                }
            }
            for ((name, _), found) in wanted.iter().zip(&mut found) {
                *found |= value_of(entry, name).is_some_and(|value| !value.is_empty());
            }
        }
        let needed = !settings().library.is_empty();
        Survey {
            len,
            variables: found.iter().all(|found| *found),
            preload: !needed || own && foreign.is_none(),
            foreign_preload: foreign.unwrap_or(b""),
        }
    }

    fn complete(&self) -> bool {
        self.variables && self.preload
    }

    /// The parts of LD_PRELOAD's value as it should be: this library before what was there.
    fn preload_value(&self) -> [&[u8]; 3] {
        let separator: &[u8] = if self.foreign_preload.is_empty() { b"" } else { b":" };
        [settings().library.as_bytes(), separator, self.foreign_preload]
    }
}

/// `envp`, or a copy of it that keeps a new program in the view.
///
/// # Safety
/// `envp` is null or a null-terminated array of C strings; `arena` outlives the use of the result.
pub unsafe fn carrying_view(
    envp: *const *const c_char,
    arena: &Arena,
) -> Result<*const *const c_char, Errno> {
    if !init::in_view() {
        return Ok(envp);
    }
    // SAFETY: by contract.
    let survey = unsafe { Survey::of(envp) };
    if survey.complete() {
        return Ok(envp);
    }
    let ours = variables();
    let mut copy = arena.pointers(survey.len + VARIABLES + 1)?;
    if !survey.preload {
        let [library, separator, rest] = survey.preload_value();
        copy.push(arena.string(&[names::ENV_PRELOAD.as_bytes(), b"=", library, separator, rest])?);
    }
    if !survey.variables {
        for (name, value) in ours.iter().filter(|(_, value)| !value.is_empty()) {
            copy.push(arena.string(&[name.as_bytes(), b"=", value])?);
        }
    }
    // SAFETY: by contract.
    for entry in unsafe { entries(envp) } {
        // SAFETY: an entry of the array.
        let text = unsafe { bytes_of(entry) }.unwrap_or(b"");
        let replaced = !survey.preload && value_of(text, names::ENV_PRELOAD).is_some()
            || !survey.variables && ours.iter().any(|(name, _)| value_of(text, name).is_some());
        if !replaced {
            copy.push(entry);
        }
    }
    Ok(copy.finish())
}

/// A copy of `envp` that has this library do nothing in the new program.
///
/// # Safety
/// As [`carrying_view`].
pub unsafe fn passive(envp: *const *const c_char, arena: &Arena) -> Result<*const *const c_char, Errno> {
    // SAFETY: by contract.
    let mut copy = arena.pointers(unsafe { entries(envp) }.count() + 1)?;
    copy.push(arena.string(&[names::ENV_PASSIVE.as_bytes(), b"=1"])?);
    // SAFETY: by contract.
    for entry in unsafe { entries(envp) } {
        copy.push(entry);
    }
    Ok(copy.finish())
}

/// This process's environment as an array for an exec.
pub fn current() -> *const *const c_char {
    // SAFETY: only the pointer is read, as the C library's own exec functions do.
    unsafe { environ }.cast_const().cast()
}

/// The value of a variable in this process's environment, as getenv(3).
pub fn get(name: &str) -> Option<&'static [u8]> {
    // SAFETY: the C library's rules: whoever changes the environment does not do so beside readers.
    unsafe { entries(current()) }.find_map(|entry| {
        // SAFETY: an entry of the array.
        value_of(unsafe { bytes_of(entry) }?, name)
    })
}

/// Puts what is missing into this process's own environment: for functions of the C library that start
/// programs with it. Keeps errno.
pub fn repair_own() {
    if !init::in_view() {
        return;
    }
    // SAFETY: environ(7); see `get`.
    let survey = unsafe { Survey::of(current()) };
    if survey.complete() {
        return;
    }
    let saved = errno::get();
    let arena = Arena::new();
    if !survey.preload {
        set(names::ENV_PRELOAD, &survey.preload_value(), &arena);
    }
    if !survey.variables {
        for (name, value) in variables().iter().filter(|(_, value)| !value.is_empty()) {
            set(name, &[value], &arena);
        }
    }
    errno::set(saved);
}

fn set(name: &str, value: &[&[u8]], arena: &Arena) {
    let (Ok(name), Ok(value)) = (arena.string(&[name.as_bytes()]), arena.string(value)) else { return };
    let overwrite: c_int = 1;
    real!(setenv(name: *const c_char, value: *const c_char, overwrite: c_int) -> c_int);
}
