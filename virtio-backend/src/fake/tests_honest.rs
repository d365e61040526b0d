//! A device that does what it should, in any order.

use std::sync::atomic::Ordering;
use std::time::Duration;

use proptest::prelude::*;
use statefs_journal::device::Memory;
use statefs_journal::{BlockDevice, DevOffset};

use super::{Build, Manners, start};
use crate::block::request::Kind;
use crate::device::testing::BUFFERS;

const LONG: Duration = Duration::from_secs(30);
const BLOCK: usize = 4096;
const BLOCKS: usize = 128;

fn reordering(seed: u64) -> Manners {
    Manners { seed, reorders: true, ..Manners::default() }
}

/// What a step of a thread does to its part of the device.
#[derive(Clone, Debug)]
enum Step {
    Write { block: usize, blocks: usize, byte: u8, lent: bool },
    Read { block: usize, blocks: usize },
    Discard { block: usize, blocks: usize },
    Flush,
}

fn steps(blocks: usize) -> impl Strategy<Value = Vec<Step>> {
    let place = (0..blocks).prop_flat_map(move |block| (Just(block), 1..=blocks - block));
    let step = prop_oneof![
        4 => (place.clone(), any::<u8>(), any::<bool>())
            .prop_map(|((block, blocks), byte, lent)| Step::Write { block, blocks, byte, lent }),
        4 => place.clone().prop_map(|(block, blocks)| Step::Read { block, blocks }),
        1 => place.prop_map(|(block, blocks)| Step::Discard { block, blocks }),
        1 => Just(Step::Flush),
    ];
    proptest::collection::vec(step, 1..12)
}

