//! From an index to objects: only directories that changed are written.

use super::Address;
use super::cache::TreeCache;
use super::object::{Entry, TreeRoot, Xattrs, encode};
use crate::index::Index;
use crate::types::{Content, ROOT, S_IFDIR, S_IFMT, VnodeNo};
use std::collections::HashSet;
use std::io;

/// What a file that is still being written held at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frozen {
    pub hash: [u8; 32],
    pub size: u64,
    /// Of 512 bytes.
    pub blocks: u64,
    pub mtime_ns: i64,
    pub ctime_ns: i64,
}

/// What the index does not know.
pub trait Facts {
    fn xattrs(&self, vnode: VnodeNo) -> Option<&Xattrs>;
    /// Of a staged vnode; None: somebody has to freeze it first.
    fn frozen(&self, vnode: VnodeNo) -> Option<Frozen>;
    /// Keeps an object; its address.
    fn put(&mut self, object: &[u8]) -> io::Result<Address>;
}

/// Why there is no root.
#[derive(Debug)]
pub enum SealError {
    /// These are staged and not frozen.
    Staged(Vec<VnodeNo>),
    Io(io::Error),
}

impl From<io::Error> for SealError {
    fn from(error: io::Error) -> SealError {
        SealError::Io(error)
    }
}

impl Index {
    /// Writes the objects of directories that changed since the last call with the same cache, children first. None:
    /// about `entries_max` were written and there are more; the next call goes on.
    ///
    /// # Errors
    /// [`SealError`]; what was written so far is remembered.
    ///
    /// A file that was frozen is written on: the caller tells the cache of it again.
    pub fn seal_tree(
        &self,
        cache: &mut TreeCache,
        facts: &mut dyn Facts,
        entries_max: usize,
    ) -> Result<Option<TreeRoot>, SealError> {
        if cache.objects.is_empty() {
            self.vnodes(&mut |vnode| cache.note_generation(vnode));
        }
        let changed = self.changed(cache);
        let (mut staged, mut waiting) = (Vec::new(), HashSet::new());
        let mut written = 0;
        let mut path = vec![(ROOT, self.due_in(ROOT, &changed, cache))];
        while let Some((dir, below)) = path.last_mut() {
            if let Some(child) = below.pop() {
                path.push((child, self.due_in(child, &changed, cache)));
                continue;
            }
            if written > entries_max {
                return Ok(None);
            }
            let dir = *dir;
            path.pop();
            let before = staged.len();
            let mut entries = Vec::new();
            self.children(dir, &mut |name, child| match self.entry(name, child, cache, facts) {
                Some(entry) => entries.push(entry),
                None => staged.push(child),
            });
            let parent = self.parent_slot(dir.slot());
            if staged.len() > before || waiting.contains(&dir.slot()) {
                waiting.extend(parent);
                continue;
            }
            entries.sort_unstable_by(|one, two| one.name.cmp(&two.name));
            // An empty directory is work as well.
            written += 1 + entries.len();
            let address = facts.put(&encode(&entries))?;
            cache.objects.insert(dir.slot(), address);
            cache.dirty.remove(&dir.slot());
            cache.dirty.extend(parent);
        }
        if !staged.is_empty() {
            return Err(SealError::Staged(staged));
        }
        cache.dirty.clear();
        let entry = self.entry(b"", ROOT, cache, facts).ok_or(super::object::bad("root"))?;
        let generation_floor = self.generation_floor().max(cache.generation + 1);
        Ok(Some(TreeRoot { entry, slots: self.slots(), generation_floor }))
    }

    /// Directories that changed, and what leads to them.
    fn changed(&self, cache: &mut TreeCache) -> HashSet<u32> {
        if !cache.linked.is_empty() {
            let linked = std::mem::take(&mut cache.linked);
            self.each_dentry(&mut |parent, child| {
                if linked.contains(&child) {
                    cache.dirty.insert(parent);
                }
            });
        }
        let mut changed = HashSet::new();
        for slot in &cache.dirty {
            let mut at = Some(*slot);
            while let Some(slot) = at.filter(|slot| changed.insert(*slot)) {
                at = self.parent_slot(slot);
            }
        }
        changed
    }

    /// The directories in a directory that are to be written before it: they changed, or have no object.
    fn due_in(&self, dir: VnodeNo, changed: &HashSet<u32>, cache: &TreeCache) -> Vec<VnodeNo> {
        let mut due = Vec::new();
        self.children(dir, &mut |_, child| {
            let slot = child.slot();
            if self.is_dir(child) && (changed.contains(&slot) || !cache.objects.contains_key(&slot)) {
                due.push(child);
            }
        });
        due
    }

    fn is_dir(&self, vnode: VnodeNo) -> bool {
        self.attr(vnode).is_some_and(|attr| attr.mode & S_IFMT == S_IFDIR)
    }

    fn entry(&self, name: &[u8], vnode: VnodeNo, cache: &TreeCache, facts: &dyn Facts) -> Option<Entry> {
        let mut attr = self.attr(vnode)?;
        if attr.content == Content::Staged {
            let frozen = facts.frozen(vnode)?;
            attr.content = Content::Sealed(frozen.hash);
            (attr.size, attr.blocks, attr.mtime_ns) = (frozen.size, frozen.blocks, frozen.mtime_ns);
            attr.ctime_ns = attr.ctime_ns.max(frozen.ctime_ns);
        }
        let object =
            if attr.mode & S_IFMT == S_IFDIR { cache.objects.get(&vnode.slot()).copied() } else { None };
        let target = self.target(vnode).unwrap_or_default();
        let xattrs = facts.xattrs(vnode).cloned().unwrap_or_default();
        Some(Entry { name: name.to_vec(), attr, object, target, xattrs })
    }
}
