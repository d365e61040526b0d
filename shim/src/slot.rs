//! The page through which a process that makes many requests hands them over: `vrift_protocol::slot`, RFC 0007.

use crate::patience::Patience;
use crate::raw::{self, Errno};
use core::ffi::c_int;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use vrift_protocol::slot::{FRAME_MAX, POSTED, Posted, SLOT_LEN, Slot};

/// Requests in a row from which on a page pays: it costs a request and three system calls.
const ROW: u32 = 8;
/// Requests until a page is asked for again after it was refused.
const REFUSED: u32 = 1000;
/// How long to sleep before looking whether the daemon is still there.
const SLEEP_NS: i64 = 50_000_000;

/// Of one process, in the page that fork(2) wipes, as the child does not have the mapping.
pub struct Page {
    at: AtomicPtr<Slot>,
    /// Requests to go without asking for a page.
    not_for: AtomicU32,
}

/// How a request through the page ended.
pub enum Outcome {
    /// The frame of the answer is in the buffer, so long.
    Answer(usize),
    /// It was not taken: the page is closed, or the frame is too long for it.
    NotTaken,
    /// The daemon is gone and may have carried it out.
    Lost,
}

impl Page {
    /// Whether it is time to ask for a page.
    pub fn is_due(&self, patience: &Patience) -> bool {
        if patience.row() < ROW || !self.at.load(Ordering::Relaxed).is_null() {
            return false;
        }
        let left = self.not_for.load(Ordering::Relaxed);
        if left > 0 {
            self.not_for.store(left - 1, Ordering::Relaxed);
        }
        left == 0
    }

    /// What the daemon said when it was asked for one.
    pub fn granted(&self, fd: Result<Option<c_int>, Errno>) {
        let mapped = fd.and_then(|fd| fd.ok_or(libc::EIO)).and_then(|fd| {
            let mapped = raw::map_file(fd, SLOT_LEN, libc::PROT_READ | libc::PROT_WRITE);
            raw::close(fd);
            let at = mapped?;
            raw::not_in_children(at, SLOT_LEN)?;
            Ok(at.cast())
        });
        match mapped {
            Ok(at) => self.at.store(at, Ordering::Release),
            Err(_) => self.not_for.store(REFUSED, Ordering::Relaxed),
        }
    }

    /// Hands a request over and waits for the answer. `connection` tells whether the daemon is still there.
    pub fn exchange(
        &self,
        parts: &[&[u8]],
        connection: c_int,
        patience: &Patience,
        answer: &mut [u8; FRAME_MAX],
    ) -> Outcome {
        // SAFETY: null, or a mapping of the slot's length that lasts until `give_up` is called, by the thread that has
        // the connection's lock, as this one.
        let Some(slot) = (unsafe { self.at.load(Ordering::Acquire).as_ref() }) else {
            return Outcome::NotTaken;
        };
        if !slot.put(parts) {
            return Outcome::NotTaken;
        }
        match slot.post() {
            Posted::Awake => {}
            Posted::Asleep => raw::futex_wake(slot.state()),
            Posted::Closed => {
                self.give_up();
                return Outcome::NotTaken;
            }
        }
        let mut wait = patience.wait();
        while let Some(going_on) = wait {
            if slot.is_answered() {
                break;
            }
            core::hint::spin_loop();
            wait = going_on.go_on();
        }
        if !slot.is_answered() {
            slot.client_sleeps(true);
            while !slot.is_answered() {
                let slept = raw::futex_wait(slot.state(), POSTED, SLEEP_NS);
                if slept == Err(libc::ETIMEDOUT) && !slot.is_answered() && raw::has_hung_up(connection) {
                    return Outcome::Lost;
                }
            }
            slot.client_sleeps(false);
        }
        patience.answered();
        Outcome::Answer(slot.take(answer).len())
    }

    /// The connection is over, or the page is closed.
    pub fn give_up(&self) {
        let at = self.at.swap(core::ptr::null_mut(), Ordering::AcqRel);
        if !at.is_null() {
            // SAFETY: the thread that has the connection's lock is the only one that looks into the page.
            unsafe { raw::unmap(at.cast(), SLOT_LEN) };
        }
    }
}