/// Does the steps on a part of the device that nobody else uses, beside a model.
fn follow(device: &dyn BlockDevice, first: usize, blocks: usize, steps: &[Step]) {
    let mut model = vec![0; blocks * BLOCK];
    let place = |block: usize| DevOffset(((first + block) * BLOCK) as u64);
    for step in steps {
        match *step {
            Step::Write { block, blocks, byte, lent } => {
                let part = &mut model[block * BLOCK..(block + blocks) * BLOCK];
                part.iter_mut().enumerate().for_each(|(at, held)| *held = byte ^ (at / 512) as u8);
                if lent {
                    let mut buffer = device.buffer(part.len());
                    buffer.copy_from_slice(part);
                    device.write_at(place(block), &buffer).unwrap();
                } else {
                    device.write_at(place(block), part).unwrap();
                }
            }
            Step::Read { block, blocks } => {
                let mut held = vec![1; blocks * BLOCK];
                device.read_at(place(block), &mut held).unwrap();
                assert!(held == model[block * BLOCK..(block + blocks) * BLOCK], "block {block}, {blocks}");
            }
            Step::Discard { block, blocks } => {
                device.discard(place(block), (blocks * BLOCK) as u64).unwrap();
                model[block * BLOCK..(block + blocks) * BLOCK].fill(0);
            }
            Step::Flush => device.flush().unwrap(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { 48 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn threads_read_what_they_wrote_in_whatever_order_the_device_answers(
        seed in any::<u64>(),
        poll in any::<bool>(),
        event_idx in any::<bool>(),
        queue_len in prop_oneof![Just(4_u16), Just(16), Just(256)],
        all in proptest::collection::vec(steps(8), 1..5),
    ) {
        let mut build = Build { queue_len, ..Build::default() };
        if !event_idx {
            build.features &= !crate::block::features::EVENT_IDX;
        }
        let (opened, _registers) = start(build, reordering(seed), poll, LONG).unwrap();
        std::thread::scope(|scope| {
            for (number, steps) in all.iter().enumerate() {
                let device = &opened.device;
                scope.spawn(move || follow(device, number * 8, 8, steps));
            }
        });
        prop_assert!(!opened.is_dead());
    }

    #[test]
    fn a_stream_gives_each_request_its_own_bytes(seed in any::<u64>(), poll in any::<bool>()) {
        let (opened, registers) = start(Build::default(), reordering(seed), poll, LONG).unwrap();
        let numbers: Vec<u8> = (0..u8::try_from(BLOCKS).unwrap()).collect();
        for number in &numbers {
            registers.device.disk.lock().unwrap()[usize::from(*number) * BLOCK..][..BLOCK].fill(*number);
        }
        let mut stream = opened.device.stream();
        let mut next = numbers.iter();
        let mut found = Vec::new();
        let mut push = |stream: &mut crate::Stream| {
            if let Some(number) = next.next() {
                let buffer = opened.device.arena_buffer(BLOCK).unwrap();
                stream.push(Kind::Read, u64::from(*number) * BLOCK as u64, buffer).unwrap();
            }
        };
        (0..24).for_each(|_| push(&mut stream));
        while let Some(mut ended) = stream.next() {
            loop {
                ended.result.unwrap();
                let bytes = ended.buffer.bytes();
                assert!(bytes.iter().all(|byte| *byte == bytes[0]));
                found.push(bytes[0]);
                drop(ended.buffer);
                push(&mut stream);
                match stream.try_next() {
                    Some(more) => ended = more,
                    None => break,
                }
            }
        }
        found.sort_unstable();
        prop_assert_eq!(found, numbers);
    }
}

#[test]
fn more_than_64_requests_are_under_way_at_a_time() {
    let manners = Manners { gathers: 64, ..Manners::default() };
    let build = Build { queues: 1, sectors: 2 * 8192, ..Build::default() };
    let (opened, registers) = start(build, manners, false, LONG).unwrap();
    assert!(opened.device.depth() >= 64, "{}", opened.device.depth());
    // Without a copy's help: it goes out in pieces of 64 KiB, all of the memory for them at once.
    opened.device.write_at(DevOffset(0), &vec![7; 64 * (64 << 10)]).unwrap();
    assert!(registers.device.most_under_way.load(Ordering::Relaxed) >= 64);
    assert!(registers.device.disk.lock().unwrap()[..64 * (64 << 10)].iter().all(|byte| *byte == 7));
}

#[test]
fn lent_memory_is_not_copied_and_used_up_memory_is_replaced() {
    let (opened, registers) = start(Build::default(), Manners::default(), false, LONG).unwrap();
    let device = &opened.device;
    let mut buffers: Vec<_> = (0..=BUFFERS).map(|_| device.buffer(128 << 10)).collect();
    for (number, buffer) in buffers.iter_mut().enumerate() {
        buffer.fill(u8::try_from(number).unwrap() + 1);
        registers.device.data_at.lock().unwrap().clear();
        device.write_at(DevOffset(0), buffer).unwrap();
        let data_at = registers.device.data_at.lock().unwrap().clone();
        let lent_at = registers.device.arena.find(buffer);
        assert_eq!(lent_at.is_some(), number < BUFFERS, "{number}");
        match lent_at {
            Some(at) => assert_eq!(data_at, [at], "one request, from where the bytes are"),
            None => assert_eq!(data_at.len(), 2, "through other memory"),
        }
        let mut held = vec![0; 128 << 10];
        device.read_at(DevOffset(0), &mut held).unwrap();
        assert!(held == **buffer);
    }
}

#[test]
fn a_request_is_no_longer_than_the_device_takes() {
    let build = Build { size_max: 8192, features: Build::default().features | 2, ..Build::default() };
    let (opened, registers) = start(build, reordering(1), false, LONG).unwrap();
    let bytes: Vec<u8> = (0..20_480_u32).map(|at| (at / 7) as u8).collect();
    let mut lent = opened.device.buffer(bytes.len());
    lent.copy_from_slice(&bytes);
    opened.device.write_at(DevOffset(4096), &lent).unwrap();
    assert_eq!(registers.device.data_at.lock().unwrap().len(), 3);
    let mut held = vec![0; bytes.len()];
    opened.device.read_at(DevOffset(4096), &mut held).unwrap();
    assert!(held == bytes);
    assert_eq!(registers.device.data_at.lock().unwrap().len(), 6);
}

#[test]
fn an_error_of_the_device_is_the_callers_and_nobody_elses() {
    let manners = Manners { fails: Some((1, 1)), ..Manners::default() };
    let (opened, _registers) = start(Build::default(), manners, false, LONG).unwrap();
    let device = &opened.device;
    device.write_at(DevOffset(0), &[1; BLOCK]).unwrap();
    assert_eq!(device.flush().unwrap_err().raw_os_error(), Some(libc::EIO));
    let mut held = [0; BLOCK];
    device.read_at(DevOffset(0), &mut held).unwrap();
    assert_eq!(held, [1; BLOCK]);
    let manners = Manners { fails: Some((0, 2)), ..Manners::default() };
    let (opened, registers) = start(Build::default(), manners, false, LONG).unwrap();
    opened.device.discard(DevOffset(0), 8192).unwrap();
    opened.device.discard(DevOffset(0), 8192).unwrap();
    assert_eq!(registers.device.data_at.lock().unwrap().len(), 1, "it is not asked again");
}

#[test]
fn what_is_not_whole_blocks_within_the_device_is_refused() {
    let (opened, _registers) = start(Build::default(), Manners::default(), false, LONG).unwrap();
    let device = &opened.device;
    assert_eq!(device.len_bytes(), 512 << 10);
    let mut block = [0; BLOCK];
    for offset in [512 << 10, (512 << 10) - 512, u64::MAX - 4095, 100] {
        assert!(device.read_at(DevOffset(offset), &mut block).is_err(), "{offset}");
        assert!(device.write_at(DevOffset(offset), &block).is_err(), "{offset}");
        let mut stream = device.stream();
        let buffer = device.arena_buffer(BLOCK).unwrap();
        assert!(stream.push(Kind::Read, offset, buffer).is_err() && stream.next().is_none());
    }
    assert!(device.write_at(DevOffset(0), &block[..100]).is_err());
    assert!(device.grow(512 << 10).is_ok() && device.grow((512 << 10) + 1).is_err());
    device.write_at(DevOffset(0), &[]).unwrap();
}
