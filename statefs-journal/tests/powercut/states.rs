//! The states that a power cut may leave, and the check of each.

use std::sync::Arc;

use crate::device::{Device, Image, Op, SECTOR_LEN, Unit};
use crate::history::{History, Model, Random, open};

/// Up to so many unflushed units every subset of them is a state of its own; above, a sample from the seed.
const EXHAUSTIVE_MAX: usize = 12;
/// Subsets sampled where there are more.
const SAMPLE: usize = 200;
/// Every so many states, the recovery itself is cut.
const SECOND_CUT_EVERY: u64 = 32;
const SECTORS: usize = statefs_journal::layout::BLOCK_LEN / SECTOR_LEN;

#[derive(Default)]
pub struct Count {
    pub states: u64,
    pub histories: u64,
    pub cuts: u64,
    pub subsets: u64,
    pub torn: u64,
    pub second: u64,
}

/// Verifies all states of the histories of `seed`, or `bound` of them.
pub fn enumerate(seed: u64, steps: u64, chain: u64, count: &mut Count, bound: u64) -> Result<(), String> {
    let mut history = History::first(seed, steps);
    let mut random = Random(seed ^ 0xc0ff_ee00);
    for link in 0..chain {
        count.histories += 1;
        cuts_of(&history, count, bound).map_err(|failure| format!("history {link}: {failure}"))?;
        if count.states >= bound {
            return Ok(());
        }
        history =
            next(&history, &mut random, steps).map_err(|failure| format!("history {link}: {failure}"))?;
    }
    Ok(())
}

/// A history that begins with what some cut of this one left.
fn next(history: &History, random: &mut Random, steps: u64) -> Result<History, String> {
    let log = history.dev.log();
    let prefix = log.len() - random.below(log.len() as u64 / 2) as usize;
    let (mut image, units) = at(history, &log, prefix);
    for unit in &units {
        if random.below(3) > 0 {
            image.apply(unit);
        }
    }
    let (_, found) = look(history, prefix, image.clone())?;
    Ok(history.after_cut(image.settled(), found, steps))
}

/// What is durable after the first `prefix` operations, and what may be.
fn at(history: &History, log: &[Op], prefix: usize) -> (Image, Vec<Unit>) {
    let durable = log[..prefix].iter().rposition(|op| matches!(op, Op::Flush)).map_or(0, |at| at + 1);
    let mut image = history.start.clone();
    let units = |ops: &[Op]| -> Vec<Unit> {
        let each = |op: &Op| match op {
            Op::Units(units) => units.clone(),
            Op::Flush => Vec::new(),
        };
        ops.iter().flat_map(each).collect()
    };
    units(&log[..durable]).iter().for_each(|unit| image.apply(unit));
    (image.settled(), units(&log[durable..prefix]))
}

fn cuts_of(history: &History, count: &mut Count, bound: u64) -> Result<(), String> {
    let log = history.dev.log();
    // A cut behind each operation covers all prefixes: what was written later is not there at all.
    for prefix in 0..=log.len() {
        count.cuts += 1;
        let (durable, units) = at(history, &log, prefix);
        // Units that were there at the last cut, too, in the same subsets, were looked at then: the last is new.
        let fresh = match prefix.checked_sub(1).map(|last| &log[last]) {
            Some(Op::Units(last)) => last.len(),
            _ => units.len(),
        };
        subsets(history, prefix, &durable, &units, fresh, count)?;
        torn(history, prefix, &durable, &units, fresh, count)?;
        if count.states >= bound {
            return Ok(());
        }
    }
    Ok(())
}

