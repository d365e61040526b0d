//! Each write and each flush of a history fails once, in each way: what was acknowledged before is there after a restart,
//! what was refused is there as a whole or not at all, and the store is whole.

mod common;

use common::*;
use nix::libc::{O_CREAT, O_TRUNC, O_WRONLY};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use vrift_protocol::Op;
use vrift_protocol::admin::{AdminReply, AdminRequest};
use vrift_protocol::state::State;

/// Far more than a history makes.
const NTH_MAX: usize = 400;
/// What is known to be there, and what may be there or not.
#[derive(Default)]
struct Oracle {
    /// None: a directory.
    sure: BTreeMap<String, Option<Vec<u8>>>,
    gone: BTreeSet<String>,
    keys: BTreeMap<&'static [u8], Vec<u8>>,
    unsure_keys: BTreeSet<&'static [u8]>,
    refused: usize,
}

impl Oracle {
    fn there(&mut self, name: &str, bytes: Option<Vec<u8>>, done: bool) {
        self.gone.remove(name);
        self.sure.remove(name);
        if done {
            self.sure.insert(name.into(), bytes);
        }
    }

    fn not_there(&mut self, name: &str, done: bool) {
        self.sure.remove(name);
        if done {
            self.gone.insert(name.into());
        }
    }

    /// Whether it was done.
    fn note<T, E>(&mut self, result: Result<T, E>) -> bool {
        self.refused += usize::from(result.is_err());
        result.is_ok()
    }
}

fn content(seed: usize) -> Vec<u8> {
    (0..70_000 + seed).map(|at| (at * 13 + at / 255 * seed) as u8).collect()
}

fn create(raw: &mut Raw, name: &str, bytes: &[u8]) -> Result<(), u32> {
    let flags = opening(ROOT, O_CREAT | O_TRUNC | O_WRONLY);
    let (_, fd) = raw.request(Op::Open, flags, name.as_bytes(), b"")?;
    File::from(fd.unwrap()).write_all(bytes).unwrap();
    Ok(())
}

fn perform(world: &World, fault: &str, oracle: &mut Oracle) {
    let mut raw = world.raw(7);
    let mut client = world.client();
    fs::write(world.fail_file(), fault).unwrap();
    for round in 0..2 {
        let [dir, file, moved] = ["d", "f", "m"].map(|name| format!("{name}{round}"));
        let made = raw.request(Op::Mkdir, at(ROOT), dir.as_bytes(), b"");
        let done = oracle.note(made);
        oracle.there(&dir, None, done);
        let made = create(&mut raw, &file, &content(round));
        let done = oracle.note(made);
        oracle.there(&file, Some(content(round)), done);
        // Writes content and journal to the device.
        let synced =
            world.ask(&AdminRequest::Sync { target: world.target(), settle: None, all: false }).0.pop();
        oracle.refused += usize::from(matches!(synced, Some(AdminReply::Error { .. })));
        let value = content(40 + round);
        let done = oracle.note(State(&mut client).put(b"/state/long", &value));
        oracle.unsure_keys.remove(&b"/state/long"[..]);
        match done {
            true => drop(oracle.keys.insert(b"/state/long", value)),
            false => {
                oracle.keys.remove(&b"/state/long"[..]);
                oracle.unsure_keys.insert(b"/state/long");
            }
        }
        let to = vrift_protocol::VnodeRequest { dir2: ROOT.into(), ..at(ROOT) };
        let had = oracle.sure.get(&file).cloned();
        let renamed = raw.request(Op::Rename, to, file.as_bytes(), moved.as_bytes());
        let done = oracle.note(renamed) && had.is_some();
        oracle.not_there(&file, done);
        oracle.there(&moved, had.flatten(), done);
        let removed = raw.request(Op::Rmdir, at(ROOT), dir.as_bytes(), b"");
        let done = oracle.note(removed);
        oracle.not_there(&dir, done);
        oracle.refused += usize::from(State(&mut client).sync().is_err());
    }
}

fn check(world: &World, oracle: &Oracle, how: &str) {
    for (name, bytes) in &oracle.sure {
        assert!(world.entry(name).is_some(), "{how}: {name} is gone");
        if let Some(bytes) = bytes {
            assert!(world.cat_bytes(name) == *bytes, "{how}: {name}");
        }
    }
    for name in &oracle.gone {
        assert!(world.entry(name).is_none(), "{how}: {name} is back");
    }
    let mut client = world.client();
    for (key, value) in &oracle.keys {
        assert!(State(&mut client).get(key).unwrap().as_ref() == Some(value), "{how}");
    }
    for key in &oracle.unsure_keys {
        // Of one of the rounds, or none.
        let found = State(&mut client).get(key).unwrap();
        assert!(found.is_none_or(|found| (40..42).any(|seed| found == content(seed))), "{how}");
    }
    // And it goes on.
    create(&mut world.raw(8), "after", b"after").unwrap();
    assert_eq!(world.cat("after"), "after", "{how}");
    let look = AdminRequest::Check { rate_bytes: 0, restart: true, metadata: true, heals: false };
    let found = world.ask(&look).0.pop();
    assert!(matches!(&found, Some(AdminReply::Checked(all)) if all.flaws.is_empty()), "{how}: {found:?}");
}

#[test]
fn the_nth_failure_of_the_device_loses_nothing_that_was_acknowledged() {
    for fault in ["5 NTH", "28 NTH", "5 NTH short"] {
        let mut tried = 0;
        for nth in 0..NTH_MAX {
            let world = World::started();
            write(world.project().join("a"), "a\n");
            world.ingest();
            let fault = fault.replace("NTH", &nth.to_string());
            let mut oracle = Oracle::default();
            perform(&world, &fault, &mut oracle);
            if fs::remove_file(world.fail_file()).is_ok() {
                assert_eq!(oracle.refused, 0);
                break;
            }
            tried += 1;
            world.kill_and_wait();
            check(&world, &oracle, &fault);
        }
        println!("{fault}: {tried} failures");
        assert!(tried > 15, "{fault}: {tried}");
    }
}
