//! Every order in which both sides may see each other's writes: `RUSTFLAGS="--cfg loom" cargo test -p vrift-virtio-backend
//! --lib --release loom`. The device's half is written here as the standard has it (2.7.7, 2.7.10, 2.7.13, 2.7.14).

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, fence};
use loom::thread;

use super::*;

const LEN: u16 = 4;

/// One cell for each field, by its offset, whatever its width.
#[derive(Clone)]
struct LoomCells(Arc<Vec<AtomicU64>>);

impl LoomCells {
    fn new() -> Self {
        Self(Arc::new((0..Layout { len: LEN }.end()).map(|_| AtomicU64::new(0)).collect()))
    }
}

impl Cells for LoomCells {
    fn load16(&self, at: usize, order: Ordering) -> u16 {
        self.0[at].load(order) as u16
    }
    fn store16(&self, at: usize, value: u16, order: Ordering) {
        self.0[at].store(u64::from(value), order);
    }
    fn load32(&self, at: usize, order: Ordering) -> u32 {
        self.0[at].load(order) as u32
    }
    fn store32(&self, at: usize, value: u32, order: Ordering) {
        self.0[at].store(u64::from(value), order);
    }
    fn store64(&self, at: usize, value: u64, order: Ordering) {
        self.0[at].store(value, order);
    }
    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}

const LAYOUT: Layout = Layout { len: LEN };

/// A device that finds an index finds what it counts.
#[test]
fn what_is_published_is_seen_whole() {
    for event_idx in [false, true] {
        loom::model(move || {
            let cells = LoomCells::new();
            let mut ring = Ring::new(cells.clone(), LEN, event_idx);
            let device = thread::spawn(move || {
                if cells.load16(LAYOUT.avail_idx(), Acquire) == 1 {
                    assert_eq!(cells.load16(LAYOUT.avail_entry(0), Relaxed), 3);
                    assert_eq!(cells.0[Layout::DESC + 48].load(Relaxed), 0x1234);
                    assert_eq!(cells.load32(Layout::DESC + 56, Relaxed), 77);
                }
            });
            ring.describe(3, 0x1234, 77, 0, 0);
            ring.push(3);
            ring.publish();
            device.join().unwrap();
        });
    }
}

/// A device that goes to sleep has seen the request, or is notified of it.
#[test]
fn no_notification_is_lost() {
    for event_idx in [false, true] {
        loom::model(move || {
            let cells = LoomCells::new();
            let mut ring = Ring::new(cells.clone(), LEN, event_idx);
            // It was busy: it wanted no notifications.
            cells.store16(LAYOUT.avail_event(), 100, Relaxed);
            cells.store16(LAYOUT.used(), USED_NO_NOTIFY, Relaxed);
            let device = thread::spawn(move || {
                if event_idx {
                    cells.store16(LAYOUT.avail_event(), 0, Relaxed);
                } else {
                    cells.store16(LAYOUT.used(), 0, Relaxed);
                }
                cells.fence();
                cells.load16(LAYOUT.avail_idx(), Acquire) == 1
            });
            ring.push(0);
            let notified = ring.publish();
            let seen = device.join().unwrap();
            assert!(seen || notified);
        });
    }
}

/// A driver that goes to sleep has seen the answer, whole, or is interrupted.
#[test]
fn no_interrupt_is_lost() {
    for event_idx in [false, true] {
        loom::model(move || {
            let cells = LoomCells::new();
            let mut ring = Ring::new(cells.clone(), LEN, event_idx);
            ring.disarm();
            let device = thread::spawn(move || {
                cells.store32(LAYOUT.used_elem(0), 3, Relaxed);
                cells.store32(LAYOUT.used_elem(0) + 4, 4097, Relaxed);
                cells.store16(LAYOUT.used_idx(), 1, Release);
                cells.fence();
                if event_idx {
                    is_passed(cells.load16(LAYOUT.used_event(), Relaxed), 1, 0)
                } else {
                    cells.load16(LAYOUT.avail(), Relaxed) & AVAIL_NO_INTERRUPT == 0
                }
            });
            let has_answers = ring.arm();
            if has_answers {
                assert_eq!(ring.take(), Used { id: 3, len_bytes: 4097 });
            }
            let interrupted = device.join().unwrap();
            assert!(has_answers || interrupted);
        });
    }
}
