//! What the writer itself asks of its index; no retries needed, as it is the only writer.

use super::{Attr, Index};
use crate::layout::{dentry, header};
use crate::types::{ROOT, S_IFBLK, S_IFCHR, S_IFLNK, S_IFMT, VnodeNo};

impl Index {
    /// All attributes; None when the vnode is gone.
    pub fn attr(&self, vnode: VnodeNo) -> Option<Attr> {
        let reader = &self.reader;
        let slot = reader.slot(vnode)?;
        let [atime_ns, mtime_ns, ctime_ns] = reader.times_ns(slot);
        let mode = reader.mode(slot);
        let is_device = matches!(mode & S_IFMT, S_IFCHR | S_IFBLK);
        Some(Attr {
            vnode,
            mode,
            nlink: reader.nlink(slot),
            uid: reader.uid(slot),
            gid: reader.gid(slot),
            rdev: if is_device { reader.rdev(slot) } else { 0 },
            size: reader.size(slot),
            blocks: reader.blocks(slot),
            atime_ns,
            mtime_ns,
            ctime_ns,
            content: reader.content(slot),
        })
    }

    pub fn lookup(&self, dir: VnodeNo, name: &[u8]) -> Option<VnodeNo> {
        let dir = self.reader.slot(dir)?;
        self.reader.lookup(dir, name).map(|slot| self.reader.vnode(slot))
    }

    /// Target of a symlink.
    pub fn target(&self, vnode: VnodeNo) -> Option<Vec<u8>> {
        let slot = self.reader.slot(vnode)?;
        if self.reader.mode(slot) & S_IFMT != S_IFLNK {
            return None;
        }
        let mut target = vec![0; self.reader.target_len(slot)];
        self.reader.target(slot, &mut target);
        Some(target)
    }

    /// Parent and name under which the vnode was last linked or renamed; None for the root, and for a hard
    /// link whose remembered name is gone.
    pub fn parent_and_name(&self, vnode: VnodeNo) -> Option<(VnodeNo, Vec<u8>)> {
        let (parent, number) = self.reader.naming_dentry(self.reader.slot(vnode)?)?;
        let mut name = [0u8; 256];
        let len = self.reader.name(number, &mut name);
        Some((self.reader.vnode(parent), name[..len].to_vec()))
    }

    /// Path relative to the root, without a leading slash; empty for the root.
    pub fn path_of(&self, vnode: VnodeNo) -> Option<Vec<u8>> {
        let mut parts = Vec::new();
        let mut at = vnode;
        while at != ROOT {
            let (parent, name) = self.parent_and_name(at)?;
            parts.push(name);
            at = parent;
        }
        parts.reverse();
        Some(parts.join(&b'/'))
    }

    /// Calls `each` with every entry of a directory, in order of creation.
    pub fn children(&self, dir: VnodeNo, each: &mut dyn FnMut(&[u8], VnodeNo)) {
        let Some(slot) = self.reader.slot(dir).filter(|slot| self.reader.is_dir(*slot)) else { return };
        let mut name = [0u8; 256];
        let mut number = self.reader.first_child(slot);
        while number != 0 {
            let len = self.reader.name(number, &mut name);
            each(&name[..len], self.reader.vnode(self.reader.child(number)));
            number = self.reader.next_child(number);
        }
    }

    /// Calls `each` with every vnode.
    pub fn vnodes(&self, each: &mut dyn FnMut(VnodeNo)) {
        for slot in 1..self.window().u32(header::INODE_HIGH) {
            let vnode = self.reader.vnode(slot);
            if vnode.0 != 0 {
                each(vnode);
            }
        }
    }

    /// Calls `each` with the slots of parent and child of every name, in no order.
    pub(crate) fn each_dentry(&self, each: &mut dyn FnMut(u32, u32)) {
        let window = self.window();
        for number in 1..window.u32(header::DENTRY_HIGH) {
            let parent = window.u32(self.reader.dentry_field(number, dentry::PARENT));
            if parent != 0 {
                each(parent, self.reader.child(number));
            }
        }
    }

    /// The directory that holds the name under which a slot was last linked.
    pub(crate) fn parent_slot(&self, slot: u32) -> Option<u32> {
        if slot == ROOT.slot() || self.reader.vnode(slot).0 == 0 {
            return None;
        }
        self.reader.naming_dentry(slot).map(|(parent, _)| parent)
    }

    /// What is in a slot; 0: nothing.
    pub(crate) fn vnode_in(&self, slot: u32) -> VnodeNo {
        self.reader.vnode(slot)
    }

    /// Slots below this were in use at some time.
    pub fn slots(&self) -> u32 {
        self.window().u32(header::INODE_HIGH)
    }

    /// First vnode with these sealed bytes.
    pub fn find_sealed(&self, hash: &[u8; 32]) -> Option<VnodeNo> {
        self.reader.find_sealed(hash)
    }

    /// Number of vnodes.
    pub fn len(&self) -> usize {
        self.window().u32(header::VNODE_COUNT) as usize
    }

    pub fn is_empty(&self) -> bool {
        self.len() <= 1
    }
}
