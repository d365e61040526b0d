//! What was answered to whom: a client that lost its daemon sends its last request again and gets the
//! recorded result instead of having it done twice.

use crate::codec::{Decoder, Encoder, Malformed};
use crate::record::Origin;
use std::collections::HashMap;

/// Clients whose last result is kept. A client is a process; only one that was waiting while the daemon
/// died asks again, and no machine has more processes waiting than this.
pub const CLIENTS_MAX: usize = 16 * 1024;

/// The result of a client's last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub request_id: u64,
    pub vnode: u64,
    pub created: bool,
}

/// Last results by client, the oldest forgotten first.
#[derive(Default)]
pub struct Answers {
    by_client: HashMap<u64, (u64, Answer)>,
    clock: u64,
}

impl Answers {
    pub fn note(&mut self, origin: Origin, vnode: u64, created: bool) {
        if origin.client_id == 0 {
            return;
        }
        self.clock += 1;
        let answer = Answer { request_id: origin.request_id, vnode, created };
        self.by_client.insert(origin.client_id, (self.clock, answer));
        if self.by_client.len() > CLIENTS_MAX {
            // Half at once, so that the cost per change stays constant.
            let mut ages: Vec<u64> = self.by_client.values().map(|(age, _)| *age).collect();
            let (_, middle, _) = ages.select_nth_unstable(CLIENTS_MAX / 2);
            let middle = *middle;
            self.by_client.retain(|_, (age, _)| *age > middle);
        }
    }

    /// The result of this very request, if it was carried out.
    pub fn find(&self, origin: Origin) -> Option<Answer> {
        self.by_client
            .get(&origin.client_id)
            .map(|(_, answer)| *answer)
            .filter(|answer| answer.request_id == origin.request_id)
    }

    pub fn encode(&self, to: &mut Encoder) {
        let mut rows: Vec<_> = self.by_client.iter().collect();
        rows.sort_by_key(|(_, (age, _))| *age);
        to.u32(rows.len() as u32);
        for (client, (_, answer)) in rows {
            to.u64(*client).u64(answer.request_id).u64(answer.vnode).u8(u8::from(answer.created));
        }
    }

    pub fn decode(from: &mut Decoder<'_>) -> Result<Answers, Malformed> {
        let mut answers = Answers::default();
        for _ in 0..from.u32()? {
            let origin = Origin { client_id: from.u64()?, request_id: from.u64()? };
            let vnode = from.u64()?;
            answers.note(origin, vnode, from.u8()? != 0);
        }
        Ok(answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_bounded_and_the_newest_stay() {
        let mut answers = Answers::default();
        let last = CLIENTS_MAX as u64 * 2;
        for client_id in 1..=last {
            answers.note(Origin { client_id, request_id: 7 }, client_id, true);
        }
        assert!(answers.by_client.len() <= CLIENTS_MAX);
        let find = |client_id, request_id| answers.find(Origin { client_id, request_id });
        assert_eq!(find(last, 7), Some(Answer { request_id: 7, vnode: last, created: true }));
        assert_eq!(find(last, 8), None);
        assert_eq!(find(1, 7), None);
    }
}
