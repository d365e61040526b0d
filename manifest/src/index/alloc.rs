//! Slots, dentries and arena bytes: taking, giving back, linking. Callers hold a write section.

use super::{Index, NewVnode, OpError};
use crate::layout::{dentry, header, inode, name_hash};
use crate::types::{Content, S_IFDIR, S_IFLNK, S_IFMT, VnodeNo};
use std::sync::atomic::{Ordering, fence};

/// Ends the write section when dropped.
pub(crate) struct WriteSection<'a> {
    index: &'a Index,
    sequence: u64,
}

impl Drop for WriteSection<'_> {
    fn drop(&mut self) {
        self.index.window().set_u64_release(header::SEQUENCE, self.sequence + 2);
    }
}

impl Index {
    /// Makes the sequence odd until the guard is dropped: readers wait.
    pub(super) fn write_section(&self) -> WriteSection<'_> {
        let sequence = self.window().u64(header::SEQUENCE);
        self.window().set_u64(header::SEQUENCE, sequence + 1);
        fence(Ordering::Release);
        WriteSection { index: self, sequence }
    }

    /// Whether one more vnode with these name and target bytes fits.
    pub(super) fn has_room(&self, inodes: u32, dentries: u32, arena_len: usize) -> Result<(), OpError> {
        let window = self.window();
        let inode_room = window.u32(header::INODE_FREE) != 0
            || window.u32(header::INODE_HIGH) + inodes <= window.u32(header::INODE_CAPACITY);
        let dentry_room = window.u32(header::DENTRY_FREE) != 0
            || window.u32(header::DENTRY_HIGH) + dentries <= window.u32(header::DENTRY_CAPACITY);
        let arena_room =
            window.u64(header::ARENA_HIGH) + arena_len as u64 + 16 <= window.u64(header::ARENA_CAPACITY);
        if (inodes == 0 || inode_room) && dentry_room && arena_room { Ok(()) } else { Err(OpError::Full) }
    }

    /// The number that a new vnode will get.
    pub fn next_vnode(&self) -> VnodeNo {
        let window = self.window();
        let floor = window.u32(header::GENERATION_FLOOR);
        match window.u32(header::INODE_FREE) {
            0 => VnodeNo::new(window.u32(header::INODE_HIGH), floor),
            slot => {
                let last = window.u32(self.reader.inode_field(slot, inode::FREE_GENERATION));
                VnodeNo::new(slot, (last + 1).max(floor))
            }
        }
    }

    /// The numbers that new vnodes will get, in their order, until `take` says that it has enough or the table is full.
    pub fn upcoming(&self, take: &mut dyn FnMut(VnodeNo) -> bool) {
        let window = self.window();
        let floor = window.u32(header::GENERATION_FLOOR);
        let mut free = window.u32(header::INODE_FREE);
        while free != 0 {
            let last = window.u32(self.reader.inode_field(free, inode::FREE_GENERATION));
            if !take(VnodeNo::new(free, (last + 1).max(floor))) {
                return;
            }
            free = window.u32(self.reader.inode_field(free, inode::NEXT_FREE));
        }
        for slot in window.u32(header::INODE_HIGH)..window.u32(header::INODE_CAPACITY) {
            if !take(VnodeNo::new(slot, floor)) {
                return;
            }
        }
    }

    /// Whether a new vnode may still get this number.
    pub fn is_upcoming(&self, vnode: VnodeNo) -> bool {
        let window = self.window();
        let (slot, floor) = (vnode.slot(), window.u32(header::GENERATION_FLOOR));
        if slot >= window.u32(header::INODE_HIGH) {
            return slot < window.u32(header::INODE_CAPACITY) && vnode.generation() == floor;
        }
        let last = window.u32(self.reader.inode_field(slot, inode::FREE_GENERATION));
        window.u64(self.reader.inode_field(slot, inode::VNODE)) == 0
            && vnode == VnodeNo::new(slot, (last + 1).max(floor))
    }

    /// Takes `vnode`'s slot out of the free list, or extends the table to it.
    pub(super) fn take_slot(&self, vnode: VnodeNo) -> bool {
        let window = self.window();
        let slot = vnode.slot();
        let mut high = window.u32(header::INODE_HIGH);
        if slot >= window.u32(header::INODE_CAPACITY) {
            return false;
        }
        while high <= slot {
            if high < slot {
                self.free_slot(high, 0);
            }
            high += 1;
            window.set_u32(header::INODE_HIGH, high);
            if high == slot + 1 {
                window.set_u32(header::VNODE_COUNT, window.u32(header::VNODE_COUNT) + 1);
                return true;
            }
        }
        let mut link = header::INODE_FREE;
        let mut free = window.u32(link);
        while free != 0 {
            let next_at = self.reader.inode_field(free, inode::NEXT_FREE);
            if free == slot {
                window.set_u32(link, window.u32(next_at));
                window.set_u32(header::VNODE_COUNT, window.u32(header::VNODE_COUNT) + 1);
                return true;
            }
            link = next_at;
            free = window.u32(link);
        }
        false
    }

    pub(super) fn free_slot(&self, slot: u32, generation: u32) {
        self.note_change(slot, false);
        let window = self.window();
        window.set_u64(self.reader.inode_field(slot, inode::VNODE), 0);
        window.set_u32(self.reader.inode_field(slot, inode::FREE_GENERATION), generation);
        window.set_u32(self.reader.inode_field(slot, inode::NEXT_FREE), window.u32(header::INODE_FREE));
        window.set_u32(header::INODE_FREE, slot);
    }

    /// Gives a vnode's slot back.
    pub(super) fn free_vnode(&self, vnode: VnodeNo) {
        let window = self.window();
        let slot = vnode.slot();
        if self.reader.mode(slot) & S_IFMT == S_IFLNK {
            self.arena_forget(self.reader.target_len(slot));
        }
        self.free_slot(slot, vnode.generation());
        window.set_u32(header::VNODE_COUNT, window.u32(header::VNODE_COUNT) - 1);
    }

    /// Writes a whole inode record; `target` of a symlink is already in the arena at `target_offset`.
    pub(super) fn fill_inode(&self, vnode: VnodeNo, new: &NewVnode<'_>, target_offset: u64) {
        self.note_change(vnode.slot(), false);
        let window = self.window();
        let at = |field| self.reader.inode_field(vnode.slot(), field);
        for field in (inode::PAYLOAD..inode::LEN).step_by(8) {
            window.set_u64(at(field), 0);
        }
        window.set_u64(at(inode::VNODE), vnode.0);
        window.set_u32(at(inode::MODE), new.mode & inode::MODE_MASK);
        window.set_u32(at(inode::NLINK), if new.mode & S_IFMT == S_IFDIR { 2 } else { 1 });
        window.set_u32(at(inode::UID), new.uid);
        window.set_u32(at(inode::GID), new.gid);
        window.set_u64(at(inode::SIZE), new.size);
        window.set_u64(at(inode::ATIME), new.atime_ns as u64);
        window.set_u64(at(inode::MTIME), new.mtime_ns as u64);
        window.set_u64(at(inode::CTIME), new.ctime_ns as u64);
        window.set_u32(at(inode::DENTRY), 0);
        self.fill_content(vnode.slot(), new.content, new.size.div_ceil(512));
        match new.mode & S_IFMT {
            S_IFLNK => {
                window.set_u64(at(inode::TARGET_OFFSET), target_offset);
                window.set_u32(at(inode::TARGET_LEN), new.target.len() as u32);
                window.set_u64(at(inode::SIZE), new.target.len() as u64);
            }
            S_IFDIR => window.set_u64(at(inode::SIZE), 4096),
            crate::types::S_IFCHR | crate::types::S_IFBLK => window.set_u32(at(inode::RDEV), new.rdev),
            _ => {}
        }
    }

    /// Writes content kind, hash and blocks (of 512 bytes).
    pub(super) fn fill_content(&self, slot: u32, content: Content, blocks: u64) {
        self.note_change(slot, false);
        let window = self.window();
        let kind = match content {
            Content::None => inode::KIND_NONE,
            Content::Staged => inode::KIND_STAGED,
            Content::Sealed(hash) => {
                for (index, chunk) in hash.chunks_exact(8).enumerate() {
                    let at = self.reader.inode_field(slot, inode::PAYLOAD + index * 8);
                    window.set_u64(at, crate::layout::word(chunk));
                }
                inode::KIND_SEALED
            }
        };
        let units = (blocks.div_ceil(8) as u32).min(u32::MAX >> inode::KIND_BITS);
        window.set_u32(self.reader.inode_field(slot, inode::CONTENT), kind | units << inode::KIND_BITS);
    }

    /// Appends bytes to the arena, padded to 8; their offset. The caller checked the room.
    pub(super) fn arena_append(&self, bytes: &[u8]) -> u64 {
        let window = self.window();
        let offset = window.u64(header::ARENA_HIGH);
        for (index, chunk) in bytes.chunks(8).enumerate() {
            let at = self.reader.arena_offset() + offset as usize + index * 8;
            window.set_u64(at, u64::from_ne_bytes(crate::layout::word(chunk).to_le_bytes()));
        }
        window.set_u64(header::ARENA_HIGH, offset + (bytes.len() as u64).next_multiple_of(8));
        offset
    }

    fn arena_forget(&self, len: usize) {
        let window = self.window();
        let dead = window.u64(header::ARENA_DEAD) + (len as u64).next_multiple_of(8);
        window.set_u64(header::ARENA_DEAD, dead);
    }

    /// A new dentry at the end of `parent`'s list and in its bucket.
    pub(super) fn add_dentry(&self, parent: u32, name: &[u8], child: u32) -> u32 {
        self.note_change(parent, true);
        let window = self.window();
        let number = match window.u32(header::DENTRY_FREE) {
            0 => {
                let number = window.u32(header::DENTRY_HIGH);
                window.set_u32(header::DENTRY_HIGH, number + 1);
                number
            }
            number => {
                let next = window.u32(self.reader.dentry_field(number, dentry::NEXT));
                window.set_u32(header::DENTRY_FREE, next);
                number
            }
        };
        let offset = self.arena_append(name);
        let at = |field| self.reader.dentry_field(number, field);
        window.set_u32(at(dentry::PARENT), parent);
        window.set_u32(at(dentry::CHILD), child);
        window.set_u32(at(dentry::HASH), name_hash(parent, name));
        window.set_u32(at(dentry::NAME_OFFSET), (offset / 8) as u32);
        window.set_u32(at(dentry::NAME_LEN), name.len() as u32);
        self.bucket_insert(number);
        let list = |field| self.reader.inode_field(parent, field);
        let last = window.u32(list(inode::LAST_CHILD));
        window.set_u32(at(dentry::PREV_SIBLING), last);
        window.set_u32(at(dentry::NEXT_SIBLING), 0);
        if last == 0 {
            window.set_u32(list(inode::FIRST_CHILD), number);
        } else {
            window.set_u32(self.reader.dentry_field(last, dentry::NEXT_SIBLING), number);
        }
        window.set_u32(list(inode::LAST_CHILD), number);
        window.set_u32(list(inode::CHILD_COUNT), window.u32(list(inode::CHILD_COUNT)) + 1);
        window.set_u32(self.reader.inode_field(child, inode::DENTRY), number);
        number
    }

    pub(super) fn bucket_insert(&self, number: u32) {
        let window = self.window();
        let bucket = self.reader.bucket_field(window.u32(self.reader.dentry_field(number, dentry::HASH)));
        window.set_u32(self.reader.dentry_field(number, dentry::NEXT), window.u32(bucket));
        window.set_u32(bucket, number);
    }

    /// Takes a dentry out of bucket and list and frees it.
    pub(super) fn remove_dentry(&self, number: u32) {
        let window = self.window();
        let field = |number, field| self.reader.dentry_field(number, field);
        let hash = window.u32(field(number, dentry::HASH));
        let mut link = self.reader.bucket_field(hash);
        while window.u32(link) != number {
            if window.u32(link) == 0 {
                return;
            }
            link = field(window.u32(link), dentry::NEXT);
        }
        window.set_u32(link, window.u32(field(number, dentry::NEXT)));

        let parent = window.u32(field(number, dentry::PARENT));
        self.note_change(parent, true);
        let list = |field| self.reader.inode_field(parent, field);
        let (prev, next) = (
            window.u32(field(number, dentry::PREV_SIBLING)),
            window.u32(field(number, dentry::NEXT_SIBLING)),
        );
        match prev {
            0 => window.set_u32(list(inode::FIRST_CHILD), next),
            prev => window.set_u32(field(prev, dentry::NEXT_SIBLING), next),
        }
        match next {
            0 => window.set_u32(list(inode::LAST_CHILD), prev),
            next => window.set_u32(field(next, dentry::PREV_SIBLING), prev),
        }
        window.set_u32(list(inode::CHILD_COUNT), window.u32(list(inode::CHILD_COUNT)) - 1);

        let child = self.reader.inode_field(window.u32(field(number, dentry::CHILD)), inode::DENTRY);
        if window.u32(child) == number {
            window.set_u32(child, 0);
        }
        self.arena_forget(window.u32(field(number, dentry::NAME_LEN)) as usize);
        window.set_u32(field(number, dentry::PARENT), 0);
        window.set_u32(field(number, dentry::NEXT), window.u32(header::DENTRY_FREE));
        window.set_u32(header::DENTRY_FREE, number);
    }

    pub(super) fn add_nlink(&self, slot: u32, delta: i32) {
        self.note_change(slot, false);
        let at = self.reader.inode_field(slot, inode::NLINK);
        self.window().set_u32(at, self.window().u32(at).wrapping_add_signed(delta));
    }

    pub(super) fn set_time(&self, slot: u32, field: usize, time_ns: i64) {
        self.note_change(slot, false);
        self.window().set_u64(self.reader.inode_field(slot, field), time_ns as u64);
    }

    /// Modification and change time of a directory whose entries changed.
    pub(super) fn touch_dir(&self, slot: u32, now_ns: i64) {
        self.set_time(slot, inode::MTIME, now_ns);
        self.set_time(slot, inode::CTIME, now_ns);
    }
}
