//! An index becomes what a tree says, by what differs.

use super::cache::TreeCache;
use super::load::SLOTS_MAX;
use super::object::{Entry, TreeRoot, Xattrs, bad, decode, side_by_side};
use super::{Address, Fetch};
use crate::index::{Attr, Index};
use crate::types::{ROOT, S_IFDIR, S_IFMT, VnodeNo};
use std::collections::{HashMap, HashSet};
use std::io;

/// What is to be done, found out before anything is done.
#[derive(Default)]
pub struct Restore {
    /// Names that go: directory, name, what they name.
    removed: Vec<(VnodeNo, Vec<u8>, Attr)>,
    /// Names that come.
    added: Vec<(VnodeNo, Entry)>,
    /// What stays under its name and is not as it was.
    changed: Vec<Entry>,
    /// New addresses; None: the directory is gone.
    objects: HashMap<u32, Option<Address>>,
    generation_floor: u32,
    slots: u32,
}

/// What is beside the index and has to follow.
#[derive(Debug, Default)]
pub struct Restored {
    pub gone: Vec<VnodeNo>,
    /// Exactly these attributes, perhaps none.
    pub xattrs: Vec<(VnodeNo, Xattrs)>,
}

impl Restore {
    /// From `now`, which the index is, to `then`.
    ///
    /// # Errors
    /// Those of `fetch`; `InvalidData` for objects that make no tree.
    pub fn plan(now: &TreeRoot, then: &TreeRoot, fetch: Fetch<'_>) -> io::Result<Restore> {
        let mut plan = Restore {
            generation_floor: now.generation_floor.max(then.generation_floor),
            slots: now.slots.max(then.slots),
            ..Restore::default()
        };
        if then.slots > SLOTS_MAX || then.entry.attr.vnode != ROOT {
            return Err(bad("root"));
        }
        if now.entry != then.entry {
            plan.changed.push(then.entry.clone());
        }
        // Directory, its object now and then.
        let mut due = vec![(ROOT, now.entry.object, then.entry.object)];
        while let Some((dir, now, then)) = due.pop() {
            if now == then {
                continue;
            }
            let mut entries = |address: Option<Address>| match address {
                Some(address) => decode(&fetch(&address)?),
                None => Ok(Vec::new()),
            };
            let (old, new) = (entries(now)?, entries(then)?);
            // A directory that moves is told of twice; where it comes counts.
            if then.is_some() || !plan.objects.contains_key(&dir.slot()) {
                plan.objects.insert(dir.slot(), then);
            }
            plan.compare(dir, old, new, &mut due);
        }
        Ok(plan)
    }

    fn compare(
        &mut self,
        dir: VnodeNo,
        old: Vec<Entry>,
        new: Vec<Entry>,
        due: &mut Vec<(VnodeNo, Option<Address>, Option<Address>)>,
    ) {
        for (one, two) in side_by_side(old, new) {
            match (one, two) {
                (Some(one), Some(two)) if one.attr.vnode == two.attr.vnode && one.target == two.target => {
                    due.push((two.attr.vnode, one.object, two.object));
                    if one != two {
                        self.changed.push(two);
                    }
                }
                (one, two) => {
                    if let Some(one) = one {
                        due.extend(one.object.map(|object| (one.attr.vnode, Some(object), None)));
                        self.removed.push((dir, one.name, one.attr));
                    }
                    if let Some(two) = two {
                        due.extend(two.object.map(|object| (two.attr.vnode, None, Some(object))));
                        self.added.push((dir, two));
                    }
                }
            }
        }
    }

    /// How many names and vnodes it concerns.
    pub fn len(&self) -> usize {
        self.removed.len() + self.added.len() + self.changed.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Index {
    /// Does what was planned, in one step for readers. The index is what the plan was made for.
    ///
    /// # Errors
    /// Growing the index, with nothing done; `InvalidData` when the plan was not made for this index.
    pub fn restore(&mut self, plan: &Restore, cache: &mut TreeCache) -> io::Result<Restored> {
        self.check(plan)?;
        let text_len: usize = plan
            .added
            .iter()
            .map(|(_, entry)| (entry.name.len() + entry.target.len()).next_multiple_of(8) + 16)
            .sum();
        self.grow_for(plan.slots, plan.added.len(), text_len)?;
        let mut restored = Restored::default();
        let coming: HashSet<u64> = plan.added.iter().map(|(_, entry)| entry.attr.vnode.0).collect();
        let mut names_gone: HashMap<u64, (Attr, u32)> = HashMap::new();
        let section = self.restoring();
        self.extend_slots(plan.slots);
        for (dir, name, attr) in &plan.removed {
            self.remove_name(*dir, name);
            names_gone.entry(attr.vnode.0).or_insert((*attr, 0)).1 += 1;
        }
        for (attr, gone) in names_gone.values() {
            let is_dir = attr.mode & S_IFMT == S_IFDIR;
            if !coming.contains(&attr.vnode.0) && (is_dir || *gone >= attr.nlink) {
                self.free(attr.vnode);
                restored.gone.push(attr.vnode);
            }
        }
        let mut filled = HashSet::new();
        for (_, entry) in &plan.added {
            if filled.insert(entry.attr.vnode.0) {
                let is_kept =
                    names_gone.contains_key(&entry.attr.vnode.0) || self.attr(entry.attr.vnode).is_some();
                match is_kept {
                    true => self.set_all(&entry.attr),
                    false => self.fill_slot(&entry.attr, &entry.target),
                }
                restored.xattrs.push((entry.attr.vnode, entry.xattrs.clone()));
            }
        }
        for entry in &plan.changed {
            self.set_all(&entry.attr);
            restored.xattrs.push((entry.attr.vnode, entry.xattrs.clone()));
        }
        for (dir, entry) in &plan.added {
            self.add_name(dir.slot(), &entry.name, entry.attr.vnode.slot());
        }
        self.relink_free_slots();
        self.set_generation_floor(plan.generation_floor);
        drop(section);
        for (slot, object) in &plan.objects {
            match object {
                Some(object) => drop(cache.objects.insert(*slot, *object)),
                None => drop(cache.objects.remove(slot)),
            }
        }
        cache.generation = cache.generation.max(plan.generation_floor.saturating_sub(1));
        Ok(restored)
    }

    /// Everything that goes is there, and what comes has its place.
    fn check(&self, plan: &Restore) -> io::Result<()> {
        let is_there = |dir: VnodeNo, name: &[u8], vnode: VnodeNo| self.lookup(dir, name) == Some(vnode);
        let all_there = plan.removed.iter().all(|(dir, name, attr)| is_there(*dir, name, attr.vnode));
        let changed_there = plan.changed.iter().all(|entry| self.attr(entry.attr.vnode).is_some());
        let going: HashSet<u32> = plan.removed.iter().map(|(_, _, attr)| attr.vnode.slot()).collect();
        let has_place = |vnode: VnodeNo| {
            let slot = vnode.slot();
            slot < plan.slots
                && (slot >= self.slots()
                    || !self.has_slot(slot)
                    || self.attr(vnode).is_some()
                    || going.contains(&slot))
        };
        let places = plan.added.iter().all(|(_, entry)| has_place(entry.attr.vnode));
        if all_there && changed_there && places { Ok(()) } else { Err(bad("plan")) }
    }
}
