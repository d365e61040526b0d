//! Filling an index from a dump, before it is published: records are taken as they are.

use super::{Attr, Capacity, Index, NewVnode, OpError};
use crate::layout::{header, inode};
use crate::types::{ROOT, S_IFLNK, S_IFMT, VnodeNo};
use std::io;

impl Index {
    pub(crate) fn generation_floor(&self) -> u32 {
        self.window().u32(header::GENERATION_FLOOR)
    }

    pub(crate) fn set_generation_floor(&self, floor: u32) {
        self.window().set_u32(header::GENERATION_FLOOR, floor);
    }

    /// Puts a vnode into its slot; false when the tables are too small for it.
    pub(crate) fn load_slot(&mut self, vnode: VnodeNo, new: &NewVnode<'_>, blocks: u64) -> bool {
        if self.has_room(1, 1, new.target.len()).is_err() {
            return false;
        }
        if vnode != ROOT && (self.reader.vnode(vnode.slot()).0 != 0 || !self.take_slot(vnode)) {
            return false;
        }
        let offset = if new.mode & S_IFMT == S_IFLNK { self.arena_append(new.target) } else { 0 };
        self.fill_inode(vnode, new, offset);
        self.fill_content(vnode.slot(), new.content, blocks);
        true
    }

    /// Makes room until `slot` and its records fit. The number counts, not how many there are: after many were removed,
    /// few are left with high ones.
    pub(crate) fn grow_unpublished(&mut self, slot: u32) -> io::Result<()> {
        /// Far more doublings than tables have.
        const GROWTHS_MAX: usize = 64;
        let least = Capacity { inodes: slot.saturating_add(1), dentries: 0, arena_len: 0 };
        for _ in 0..GROWTHS_MAX {
            *self = self.grown_to(least)?;
            if slot < self.window().u32(header::INODE_CAPACITY) && self.has_room(1, 1, 4096).is_ok() {
                return Ok(());
            }
        }
        Err(io::Error::from_raw_os_error(super::libc_errno::ENOSPC))
    }

    pub(crate) fn load_dentry(&mut self, parent: VnodeNo, child: VnodeNo, name: &[u8]) -> io::Result<()> {
        let invalid =
            |error: OpError| io::Error::new(io::ErrorKind::InvalidData, format!("dentry: {error:?}"));
        Index::check_name(name).map_err(invalid)?;
        let parent_slot = self.dir_slot(parent).map_err(invalid)?;
        if self.reader.slot(child).is_none() || self.reader.lookup(parent_slot, name).is_some() {
            return Err(invalid(OpError::Errno(super::libc_errno::EEXIST)));
        }
        while self.has_room(0, 1, name.len()).is_err() {
            *self = self.grown()?;
        }
        self.add_dentry(parent_slot, name, child.slot());
        Ok(())
    }

    pub(crate) fn load_nlink(&self, vnode: VnodeNo, nlink: u32) {
        self.note_change(vnode.slot(), false);
        self.window().set_u32(self.reader.inode_field(vnode.slot(), inode::NLINK), nlink);
    }

    /// Slots below `slots` are filled one by one with [`Index::fill_slot`], in any order.
    pub(crate) fn reserve_slots(&mut self, slots: u32) {
        let window = self.window();
        window.set_u64(self.reader.inode_field(ROOT.slot(), inode::VNODE), 0);
        window.set_u32(header::INODE_HIGH, slots);
        window.set_u32(header::VNODE_COUNT, 0);
    }

    pub(crate) fn has_slot(&self, slot: u32) -> bool {
        self.reader.vnode(slot).0 != 0
    }

    /// Fills a reserved slot that is empty.
    pub(crate) fn fill_slot(&self, attr: &Attr, target: &[u8]) {
        let new = attr.as_new(target);
        let offset = if new.mode & S_IFMT == S_IFLNK { self.arena_append(target) } else { 0 };
        self.fill_inode(attr.vnode, &new, offset);
        self.fill_content(attr.vnode.slot(), attr.content, attr.blocks);
        self.load_nlink(attr.vnode, attr.nlink);
        let window = self.window();
        window.set_u32(header::VNODE_COUNT, window.u32(header::VNODE_COUNT) + 1);
    }

    /// Whether one more name, or target, fits.
    pub(crate) fn name_fits(&self, name: &[u8]) -> bool {
        self.has_room(0, 1, name.len()).is_ok()
    }

    /// A name whose checks are the caller's.
    pub(crate) fn add_name(&self, parent: u32, name: &[u8], child: u32) {
        self.add_dentry(parent, name, child);
    }

    /// Ends what [`Index::reserve_slots`] began.
    pub(crate) fn free_unused_slots(&mut self) {
        for slot in (ROOT.slot() + 1..self.window().u32(header::INODE_HIGH)).rev() {
            if !self.has_slot(slot) {
                self.free_slot(slot, 0);
            }
        }
    }
}
