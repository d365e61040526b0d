//! Login by challenge and answer. Challenges and sessions are in memory alone, and their time is that of a clock that
//! nobody sets.

use crate::machines;
use crate::records::refused;
use crate::space::Space;
use nix::errno::Errno;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use vrift_protocol::identity::{self, MAY_OPEN, Reply};
use vrift_secret::keys::is_signed;
use vrift_secret::{hex, random};
use vrift_service::Refusal;

const CHALLENGE_TIMEOUT: Duration = Duration::from_secs(60);
const SESSION_TIMEOUT: Duration = Duration::from_secs(600);
/// Challenges, and sessions, of all users that are remembered; the oldest go first.
const REMEMBERED_MAX: usize = 1024;
/// Of one user: nobody pushes out the others'.
const OF_ONE_MAX: usize = 32;

/// A random word that somebody was given.
struct Given {
    word: String,
    user: String,
    machine: String,
    /// The machine's key at that time.
    sign: String,
    until: Instant,
}

#[derive(Default)]
pub struct Door {
    challenges: VecDeque<Given>,
    sessions: VecDeque<Given>,
}

fn give(
    to: &mut VecDeque<Given>,
    (user, machine, sign): (&str, &str, &str),
    time: Duration,
) -> Result<String, Refusal> {
    let now = Instant::now();
    to.retain(|given| given.until > now);
    let of_user = |given: &&Given| given.user == user;
    if to.iter().filter(of_user).count() >= OF_ONE_MAX
        && let Some(oldest) = to.iter().position(|given| given.user == user)
    {
        to.remove(oldest);
    }
    if to.len() >= REMEMBERED_MAX {
        to.pop_front();
    }
    let random = random::<32>().map_err(|error| Refusal::new(Errno::EIO, error.to_string()))?;
    let word = hex::encode(&random);
    let (user, machine, sign) = (user.into(), machine.into(), sign.into());
    to.push_back(Given { word: word.clone(), user, machine, sign, until: now + time });
    Ok(word)
}

impl Door {
    /// What was given to a machine of a user, or to all, counts no more.
    pub fn forget(&mut self, user: &str, machine: Option<&str>) {
        let other =
            |given: &Given| given.user != user || machine.is_some_and(|machine| given.machine != machine);
        self.challenges.retain(other);
        self.sessions.retain(other);
    }

    pub fn challenge(&mut self, space: &mut Space<'_>, user: &str, machine: &str) -> Result<Reply, Refusal> {
        let known = machines::valid(space, user, machine)?;
        let challenge = give(&mut self.challenges, (user, machine, &known.sign), CHALLENGE_TIMEOUT)?;
        Ok(Reply::Challenge { challenge })
    }

    pub fn login(
        &mut self,
        space: &mut Space<'_>,
        user: &str,
        machine: &str,
        challenge: &str,
        signature: &str,
    ) -> Result<Reply, Refusal> {
        let is = |given: &Given| given.word == challenge && given.user == user && given.machine == machine;
        // Taken whatever becomes of it: it is good once.
        let given = self.challenges.iter().position(is).and_then(|at| self.challenges.remove(at));
        let given = given.filter(|given| given.until > Instant::now());
        let given =
            given.ok_or_else(|| refused("this challenge was not given, or was used, or its time is over"))?;
        let known = machines::valid(space, user, machine)?;
        let right = known.sign == given.sign
            && is_signed(&known.sign, &identity::login(user, machine, challenge), signature);
        if !right {
            return Err(refused(format!("the answer is not by the key of {machine}")));
        }
        let session = give(&mut self.sessions, (user, machine, &known.sign), SESSION_TIMEOUT)?;
        let (user, machine) = (user.into(), machine.into());
        Ok(Reply::LoggedIn { user, machine, capabilities: known.capabilities, session })
    }

    pub fn unlock(&mut self, space: &mut Space<'_>, user: &str, session: &str) -> Result<Reply, Refusal> {
        let now = Instant::now();
        let is = |given: &&Given| given.word == session && given.user == user && given.until > now;
        let given = self.sessions.iter().find(is);
        let given =
            given.ok_or_else(|| refused("there is no such session, or its time is over: log in again"))?;
        let known = machines::valid(space, user, &given.machine)?;
        match known.unlock {
            Some(seed) if known.sign == given.sign => Ok(Reply::Unlocked { seed }),
            _ => Err(refused(format!("{} has not the capability {MAY_OPEN}", given.machine))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded_and_nobody_pushes_out_others() {
        let mut given = VecDeque::new();
        let first = give(&mut given, ("1", "m", ""), CHALLENGE_TIMEOUT).ok().unwrap();
        for _ in 0..3 * OF_ONE_MAX {
            give(&mut given, ("2", "m", ""), CHALLENGE_TIMEOUT).ok().unwrap();
        }
        assert_eq!(given.len(), OF_ONE_MAX + 1);
        assert_eq!(given[0].word, first);
        for user in 0..2 * REMEMBERED_MAX {
            give(&mut given, (&user.to_string(), "m", ""), CHALLENGE_TIMEOUT).ok().unwrap();
        }
        assert_eq!(given.len(), REMEMBERED_MAX);
        give(&mut given, ("x", "m", ""), Duration::ZERO).ok().unwrap();
        give(&mut given, ("y", "m", ""), CHALLENGE_TIMEOUT).ok().unwrap();
        assert!(given.iter().all(|given| given.user != "x"), "what is over is forgotten");
    }

    #[test]
    fn what_a_revoked_machine_was_given_counts_no_more() {
        let mut door = Door::default();
        for (user, machine) in [("1", "a"), ("1", "b"), ("2", "a")] {
            give(&mut door.challenges, (user, machine, ""), CHALLENGE_TIMEOUT).ok().unwrap();
            give(&mut door.sessions, (user, machine, ""), SESSION_TIMEOUT).ok().unwrap();
        }
        door.forget("1", Some("a"));
        let left = |given: &VecDeque<Given>| {
            given.iter().map(|given| given.user.clone() + &given.machine).collect::<Vec<_>>()
        };
        assert_eq!(
            (left(&door.challenges), left(&door.sessions)),
            (vec!["1b".into(), "2a".into()], vec!["1b".into(), "2a".into()])
        );
        door.forget("1", None);
        assert_eq!(left(&door.sessions), ["2a"]);
    }
}
