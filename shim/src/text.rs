//! Bytes of fixed capacity, for paths on the stack: no allocation, always NUL-terminated.

use core::ffi::{CStr, c_char};
use core::mem::MaybeUninit;

/// PATH_MAX with the NUL.
pub const PATH_MAX: usize = 4096;

/// Up to `N - 1` bytes and a NUL. Pushing more than fits marks it as overflowed.
///
/// What a short text needs is in one place: a page of memory that is not touched costs nothing.
#[repr(C)]
pub struct Text<const N: usize> {
    len: usize,
    overflowed: bool,
    /// The first `len` bytes and the NUL after them are initialised: making one costs nothing.
    bytes: [MaybeUninit<u8>; N],
}

pub type PathText = Text<PATH_MAX>;

impl<const N: usize> Text<N> {
    pub const fn new() -> Text<N> {
        let mut bytes = [MaybeUninit::uninit(); N];
        bytes[0] = MaybeUninit::new(0);
        Text { len: 0, overflowed: false, bytes }
    }

    pub fn from_parts(parts: &[&[u8]]) -> Text<N> {
        let mut text = Text::new();
        for part in parts {
            text.push(part);
        }
        text
    }

    pub fn clear(&mut self) {
        self.truncate(0);
        self.overflowed = false;
    }

    pub fn push(&mut self, more: &[u8]) {
        if self.len + more.len() + 1 > N {
            self.overflowed = true;
            return;
        }
        // SAFETY: it fits, by the check above; the source is a shared borrow and cannot overlap.
        unsafe {
            self.bytes
                .as_mut_ptr()
                .cast::<u8>()
                .add(self.len)
                .copy_from_nonoverlapping(more.as_ptr(), more.len())
        };
        self.len += more.len();
        self.bytes[self.len] = MaybeUninit::new(0);
    }

    /// Appends a number as sixteen hex digits: the names of vnodes on disk.
    pub fn push_hex16(&mut self, number: u64) {
        let mut digits = [0u8; 16];
        hex(&number.to_be_bytes(), &mut digits);
        self.push(&digits);
    }

    /// Appends a number in hex without leading zeros.
    pub fn push_hex(&mut self, number: u64) {
        let mut digits = [0u8; 16];
        hex(&number.to_be_bytes(), &mut digits);
        let zeros = digits.iter().take(15).take_while(|digit| **digit == b'0').count();
        self.push(&digits[zeros..]);
    }

    pub fn push_decimal(&mut self, mut number: u64) {
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.push(&digits[at..]);
    }

    pub fn truncate(&mut self, len: usize) {
        if len <= self.len {
            self.len = len;
            self.bytes[len] = MaybeUninit::new(0);
        }
    }

    /// Lets `write` fill the text (at most N - 1 bytes from where it is told) and say how many bytes it wrote.
    ///
    /// # Safety
    /// As many bytes as it says are written.
    pub unsafe fn fill_raw<E>(
        &mut self,
        write: impl FnOnce(*mut u8, usize) -> Result<usize, E>,
    ) -> Result<(), E> {
        let len = write(self.bytes.as_mut_ptr().cast(), N - 1)?.min(N - 1);
        self.len = len;
        self.bytes[len] = MaybeUninit::new(0);
        self.overflowed = false;
        Ok(())
    }

    /// Lets `write` fill a text of `len` bytes; false: it has no room for so many, or `write` says so.
    pub fn fill_len(&mut self, len: usize, write: impl FnOnce(&mut [u8]) -> bool) -> bool {
        if len >= N {
            return false;
        }
        self.bytes[..len].fill(MaybeUninit::new(0));
        // SAFETY: these bytes are initialised by now.
        let bytes = unsafe { core::slice::from_raw_parts_mut(self.bytes.as_mut_ptr().cast::<u8>(), len) };
        if !write(bytes) {
            return false;
        }
        self.len = len;
        self.bytes[len] = MaybeUninit::new(0);
        self.overflowed = false;
        true
    }

    /// As [`Text::fill_raw`], with all of it initialised before.
    pub fn fill<E>(&mut self, write: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<(), E> {
        self.bytes.fill(MaybeUninit::new(0));
        // SAFETY: all bytes are initialised by now.
        let all = unsafe { core::slice::from_raw_parts_mut(self.bytes.as_mut_ptr().cast::<u8>(), N - 1) };
        let len = write(all)?.min(N - 1);
        self.len = len;
        self.bytes[len] = MaybeUninit::new(0);
        self.overflowed = false;
        Ok(())
    }

    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: the first `len` bytes are initialised.
        unsafe { core::slice::from_raw_parts(self.bytes.as_ptr().cast(), self.len) }
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn as_ptr(&self) -> *const c_char {
        self.bytes.as_ptr().cast()
    }

    /// Up to the first NUL inside, if there is one.
    pub fn as_c_str(&self) -> &CStr {
        // SAFETY: a NUL stands after the first `len` bytes.
        unsafe { CStr::from_ptr(self.as_ptr()) }
    }
}

/// Lower-case hex digits of `bytes` into `to`, which is twice as long.
pub fn hex(bytes: &[u8], to: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(to.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// The number that sixteen hex digits stand for.
pub fn parse_hex16(digits: &[u8]) -> Option<u64> {
    if digits.len() != 16 {
        return None;
    }
    digits.iter().try_fold(0u64, |number, digit| Some(number << 4 | u64::from(hex_digit(*digit)?)))
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// A C string as bytes, without the NUL. Null and what cannot be read are None: the call behind the hook then
/// says EFAULT, or whatever else it makes of them.
///
/// # Safety
/// A string that can be read outlives the use of the result.
pub unsafe fn bytes_of<'a>(pointer: *const c_char) -> Option<&'a [u8]> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: by contract.
    unsafe { crate::user_memory::string(pointer.cast()) }
}

/// As [`bytes_of`], for a string that is known to be one: the process's own environment.
///
/// # Safety
/// Null, or a C string that outlives the use of the result.
pub unsafe fn own_bytes_of<'a>(pointer: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: by contract.
    (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) }.to_bytes())
}

/// The value of `NAME=value` when `entry` sets the variable `name`.
pub fn value_of<'a>(entry: &'a [u8], name: &str) -> Option<&'a [u8]> {
    entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

/// The rest of `path` after the directory `prefix` ("" for the directory itself, else without its leading slash).
pub fn below<'a>(path: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(prefix)?;
    match rest {
        [] => Some(rest),
        [b'/', rest @ ..] => Some(rest),
        _ if prefix.ends_with(b"/") => Some(rest),
        _ => None,
    }
}

/// Whether an absolute path has no empty, `.` or `..` component before its last slash.
pub fn is_normal(path: &[u8]) -> bool {
    !path.windows(2).any(|pair| matches!(pair, b"//" | b"/."))
}