fn subsets(
    history: &History,
    prefix: usize,
    durable: &Image,
    units: &[Unit],
    fresh: usize,
    count: &mut Count,
) -> Result<(), String> {
    let is_new = |mask: u128| units.is_empty() || fresh == units.len() || mask >> (units.len() - fresh) != 0;
    let masks: Vec<u128> = if units.len() <= EXHAUSTIVE_MAX {
        (0..1 << units.len()).filter(|mask| is_new(*mask)).collect()
    } else {
        let ones = u128::MAX >> (128 - units.len().min(127));
        let mut random = Random(history.seed ^ prefix as u64);
        let sample =
            (0..SAMPLE).map(|_| (u128::from(random.next()) << 64 | u128::from(random.next())) & ones);
        let singles = (0..units.len().min(127)).flat_map(|at| [1 << at, ones & !(1 << at)]);
        [0, ones].into_iter().chain(singles).chain(sample.collect::<Vec<_>>()).collect()
    };
    for mask in masks {
        let mut image = durable.clone();
        let kept = units.iter().enumerate().filter(|(at, _)| mask >> (*at).min(127) & 1 == 1);
        kept.for_each(|(_, unit)| image.apply(unit));
        count.subsets += 1;
        verify(history, prefix, image, count).map_err(|failure| {
            format!("cut behind operation {prefix}, kept {mask:#b} of {}: {failure}", units.len())
        })?;
    }
    Ok(())
}

/// All before the unit is kept, the unit itself is torn: its first sectors new and the rest old; one sector, or
/// all, neither.
fn torn(
    history: &History,
    prefix: usize,
    durable: &Image,
    units: &[Unit],
    fresh: usize,
    count: &mut Count,
) -> Result<(), String> {
    for at in units.len() - fresh..units.len() {
        if !matches!(units[at], Unit::Block(..)) {
            continue;
        }
        let mut before = durable.clone();
        units[..at].iter().for_each(|unit| before.apply(unit));
        for way in 0..2 * SECTORS {
            let mut image = before.clone();
            match way {
                0 => image.apply_torn(&units[at], 0, SECTORS),
                half if half < SECTORS => image.apply_half(&units[at], half),
                sector => image.apply_torn(&units[at], sector - SECTORS, 1),
            }
            count.torn += 1;
            verify(history, prefix, image, count).map_err(|failure| {
                format!("cut behind operation {prefix}, unit {at} torn in way {way}: {failure}")
            })?;
        }
    }
    Ok(())
}

/// Recovers from a copy of the image and compares with the history.
fn look(history: &History, prefix: usize, image: Image) -> Result<(Arc<Device>, Model), String> {
    let dev = Device::recording(image);
    let (store, found) = open(dev.clone()).map_err(|error| error.to_string())?;
    history.judge(history.bounds(prefix), &store, &found)?;
    Ok((dev, found))
}

fn verify(history: &History, prefix: usize, image: Image, count: &mut Count) -> Result<(), String> {
    count.states += 1;
    let (dev, found) = look(history, prefix, image.clone())?;
    // Again from what the first recovery left: the same.
    let log = dev.log();
    let mut after = image.clone();
    for op in &log {
        if let Op::Units(units) = op {
            units.iter().for_each(|unit| after.apply(unit));
        }
    }
    let again = open(Device::plain(after)).map_err(|error| format!("second recovery: {error}"))?.1;
    if again != found {
        return Err("the second recovery finds something else".to_owned());
    }
    if count.states.is_multiple_of(SECOND_CUT_EVERY) {
        second_cut(history, prefix, &image, &log, count)?;
    }
    Ok(())
}

/// The power fails again while the store recovers.
fn second_cut(
    history: &History,
    prefix: usize,
    image: &Image,
    log: &[Op],
    count: &mut Count,
) -> Result<(), String> {
    let mut durable = image.clone();
    let mut units: Vec<Unit> = Vec::new();
    for op in log {
        match op {
            Op::Flush => units.drain(..).for_each(|unit| durable.apply(&unit)),
            Op::Units(more) => units.extend(more.iter().cloned()),
        }
        for mask in 0..1_u32 << units.len().min(4) {
            let mut left = durable.clone();
            let kept = units.iter().enumerate().filter(|(at, _)| mask >> (*at).min(31) & 1 == 1);
            kept.for_each(|(_, unit)| left.apply(unit));
            count.states += 1;
            count.second += 1;
            look(history, prefix, left).map_err(|failure| format!("second cut: {failure}"))?;
        }
    }
    Ok(())
}
