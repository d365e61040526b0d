//! Numbers and kinds that readers and the writer share.

use core::fmt;

/// A file, directory or symlink of a workspace: `st_ino`. Low 32 bits the slot in the inode table, high
/// 32 bits the generation of the slot; never reused within a workspace.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VnodeNo(pub u64);

/// The view's root directory: slot 1, generation 0.
pub const ROOT: VnodeNo = VnodeNo(1);

impl VnodeNo {
    pub fn new(slot: u32, generation: u32) -> VnodeNo {
        VnodeNo(u64::from(generation) << 32 | u64::from(slot))
    }
    pub fn slot(self) -> u32 {
        self.0 as u32
    }
    pub fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl fmt::Debug for VnodeNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot(), self.generation())
    }
}

/// Where a regular file's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Not a regular file.
    None,
    /// Final bytes, named by their BLAKE3 hash.
    Sealed([u8; 32]),
    /// Still being written: an ordinary file in the staging folder, which has size and times.
    Staged,
}

/// Type bits of a mode, as in stat(2).
pub const S_IFMT: u32 = 0o170000;
pub const S_IFDIR: u32 = 0o040000;
pub const S_IFREG: u32 = 0o100000;
pub const S_IFLNK: u32 = 0o120000;
pub const S_IFCHR: u32 = 0o020000;
pub const S_IFBLK: u32 = 0o060000;
pub const S_ISGID: u32 = 0o2000;
