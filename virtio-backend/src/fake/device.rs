//! The device: a disk in memory, a thread for each queue, and its manners.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::memory::translate;
use super::requests::{self, Request};
use super::{Build, FakeBell};
use crate::arena::Arena;
use crate::bell::Bell;
use crate::queue::ring::{Layout, is_passed};
use crate::transport::QueuePlace;

/// One thing that is not true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// An id beyond the queue.
    IdOutOfRange,
    /// The id of a descriptor that is no head.
    IdOfNoHead,
    /// The id of a slot where nothing is under way.
    IdOfIdleSlot,
    /// The same request twice.
    Twice,
    /// More bytes than there was room for.
    LenTooLong,
    /// Fewer than it says were well.
    LenTooShort,
    /// No status that there is.
    StatusOfNoKind,
    /// A status that it never wrote.
    NoStatus,
    /// An index far ahead.
    IndexAhead,
}

pub(crate) const LIES: [Lie; 9] = [
    Lie::IdOutOfRange,
    Lie::IdOfNoHead,
    Lie::IdOfIdleSlot,
    Lie::Twice,
    Lie::LenTooLong,
    Lie::LenTooShort,
    Lie::StatusOfNoKind,
    Lie::NoStatus,
    Lie::IndexAhead,
];

/// How it behaves.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manners {
    pub(crate) seed: u64,
    /// Answers in any order, some later than others.
    pub(crate) reorders: bool,
    /// Waits until so many are under way before it answers the first.
    pub(crate) gathers: usize,
    /// Request number so many (from 0) is never answered.
    pub(crate) drops: Option<usize>,
    /// ... or answered with that status.
    pub(crate) fails: Option<(usize, u8)>,
    /// ... or answered by a lie.
    pub(crate) lies: Option<(usize, Lie)>,
    /// Goes on answering after it was reset.
    pub(crate) answers_after_reset: bool,
}

/// See the module.
pub(crate) struct Device {
    pub(super) arena: Arc<Arena>,
    manners: Manners,
    pub(crate) disk: Mutex<Vec<u8>>,
    /// Offsets in the arena of the data of requests.
    pub(crate) data_at: Mutex<Vec<usize>>,
    pub(crate) flushes: AtomicUsize,
    pub(crate) most_under_way: AtomicUsize,
    seen: AtomicUsize,
    stopped: AtomicBool,
    /// Notifications that no thread has looked after, by queue.
    notified: Mutex<Vec<bool>>,
    changed: Condvar,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Device {
    pub(super) fn new(build: Build, manners: Manners, arena: Arc<Arena>) -> Self {
        Self {
            arena,
            manners,
            disk: Mutex::new(vec![0; usize::try_from(build.sectors * 512).unwrap_or(0)]),
            data_at: Mutex::default(),
            flushes: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
            seen: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            notified: Mutex::new(vec![false; usize::from(build.queues)]),
            changed: Condvar::new(),
        }
    }

    pub(super) fn notify(&self, queue: u16) {
        if let Some(notified) = locked(&self.notified).get_mut(usize::from(queue)) {
            *notified = true;
        }
        self.changed.notify_all();
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }

    pub(super) fn serve(
        device: &Arc<Self>,
        queue: u16,
        place: QueuePlace,
        event_idx: bool,
        bell: Arc<FakeBell>,
    ) {
        device.stopped.store(false, Ordering::Relaxed);
        let device = device.clone();
        std::thread::spawn(move || {
            let start = translate(&device.arena, place.desc, 1).unwrap();
            let layout = Layout { len: place.len };
            assert_eq!(translate(&device.arena, place.used, 1).unwrap(), start + layout.used());
            let seed = device.manners.seed ^ u64::from(queue) << 32 | 1;
            let mut server = Server {
                device,
                queue,
                start,
                layout,
                event_idx,
                bell,
                taken: 0,
                used: 0,
                under_way: Vec::new(),
                seed,
            };
            server.run();
        });
    }
}

/// One queue's thread.
struct Server {
    device: Arc<Device>,
    queue: u16,
    start: usize,
    layout: Layout,
    event_idx: bool,
    bell: Arc<FakeBell>,
    taken: u16,
    used: u16,
    under_way: Vec<(usize, Request)>,
    seed: u64,
}

impl Server {
    fn random(&mut self, below: usize) -> usize {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        usize::try_from(self.seed % below.max(1) as u64).unwrap_or(0)
    }

    fn run(&mut self) {
        let manners = self.device.manners;
        let mut idle = 0;
        loop {
            if self.device.stopped.load(Ordering::Relaxed) && !manners.answers_after_reset {
                return;
            }
            let has_more = self.take();
            let gathered = self.under_way.len() >= manners.gathers || idle > 20;
            if gathered && !self.under_way.is_empty() {
                let most = self.under_way.len();
                let now = if manners.reorders { 1 + self.random(most) } else { most };
                for _ in 0..now {
                    let at = if manners.reorders { self.random(self.under_way.len()) } else { 0 };
                    let (number, request) = self.under_way.remove(at);
                    self.answer(number, request);
                }
                continue;
            }
            if has_more {
                continue;
            }
            idle = if self.sleep() { 0 } else { idle + 1 };
            // Nobody is left who could notify it.
            if idle > 2000 {
                return;
            }
        }
    }

