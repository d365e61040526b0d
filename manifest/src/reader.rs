//! Lock-free look-ups. `no_std`; used by the preload library and by the writer itself.
//!
//! Single accessors return whatever is there at that moment. What belongs together is read inside
//! [`Reader::read`], which repeats its closure until no write came between. The closure must be able to
//! cope with nonsense (its result is dropped then): all accessors are bounds-checked and all loops bounded.

use crate::layout::{self, DENTRY_LEN, HEADER_LEN, INODE_LEN, dentry, header, inode, name_hash, word};
use crate::sys::Window;
use crate::types::{Content, S_IFDIR, S_IFMT, VnodeNo};
use core::sync::atomic::{Ordering, fence};

/// How often a reader looks again while a write is going on before [`Reader::read`] gives up: a write takes
/// below a microsecond unless the writer lost its processor or died.
const SPINS_MAX: u32 = 2_000;

/// A mapped index.
pub struct Reader {
    window: Window,
    inode_offset: usize,
    inode_capacity: u32,
    dentry_offset: usize,
    dentry_capacity: u32,
    bucket_offset: usize,
    bucket_mask: u32,
    arena_offset: usize,
}

/// Why a file is not a usable index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    Magic,
    Version(u32),
    /// The tables do not fit the file.
    Bounds,
}

impl Reader {
    /// Checks the header of a mapped index.
    pub fn new(window: Window) -> Result<Reader, HeaderError> {
        if window.u64(header::MAGIC) != layout::MAGIC {
            return Err(HeaderError::Magic);
        }
        let version = window.u32(header::VERSION);
        if version != layout::LAYOUT_VERSION {
            return Err(HeaderError::Version(version));
        }
        let reader = Reader {
            window,
            inode_offset: window.u64(header::INODE_OFFSET) as usize,
            inode_capacity: window.u32(header::INODE_CAPACITY),
            dentry_offset: window.u64(header::DENTRY_OFFSET) as usize,
            dentry_capacity: window.u32(header::DENTRY_CAPACITY),
            bucket_offset: window.u64(header::BUCKET_OFFSET) as usize,
            bucket_mask: window.u32(header::BUCKET_COUNT).wrapping_sub(1),
            arena_offset: window.u64(header::ARENA_OFFSET) as usize,
        };
        let fits = |offset: usize, count: u32, len: usize| {
            offset >= HEADER_LEN && offset.saturating_add(count as usize * len) <= window.len()
        };
        let ok = fits(reader.inode_offset, reader.inode_capacity, INODE_LEN)
            && fits(reader.dentry_offset, reader.dentry_capacity, DENTRY_LEN)
            && fits(reader.bucket_offset, reader.bucket_mask.wrapping_add(1), 4)
            && reader.bucket_mask.wrapping_add(1).is_power_of_two()
            && reader.arena_offset <= window.len();
        if ok { Ok(reader) } else { Err(HeaderError::Bounds) }
    }

    #[cfg(feature = "std")]
    pub(crate) fn window(&self) -> Window {
        self.window
    }

    /// Whether another generation has taken this one's place.
    pub fn is_retired(&self) -> bool {
        self.window.u32(header::RETIRED) != 0
    }

    /// The workspace's number.
    pub fn workspace(&self) -> u32 {
        self.window.u32(header::WORKSPACE)
    }

    /// Length of the path of the state folder in bytes.
    pub fn home_len(&self) -> usize {
        self.window.u32(header::HOME_LEN) as usize
    }

    /// Copies the path of the state folder; its length, or None if it does not fit.
    pub fn home(&self, to: &mut [u8]) -> Option<usize> {
        self.path_field(header::HOME, header::HOME_LEN, to)
    }

    /// Copies the view path; its length, or None if it does not fit.
    pub fn view(&self, to: &mut [u8]) -> Option<usize> {
        self.path_field(header::VIEW, header::VIEW_LEN, to)
    }

    fn path_field(&self, at: usize, len_at: usize, to: &mut [u8]) -> Option<usize> {
        let len = self.window.u32(len_at) as usize;
        let to = to.get_mut(..len)?;
        self.window.copy_out(at, to).then_some(len)
    }

