//! The dump of a namespace taken in steps: between two of them it changes, and what changed is copied again.
//!
//! The first pass copies all slots in order. What changes behind it is noted by the index, and copied once more in the
//! last step, which is as long as what changed since the one before: so a dump of any length holds nobody up.

use crate::dump::{MAGIC, NUMBER_LEN, VNODE_LEN, write_vnode};
use crate::index::Index;
use crate::types::VnodeNo;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

/// Slots that are kept as one run of bytes: long enough to cost nothing, short enough to be grown without copies of
/// much.
const PIECE_SLOTS: u32 = 4096;

/// What changed while a dump is taken, kept by the index.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Slots below this were copied.
    before: u32,
    /// Slots that were copied and have changed since; true: its entries too, if it is a directory.
    changed: HashMap<u32, bool>,
}

impl Watch {
    pub(crate) fn note(&mut self, slot: u32, entries: bool) {
        if slot < self.before {
            *self.changed.entry(slot).or_default() |= entries;
        }
    }
}

/// Records of some slots in a row, and the entries of those that are directories, both in the order of slots.
struct Piece {
    vnodes: Vec<u8>,
    entries: Vec<u8>,
}

/// A slot that was copied again.
#[derive(Default)]
struct Again {
    /// Empty: nothing is in the slot any more.
    vnode: Vec<u8>,
    /// None: as they were copied first.
    entries: Option<Vec<u8>>,
}

/// A dump under way; see [`Index::begin_steps`].
pub struct Steps {
    next: u32,
    pieces: Vec<Piece>,
    again: BTreeMap<u32, Again>,
    generation: u32,
}

impl Index {
    /// Begins a dump in steps; one at a time. The index notes what changes until [`Index::end_steps`].
    pub fn begin_steps(&self) -> Steps {
        self.watch.replace(Some(Watch::default()));
        Steps::new()
    }

    /// A dump in steps was begun and has not ended.
    pub fn in_steps(&self) -> bool {
        self.watch.borrow().is_some()
    }

    /// Nothing is noted any more.
    pub fn end_steps(&self) {
        self.watch.replace(None);
    }

    pub(crate) fn note_change(&self, slot: u32, entries: bool) {
        if let Some(watch) = self.watch.borrow_mut().as_mut() {
            watch.note(slot, entries);
        }
    }
}

impl Steps {
    pub(crate) fn new() -> Steps {
        Steps { next: 1, pieces: Vec::new(), again: BTreeMap::new(), generation: 0 }
    }

    /// Copies vnodes and names, about `count_max` of them (but a directory's entries at once). True: all are copied, and
    /// no more than `count_max` slots have to be again, which [`Steps::finish`] does.
    pub fn step(&mut self, index: &Index, count_max: usize) -> bool {
        let mut count = 0;
        while count < count_max && self.next < index.slots() {
            count += self.copy(index, self.next);
            self.next += 1;
        }
        let mut watch = index.watch.borrow_mut();
        let Some(watch) = watch.as_mut() else { return self.next >= index.slots() };
        watch.before = self.next;
        if self.next < index.slots() {
            return false;
        }
        if watch.changed.len() <= count_max {
            return true;
        }
        let some: Vec<u32> = watch.changed.keys().take(count_max).copied().collect();
        for slot in some {
            let entries = watch.changed.remove(&slot).unwrap_or_default();
            self.copy_again(index, slot, entries);
        }
        false
    }

    /// In one step, whatever else is under way.
    pub(crate) fn all(mut self, index: &Index) -> Dump {
        while self.next < index.slots() {
            self.copy(index, self.next);
            self.next += 1;
        }
        let floor = self.generation.max(index.generation_floor());
        Dump { pieces: self.pieces, again: self.again, floor: floor + 1 }
    }

    /// Copies what is left, and ends it: the dump is of this moment.
    pub fn finish(mut self, index: &Index) -> Dump {
        let watch = index.watch.replace(None).unwrap_or_default();
        for (slot, entries) in watch.changed {
            self.copy_again(index, slot, entries);
        }
        self.all(index)
    }

    /// How much it was.
    fn copy(&mut self, index: &Index, slot: u32) -> usize {
        if slot.is_multiple_of(PIECE_SLOTS) || self.pieces.is_empty() {
            let vnodes = Vec::with_capacity(PIECE_SLOTS as usize * VNODE_LEN);
            self.pieces.push(Piece { vnodes, entries: Vec::new() });
        }
        let Some(piece) = self.pieces.last_mut() else { return 0 };
        let vnode = index.vnode_in(slot);
        if vnode.0 == 0 {
            return 1;
        }
        self.generation = self.generation.max(vnode.generation());
        write_vnode(&mut piece.vnodes, index, vnode);
        1 + write_entries(&mut piece.entries, index, vnode)
    }

