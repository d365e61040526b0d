//! Memory for long reads and writes: where a device wants it, so that it need not copy.

use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::sys::pages::Pages;

/// Bytes that somebody else keeps, for example in memory that a device reaches by itself.
pub trait Memory: Send {
    /// All of them.
    fn bytes(&self) -> &[u8];
    /// All of them, to be changed.
    fn bytes_mut(&mut self) -> &mut [u8];
}

/// Bytes for a device, at least at the start of a page.
pub struct IoBuf(Box<dyn Memory>);

impl IoBuf {
    /// Of the heap: as many bytes, zero at first.
    pub fn new(len: usize) -> Self {
        Self(Box::new(Heap { pages: Pages::new(len), len }))
    }

    /// Of a device.
    pub fn of(memory: impl Memory + 'static) -> Self {
        Self(Box::new(memory))
    }
}

struct Heap {
    pages: Pages,
    len: usize,
}

impl Memory for Heap {
    fn bytes(&self) -> &[u8] {
        &self.pages.bytes()[..self.len]
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.pages.bytes_mut()[..self.len]
    }
}

impl Deref for IoBuf {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl DerefMut for IoBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.0.bytes_mut()
    }
}

impl fmt::Debug for IoBuf {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "IoBuf of {} bytes", self.len())
    }
}