    /// Runs `look` until it saw one consistent state. None: a write is going on and does not end (the
    /// writer lost its processor or is gone); the caller waits and tries again.
    pub fn read<T>(&self, mut look: impl FnMut(&Reader) -> T) -> Option<T> {
        for _ in 0..SPINS_MAX {
            let before = self.window.u64_acquire(header::SEQUENCE);
            if before & 1 == 1 {
                core::hint::spin_loop();
                continue;
            }
            let result = look(self);
            fence(Ordering::Acquire);
            if self.window.u64(header::SEQUENCE) == before {
                return Some(result);
            }
        }
        None
    }

    fn inode_at(&self, slot: u32) -> usize {
        self.inode_offset + (slot.min(self.inode_capacity.wrapping_sub(1)) as usize) * INODE_LEN
    }

    fn dentry_at(&self, number: u32) -> usize {
        self.dentry_offset + (number.min(self.dentry_capacity.wrapping_sub(1)) as usize) * DENTRY_LEN
    }

    pub(crate) fn inode_field(&self, slot: u32, field: usize) -> usize {
        self.inode_at(slot) + field
    }

    pub(crate) fn dentry_field(&self, number: u32, field: usize) -> usize {
        self.dentry_at(number) + field
    }

    pub(crate) fn bucket_field(&self, hash: u32) -> usize {
        self.bucket_offset + (hash & self.bucket_mask) as usize * 4
    }

    #[cfg(feature = "std")]
    pub(crate) fn arena_offset(&self) -> usize {
        self.arena_offset
    }

    /// The vnode in `slot`; VnodeNo(0) when it is free.
    pub fn vnode(&self, slot: u32) -> VnodeNo {
        VnodeNo(self.window.u64(self.inode_field(slot, inode::VNODE)))
    }

    /// The slot of a vnode that still exists.
    pub fn slot(&self, vnode: VnodeNo) -> Option<u32> {
        (vnode.0 != 0 && self.vnode(vnode.slot()) == vnode).then_some(vnode.slot())
    }

    pub fn mode(&self, slot: u32) -> u32 {
        self.window.u32(self.inode_field(slot, inode::MODE)) & inode::MODE_MASK
    }
    /// Whether the vnode has extended attributes.
    pub fn has_xattrs(&self, slot: u32) -> bool {
        self.window.u32(self.inode_field(slot, inode::MODE)) & inode::HAS_XATTRS != 0
    }
    pub fn is_dir(&self, slot: u32) -> bool {
        self.mode(slot) & S_IFMT == S_IFDIR
    }
    pub fn nlink(&self, slot: u32) -> u32 {
        self.window.u32(self.inode_field(slot, inode::NLINK))
    }
    pub fn uid(&self, slot: u32) -> u32 {
        self.window.u32(self.inode_field(slot, inode::UID))
    }
    pub fn gid(&self, slot: u32) -> u32 {
        self.window.u32(self.inode_field(slot, inode::GID))
    }
    pub fn size(&self, slot: u32) -> u64 {
        self.window.u64(self.inode_field(slot, inode::SIZE))
    }
    /// Access, modification and change time in ns since the epoch.
    pub fn times_ns(&self, slot: u32) -> [i64; 3] {
        [inode::ATIME, inode::MTIME, inode::CTIME]
            .map(|field| self.window.u64(self.inode_field(slot, field)) as i64)
    }
    /// Allocated blocks of 512 bytes, as st_blocks.
    pub fn blocks(&self, slot: u32) -> u64 {
        u64::from(self.window.u32(self.inode_field(slot, inode::CONTENT)) >> inode::KIND_BITS) * 8
    }
    pub fn rdev(&self, slot: u32) -> u32 {
        self.window.u32(self.inode_field(slot, inode::RDEV))
    }

    pub fn content(&self, slot: u32) -> Content {
        match self.window.u32(self.inode_field(slot, inode::CONTENT)) & inode::KIND_MASK {
            inode::KIND_SEALED => {
                let mut hash = [0; 32];
                for (index, chunk) in hash.chunks_exact_mut(8).enumerate() {
                    let at = self.inode_field(slot, inode::PAYLOAD + index * 8);
                    chunk.copy_from_slice(&self.window.u64(at).to_le_bytes());
                }
                Content::Sealed(hash)
            }
            inode::KIND_STAGED => Content::Staged,
            _ => Content::None,
        }
    }

