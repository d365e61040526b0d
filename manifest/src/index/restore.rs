//! What restoring a tree does to single names and slots. Inside a write section.

use super::alloc::WriteSection;
use super::{Attr, Index};
use crate::layout::{header, inode};
use crate::types::{ROOT, VnodeNo};

impl Index {
    /// Readers wait until it is dropped.
    pub(crate) fn restoring(&self) -> WriteSection<'_> {
        self.write_section()
    }

    /// Slots below this number can be filled, or are free.
    pub(crate) fn extend_slots(&self, slots: u32) {
        let high = self.window().u32(header::INODE_HIGH);
        self.window().set_u32(header::INODE_HIGH, high.max(slots));
    }

    /// Takes a name away; what it named stays.
    pub(crate) fn remove_name(&self, dir: VnodeNo, name: &[u8]) {
        let slot = self.reader.slot(dir);
        if let Some(number) = slot.and_then(|slot| self.reader.lookup_dentry(slot, name)) {
            self.remove_dentry(number);
        }
    }

    pub(crate) fn free(&self, vnode: VnodeNo) {
        self.free_vnode(vnode);
    }

    /// All attributes of a vnode that stays; of a directory not its entries.
    pub(crate) fn set_all(&self, attr: &Attr) {
        let window = self.window();
        self.note_change(attr.vnode.slot(), false);
        let at = |field| self.reader.inode_field(attr.vnode.slot(), field);
        for (field, value) in [
            (inode::MODE, attr.mode & inode::MODE_MASK),
            (inode::NLINK, attr.nlink),
            (inode::UID, attr.uid),
            (inode::GID, attr.gid),
        ] {
            window.set_u32(at(field), value);
        }
        window.set_u64(at(inode::SIZE), attr.size);
        for (field, time_ns) in
            [(inode::ATIME, attr.atime_ns), (inode::MTIME, attr.mtime_ns), (inode::CTIME, attr.ctime_ns)]
        {
            self.set_time(attr.vnode.slot(), field, time_ns);
        }
        self.fill_content(attr.vnode.slot(), attr.content, attr.blocks);
    }

    /// Makes the list of free slots anew; each keeps the generation that its last vnode had.
    pub(crate) fn relink_free_slots(&self) {
        let window = self.window();
        let mut next = 0;
        for slot in (ROOT.slot() + 1..window.u32(header::INODE_HIGH)).rev() {
            if !self.has_slot(slot) {
                window.set_u32(self.reader.inode_field(slot, inode::NEXT_FREE), next);
                next = slot;
            }
        }
        window.set_u32(header::INODE_FREE, next);
    }
}
