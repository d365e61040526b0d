//! The state machine of `docs/spec/boot.md`: a record and an operation give the next record, or a reason why not.

use vrift_protocol::boot::{Boot, Slot, Trial};
use vrift_protocol::keystore::Snapshot;

/// Attempts that a switch may ask for.
pub const TRIES_MAX: u32 = 100;

/// Why an operation does not apply. Nothing changes then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum No {
    /// A trial is under way.
    OnTrial,
    /// There is no trial.
    NotTried,
    /// Nothing is in the slot that would be used.
    Empty,
    Older,
    Tries,
}

impl No {
    pub const fn text(&self) -> &'static str {
        match self {
            No::OnTrial => "a switch is under way: vrift boot health-ok or rollback ends it",
            No::NotTried => "no attempt is under way: vrift boot switch, then attempt",
            No::Empty => "nothing is there to go to: vrift boot stage SNAPSHOT",
            No::Older => "the active tree is newer; --force stages an older one nevertheless",
            No::Tries => "a switch has 1 to 100 tries",
        }
    }
}

/// The slot that is not active.
fn free(boot: &Boot) -> Slot {
    boot.active.map_or(Slot::A, Slot::other)
}

fn set(boot: &mut Boot, slot: Slot, tree: Option<Snapshot>) {
    match slot {
        Slot::A => boot.a = tree,
        Slot::B => boot.b = tree,
    }
}

/// A tree, whose signature was checked, into the slot that is not active.
pub fn stage(mut boot: Boot, tree: Snapshot, force: bool) -> Result<Boot, No> {
    if boot.trial.is_some() {
        return Err(No::OnTrial);
    }
    let active = boot.active.and_then(|slot| boot.tree(slot));
    if !force && active.is_some_and(|active| tree.time_ns < active.time_ns) {
        return Err(No::Older);
    }
    let slot = free(&boot);
    set(&mut boot, slot, Some(tree));
    boot.previous = boot.previous.filter(|previous| *previous != slot);
    Ok(boot)
}

/// The staged tree is to be tried.
pub fn switch(mut boot: Boot, tries: u32) -> Result<Boot, No> {
    let slot = free(&boot);
    if boot.trial.is_some() {
        return Err(No::OnTrial);
    }
    if !(1..=TRIES_MAX).contains(&tries) {
        return Err(No::Tries);
    }
    if boot.tree(slot).is_none() {
        return Err(No::Empty);
    }
    boot.trial = Some(Trial { slot, tries_left: tries, attempted: false });
    Ok(boot)
}

/// A start begins. A trial without attempts left is over: the active slot is used again.
pub fn attempt(mut boot: Boot) -> Result<Boot, No> {
    match &mut boot.trial {
        Some(trial) if trial.tries_left > 0 => {
            trial.tries_left -= 1;
            trial.attempted = true;
        }
        Some(_) => boot.trial = None,
        None => {}
    }
    // Where nothing was ever healthy there is nothing to fall back to.
    if boot.in_use().is_some() { Ok(boot) } else { Err(No::Empty) }
}

/// The tree of the attempt under way becomes the active one.
pub fn health_ok(mut boot: Boot) -> Result<Boot, No> {
    match boot.trial.take() {
        Some(Trial { slot, attempted: true, .. }) => {
            boot.previous = boot.active;
            boot.active = Some(slot);
            Ok(boot)
        }
        _ => Err(No::NotTried),
    }
}