    /// Copies a symlink's target; its length (truncated to `to`).
    pub fn target(&self, slot: u32, to: &mut [u8]) -> usize {
        let offset = self.window.u64(self.inode_field(slot, inode::TARGET_OFFSET)) as usize;
        let len = (self.window.u32(self.inode_field(slot, inode::TARGET_LEN)) as usize).min(to.len());
        if self.window.copy_out(self.arena_offset.saturating_add(offset), &mut to[..len]) { len } else { 0 }
    }

    /// Length of a symlink's target in bytes.
    pub fn target_len(&self, slot: u32) -> usize {
        self.window.u32(self.inode_field(slot, inode::TARGET_LEN)) as usize
    }

    /// The slot that `name` has in the directory `dir`; None when there is no such name.
    pub fn lookup(&self, dir: u32, name: &[u8]) -> Option<u32> {
        self.lookup_dentry(dir, name).map(|number| self.window.u32(self.dentry_field(number, dentry::CHILD)))
    }

    pub(crate) fn lookup_dentry(&self, dir: u32, name: &[u8]) -> Option<u32> {
        let hash = name_hash(dir, name);
        let mut number = self.window.u32(self.bucket_field(hash));
        let mut steps = self.dentry_capacity;
        while number != 0 && steps != 0 {
            let at = self.dentry_at(number);
            if self.window.u32(at + dentry::HASH) == hash
                && self.window.u32(at + dentry::PARENT) == dir
                && self.name_is(at, name)
            {
                return Some(number);
            }
            number = self.window.u32(at + dentry::NEXT);
            steps -= 1;
        }
        None
    }

    fn name_is(&self, dentry_at: usize, name: &[u8]) -> bool {
        if self.window.u32(dentry_at + dentry::NAME_LEN) as usize != name.len() {
            return false;
        }
        let at = self.arena_offset + self.window.u32(dentry_at + dentry::NAME_OFFSET) as usize * 8;
        name.chunks(8)
            .enumerate()
            .all(|(index, chunk)| self.window.u64(at + index * 8).to_le() == word(chunk))
    }

    /// Copies the name of a dentry; its length (truncated to `to`).
    pub fn name(&self, number: u32, to: &mut [u8]) -> usize {
        let at = self.dentry_at(number);
        let len = (self.window.u32(at + dentry::NAME_LEN) as usize).min(to.len());
        let start = self.arena_offset + self.window.u32(at + dentry::NAME_OFFSET) as usize * 8;
        for (index, chunk) in to[..len].chunks_mut(8).enumerate() {
            chunk.copy_from_slice(&self.window.u64(start + index * 8).to_le_bytes()[..chunk.len()]);
        }
        len
    }

    /// Parent slot and naming dentry of a vnode (the root has none; a file whose remembered name was
    /// unlinked has none either).
    pub fn naming_dentry(&self, slot: u32) -> Option<(u32, u32)> {
        let number = self.window.u32(self.inode_field(slot, inode::DENTRY));
        (number != 0).then(|| (self.window.u32(self.dentry_field(number, dentry::PARENT)), number))
    }

    /// Number of entries of a directory, without `.` and `..`.
    pub fn child_count(&self, dir: u32) -> u32 {
        self.window.u32(self.inode_field(dir, inode::CHILD_COUNT))
    }

    /// First dentry of a directory, 0 when it is empty; the order is that of creation.
    pub fn first_child(&self, dir: u32) -> u32 {
        self.window.u32(self.inode_field(dir, inode::FIRST_CHILD))
    }

    pub fn next_child(&self, number: u32) -> u32 {
        self.window.u32(self.dentry_field(number, dentry::NEXT_SIBLING))
    }

    /// The slot that a dentry names.
    pub fn child(&self, number: u32) -> u32 {
        self.window.u32(self.dentry_field(number, dentry::CHILD))
    }

    /// First slot with these sealed bytes (a linear look at the table).
    pub fn find_sealed(&self, hash: &[u8; 32]) -> Option<VnodeNo> {
        let high = self.window.u32(header::INODE_HIGH).min(self.inode_capacity);
        (1..high)
            .find(|slot| self.vnode(*slot).0 != 0 && self.content(*slot) == Content::Sealed(*hash))
            .map(|slot| self.vnode(slot))
    }
}