    fn copy_again(&mut self, index: &Index, slot: u32, entries: bool) {
        let again = self.again.entry(slot).or_default();
        again.vnode.clear();
        let vnode = index.vnode_in(slot);
        if vnode.0 != 0 {
            self.generation = self.generation.max(vnode.generation());
            write_vnode(&mut again.vnode, index, vnode);
        }
        if entries {
            let all = again.entries.get_or_insert_default();
            all.clear();
            write_entries(all, index, vnode);
        }
    }
}

/// How many there are.
fn write_entries(to: &mut Vec<u8>, index: &Index, dir: VnodeNo) -> usize {
    let mut count = 0;
    index.children(dir, &mut |name, child| {
        count += 1;
        to.extend_from_slice(&dir.0.to_le_bytes());
        to.extend_from_slice(&child.0.to_le_bytes());
        to.extend_from_slice(&(name.len() as u16).to_le_bytes());
        to.extend_from_slice(name);
    });
    count
}

/// A namespace as it was at one moment.
pub struct Dump {
    pieces: Vec<Piece>,
    again: BTreeMap<u32, Again>,
    floor: u32,
}

impl Dump {
    /// Writes it, in the form of [`crate::Index::dump`].
    ///
    /// # Errors
    /// Those of `to`.
    pub fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        let (mut vnodes, mut entries) = (0u32, 0u32);
        self.each_vnode(&mut |_| {
            vnodes += 1;
            Ok(())
        })?;
        self.each_entry(&mut |_| {
            entries += 1;
            Ok(())
        })?;
        to.write_all(&MAGIC.to_le_bytes())?;
        to.write_all(&vnodes.to_le_bytes())?;
        to.write_all(&self.floor.to_le_bytes())?;
        self.each_vnode(&mut |record| to.write_all(record))?;
        to.write_all(&entries.to_le_bytes())?;
        self.each_entry(&mut |entry| to.write_all(entry))
    }

    fn each_vnode(&self, each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut again = self.again.iter().peekable();
        let mut instead = |below: u32, each: &mut dyn FnMut(&[u8]) -> io::Result<()>| {
            while let Some((_, row)) = again.next_if(|(slot, _)| **slot < below) {
                if !row.vnode.is_empty() {
                    each(&row.vnode)?;
                }
            }
            Ok::<(), io::Error>(())
        };
        for record in self.pieces.iter().flat_map(|piece| Records { rest: &piece.vnodes, of: vnode_len }) {
            let slot = slot_of(record);
            instead(slot, each)?;
            if !self.again.contains_key(&slot) {
                each(record)?;
            }
        }
        instead(u32::MAX, each)
    }

    fn each_entry(&self, each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let listed = |row: &Again| row.entries.is_some();
        for record in self.pieces.iter().flat_map(|piece| Records { rest: &piece.entries, of: entry_len }) {
            if !self.again.get(&slot_of(record)).is_some_and(listed) {
                each(record)?;
            }
        }
        for entries in self.again.values().filter_map(|row| row.entries.as_ref()) {
            Records { rest: entries, of: entry_len }.try_for_each(&mut *each)?;
        }
        Ok(())
    }
}

/// The parts of a run of bytes that was made here.
struct Records<'a> {
    rest: &'a [u8],
    of: fn(&[u8]) -> usize,
}

impl<'a> Iterator for Records<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let (record, rest) = self.rest.split_at((self.of)(self.rest));
        self.rest = rest;
        Some(record)
    }
}

fn slot_of(record: &[u8]) -> u32 {
    VnodeNo(crate::layout::word(&record[..NUMBER_LEN])).slot()
}

/// The target is what a record ends with.
fn vnode_len(rest: &[u8]) -> usize {
    VNODE_LEN + crate::layout::word(&rest[VNODE_LEN - 4..VNODE_LEN]) as usize
}

/// So is the name.
fn entry_len(rest: &[u8]) -> usize {
    const ENTRY_LEN: usize = 2 * NUMBER_LEN + 2;
    ENTRY_LEN + crate::layout::word(&rest[ENTRY_LEN - 2..ENTRY_LEN]) as usize
}
