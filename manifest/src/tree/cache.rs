//! Which directories have an object already, and which changed since.

use super::Address;
use crate::index::Index;
use crate::types::VnodeNo;
use std::collections::{HashMap, HashSet};

/// Addresses of a workspace's directories, kept up to date by telling it of every change: then a snapshot costs what
/// changed, not what there is. About 50 bytes for a directory.
#[derive(Clone, Debug, Default)]
pub struct TreeCache {
    /// By slot.
    pub(super) objects: HashMap<u32, Address>,
    /// Directories whose entries, or the attributes of what they name, changed.
    pub(super) dirty: HashSet<u32>,
    /// Files with several names that changed: all directories that name them are to be made anew.
    pub(super) linked: HashSet<u32>,
    /// The latest that any vnode had.
    pub(super) generation: u32,
}

impl TreeCache {
    /// Something about a vnode changed: attributes, content, or its entries.
    pub fn touch(&mut self, index: &Index, vnode: VnodeNo) {
        let Some(attr) = index.attr(vnode) else { return };
        self.note_generation(vnode);
        if attr.mode & crate::types::S_IFMT == crate::types::S_IFDIR {
            self.dirty.insert(vnode.slot());
        } else if attr.nlink > 1 {
            self.linked.insert(vnode.slot());
        }
        if let Some((parent, _)) = index.parent_and_name(vnode) {
            self.dirty.insert(parent.slot());
        } else if vnode != crate::types::ROOT {
            self.linked.insert(vnode.slot());
        }
    }

    /// A directory is new in its slot, or gone from it.
    pub fn forget(&mut self, dir: VnodeNo) {
        self.objects.remove(&dir.slot());
        self.dirty.insert(dir.slot());
    }

    pub(super) fn note_generation(&mut self, vnode: VnodeNo) {
        self.generation = self.generation.max(vnode.generation());
    }

    /// How many directories are known to have changed.
    pub fn dirty_count(&self) -> usize {
        self.dirty.len() + self.linked.len()
    }

    /// Addresses that the next snapshot relies on.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.objects.values()
    }
}
