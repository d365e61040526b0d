//! A call of the namespace model, as the journal has it.

use crate::codec::{Decoder, Encoder, Malformed};
use vrift_manifest::{Content, NewVnode, SetAttr, VnodeNo};

/// A call of the namespace model.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    Make {
        at: VnodeNo,
        dir: VnodeNo,
        name: &'a [u8],
        new: NewVnode<'a>,
        now_ns: i64,
    },
    Link {
        vnode: VnodeNo,
        dir: VnodeNo,
        name: &'a [u8],
        now_ns: i64,
    },
    Unlink {
        dir: VnodeNo,
        name: &'a [u8],
        now_ns: i64,
    },
    Rmdir {
        dir: VnodeNo,
        name: &'a [u8],
        now_ns: i64,
    },
    Rename {
        dir: VnodeNo,
        name: &'a [u8],
        dir2: VnodeNo,
        name2: &'a [u8],
        flags: u32,
        now_ns: i64,
    },
    SetAttr {
        vnode: VnodeNo,
        set: SetAttr,
    },
    /// Sets an extended attribute; with no value, removes it.
    SetXattr {
        vnode: VnodeNo,
        name: &'a [u8],
        value: Option<&'a [u8]>,
        ctime_ns: i64,
    },
    SetContent {
        vnode: VnodeNo,
        content: Content,
        size: u64,
        blocks: u64,
        mtime_ns: i64,
        ctime_ns: i64,
    },
}

impl Change<'_> {
    /// Its name in [`crate::kill_points`].
    pub fn step(&self) -> &'static str {
        match self {
            Change::Make { .. } => "Make",
            Change::Link { .. } => "Link",
            Change::Unlink { .. } => "Unlink",
            Change::Rmdir { .. } => "Rmdir",
            Change::Rename { .. } => "Rename",
            Change::SetAttr { .. } => "SetAttr",
            Change::SetXattr { .. } => "SetXattr",
            Change::SetContent { .. } => "SetContent",
        }
    }
}

mod kind {
    pub const MAKE: u8 = 16;
    pub const LINK: u8 = 17;
    pub const UNLINK: u8 = 18;
    pub const RMDIR: u8 = 19;
    pub const RENAME: u8 = 20;
    pub const SET_ATTR: u8 = 21;
    pub const SET_CONTENT: u8 = 22;
    pub const SET_XATTR: u8 = 23;
    pub const REMOVE_XATTR: u8 = 24;
}

impl<'a> Change<'a> {
    /// The store's record kind.
    pub fn kind(&self) -> u8 {
        match self {
            Change::Make { .. } => kind::MAKE,
            Change::Link { .. } => kind::LINK,
            Change::Unlink { .. } => kind::UNLINK,
            Change::Rmdir { .. } => kind::RMDIR,
            Change::Rename { .. } => kind::RENAME,
            Change::SetAttr { .. } => kind::SET_ATTR,
            Change::SetContent { .. } => kind::SET_CONTENT,
            Change::SetXattr { value: Some(_), .. } => kind::SET_XATTR,
            Change::SetXattr { value: None, .. } => kind::REMOVE_XATTR,
        }
    }

    pub fn encode(&self, to: &mut Encoder) {
        match self {
            Change::Make { at, dir, name, new, now_ns } => {
                to.u64(at.0).u64(dir.0).i64(*now_ns).text(name);
                to.u32(new.mode).u32(new.uid).u32(new.gid).u32(new.rdev).u64(new.size);
                to.i64(new.atime_ns).i64(new.mtime_ns).i64(new.ctime_ns);
                encode_content(to, &new.content);
                to.text(new.target);
            }
            Change::Link { vnode, dir, name, now_ns } => {
                to.u64(vnode.0).u64(dir.0).i64(*now_ns).text(name);
            }
            Change::Unlink { dir, name, now_ns } | Change::Rmdir { dir, name, now_ns } => {
                to.u64(dir.0).i64(*now_ns).text(name);
            }
            Change::Rename { dir, name, dir2, name2, flags, now_ns } => {
                to.u64(dir.0).u64(dir2.0).u32(*flags).i64(*now_ns).text(name).text(name2);
            }
            Change::SetAttr { vnode, set } => {
                to.u64(vnode.0);
                encode_set(to, set);
            }
            Change::SetXattr { vnode, name, value, ctime_ns } => {
                to.u64(vnode.0).i64(*ctime_ns).text(name);
                if let Some(value) = value {
                    to.text(value);
                }
            }
            Change::SetContent { vnode, content, size, blocks, mtime_ns, ctime_ns } => {
                to.u64(vnode.0).u64(*size).u64(*blocks).i64(*mtime_ns).i64(*ctime_ns);
                encode_content(to, content);
            }
        }
    }

