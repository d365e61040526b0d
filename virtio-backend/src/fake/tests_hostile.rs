//! A device that drops, lies or goes away: EIO for everybody, at once, and nothing that was not answered counts.

use std::sync::atomic::Ordering;
use std::time::Duration;

use proptest::prelude::*;
use statefs_journal::{BlockDevice, DevOffset};

use super::device::LIES;
use super::{Build, Lie, Manners, start};
use crate::device::testing::Opened;
use crate::transport::status;

const BLOCK: usize = 4096;
const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(if cfg!(miri) { 2000 } else { 60 });

fn is_eio<T>(result: std::io::Result<T>) -> bool {
    result.is_err_and(|error| error.raw_os_error() == Some(libc::EIO))
}

fn assert_useless(opened: &Opened) {
    let device = &opened.device;
    assert!(opened.is_dead());
    assert!(is_eio(device.read_at(DevOffset(0), &mut [0; BLOCK])));
    assert!(is_eio(device.write_at(DevOffset(0), &[0; BLOCK])));
    assert!(is_eio(device.flush()));
    assert!(is_eio(device.discard(DevOffset(0), 8192)));
    assert_eq!(device.buffer(BLOCK).len(), BLOCK, "of the heap");
}

#[test]
fn each_lie_ends_the_use_of_the_device() {
    for lie in LIES {
        for poll in [false, true] {
            let manners = Manners { lies: Some((1, lie)), ..Manners::default() };
            let (opened, registers) = start(Build::default(), manners, poll, LONG).unwrap();
            opened.device.write_at(DevOffset(0), &[3; BLOCK]).unwrap();
            let mut held = [9; BLOCK];
            let read = opened.device.read_at(DevOffset(0), &mut held);
            if lie == Lie::Twice && read.is_ok() {
                // The first of the two answers was true; the second one is found out by whoever looks next.
                assert_eq!(held, [3; BLOCK]);
                assert!(is_eio(opened.device.flush()));
            } else {
                assert!(is_eio(read), "{lie:?}");
            }
            assert!(
                opened.why_dead().unwrap().starts_with("it")
                    || lie == Lie::StatusOfNoKind
                    || lie == Lie::NoStatus
            );
            assert_useless(&opened);
            assert_eq!(registers.status_now(), 0, "it was reset");
        }
    }
}

#[test]
fn a_request_that_is_never_answered_fails_in_time_and_resets_the_device() {
    for poll in [false, true] {
        let manners = Manners { drops: Some(1), ..Manners::default() };
        let (opened, registers) = start(Build::default(), manners, poll, SHORT).unwrap();
        opened.device.write_at(DevOffset(0), &[3; BLOCK]).unwrap();
        assert!(is_eio(opened.device.flush()));
        assert!(opened.why_dead().unwrap().contains("did not answer within"));
        assert_eq!(registers.status_now(), 0);
        assert_useless(&opened);
    }
}

#[test]
fn an_answer_after_the_reset_satisfies_nobody() {
    // It gathers so many that it answers long after the driver gave up, reset or not.
    let manners = Manners { gathers: 99, answers_after_reset: true, ..Manners::default() };
    let (opened, _registers) = start(Build::default(), manners, false, Duration::from_millis(5)).unwrap();
    let mut held = [9; BLOCK];
    assert!(is_eio(opened.device.read_at(DevOffset(0), &mut held)));
    assert_eq!(held, [9; BLOCK]);
    std::thread::sleep(Duration::from_millis(100));
    assert_useless(&opened);
    assert_eq!(held, [9; BLOCK]);
}

#[test]
fn all_who_wait_are_told_when_the_device_goes_away() {
    for poll in [false, true] {
        let manners = Manners { gathers: 1000, ..Manners::default() };
        let (opened, registers) = start(Build::default(), manners, poll, LONG).unwrap();
        std::thread::scope(|scope| {
            let waiting: Vec<_> = (0..6)
                .map(|number| {
                    let device = &opened.device;
                    scope.spawn(move || device.write_at(DevOffset(number * 4096), &[1; BLOCK]))
                })
                .collect();
            std::thread::sleep(Duration::from_millis(10));
            registers.unplug();
            opened.take_away();
            for one in waiting {
                assert!(is_eio(one.join().unwrap()));
            }
        });
        assert_eq!(registers.status_now(), status::GONE);
        // The kernel waits for that; a machine that is shut down waits for the kernel.
        assert!(registers.released.load(Ordering::Relaxed));
        assert_useless(&opened);
    }
}

#[test]
fn a_device_that_is_gone_is_noticed_without_being_told() {
    let manners = Manners { gathers: 1000, ..Manners::default() };
    let (opened, registers) = start(Build::default(), manners, false, SHORT).unwrap();
    registers.unplug();
    assert!(is_eio(opened.device.flush()));
    assert_eq!(opened.why_dead().unwrap(), "it is gone");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 1 } else { 40 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_answered_is_true_whatever_happens_to_the_rest(
        seed in any::<u64>(),
        poll in any::<bool>(),
        at in 0_usize..60,
        evil in 0_usize..LIES.len() + 2,
    ) {
        let mut manners = Manners { seed, reorders: true, ..Manners::default() };
        match evil {
            0 => manners.drops = Some(at),
            1 => manners.fails = Some((at, 1)),
            _ => manners.lies = Some((at, LIES[evil - 2])),
        }
        let (opened, registers) = start(Build::default(), manners, poll, SHORT).unwrap();
        std::thread::scope(|scope| {
            for number in 0..4_u64 {
                let device = &opened.device;
                let registers = &registers;
                scope.spawn(move || {
                    let place = DevOffset(number * BLOCK as u64);
                    for byte in 1..=8 {
                        if device.write_at(place, &[byte; BLOCK]).is_err() {
                            continue;
                        }
                        let on_disk = registers.device.disk.lock().unwrap()[number as usize * BLOCK];
                        assert_eq!(on_disk, byte, "a write that was answered");
                        let mut held = [0; BLOCK];
                        if device.read_at(place, &mut held).is_ok() {
                            assert_eq!(held, [byte; BLOCK], "a read that was answered");
                        }
                    }
                });
            }
        });
        // After a plain error the device goes on; after anything else it does not.
        if evil == 1 {
            prop_assert!(!opened.is_dead());
        }
    }
}
