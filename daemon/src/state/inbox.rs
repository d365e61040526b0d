//! Requests of a connection that wait, and who works on them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use vrift_protocol::FrameHeader;

/// Requests of one connection that wait: a little more than a client of this build has under way.
const INBOX_MAX: usize = 160;
/// Bytes of waiting requests of all connections together.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// Requests of a connection, which are answered one after the other.
#[derive(Default)]
pub struct Inbox {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    requests: VecDeque<(FrameHeader, Vec<u8>)>,
    /// A thread answers them, or is about to.
    at_work: bool,
    /// The client does not read what it was answered: no thread waits for it. It is at work all the same.
    parked: bool,
    /// The client is gone: what it began ends when its requests have.
    left: bool,
}

impl Inbox {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a thread must be found for them. Err: there is no room.
    pub fn put(&self, header: FrameHeader, body: &[u8], bytes: &AtomicUsize) -> Result<bool, ()> {
        let mut waiting = self.waiting();
        let full = waiting.requests.len() >= INBOX_MAX
            || bytes.load(Ordering::Relaxed) + body.len() > WAITING_BYTES_MAX;
        if full {
            return Err(());
        }
        bytes.fetch_add(body.len(), Ordering::Relaxed);
        waiting.requests.push_back((header, body.to_vec()));
        Ok(!std::mem::replace(&mut waiting.at_work, true))
    }

    /// The client is gone. True: nobody answers requests of it, so that what it began can end now.
    pub fn leave(&self, bytes: &AtomicUsize) -> bool {
        let mut waiting = self.waiting();
        waiting.left = true;
        if std::mem::take(&mut waiting.parked) {
            waiting.drop_all(bytes);
        }
        !waiting.at_work
    }

    /// The thread at work goes away until [`Inbox::unpark`].
    pub fn park(&self) {
        self.waiting().parked = true;
    }

    /// True, once: a thread must be found for what waits.
    pub fn unpark(&self) -> bool {
        std::mem::take(&mut self.waiting().parked)
    }

    /// The client is gone, and whoever asks is the last to have worked for it.
    pub fn is_over(&self) -> bool {
        let waiting = self.waiting();
        waiting.left && !waiting.at_work
    }

    /// The next one; None: there is none, and whoever asked is not at work any more.
    pub fn take(&self, bytes: &AtomicUsize) -> Option<(FrameHeader, Vec<u8>)> {
        let mut waiting = self.waiting();
        let next = waiting.requests.pop_front();
        waiting.at_work = next.is_some();
        if let Some((_, body)) = &next {
            bytes.fetch_sub(body.len(), Ordering::Relaxed);
        }
        next
    }

    /// Nobody reads answers any more: what waits is forgotten.
    pub fn forget(&self, bytes: &AtomicUsize) {
        self.waiting().drop_all(bytes);
    }
}

impl Waiting {
    fn drop_all(&mut self, bytes: &AtomicUsize) {
        self.at_work = false;
        for (_, body) in self.requests.drain(..) {
            bytes.fetch_sub(body.len(), Ordering::Relaxed);
        }
    }
}
