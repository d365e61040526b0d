//! Frames: one seqpacket datagram each, a 32-byte header and a body.
//!
//! ```text
//!  0  u32 magic "VRFT"     4  u16 version    6  u16 op
//!  8  u32 len (whole datagram, header included)
//! 12  u32 status (replies: 0 or an errno)   16  u64 request id
//! 24  u32 flags          28  u32 reserved, zero
//! ```
//! All integers are little-endian. A reply repeats the request's id and op and has [`FLAG_REPLY`] set.

use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The first four bytes of every frame.
pub const MAGIC: u32 = u32::from_le_bytes(*b"VRFT");
/// Raised when a layout changes; client and daemon come from one build and must agree.
pub const PROTOCOL_VERSION: u16 = 4;
/// Bytes of a [`FrameHeader`].
pub const HEADER_LEN: usize = size_of::<FrameHeader>();
/// The largest datagram either side sends or accepts: it fits the default socket buffer three times
/// over, so that a sender is never refused with EMSGSIZE.
pub const MAX_FRAME_LEN: usize = 64 * 1024;
/// Set in every reply.
pub const FLAG_REPLY: u32 = 1 << 0;
/// More frames of the same reply follow.
pub const FLAG_MORE: u32 = 1 << 1;
/// The client sends this request again after it lost its connection: the daemon answers with the
/// recorded result when the first attempt was carried out.
pub const FLAG_RETRY: u32 = 1 << 2;
/// Of [`Op::Open`]: no fd is wanted; the client opens the staging file by its name.
pub const FLAG_BY_NAME: u32 = 1 << 3;
/// Of [`Op::Hello`]: behind the body comes the connection's first request, a whole frame, which `len` counts too. The
/// greeting itself is answered only when it is refused.
pub const FLAG_WITH_REQUEST: u32 = 1 << 4;
/// How long a new connection may take to say [`Op::Hello`] before it is dropped.
pub const HANDSHAKE_TIMEOUT_MS: u64 = 2_000;
/// How long a client waits for a daemon that is gone before a call fails with EIO.
pub const RECONNECT_TIMEOUT_MS: u64 = 10_000;
/// After so long without an answer a client asks, on a connection of its own, whether the daemon does anything at all.
pub const SILENCE_TIMEOUT_MS: u64 = 10_000;
/// How long the answer to that may take before the call fails with EIO: a daemon that is stopped or hangs. One that is only
/// busy with the request answers at once, and is waited for.
pub const PROBE_TIMEOUT_MS: u64 = 20_000;

/// See the module's diagram.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct FrameHeader {
    pub magic: U32,
    pub version: U16,
    pub op: U16,
    pub len: U32,
    pub status: U32,
    pub request_id: U64,
    pub flags: U32,
    pub reserved: U32,
}

/// What a frame asks for. Numbers are part of the wire and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Op {
    /// First frame of a connection; body [`crate::Hello`].
    Hello = 1,
    /// Open for writing: (dir, name) created if asked, staged, its fd returned by SCM_RIGHTS.
    Open = 2,
    /// Make the sealed bytes of `vnode` available in the hot tier.
    Materialise = 3,
    /// Make a real folder for the virtual directory `vnode`; replies with an `O_PATH` fd of it.
    Mirror = 4,
    /// Make `mirror/WS/DIR/NAME` a hard link to the sealed bytes of `vnode` for exec or dlopen.
    ExecLink = 5,
    Mkdir = 6,
    /// Symlink at (dir, name); the target is `name2`.
    Symlink = 7,
    /// Hard link: `vnode` gets the further name (dir, name). An unnamed file becomes a vnode, whose number is the reply.
    Link = 8,
    Unlink = 9,
    Rmdir = 10,
    /// (dir, name) to (dir2, name2); `flags` as renameat2(2).
    Rename = 11,
    /// Times, mode, owner or size of `vnode`, as selected by [`crate::vnode_op::set`].
    SetAttr = 12,
    /// Fifo, socket or device node at (dir, name); type and permissions in `mode`.
    Mknod = 13,
    /// What `vnode` was when its last name was removed: [`crate::vnode_op::REMOVED_LEN`] bytes.
    Removed = 14,
    /// Open the real thing behind `vnode` without writing to it, for a client that gave up the rights to do so
    /// itself; `flags` as open(2). With `name`: what has that name in the vnode's mirror folder; with vnode 0 and
    /// `name`, the index, the counters or the state folder.
    OpenReal = 20,
    /// Bytes and names of `vnode` survive a power cut when the reply comes; 0: of everything in the workspace.
    Sync = 30,
    /// An unnamed file (O_TMPFILE) for the directory `dir`: its fd, and its number with [`crate::vnode_op::UNNAMED`].
    Unnamed = 15,
    /// Extended attribute `name` of `vnode` becomes `name2`; `flags` as setxattr(2).
    SetXattr = 16,
    RemoveXattr = 17,
    /// The value of `name`.
    GetXattr = 18,
    /// The names, each ended by a NUL.
    ListXattr = 19,
    /// What stands for `vnode` in inotify(7): an O_PATH fd of it.
    Watch = 21,
    /// The program called `name` made a system call of its own on the view: `name2` has the call's name, a NUL and the
    /// path.
    OwnCall = 22,
    /// A page of memory for the requests to come, returned by SCM_RIGHTS: see [`crate::slot`]. EAGAIN: not now.
    Slot = 23,
    /// A request of the command line; body is JSON, see [`crate::names`] and `admin`.
    Admin = 64,
    /// A request for the `/state` key-value space; body see `state`.
    State = 65,
    /// A request to a service; body see `service`.
    Service = 66,
}

