//! A checkpoint that is copied in steps while names change has them all, and each as it was at one moment.

mod common;

use common::*;
use std::collections::BTreeMap;
use vrift_protocol::Op;

/// More than what is copied under one hold of the lock, several times over.
const NAMES: usize = 20_000;
const FOLDERS: usize = 100;
const CHANGES: usize = 3_000;

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

fn checkpoints(world: &World) -> usize {
    world.log().matches("checkpoint begun").count()
}

/// Path to vnode number, of everything below the root.
fn tree(world: &World) -> BTreeMap<String, u64> {
    let name = |entry: &vrift_protocol::admin::Entry| String::from_utf8_lossy(&entry.path.0).into_owned();
    world.list().iter().map(|entry| (name(entry), entry.vnode)).collect()
}

#[test]
fn changes_during_a_checkpoint_are_there_once_after_kill_9() {
    let mut world = World::new();
    world.short_journal = true;
    world.start();
    world.ingest();
    let mut raw = world.raw(7);
    let mut model = BTreeMap::new();
    let mut folders = Vec::new();
    let made = |raw: &mut Raw, dir: u64, name: &str| {
        raw.request(Op::Mkdir, at(dir), name.as_bytes(), b"").unwrap().0.vnode.get()
    };
    for folder in 0..FOLDERS {
        let vnode = made(&mut raw, ROOT, &format!("d{folder}"));
        model.insert(format!("d{folder}"), vnode);
        folders.push(vnode);
    }
    for number in 0..NAMES {
        let (folder, name) = (number % FOLDERS, format!("n{number}"));
        let vnode = made(&mut raw, folders[folder], &name);
        model.insert(format!("d{folder}/{name}"), vnode);
    }
    let before = checkpoints(&world);
    let mut random = Random(11);
    let mut number = 0;
    while number < CHANGES || checkpoints(&world) < before + 2 {
        number += 1;
        let (from, to) = (random.below(FOLDERS), random.below(FOLDERS));
        let (old, new) = (format!("n{}", random.below(NAMES)), format!("m{}", random.below(NAMES)));
        let (old_path, new_path) = (format!("d{from}/{old}"), format!("d{to}/{new}"));
        match random.below(3) {
            0 if !model.contains_key(&new_path) => {
                let vnode = made(&mut raw, folders[to], &new);
                model.insert(new_path, vnode);
            }
            1 if model.contains_key(&old_path) => {
                raw.request(Op::Rmdir, at(folders[from]), old.as_bytes(), b"").unwrap();
                model.remove(&old_path);
            }
            _ if model.contains_key(&old_path) && !model.contains_key(&new_path) => {
                let request = vrift_protocol::VnodeRequest { dir2: folders[to].into(), ..at(folders[from]) };
                raw.request(Op::Rename, request, old.as_bytes(), new.as_bytes()).unwrap();
                let vnode = model.remove(&old_path).unwrap();
                model.insert(new_path, vnode);
            }
            _ => {}
        }
    }
    world.kill_and_wait();
    assert!(tree(&world) == model, "{} names, {} expected", tree(&world).len(), model.len());
}