/// Ends a trial; without one, what was active before is again. What was only staged never becomes active by this.
pub fn rollback(mut boot: Boot) -> Result<Boot, No> {
    if boot.trial.take().is_some() {
        return Ok(boot);
    }
    let before = boot.previous.ok_or(No::Empty)?;
    boot.previous = boot.active;
    boot.active = Some(before);
    Ok(boot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Op {
        StageNew,
        StageOld,
        StageForced,
        Switch(u32),
        Attempt,
        HealthOk,
        Rollback,
    }

    const OPS: [Op; 8] = [
        Op::StageNew,
        Op::StageOld,
        Op::StageForced,
        Op::Switch(1),
        Op::Switch(2),
        Op::Attempt,
        Op::HealthOk,
        Op::Rollback,
    ];

    fn tree(time_ns: i64) -> Snapshot {
        Snapshot { workspace: "w".into(), number: time_ns as u32, root: String::new(), time_ns }
    }

    fn step(boot: Boot, op: Op, clock: i64) -> Result<Boot, No> {
        match op {
            Op::StageNew => stage(boot, tree(clock), false),
            Op::StageOld => stage(boot, tree(1), false),
            Op::StageForced => stage(boot, tree(1), true),
            Op::Switch(tries) => switch(boot, tries),
            Op::Attempt => attempt(boot),
            Op::HealthOk => health_ok(boot),
            Op::Rollback => rollback(boot),
        }
    }

    /// What survives a restart: the record, by way of its bytes.
    fn restarted(boot: &Boot) -> Boot {
        serde_json::from_slice(&serde_json::to_vec(boot).unwrap()).unwrap()
    }

    /// What the history says, kept beside the machine.
    #[derive(Clone, Default)]
    struct History {
        /// Trees that were declared healthy, or gone back to.
        healthy: Vec<Snapshot>,
        attempts: u32,
        allowed: u32,
        switched: bool,
    }

    fn check(before: &Boot, op: Op, after: &Boot, history: &mut History, path: &[Op]) {
        // Nothing unproven is used but by an attempt that a switch allowed.
        match op {
            Op::Switch(tries) => (history.attempts, history.allowed, history.switched) = (0, tries, true),
            Op::Attempt if after.trial.is_some() => {
                history.attempts += 1;
                assert!(
                    history.switched && history.attempts <= history.allowed,
                    "one attempt too many: {path:?}"
                );
            }
            Op::Attempt => {
                assert!(
                    before.trial.is_none() || history.attempts == history.allowed,
                    "fell back too early: {path:?}"
                );
                history.switched = false;
                let (_, used) = after.in_use().unwrap();
                assert!(history.healthy.contains(used), "what was never healthy is used: {path:?}");
            }
            Op::HealthOk => {
                assert!(history.switched && history.attempts > 0, "healthy without an attempt: {path:?}");
                history.switched = false;
                history.healthy.push(after.in_use().unwrap().1.clone());
            }
            Op::Rollback => {
                history.switched = false;
                let used = after.in_use().map(|(_, used)| used);
                assert!(used.is_none_or(|used| history.healthy.contains(used)), "never healthy: {path:?}");
            }
            Op::StageNew | Op::StageOld | Op::StageForced => {
                assert_eq!(before.in_use(), after.in_use(), "staging changed what is used: {path:?}");
                let staged = after.tree(free(after)).unwrap();
                let active = after.active.and_then(|slot| after.tree(slot));
                let forced = matches!(op, Op::StageForced);
                assert!(forced || active.is_none_or(|active| active.time_ns <= staged.time_ns), "{path:?}");
            }
        }
        // What always holds.
        assert!(
            after.active.is_none_or(|slot| after.tree(slot).is_some()),
            "an empty slot is active: {path:?}"
        );
        if let Some(trial) = after.trial {
            assert!(after.tree(trial.slot).is_some() && Some(trial.slot) != after.active, "{path:?}");
            assert!(trial.attempted || trial.tries_left > 0, "{path:?}");
        }
    }

    #[test]
    fn all_sequences_of_up_to_8_operations_with_a_restart_after_each() {
        fn walk(boot: &Boot, history: &History, left: usize, path: &mut Vec<Op>, sequences: &mut u64) {
            if left == 0 {
                return;
            }
            for op in OPS {
                path.push(op);
                *sequences += 1;
                let clock = 10 + path.len() as i64;
                // Refused: nothing has changed, and what follows is a shorter sequence.
                if let Ok(after) = step(boot.clone(), op, clock) {
                    let after = restarted(&after);
                    let mut history = history.clone();
                    check(boot, op, &after, &mut history, path);
                    walk(&after, &history, left - 1, path, sequences);
                }
                path.pop();
            }
        }
        let mut sequences = 0;
        walk(&Boot::default(), &History::default(), 8, &mut Vec::new(), &mut sequences);
        // From where both slots have been healthy, too: that takes eight operations by itself.
        let (mut boot, mut history, mut path) = (Boot::default(), History::default(), Vec::new());
        for op in [Op::StageNew, Op::Switch(1), Op::Attempt, Op::HealthOk].repeat(2) {
            path.push(op);
            let after = step(boot.clone(), op, 10 + path.len() as i64).unwrap();
            check(&boot, op, &after, &mut history, &path);
            boot = after;
        }
        walk(&boot, &history, 7, &mut path, &mut sequences);
        assert!(sequences > 10_000, "{sequences}");
    }

    #[test]
    fn a_switch_with_one_try_allows_exactly_one_attempt() {
        let mut boot = stage(Boot::default(), tree(5), false).unwrap();
        boot = health_ok(attempt(switch(boot, 1).unwrap()).unwrap()).unwrap();
        boot = switch(stage(boot, tree(6), false).unwrap(), 1).unwrap();
        assert_eq!(boot.in_use().unwrap().1.time_ns, 5, "before the attempt");
        boot = attempt(boot).unwrap();
        assert_eq!(boot.in_use().unwrap().1.time_ns, 6, "the attempt");
        boot = attempt(boot).unwrap();
        assert_eq!((boot.in_use().unwrap().1.time_ns, boot.trial), (5, None), "the next start");
        assert_eq!(stage(boot.clone(), tree(4), false), Err(No::Older));
        assert_eq!(health_ok(boot), Err(No::NotTried));
    }

    #[test]
    fn the_first_tree_has_nothing_to_fall_back_to() {
        let boot = attempt(switch(stage(Boot::default(), tree(5), false).unwrap(), 1).unwrap()).unwrap();
        assert_eq!(attempt(boot), Err(No::Empty));
        assert_eq!(switch(Boot::default(), 1), Err(No::Empty));
        assert_eq!(switch(Boot::default(), 0), Err(No::Tries));
    }
}