impl Op {
    /// The op with this wire number.
    pub fn from_wire(n: u16) -> Option<Op> {
        Some(match n {
            1 => Op::Hello,
            2 => Op::Open,
            3 => Op::Materialise,
            4 => Op::Mirror,
            5 => Op::ExecLink,
            6 => Op::Mkdir,
            7 => Op::Symlink,
            8 => Op::Link,
            9 => Op::Unlink,
            10 => Op::Rmdir,
            11 => Op::Rename,
            12 => Op::SetAttr,
            13 => Op::Mknod,
            14 => Op::Removed,
            20 => Op::OpenReal,
            30 => Op::Sync,
            15 => Op::Unnamed,
            16 => Op::SetXattr,
            17 => Op::RemoveXattr,
            18 => Op::GetXattr,
            19 => Op::ListXattr,
            21 => Op::Watch,
            22 => Op::OwnCall,
            23 => Op::Slot,
            64 => Op::Admin,
            65 => Op::State,
            66 => Op::Service,
            _ => return None,
        })
    }
}

/// Why a datagram is not a frame. The peer gets the errno of [`FrameError::errno`] with the request id if
/// one could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// Shorter than a header, or its length field differs from the datagram's.
    Length,
    /// The magic is not vrift's.
    Magic,
    /// Another protocol version: the other side comes from another build.
    Version(u16),
    /// No such op.
    Op(u16),
    /// The body does not have the op's layout.
    Body,
}

impl FrameError {
    /// The errno that stands for this error on the wire.
    pub fn errno(self) -> u32 {
        const EPROTO: u32 = 71;
        const EPROTONOSUPPORT: u32 = 93;
        const EOPNOTSUPP: u32 = 95;
        const EBADMSG: u32 = 74;
        match self {
            FrameError::Length | FrameError::Magic => EPROTO,
            FrameError::Version(_) => EPROTONOSUPPORT,
            FrameError::Op(_) => EOPNOTSUPP,
            FrameError::Body => EBADMSG,
        }
    }
}

impl FrameHeader {
    /// Header of a request whose body has `body_len` bytes.
    pub fn request(op: Op, request_id: u64, body_len: usize) -> FrameHeader {
        FrameHeader {
            magic: U32::new(MAGIC),
            version: U16::new(PROTOCOL_VERSION),
            op: U16::new(op as u16),
            len: U32::new((HEADER_LEN + body_len) as u32),
            status: U32::new(0),
            request_id: U64::new(request_id),
            flags: U32::new(0),
            reserved: U32::new(0),
        }
    }

    /// Header of the reply to `self` with this errno (0: success) and body length.
    pub fn reply(&self, errno: u32, body_len: usize) -> FrameHeader {
        FrameHeader {
            len: U32::new((HEADER_LEN + body_len) as u32),
            status: U32::new(errno),
            flags: U32::new(FLAG_REPLY),
            ..*self
        }
    }

    /// Splits a datagram into header, op and body.
    pub fn parse(datagram: &[u8]) -> Result<(FrameHeader, Op, &[u8]), FrameError> {
        let (header, body) = FrameHeader::read_from_prefix(datagram).map_err(|_| FrameError::Length)?;
        if header.magic.get() != MAGIC {
            return Err(FrameError::Magic);
        }
        if header.version.get() != PROTOCOL_VERSION {
            return Err(FrameError::Version(header.version.get()));
        }
        if header.len.get() as usize != datagram.len() || datagram.len() > MAX_FRAME_LEN {
            return Err(FrameError::Length);
        }
        let op = Op::from_wire(header.op.get()).ok_or(FrameError::Op(header.op.get()))?;
        Ok((header, op, body))
    }
}
