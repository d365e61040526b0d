//! Byte layout of the index file. Every offset derives from the one before; integers are native-endian,
//! as the file never leaves the machine.
//!
//! ```text
//! header (HEADER_LEN) | inode table | dentry table | bucket heads | arena
//! ```
//! Inode record, [`INODE_LEN`] bytes: vnode, mode, nlink, uid, gid, size, times, content kind and blocks,
//! the dentry that names it, and 32 bytes that depend on the type (hash, child list, or symlink target).
//! Dentry record, [`DENTRY_LEN`] bytes: parent, child, hash, bucket and sibling links, name in the arena.

/// "VRIFTIX1", little-endian.
pub const MAGIC: u64 = u64::from_le_bytes(*b"VRIFTIX1");
/// Raised with every change of this file.
pub const LAYOUT_VERSION: u32 = 1;
/// Longest view path or home path in bytes: PATH_MAX without the NUL.
pub const PATH_FIELD_MAX: usize = 4095;

pub mod header {
    use super::PATH_FIELD_MAX;
    pub const MAGIC: usize = 0;
    pub const VERSION: usize = MAGIC + 8;
    /// Not 0: another generation has been published at the same path.
    pub const RETIRED: usize = VERSION + 4;
    /// Sequence lock: odd while the writer changes anything.
    pub const SEQUENCE: usize = RETIRED + 4;
    pub const GENERATION: usize = SEQUENCE + 8;
    pub const TOTAL_LEN: usize = GENERATION + 8;
    pub const WORKSPACE: usize = TOTAL_LEN + 8;
    pub const INODE_CAPACITY: usize = WORKSPACE + 4;
    pub const DENTRY_CAPACITY: usize = INODE_CAPACITY + 4;
    /// Number of buckets, a power of two.
    pub const BUCKET_COUNT: usize = DENTRY_CAPACITY + 4;
    pub const INODE_OFFSET: usize = BUCKET_COUNT + 4;
    pub const DENTRY_OFFSET: usize = INODE_OFFSET + 8;
    pub const BUCKET_OFFSET: usize = DENTRY_OFFSET + 8;
    pub const ARENA_OFFSET: usize = BUCKET_OFFSET + 8;
    pub const ARENA_CAPACITY: usize = ARENA_OFFSET + 8;
    /// The next five are the writer's: first never-used slot, dentry and arena byte, and free lists.
    pub const INODE_HIGH: usize = ARENA_CAPACITY + 8;
    pub const DENTRY_HIGH: usize = INODE_HIGH + 4;
    pub const ARENA_HIGH: usize = DENTRY_HIGH + 4;
    pub const INODE_FREE: usize = ARENA_HIGH + 8;
    pub const DENTRY_FREE: usize = INODE_FREE + 4;
    /// Bytes of the arena that nothing refers to any more.
    pub const ARENA_DEAD: usize = DENTRY_FREE + 4;
    pub const VNODE_COUNT: usize = ARENA_DEAD + 8;
    /// Generation that slots get which no record remembers (after a load).
    pub const GENERATION_FLOOR: usize = VNODE_COUNT + 4;
    pub const VIEW_LEN: usize = GENERATION_FLOOR + 4;
    pub const HOME_LEN: usize = VIEW_LEN + 4;
    pub const VIEW: usize = 256;
    pub const HOME: usize = VIEW + PATH_FIELD_MAX + 1;
    pub const LEN: usize = 12 * 1024;
    const _: () = assert!(HOME_LEN + 4 <= VIEW && HOME + PATH_FIELD_MAX < LEN);
}

pub mod inode {
    /// 0: the slot is free.
    pub const VNODE: usize = 0;
    /// Type and permissions as in stat(2); [`HAS_XATTRS`] above them.
    pub const MODE: usize = VNODE + 8;
    pub const NLINK: usize = MODE + 4;
    pub const UID: usize = NLINK + 4;
    pub const GID: usize = UID + 4;
    pub const SIZE: usize = GID + 4;
    pub const ATIME: usize = SIZE + 8;
    pub const MTIME: usize = ATIME + 8;
    pub const CTIME: usize = MTIME + 8;
    /// Low two bits: content kind; the rest: allocated 4 KiB blocks.
    pub const CONTENT: usize = CTIME + 8;
    /// A dentry that names this vnode; 0 when the one remembered was unlinked.
    pub const DENTRY: usize = CONTENT + 4;
    pub const PAYLOAD: usize = DENTRY + 4;
    pub const LEN: usize = PAYLOAD + 32;

    /// Payload of a directory.
    pub const FIRST_CHILD: usize = PAYLOAD;
    pub const LAST_CHILD: usize = FIRST_CHILD + 4;
    pub const CHILD_COUNT: usize = LAST_CHILD + 4;
    /// Payload of a symlink: arena offset and length in bytes.
    pub const TARGET_OFFSET: usize = PAYLOAD;
    pub const TARGET_LEN: usize = TARGET_OFFSET + 8;
    /// Payload of a device node.
    pub const RDEV: usize = PAYLOAD;
    /// Of a free slot: next free slot and the generation that its last vnode had.
    pub const NEXT_FREE: usize = MODE;
    pub const FREE_GENERATION: usize = NLINK;

    pub const MODE_MASK: u32 = 0o177777;
    /// The vnode has extended attributes, which the daemon has.
    pub const HAS_XATTRS: u32 = 1 << 31;

    pub const KIND_NONE: u32 = 0;
    pub const KIND_SEALED: u32 = 1;
    pub const KIND_STAGED: u32 = 2;
    pub const KIND_MASK: u32 = 3;
    pub const KIND_BITS: u32 = 2;
}

pub mod dentry {
    /// 0: the record is free.
    pub const PARENT: usize = 0;
    pub const CHILD: usize = PARENT + 4;
    pub const HASH: usize = CHILD + 4;
    /// Next in the bucket, or in the free list.
    pub const NEXT: usize = HASH + 4;
    pub const NEXT_SIBLING: usize = NEXT + 4;
    pub const PREV_SIBLING: usize = NEXT_SIBLING + 4;
    /// In units of 8 bytes from the start of the arena.
    pub const NAME_OFFSET: usize = PREV_SIBLING + 4;
    pub const NAME_LEN: usize = NAME_OFFSET + 4;
    pub const LEN: usize = NAME_LEN + 4;
}

pub const HEADER_LEN: usize = header::LEN;
pub const INODE_LEN: usize = inode::LEN;
pub const DENTRY_LEN: usize = dentry::LEN;
const _: () = assert!(INODE_LEN == 96 && DENTRY_LEN == 32);

/// Hash of a name in a directory, for the bucket and the quick comparison.
pub fn name_hash(parent_slot: u32, name: &[u8]) -> u32 {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = (u64::from(parent_slot) ^ (name.len() as u64) << 32).wrapping_mul(K);
    let mut chunks = name.chunks_exact(8);
    for chunk in &mut chunks {
        hash = (hash ^ word(chunk)).wrapping_mul(K);
        hash ^= hash >> 32;
    }
    hash = (hash ^ word(chunks.remainder())).wrapping_mul(K);
    hash ^= hash >> 29;
    (hash.wrapping_mul(K) >> 32) as u32
}

/// Up to eight bytes as a little-endian number, zero-padded: names are stored in the arena like this.
pub fn word(bytes: &[u8]) -> u64 {
    let mut padded = [0u8; 8];
    padded[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(padded)
}