    pub fn decode(kind: u8, from: &mut Decoder<'a>) -> Result<Change<'a>, Malformed> {
        Ok(match kind {
            kind::MAKE => {
                let (at, dir) = (VnodeNo(from.u64()?), VnodeNo(from.u64()?));
                let (now_ns, name) = (from.i64()?, from.text()?);
                let [mode, uid, gid, rdev] = [from.u32()?, from.u32()?, from.u32()?, from.u32()?];
                let size = from.u64()?;
                let [atime_ns, mtime_ns, ctime_ns] = [from.i64()?, from.i64()?, from.i64()?];
                let (content, target) = (decode_content(from)?, from.text()?);
                let new =
                    NewVnode { mode, uid, gid, rdev, size, atime_ns, mtime_ns, ctime_ns, content, target };
                Change::Make { at, dir, name, new, now_ns }
            }
            kind::LINK => {
                let (vnode, dir) = (VnodeNo(from.u64()?), VnodeNo(from.u64()?));
                Change::Link { vnode, dir, now_ns: from.i64()?, name: from.text()? }
            }
            kind::UNLINK => {
                Change::Unlink { dir: VnodeNo(from.u64()?), now_ns: from.i64()?, name: from.text()? }
            }
            kind::RMDIR => {
                Change::Rmdir { dir: VnodeNo(from.u64()?), now_ns: from.i64()?, name: from.text()? }
            }
            kind::RENAME => {
                let (dir, dir2) = (VnodeNo(from.u64()?), VnodeNo(from.u64()?));
                let (flags, now_ns) = (from.u32()?, from.i64()?);
                Change::Rename { dir, name: from.text()?, dir2, name2: from.text()?, flags, now_ns }
            }
            kind::SET_ATTR => Change::SetAttr { vnode: VnodeNo(from.u64()?), set: decode_set(from)? },
            kind::SET_CONTENT => {
                let vnode = VnodeNo(from.u64()?);
                let (size, blocks) = (from.u64()?, from.u64()?);
                let (mtime_ns, ctime_ns) = (from.i64()?, from.i64()?);
                Change::SetContent { vnode, content: decode_content(from)?, size, blocks, mtime_ns, ctime_ns }
            }
            kind::SET_XATTR | kind::REMOVE_XATTR => {
                let (vnode, ctime_ns, name) = (VnodeNo(from.u64()?), from.i64()?, from.text()?);
                let value = if kind == kind::SET_XATTR { Some(from.text()?) } else { None };
                Change::SetXattr { vnode, name, value, ctime_ns }
            }
            _ => return Err(from.bad()),
        })
    }
}

fn encode_content(to: &mut Encoder, content: &Content) {
    match content {
        Content::None => to.u8(0),
        Content::Sealed(hash) => to.u8(1).raw(hash),
        Content::Staged => to.u8(2),
    };
}

fn decode_content(from: &mut Decoder<'_>) -> Result<Content, Malformed> {
    Ok(match from.u8()? {
        0 => Content::None,
        1 => Content::Sealed(from.array()?),
        2 => Content::Staged,
        _ => return Err(from.bad()),
    })
}

/// A bit for each attribute that is set, then their values in the order of the bits.
fn encode_set(to: &mut Encoder, set: &SetAttr) {
    let words = [set.mode, set.uid, set.gid];
    let longs = [set.size.map(u64::cast_signed), set.atime_ns, set.mtime_ns, set.ctime_ns];
    let present = words.iter().map(Option::is_some).chain(longs.iter().map(Option::is_some));
    let bits = present.enumerate().fold(0u8, |bits, (bit, is_set)| bits | u8::from(is_set) << bit);
    to.u8(bits);
    for word in words.into_iter().flatten() {
        to.u32(word);
    }
    for long in longs.into_iter().flatten() {
        to.i64(long);
    }
}

fn decode_set(from: &mut Decoder<'_>) -> Result<SetAttr, Malformed> {
    let bits = from.u8()?;
    if bits >= 1 << 7 {
        return Err(from.bad());
    }
    let mut words = [None; 3];
    for (bit, word) in words.iter_mut().enumerate() {
        if bits >> bit & 1 != 0 {
            *word = Some(from.u32()?);
        }
    }
    let mut longs = [None; 4];
    for (bit, long) in longs.iter_mut().enumerate() {
        if bits >> (bit + 3) & 1 != 0 {
            *long = Some(from.i64()?);
        }
    }
    let [mode, uid, gid] = words;
    let [size, atime_ns, mtime_ns, ctime_ns] = longs;
    Ok(SetAttr { mode, uid, gid, size: size.map(i64::cast_unsigned), atime_ns, mtime_ns, ctime_ns })
}
