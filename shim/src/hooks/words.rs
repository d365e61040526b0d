//! wordexp(3): the C library expands names and runs commands inside itself, so in the view a shell does it, whose own
//! calls come through the hooks. What the shell must not see (operators, newlines) is refused beforehand, as POSIX says.

use super::env::popen;
use super::hook;
use crate::errno;
use crate::heap::{self, List};
use crate::init;
use crate::raw::{self, Errno};
use crate::real::real;
use crate::text::bytes_of;
use core::ffi::{c_char, c_int};
use core::ptr::null_mut;
use libc::{FILE, size_t};

/// wordexp_t of wordexp.h.
#[repr(C)]
pub struct Words {
    count: size_t,
    list: *mut *mut c_char,
    offset: size_t,
}

const DO_OFFSETS: c_int = 1;
const APPEND: c_int = 1 << 1;
const NO_COMMANDS: c_int = 1 << 2;
const REUSE: c_int = 1 << 3;
const SHOW_ERRORS: c_int = 1 << 4;
const UNDEFINED: c_int = 1 << 5;

const NO_SPACE: c_int = 1;
const BAD_CHARACTER: c_int = 2;
const BAD_VALUE: c_int = 3;
const COMMAND: c_int = 4;
const SYNTAX: c_int = 5;

/// Whether the shell has anything to do that the C library would do around the hooks.
fn needs_shell(words: &[u8]) -> bool {
    words.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'$' | b'`'))
}

/// Looks for what is refused. Commands may hold anything; they end at their own parenthesis or backquote.
fn check(words: &[u8], flags: c_int) -> Result<(), c_int> {
    let (mut at, mut quoted) = (0, false);
    while let Some(byte) = words.get(at) {
        let rest = words.get(at + 1..).unwrap_or(&[]);
        at += match byte {
            b'\\' => 2,
            b'"' => {
                quoted = !quoted;
                1
            }
            b'\'' if !quoted => 2 + rest.iter().position(|byte| *byte == b'\'').ok_or(SYNTAX)?,
            b'`' | b'$' if *byte == b'`' || rest.first() == Some(&b'(') => {
                let is_sum = *byte == b'$' && rest.starts_with(b"((");
                if flags & NO_COMMANDS != 0 && !is_sum {
                    return Err(COMMAND);
                }
                1 + command_len(rest, *byte == b'`').ok_or(SYNTAX)?
            }
            b'$' if rest.first() == Some(&b'{') => {
                let end = rest.iter().position(|byte| *byte == b'}').ok_or(SYNTAX)?;
                let inside = rest.get(..end).unwrap_or(&[]);
                let runs = inside.contains(&b'`') || inside.windows(2).any(|pair| pair == b"$(");
                if flags & NO_COMMANDS != 0 && runs {
                    return Err(COMMAND);
                }
                2 + end
            }
            b'|' | b'&' | b';' | b'<' | b'>' | b'(' | b')' | b'{' | b'}' | b'\n' if !quoted => {
                return Err(BAD_CHARACTER);
            }
            _ => 1,
        };
    }
    if quoted || at > words.len() { Err(SYNTAX) } else { Ok(()) }
}

/// The length of a command substitution behind its first character.
fn command_len(text: &[u8], backquoted: bool) -> Option<usize> {
    let (mut at, mut depth, mut quote) = (0, 0u32, 0u8);
    loop {
        let byte = *text.get(at)?;
        at += 1;
        match byte {
            b'\\' if quote != b'\'' => at += 1,
            b'`' if backquoted => return Some(at),
            _ if backquoted => {}
            _ if quote == byte => quote = 0,
            b'\'' | b'"' if quote == 0 => quote = byte,
            b'(' if quote == 0 => depth += 1,
            b')' if quote == 0 => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
}

fn no_space(_: Errno) -> c_int {
    NO_SPACE
}

/// What the shell makes of the words, each ended by a NUL.
fn expand(words: &[u8], flags: c_int) -> Result<List<u8>, c_int> {
    let mut script: List<u8> = List::new();
    let quiet: &[u8] = if flags & SHOW_ERRORS != 0 { b"" } else { b"exec 2>/dev/null\n" };
    let strict: &[u8] = if flags & UNDEFINED != 0 { b"set -u\n" } else { b"" };
    for part in [quiet, strict, b"set -- ", words, b"\nfor word do printf '%s\\0' \"$word\"; done\n\0"] {
        script.extend(part).map_err(no_space)?;
    }
    // SAFETY: C strings.
    let stream = unsafe { popen(script.as_ptr().cast(), c"re".as_ptr()) };
    if stream.is_null() {
        return Err(NO_SPACE);
    }
    let mut output: List<u8> = List::new();
    let fd = real!(fileno(stream: *mut FILE) -> c_int);
    let read = loop {
        let mut bytes = [0u8; 4096];
        match raw::read(fd, &mut bytes) {
            Ok(0) => break Ok(()),
            Ok(len) => {
                if output.extend(bytes.get(..len).unwrap_or(&[])).is_err() {
                    break Err(NO_SPACE);
                }
            }
            Err(libc::EINTR) => {}
            Err(_) => break Err(NO_SPACE),
        }
    };
    let status = real!(pclose(stream: *mut FILE) -> c_int);
    read?;
    match status {
        0 => Ok(output),
        _ if flags & UNDEFINED != 0 => Err(BAD_VALUE),
        _ => Err(SYNTAX),
    }
}

/// Puts the words behind those that are there.
///
/// # Safety
/// `to` is valid, and filled when `flags` has APPEND.
unsafe fn append(output: &[u8], flags: c_int, to: &mut Words) -> Result<(), c_int> {
    let offset = if flags & DO_OFFSETS != 0 { to.offset } else { 0 };
    let (count, old) = if flags & APPEND != 0 { (to.count, to.list) } else { (0, null_mut()) };
    let mut list: List<*mut c_char> = List::new();
    list.resize(offset, null_mut()).map_err(no_space)?;
    if !old.is_null() {
        // SAFETY: by contract.
        list.extend(unsafe { core::slice::from_raw_parts(old.add(offset), count) }).map_err(no_space)?;
    }
    for word in output.split_inclusive(|byte| *byte == 0) {
        let text = heap::c_string(word.strip_suffix(b"\0").unwrap_or(word)).map_err(no_space)?;
        list.push(text).map_err(no_space)?;
    }
    let all = list.len() - offset;
    list.push(null_mut()).map_err(no_space)?;
    // SAFETY: it was the caller's, from the same allocator, and its strings are in the new list.
    unsafe { heap::release(old) };
    (to.count, to.list) = (all, list.into_raw());
    if flags & DO_OFFSETS == 0 {
        to.offset = 0;
    }
    Ok(())
}

hook! {
    fn wordexp(words: *const c_char, to: *mut Words, flags: c_int) -> c_int {
        // SAFETY: C's argument.
        let text = unsafe { bytes_of(words) }.unwrap_or(b"");
        if !init::in_view() || !needs_shell(text) {
            return real!(wordexp(words: *const c_char, to: *mut Words, flags: c_int) -> c_int);
        }
        let saved = errno::get();
        let result = check(text, flags).and_then(|()| expand(text, flags)).and_then(|output| {
            if flags & REUSE != 0 {
                real!(wordfree(to: *mut Words) -> ());
            }
            // SAFETY: C's argument.
            unsafe { append(&output, flags, &mut *to) }
        });
        errno::set(saved);
        result.err().unwrap_or(0)
    }
}
