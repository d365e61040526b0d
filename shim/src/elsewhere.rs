//! The path that a call goes on with when it leaves the view by way of the view. That is rare, and a path is a page long:
//! it gets memory when it is written, so that the other calls touch no more of their stack than they need.

use crate::raw::{self, Errno};
use crate::text::PathText;
use core::ffi::{CStr, c_char};
use core::marker::PhantomData;
use core::ptr::null_mut;

/// A path that may never be written; lives as long as the call that it is for.
pub struct Elsewhere<'a> {
    text: *mut PathText,
    is_mapped: bool,
    given: PhantomData<&'a mut PathText>,
}

impl Elsewhere<'static> {
    pub const fn new() -> Elsewhere<'static> {
        Elsewhere { text: null_mut(), is_mapped: false, given: PhantomData }
    }
}

impl<'a> Elsewhere<'a> {
    /// To be written into a text of the caller's: in a child that shares its parent's memory, and executes something, what
    /// is mapped would stay in the parent.
    pub fn within(text: &'a mut PathText) -> Elsewhere<'a> {
        text.clear();
        Elsewhere { text, is_mapped: false, given: PhantomData }
    }

    /// To write to.
    pub fn text(&mut self) -> Result<&mut PathText, Errno> {
        if self.text.is_null() {
            let text: *mut PathText = raw::map_anonymous(size_of::<PathText>())?.cast();
            // SAFETY: a mapping of this length, aligned to a page.
            unsafe { text.write(PathText::new()) };
            (self.text, self.is_mapped) = (text, true);
        }
        // SAFETY: written above, or the caller's text, which this has borrowed.
        Ok(unsafe { &mut *self.text })
    }

    fn written(&self) -> Option<&PathText> {
        // SAFETY: null, or as above.
        unsafe { self.text.as_ref() }
    }

    pub fn clear(&mut self) {
        // SAFETY: null, or as above.
        if let Some(text) = unsafe { self.text.as_mut() } {
            text.clear();
        }
    }

    /// Empty when it was not written.
    pub fn as_bytes(&self) -> &[u8] {
        self.written().map_or(b"", PathText::as_bytes)
    }

    pub fn as_c_str(&self) -> &CStr {
        self.written().map_or(c"", PathText::as_c_str)
    }

    pub fn as_ptr(&self) -> *const c_char {
        self.as_c_str().as_ptr()
    }
}

impl Drop for Elsewhere<'_> {
    fn drop(&mut self) {
        if self.is_mapped {
            // SAFETY: mapped by `text`; what pointed into it goes with this.
            unsafe { raw::unmap(self.text.cast(), size_of::<PathText>()) };
        }
    }
}
