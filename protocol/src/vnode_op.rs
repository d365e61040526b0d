//! Bodies of the requests that the preload library sends: one fixed layout for all of them, followed by
//! at most two names.

use crate::frame::FrameError;
use zerocopy::byteorder::little_endian::{I64, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Longest name of a directory entry, as NAME_MAX of the kernel.
pub const NAME_MAX: usize = 255;
/// Longest symlink target, as PATH_MAX of the kernel without the NUL.
pub const TARGET_MAX: usize = 4095;

/// Set in the number of an unnamed file (O_TMPFILE), which is no vnode until [`crate::Op::Link`] names it. Generations
/// of vnodes do not come this far.
pub const UNNAMED: u64 = 1 << 62;
/// Of an unnamed file that must not get a name: it was opened with O_EXCL.
pub const UNNAMED_FOR_GOOD: u64 = 1 << 61;

/// Longest name of an extended attribute, as XATTR_NAME_MAX of the kernel.
pub const XATTR_NAME_MAX: usize = 255;
/// Bytes that the extended attributes of a file may have together, each with its name and a NUL: a block, as on ext4.
pub const XATTRS_LEN_MAX: usize = 4096;
/// Bytes of the answer to `Removed`: mode, owner, group and nothing (u32 each), then the times of the last read, write and
/// change in nanoseconds (i64 each).
pub const REMOVED_LEN: usize = 40;

/// Which attributes an [`crate::Op::SetAttr`] sets ([`VnodeRequest::set`]).
pub mod set {
    pub const MODE: u32 = 1 << 0;
    pub const UID: u32 = 1 << 1;
    pub const GID: u32 = 1 << 2;
    /// The file's length becomes `size` (truncate(2)).
    pub const SIZE: u32 = 1 << 3;
    /// Access time becomes `atime_ns`.
    pub const ATIME: u32 = 1 << 4;
    /// Modification time becomes `mtime_ns`.
    pub const MTIME: u32 = 1 << 5;
    /// Access time becomes now (UTIME_NOW).
    pub const ATIME_NOW: u32 = 1 << 6;
    /// Modification time becomes now (UTIME_NOW).
    pub const MTIME_NOW: u32 = 1 << 7;
}

/// First frame of a connection.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Hello {
    /// Random, chosen by the client, kept over reconnects: half of the key under which results are kept
    /// for a retry.
    pub client_id: U64,
    /// The workspace whose vnodes the requests name; 0 for the command line.
    pub workspace: U32,
    /// Low half of [`crate::roll::NUMBER`] in the line of the roll that has this process's whole command; 0: there is none.
    pub line: U32,
}

/// The body of every vnode request: 96 bytes, then `name_len` bytes of the first name, then `name2_len`
/// of the second. Fields that an op does not use are zero.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct VnodeRequest {
    /// Parent directory.
    pub dir: U64,
    /// Second parent (rename).
    pub dir2: U64,
    /// The vnode itself.
    pub vnode: U64,
    pub size: U64,
    pub atime_ns: I64,
    pub mtime_ns: I64,
    /// open(2) or renameat2(2) flags.
    pub flags: U32,
    /// Type and permission bits, umask applied by the client.
    pub mode: U32,
    pub uid: U32,
    pub gid: U32,
    /// Bits of [`set`].
    pub set: U32,
    pub rdev: U32,
    pub name_len: U16,
    pub name2_len: U16,
    pub reserved: U32,
    pub reserved2: U64,
    pub reserved3: U64,
}

/// The body of the reply to a vnode request that succeeded.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct VnodeReply {
    /// The vnode created, opened or found.
    pub vnode: U64,
    /// 1: `Open` created the file. `GetXattr`, `ListXattr`: how many bytes follow.
    pub created: U32,
    pub reserved: U32,
}

/// Bytes of a [`VnodeRequest`] without names.
pub const REQUEST_LEN: usize = size_of::<VnodeRequest>();
/// The longest vnode request body.
pub const REQUEST_MAX: usize = REQUEST_LEN + NAME_MAX + TARGET_MAX + 1;

impl VnodeRequest {
    /// Splits a body into the fixed part and the two names; checks lengths only.
    pub fn parse(body: &[u8]) -> Result<(VnodeRequest, &[u8], &[u8]), FrameError> {
        let (request, names) = VnodeRequest::read_from_prefix(body).map_err(|_| FrameError::Body)?;
        let (first, second) = (request.name_len.get() as usize, request.name2_len.get() as usize);
        if names.len() != first + second || first > NAME_MAX || second > TARGET_MAX {
            return Err(FrameError::Body);
        }
        let (name, name2) = names.split_at(first);
        Ok((request, name, name2))
    }
}
