//! Who owns which place of a queue. A slot has three descriptors of its own for good (header, data, status), so that an
//! answer names a slot or is a lie, and nothing the device writes decides what is free.

use std::thread::Thread;
use std::time::Instant;

use super::ring::Used;

/// Descriptors of a slot.
pub(crate) const SLOT_DESCS: u16 = 3;

/// One request under way. The generation makes one that was given up different from its successor in the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) slot: u16,
    generation: u64,
}

/// What the device said of a request, checked as far as a queue can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) slot: u16,
    /// How many bytes the device wrote.
    pub(crate) written_bytes: u32,
}

#[derive(Debug)]
enum State<T> {
    Free,
    InFlight {
        request: T,
        owner: Thread,
        until: Instant,
    },
    /// The device has answered, its owner has not looked yet.
    Done {
        outcome: T,
    },
}

#[derive(Debug)]
struct Slot<T> {
    generation: u64,
    state: State<T>,
}

/// `T` is what is kept for a request, before and after its end.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u16>,
    in_flight: u16,
}

/// What is wrong with what the device wrote.
pub(crate) type Lie = String;

impl<T> Slots<T> {
    /// As many as a ring of `queue_len` descriptors has room for.
    pub(crate) fn new(queue_len: u16) -> Self {
        let count = queue_len / SLOT_DESCS;
        let slots = (0..count).map(|_| Slot { generation: 0, state: State::Free }).collect();
        Self { slots, free: (0..count).rev().collect(), in_flight: 0 }
    }

    pub(crate) fn count(&self) -> u16 {
        u16::try_from(self.slots.len()).unwrap_or(u16::MAX)
    }

    pub(crate) fn in_flight(&self) -> u16 {
        self.in_flight
    }

    /// The next free slot, if there is one: what to write it into before it is begun.
    pub(crate) fn peek(&self) -> Option<u16> {
        self.free.last().copied()
    }

    /// Takes the slot that [`Self::peek`] gave.
    pub(crate) fn begin(&mut self, request: T, owner: Thread, until: Instant) -> Option<Token> {
        let number = self.free.pop()?;
        let slot = &mut self.slots[usize::from(number)];
        slot.generation += 1;
        slot.state = State::InFlight { request, owner, until };
        self.in_flight += 1;
        Some(Token { slot: number, generation: slot.generation })
    }

    /// Checks what the used ring says: the id is the head of a slot, and a request is under way there.
    pub(crate) fn check(&self, used: Used) -> Result<Finished, Lie> {
        let Used { id, len_bytes } = used;
        let number =
            u16::try_from(id).ok().filter(|id| id.is_multiple_of(SLOT_DESCS)).map(|id| id / SLOT_DESCS);
        let slot = number.and_then(|number| Some((number, self.slots.get(usize::from(number))?)));
        match slot {
            Some((slot, Slot { state: State::InFlight { .. }, .. })) => {
                Ok(Finished { slot, written_bytes: len_bytes })
            }
            Some(_) => Err(format!("it answered id {id}, where no request is under way")),
            None => Err(format!("it answered id {id}, which is no request's")),
        }
    }

    /// The request in a slot that is under way.
    pub(crate) fn request(&self, slot: u16) -> Option<&T> {
        match &self.slots.get(usize::from(slot))?.state {
            State::InFlight { request, .. } => Some(request),
            _ => None,
        }
    }

    /// Ends one that is under way, and hands its owner back to be woken.
    pub(crate) fn finish(&mut self, slot: u16, outcome: T) -> Option<Thread> {
        let state = &mut self.slots.get_mut(usize::from(slot))?.state;
        if !matches!(state, State::InFlight { .. }) {
            return None;
        }
        self.in_flight -= 1;
        match std::mem::replace(state, State::Done { outcome }) {
            State::InFlight { owner, .. } => Some(owner),
            _ => None,
        }
    }

    /// Ends all that are under way; their owners.
    pub(crate) fn finish_all(&mut self, mut outcome: impl FnMut() -> T) -> Vec<Thread> {
        (0..self.count()).filter_map(|slot| self.finish(slot, outcome())).collect()
    }

    /// Takes the outcome and frees the slot; `None`: not yet, or not this request's.
    pub(crate) fn collect(&mut self, token: Token) -> Option<T> {
        let slot = self.slots.get_mut(usize::from(token.slot))?;
        if slot.generation != token.generation || !matches!(slot.state, State::Done { .. }) {
            return None;
        }
        self.free.push(token.slot);
        match std::mem::replace(&mut slot.state, State::Free) {
            State::Done { outcome } => Some(outcome),
            _ => None,
        }
    }

    /// When the first of those under way has taken too long.
    pub(crate) fn first_deadline(&self) -> Option<Instant> {
        let until = |slot: &Slot<T>| match &slot.state {
            State::InFlight { until, .. } => Some(*until),
            _ => None,
        };
        self.slots.iter().filter_map(until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(id: u32) -> Used {
        Used { id, len_bytes: 1 }
    }

    #[test]
    fn what_was_given_up_is_never_taken_for_its_successor() {
        let mut slots = Slots::new(8);
        let me = std::thread::current();
        let first = slots.begin(1, me.clone(), Instant::now()).unwrap();
        slots.finish(first.slot, 10);
        assert_eq!(slots.collect(first), Some(10));
        let second = slots.begin(2, me.clone(), Instant::now()).unwrap();
        assert_eq!(first.slot, second.slot);
        slots.finish(second.slot, 20);
        assert_eq!(slots.collect(first), None, "its slot is another's");
        assert_eq!(slots.collect(second), Some(20));
        assert_eq!(slots.collect(second), None, "once");
    }

    #[test]
    fn an_answer_names_a_request_under_way_or_is_a_lie() {
        let mut slots = Slots::new(9);
        let token = slots.begin(1, std::thread::current(), Instant::now()).unwrap();
        assert_eq!(token.slot, 0);
        for id in [1, 2, 3, 6, 9, 12, 65_535, 65_536, 65_536 * 3, u32::MAX] {
            assert!(slots.check(used(id)).is_err(), "{id}");
        }
        assert_eq!(slots.check(used(0)), Ok(Finished { slot: 0, written_bytes: 1 }));
        slots.finish(0, 1);
        assert!(slots.check(used(0)).is_err(), "a second time");
        slots.collect(token);
        assert!(slots.check(used(0)).is_err(), "nobody's any more");
    }

    #[test]
    fn there_are_as_many_as_the_queue_has_room_for() {
        let mut slots = Slots::new(256);
        assert!(slots.count() >= 64);
        let begin = |slots: &mut Slots<u8>| slots.begin(0, std::thread::current(), Instant::now());
        let tokens: Vec<Token> = std::iter::from_fn(|| begin(&mut slots)).collect();
        assert_eq!(tokens.len(), usize::from(slots.count()));
        assert_eq!(slots.finish_all(|| 7).len(), tokens.len());
        assert!(tokens.into_iter().all(|token| slots.collect(token) == Some(7)));
        assert!(begin(&mut slots).is_some() && slots.in_flight() == 1);
    }
}
