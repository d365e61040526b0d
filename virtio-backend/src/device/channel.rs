//! One queue, and how those who wait for its answers share the work: whoever waits looks for all, one of them sleeps until
//! the device rings, the others until they are woken.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::layout::{HEADER_AT, QUEUE_LEN_MAX, RANGE_AT, STATUS_AT, slot_start};
use crate::arena::Arena;
use crate::bell::Bell;
use crate::block::request::{Kind, Outcome, SECTOR_LEN, STATUS_NONE, judge, range};
use crate::queue::ring::{DESC_NEXT, DESC_WRITE};
use crate::queue::slots::{Lie, SLOT_DESCS};
use crate::queue::{ArenaCells, Finished, Ring, Slots, Token};
use std::sync::atomic::Ordering::{Acquire, Relaxed};

/// Longest sleep of those who do not listen.
const SLEEP_MAX: Duration = Duration::from_millis(200);
/// Turns of a polling wait between two looks at the clock.
const SPINS: usize = 256;

/// One request as the caller has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Io {
    pub(super) kind: Kind,
    /// Byte offset on the device.
    pub(super) offset: u64,
    /// Of data, or of the range of a discard.
    pub(super) len_bytes: u64,
    /// Where its data is in the arena, if it has any.
    pub(super) data: usize,
}

/// What is kept of it while it is under way, and its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    kind: Kind,
    data_len: u32,
    outcome: Outcome,
}

pub(super) struct Channel {
    index: u16,
    queue_len: u16,
    arena: Arc<Arena>,
    bell: Arc<dyn Bell>,
    state: Mutex<State>,
    /// A slot was freed.
    room: Condvar,
}

struct State {
    ring: Ring<ArenaCells>,
    slots: Slots<Work>,
    /// Somebody sleeps until the device rings.
    has_listener: bool,
    /// Those who sleep until they are woken.
    sleepers: VecDeque<Thread>,
}

/// How a look at a request ended.
pub(super) enum Look {
    Ended(Outcome),
    NotYet,
    /// It took too long.
    Late,
    Lie(Lie),
}

impl Channel {
    pub(super) fn new(
        index: u16,
        queue_len: u16,
        event_idx: bool,
        arena: Arc<Arena>,
        bell: Arc<dyn Bell>,
    ) -> Self {
        debug_assert!(queue_len <= QUEUE_LEN_MAX);
        let cells = ArenaCells { arena: arena.clone(), start: super::layout::ring_start(index) };
        let mut ring = Ring::new(cells, queue_len, event_idx);
        ring.disarm();
        let state =
            State { ring, slots: Slots::new(queue_len), has_listener: false, sleepers: VecDeque::new() };
        Self { index, queue_len, arena, bell, state: Mutex::new(state), room: Condvar::new() }
    }

