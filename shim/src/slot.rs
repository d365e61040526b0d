//! The page through which a process that makes many requests hands them over: `vrift_protocol::slot`, RFC 0007.

use crate::line::daemon_is_there;
use crate::patience::Patience;
use crate::raw::{self, Errno};
use core::ffi::c_int;
use core::sync::atomic::{AtomicI32, AtomicPtr, Ordering};
use vrift_protocol::frame::SILENCE_TIMEOUT_MS;
use vrift_protocol::slot::{FRAME_MAX, POSTED, Posted, SLOT_LEN, Slot};

/// Requests in a row, or in all, from which on a page pays: it costs a request and three system calls.
const ROW: u32 = 8;
const MANY: i32 = 64;
/// Requests until a page is asked for again after it was refused.
const REFUSED: i32 = 1000;
/// How long to sleep before looking whether the daemon is still there.
const SLEEP_NS: i64 = 50_000_000;

const SILENCE_NS: i64 = SILENCE_TIMEOUT_MS as i64 * 1_000_000;

/// Of one process, in the page that fork(2) wipes, as the child does not have the mapping.
pub struct Page {
    at: AtomicPtr<Slot>,
    /// Requests without a page; less than none after it was refused.
    without: AtomicI32,
}

/// How a request through the page ended.
pub enum Outcome {
    /// The frame of the answer is in the buffer, so long.
    Answer(usize),
    /// It was not taken: the page is closed, or the frame is too long for it.
    NotTaken,
    /// The daemon is gone and may have carried it out.
    Lost,
    /// The daemon is there and does nothing.
    Silent,
}

impl Page {
    /// After a request without a page: whether it is time to ask for one.
    pub fn is_due(&self, patience: &Patience) -> bool {
        if !self.at.load(Ordering::Relaxed).is_null() {
            return false;
        }
        let without = self.without.load(Ordering::Relaxed) + 1;
        self.without.store(without, Ordering::Relaxed);
        without >= MANY || without > 0 && patience.row() >= ROW
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
        self.without.store(if mapped.is_ok() { 0 } else { -REFUSED }, Ordering::Relaxed);
        if let Ok(at) = mapped {
            self.at.store(at, Ordering::Release);
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
                going_on.met();
                break;
            }
            core::hint::spin_loop();
            wait = going_on.go_on();
        }
        if !slot.is_answered() {
            slot.client_sleeps(true);
            let mut slept_ns = 0;
            while !slot.is_answered() {
                let slept = raw::futex_wait(slot.state(), POSTED, SLEEP_NS);
                if slept != Err(libc::ETIMEDOUT) || slot.is_answered() {
                    continue;
                }
                if raw::has_hung_up(connection) {
                    return Outcome::Lost;
                }
                slept_ns += SLEEP_NS;
                if slept_ns > SILENCE_NS {
                    slept_ns = 0;
                    if !daemon_is_there() {
                        return Outcome::Silent;
                    }
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