    /// Whether it was notified.
    fn sleep(&self) -> bool {
        let notified = locked(&self.device.notified);
        let queue = usize::from(self.queue);
        let limit = Duration::from_millis(2);
        let (mut notified, _) = self
            .device
            .changed
            .wait_timeout_while(notified, limit, |notified| !notified[queue])
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut notified[queue])
    }

    /// Takes what was made available; whether there was anything.
    fn take(&mut self) -> bool {
        let (arena, avail) = (self.device.arena.clone(), self.start + self.layout.avail());
        let available = arena.shared_u16(avail + 2).load(Ordering::Acquire);
        let any = available != self.taken;
        while self.taken != available {
            let at = avail + 4 + 2 * usize::from(self.taken % self.layout.len);
            let head = arena.shared_u16(at).load(Ordering::Relaxed);
            let request = requests::read(&arena, self.start, head);
            if let Some((at, _)) = request.data {
                locked(&self.device.data_at).push(at);
            }
            self.under_way.push((self.device.seen.fetch_add(1, Ordering::Relaxed), request));
            self.taken = self.taken.wrapping_add(1);
        }
        self.device.most_under_way.fetch_max(self.under_way.len(), Ordering::Relaxed);
        if self.event_idx && any {
            // "Notify me of the next one."
            let at = self.start + self.layout.used() + 4 + 8 * usize::from(self.layout.len);
            arena.shared_u16(at).store(self.taken, Ordering::Relaxed);
            std::sync::atomic::fence(Ordering::SeqCst);
        }
        any
    }

    fn carry_out(&self, request: &Request) -> (u8, u32) {
        let arena = &self.device.arena;
        let mut disk = locked(&self.device.disk);
        let from = usize::try_from(request.sector).unwrap_or(usize::MAX).saturating_mul(512);
        match (request.kind, request.data) {
            (0 | 1, Some((at, len))) => {
                let len = len as usize;
                let Some(part) = from.checked_add(len).and_then(|end| disk.get_mut(from..end)) else {
                    return (1, 1);
                };
                let data = arena.pointer(at, len);
                if request.kind == 0 {
                    // SAFETY: memory that the driver lent the device for this request.
                    unsafe { std::ptr::copy_nonoverlapping(part.as_ptr(), data, len) };
                    return (0, 1 + u32::try_from(len).unwrap());
                }
                // SAFETY: as above.
                unsafe { std::ptr::copy_nonoverlapping(data, part.as_mut_ptr(), len) };
                (0, 1)
            }
            (4, None) => {
                self.device.flushes.fetch_add(1, Ordering::Relaxed);
                (0, 1)
            }
            (11 | 13, Some((at, 16))) => {
                let sector = usize::try_from(arena.shared_u64(at).load(Ordering::Relaxed)).unwrap();
                let sectors = arena.shared_u32(at + 8).load(Ordering::Relaxed) as usize;
                // As it announced: not more at a time, and aligned.
                assert!(sectors <= 16 && sector.is_multiple_of(8), "{sector} {sectors}");
                disk[sector * 512..(sector + sectors) * 512].fill(0);
                (0, 1)
            }
            _ => (2, 1),
        }
    }

    fn answer(&mut self, number: usize, request: Request) {
        let manners = self.device.manners;
        if manners.drops == Some(number) {
            return;
        }
        let lie = manners.lies.filter(|(at, _)| *at == number).map(|(_, lie)| lie);
        let (mut status, mut written) = match manners.fails {
            Some((at, status)) if at == number => (status, 1),
            _ => self.carry_out(&request),
        };
        let mut id = u32::from(request.head);
        match lie {
            Some(Lie::IdOutOfRange) => id += 65_536,
            Some(Lie::IdOfNoHead) => id += 1,
            Some(Lie::IdOfIdleSlot) => id = u32::from(self.layout.len / 3 - 1) * 3,
            Some(Lie::LenTooLong) => written += 4096,
            Some(Lie::LenTooShort) => written = written.saturating_sub(1),
            Some(Lie::StatusOfNoKind) => status = 7,
            _ => {}
        }
        if lie != Some(Lie::NoStatus) {
            self.device.arena.shared_u8(request.status).store(status, Ordering::Release);
        }
        let old = self.used;
        self.put(id, written);
        if lie == Some(Lie::Twice) {
            self.put(id, written);
        }
        if lie == Some(Lie::IndexAhead) {
            self.used = self.used.wrapping_add(1000);
        }
        self.publish(old);
    }

    fn put(&mut self, id: u32, written: u32) {
        let at = self.start + self.layout.used() + 4 + 8 * usize::from(self.used % self.layout.len);
        self.device.arena.shared_u32(at).store(id, Ordering::Relaxed);
        self.device.arena.shared_u32(at + 4).store(written, Ordering::Relaxed);
        self.used = self.used.wrapping_add(1);
    }

    fn publish(&self, old: u16) {
        let arena = &self.device.arena;
        arena.shared_u16(self.start + self.layout.used() + 2).store(self.used, Ordering::Release);
        std::sync::atomic::fence(Ordering::SeqCst);
        let avail = self.start + self.layout.avail();
        let wanted = if self.event_idx {
            let event =
                arena.shared_u16(avail + 4 + 2 * usize::from(self.layout.len)).load(Ordering::Relaxed);
            is_passed(event, self.used, old)
        } else {
            arena.shared_u16(avail).load(Ordering::Relaxed) == 0
        };
        if wanted {
            self.bell.ring();
        }
    }
}