    pub(super) fn index(&self) -> u16 {
        self.index
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins as many as there are slots for; whether the device wants to be told. With `is_dead` none.
    pub(super) fn submit(
        &self,
        ios: &[Io],
        tokens: &mut Vec<Token>,
        timeout: Duration,
        is_dead: &dyn Fn() -> bool,
    ) -> bool {
        let mut state = self.lock();
        // Seen under the lock: whoever declares the device dead ends everything that was begun before.
        if is_dead() {
            return false;
        }
        let until = Instant::now() + timeout;
        let me = thread::current();
        for io in ios {
            let Some(slot) = state.slots.peek() else { break };
            let work = self.lay_out(&state.ring, slot, io);
            let Some(token) = state.slots.begin(work, me.clone(), until) else { break };
            state.ring.push(slot * SLOT_DESCS);
            tokens.push(token);
        }
        state.ring.publish()
    }

    /// Writes header and descriptors of a slot that is free.
    fn lay_out(&self, ring: &Ring<ArenaCells>, slot: u16, io: &Io) -> Work {
        let start = slot_start(self.index, self.queue_len, slot);
        let sector = io.offset / SECTOR_LEN;
        let is_range = matches!(io.kind, Kind::Discard | Kind::WriteZeroes);
        self.write16(start + HEADER_AT, io.kind.header(if is_range { 0 } else { sector }));
        self.arena.shared_u8(start + STATUS_AT).store(STATUS_NONE, Relaxed);
        let (data, data_len) = if is_range {
            let sectors = u32::try_from(io.len_bytes / SECTOR_LEN).unwrap_or(u32::MAX);
            self.write16(start + RANGE_AT, range(sector, sectors));
            (start + RANGE_AT, 16)
        } else {
            (io.data, u32::try_from(io.len_bytes).unwrap_or(u32::MAX))
        };
        let head = slot * SLOT_DESCS;
        let (second, last) = (head + 1, head + 2);
        let bus = |offset, len| self.arena.bus_address(offset, len);
        let has_data = data_len > 0;
        let next = if has_data { second } else { last };
        ring.describe(head, bus(start + HEADER_AT, 16), 16, DESC_NEXT, next);
        if has_data {
            let flags = if io.kind == Kind::Read { DESC_NEXT | DESC_WRITE } else { DESC_NEXT };
            ring.describe(second, bus(data, data_len as usize), data_len, flags, last);
        }
        ring.describe(last, bus(start + STATUS_AT, 1), 1, DESC_WRITE, 0);
        Work { kind: io.kind, data_len, outcome: Outcome::Failed(libc::EIO) }
    }

    fn write16(&self, at: usize, bytes: [u8; 16]) {
        for (part, bytes) in bytes.chunks_exact(8).enumerate() {
            let value = u64::from_ne_bytes(bytes.try_into().unwrap_or_default());
            self.arena.shared_u64(at + 8 * part).store(value, Relaxed);
        }
    }

    /// Takes what the device answered, for whomever it is.
    fn reap(&self, state: &mut State, me: &Thread) -> Result<(), Lie> {
        let ready = state.ring.ready();
        let in_flight = state.slots.in_flight();
        if ready > in_flight {
            return Err(format!("it says that it answered {ready} requests while {in_flight} are under way"));
        }
        for _ in 0..ready {
            let used = state.ring.take();
            let Finished { slot, written_bytes } = state.slots.check(used)?;
            let status_at = slot_start(self.index, self.queue_len, slot) + STATUS_AT;
            let status = self.arena.shared_u8(status_at).load(Acquire);
            let Some(work) = state.slots.request(slot).copied() else { continue };
            let outcome = judge(work.kind, work.data_len, written_bytes, status)?;
            if let Some(owner) = state.slots.finish(slot, Work { outcome, ..work })
                && owner.id() != me.id()
            {
                owner.unpark();
            }
        }
        Ok(())
    }

    /// Looks once; frees the slot when the request has ended.
    fn look(&self, state: &mut State, token: Token, me: &Thread) -> Look {
        // An end that was noted counts, whatever the device says now.
        let mut ended = state.slots.collect(token);
        if ended.is_none() {
            if let Err(lie) = self.reap(state, me) {
                return Look::Lie(lie);
            }
            ended = state.slots.collect(token);
        }
        if let Some(work) = ended {
            self.room.notify_one();
            // Somebody else has to listen from now on.
            if !state.has_listener
                && let Some(next) = state.sleepers.pop_front()
            {
                next.unpark();
            }
            return Look::Ended(work.outcome);
        }
        match state.slots.first_deadline() {
            Some(until) if Instant::now() >= until => Look::Late,
            _ => Look::NotYet,
        }
    }

    /// How a request ended that is known to have ended; nothing is looked for.
    pub(super) fn collect(&self, token: Token) -> Option<Outcome> {
        let work = self.lock().slots.collect(token)?;
        self.room.notify_one();
        Some(work.outcome)
    }

    /// Waits for the end of one request, [`SLEEP_MAX`] at most; `poll`: without sleeping.
    pub(super) fn wait(&self, token: Token, poll: bool) -> Look {
        let me = thread::current();
        let mut state = self.lock();
        state.sleepers.retain(|sleeper| sleeper.id() != me.id());
        match self.look(&mut state, token, &me) {
            Look::NotYet => {}
            other => return other,
        }
        if poll {
            return self.spin(state, token, &me);
        }
        if state.has_listener {
            state.sleepers.push_back(me);
            drop(state);
            thread::park_timeout(SLEEP_MAX);
            return Look::NotYet;
        }
        state.has_listener = true;
        let has_answers = state.ring.arm();
        drop(state);
        if !has_answers {
            self.bell.wait();
        }
        let mut state = self.lock();
        state.has_listener = false;
        state.ring.disarm();
        self.look(&mut state, token, &me)
    }

    fn spin<'a>(&'a self, mut state: MutexGuard<'a, State>, token: Token, me: &Thread) -> Look {
        for turn in 0..SPINS {
            if state.ring.ready() > 0 || turn == SPINS - 1 {
                match self.look(&mut state, token, me) {
                    Look::NotYet => {}
                    other => return other,
                }
            }
            // Others have answers to look for as well.
            drop(state);
            std::hint::spin_loop();
            state = self.lock();
        }
        drop(state);
        thread::yield_now();
        Look::NotYet
    }

    /// Waits until a slot may be free.
    pub(super) fn wait_for_room(&self) -> Result<(), Lie> {
        let mut state = self.lock();
        self.reap(&mut state, &thread::current())?;
        if state.slots.peek().is_none() {
            drop(self.room.wait_timeout(state, SLEEP_MAX));
        }
        Ok(())
    }

    pub(super) fn wake_listener(&self) {
        if self.lock().has_listener {
            self.bell.ring();
        }
    }

    /// Whether one of those under way has taken too long.
    pub(super) fn is_late(&self) -> bool {
        self.lock().slots.first_deadline().is_some_and(|until| Instant::now() >= until)
    }

    /// Ends everything that is under way. The device must not answer any more.
    pub(super) fn end_all(&self) {
        let mut state = self.lock();
        let failed = || Work { kind: Kind::Flush, data_len: 0, outcome: Outcome::Failed(libc::EIO) };
        let owners = state.slots.finish_all(failed);
        let sleepers = std::mem::take(&mut state.sleepers);
        drop(state);
        owners.into_iter().chain(sleepers).for_each(|one| one.unpark());
        self.bell.ring();
        self.room.notify_all();
    }

    /// How many requests it has room for.
    pub(super) fn depth(&self) -> u16 {
        self.lock().slots.count()
    }
}
