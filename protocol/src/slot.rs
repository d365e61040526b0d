//! A page of shared memory through which one process makes its requests while it makes many: [`crate::Op::Slot`].
//!
//! ```text
//!   0  u32 state        4  u32 server_sleeps     8  u32 client_sleeps    12  u32 len
//!  64  the frame, `len` bytes, at most [`FRAME_MAX`]
//! ```
//! The client writes a request and turns IDLE to POSTED; the server takes it, writes the answer in its place, and turns
//! POSTED to IDLE. Either may sleep by futex(2) on `state` after it has said so in its `sleeps`. The server may turn IDLE
//! to CLOSED, which is for good. Neither trusts what the other wrote: a frame is copied before it is looked at.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Bytes of the mapping.
pub const SLOT_LEN: usize = 4096;
/// The longest frame: two names, no symlink target of a page.
pub const FRAME_MAX: usize = 1024;

/// Values of the state.
pub const IDLE: u32 = 0;
pub const POSTED: u32 = 1;
pub const CLOSED: u32 = 2;

/// All zeros at first: idle, both awake.
#[repr(C, align(64))]
pub struct Slot {
    state: AtomicU32,
    server_sleeps: AtomicU32,
    client_sleeps: AtomicU32,
    len: AtomicU32,
    reserved: [AtomicU64; 6],
    words: [AtomicU64; FRAME_MAX / 8],
}

const _: () = assert!(size_of::<Slot>() <= SLOT_LEN);

/// Of [`Slot::post`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// The server is awake and will see it.
    Awake,
    /// The server is to be woken: futex(2) on [`Slot::state`].
    Asleep,
    /// The server has closed the slot.
    Closed,
}

impl Slot {
    /// The futex.
    pub fn state(&self) -> &AtomicU32 {
        &self.state
    }

    /// Puts a frame into the page; false: it is too long. By the client while the state is IDLE, by the server while
    /// it is POSTED.
    pub fn put(&self, parts: &[&[u8]]) -> bool {
        let mut frame = [0; FRAME_MAX];
        let mut len = 0;
        for part in parts {
            let Some(to) = frame.get_mut(len..len + part.len()) else { return false };
            to.copy_from_slice(part);
            len += part.len();
        }
        for (word, bytes) in self.words.iter().zip(frame[..len.next_multiple_of(8)].as_chunks().0) {
            word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
        }
        self.len.store(len as u32, Ordering::Relaxed);
        true
    }

    /// Copies the frame out of the page; the part of `to` that it takes. A length that cannot be is taken as the
    /// longest.
    pub fn take<'a>(&self, to: &'a mut [u8; FRAME_MAX]) -> &'a [u8] {
        let len = (self.len.load(Ordering::Relaxed) as usize).min(FRAME_MAX);
        for (bytes, word) in to.as_chunks_mut().0.iter_mut().zip(&self.words).take(len.div_ceil(8)) {
            *bytes = word.load(Ordering::Relaxed).to_ne_bytes();
        }
        &to[..len]
    }

    /// Client: hands the request over.
    pub fn post(&self) -> Posted {
        match self.state.compare_exchange(IDLE, POSTED, Ordering::SeqCst, Ordering::Relaxed) {
            Err(_) => Posted::Closed,
            Ok(_) if self.server_sleeps.load(Ordering::SeqCst) != 0 => Posted::Asleep,
            Ok(_) => Posted::Awake,
        }
    }

    /// Client: whether the answer is in the page.
    pub fn is_answered(&self) -> bool {
        self.state.load(Ordering::Acquire) != POSTED
    }

    /// Client: says that it sleeps, or is awake again; then it waits by futex(2) while the state is POSTED.
    pub fn client_sleeps(&self, sleeps: bool) {
        self.client_sleeps.store(sleeps.into(), Ordering::SeqCst);
    }

    /// Server: whether there is a request.
    pub fn is_posted(&self) -> bool {
        self.state.load(Ordering::Acquire) == POSTED
    }

    /// Server: hands the answer over; whether the client is to be woken.
    pub fn answer(&self) -> bool {
        self.state.store(IDLE, Ordering::SeqCst);
        self.client_sleeps.load(Ordering::SeqCst) != 0
    }

    /// Server: says that it sleeps, or is awake again; then it waits by futex(2) while the state is IDLE.
    pub fn server_sleeps(&self, sleeps: bool) {
        self.server_sleeps.store(sleeps.into(), Ordering::SeqCst);
    }

    /// Server: closes the slot for good; false: there is a request.
    pub fn close(&self) -> bool {
        let closed = self.state.compare_exchange(IDLE, CLOSED, Ordering::SeqCst, Ordering::Relaxed);
        closed.is_ok() || closed == Err(CLOSED)
    }
}
