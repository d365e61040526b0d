//! From objects to an index, with all vnode numbers as they were.

use super::cache::TreeCache;
use super::object::{EntryRef, TreeRoot, Xattrs, bad, visit};
use super::{Address, Fetch};
use crate::index::{Attr, Index, Params};
use crate::types::{ROOT, VnodeNo};
use std::io;
use std::path::Path;

/// Vnode numbers of a tree are below this: what a root claims does not make us reserve more than the index may have.
pub(super) const SLOTS_MAX: u32 = 1 << 26;

/// A tree in the form in which it is worked on.
pub struct Loaded {
    /// Not published yet.
    pub index: Index,
    /// Knows all directories: a snapshot right now would write nothing.
    pub cache: TreeCache,
    pub xattrs: Vec<(VnodeNo, Xattrs)>,
}

impl Index {
    /// Builds the index of a tree, which [`Loaded::publish`] shows at `path`.
    ///
    /// # Errors
    /// Those of `fetch` and of the file system; `InvalidData` for objects that make no tree.
    pub fn load_tree(
        path: &Path,
        params: &Params<'_>,
        root: &TreeRoot,
        fetch: Fetch<'_>,
    ) -> io::Result<Loaded> {
        if root.entry.attr.vnode != ROOT || root.slots <= ROOT.slot() || root.slots > SLOTS_MAX {
            return Err(bad("root"));
        }
        let index = Index::with_capacity_for(path, params, root.slots)?;
        let mut loaded = Loaded { index, cache: TreeCache::default(), xattrs: Vec::new() };
        loaded.index.reserve_slots(root.slots);
        loaded.fill(&root.entry.attr, &[])?;
        if !root.entry.xattrs.is_empty() {
            loaded.xattrs.push((ROOT, root.entry.xattrs.clone()));
        }
        let mut dirs: Vec<(u32, Address)> = vec![(ROOT.slot(), root.address())];
        while let Some((dir, address)) = dirs.pop() {
            visit(&fetch(&address)?, &mut |entry| {
                loaded.add(dir, entry, root.slots)?;
                dirs.extend(entry.object.map(|object| (entry.attr.vnode.slot(), object)));
                Ok(())
            })?;
            loaded.cache.objects.insert(dir, address);
        }
        loaded.index.free_unused_slots();
        loaded.index.set_generation_floor(root.generation_floor);
        loaded.cache.generation = root.generation_floor.saturating_sub(1);
        Ok(loaded)
    }
}

impl Loaded {
    /// Shows the index to readers.
    pub fn publish(&self) -> io::Result<()> {
        self.index.publish()
    }

    fn add(&mut self, dir: u32, entry: &EntryRef<'_>, slots: u32) -> io::Result<()> {
        let vnode = entry.attr.vnode;
        if vnode.slot() >= slots {
            return Err(bad("vnode number"));
        }
        if !self.index.has_slot(vnode.slot()) {
            self.fill(&entry.attr, entry.target)?;
            if entry.has_xattrs() {
                self.xattrs.push((vnode, entry.xattrs()));
            }
        } else if self.index.attr(vnode).is_none() || entry.object.is_some() {
            return Err(bad("vnode number: twice"));
        }
        while !self.index.name_fits(entry.name) {
            self.index = self.index.grown()?;
        }
        self.index.add_name(dir, entry.name, vnode.slot());
        Ok(())
    }

    fn fill(&mut self, attr: &Attr, target: &[u8]) -> io::Result<()> {
        while !self.index.name_fits(target) {
            self.index = self.index.grown()?;
        }
        self.index.fill_slot(attr, target);
        Ok(())
    }
}
