//! Journal records: every change of a namespace, with the numbers and times it was decided with, so that
//! replay is the same calls again. Layouts: `docs/spec/journal-records.md`.

use crate::codec::{Decoder, Encoder, Malformed};
use vrift_manifest::{Content, NewVnode, SetAttr, VnodeNo};

/// Who asked for a change: half of what a retry is recognised by. Zero: the daemon itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    pub client_id: u64,
    pub request_id: u64,
}

/// One journal record.
#[derive(Clone, Debug)]
pub enum Record<'a> {
    /// A workspace begins; it counts only once a [`Record::Base`] of it follows.
    Workspace(NewWorkspace<'a>),
    /// The workspace was taken in: hash of its base table.
    Base {
        workspace: u32,
        hash: [u8; 32],
    },
    Change {
        workspace: u32,
        origin: Origin,
        change: Change<'a>,
    },
}

#[derive(Clone, Copy, Debug)]
pub struct NewWorkspace<'a> {
    pub id: u32,
    pub name: &'a [u8],
    pub view: &'a [u8],
    pub root_mode: u32,
    pub root_uid: u32,
    pub root_gid: u32,
    pub root_time_ns: i64,
}

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
    pub const WORKSPACE: u8 = 1;
    pub const BASE: u8 = 2;
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

const WHAT: &str = "journal record";

impl Record<'_> {
    /// The sealed content that the record makes a reference to.
    pub fn refers_to(&self) -> Option<[u8; 32]> {
        let content = match self {
            Record::Base { hash, .. } => return Some(*hash),
            Record::Change { change: Change::Make { new, .. }, .. } => &new.content,
            Record::Change { change: Change::SetContent { content, .. }, .. } => content,
            _ => return None,
        };
        match content {
            Content::Sealed(hash) => Some(*hash),
            _ => None,
        }
    }

    /// The store's record kind, and the payload.
    pub fn encode(&self) -> (u8, Vec<u8>) {
        let mut to = Encoder(Vec::with_capacity(160));
        let kind = match self {
            Record::Workspace(new) => {
                to.u32(new.id).text(new.name).text(new.view);
                to.u32(new.root_mode).u32(new.root_uid).u32(new.root_gid).i64(new.root_time_ns);
                kind::WORKSPACE
            }
            Record::Base { workspace, hash } => {
                to.u32(*workspace).raw(hash);
                kind::BASE
            }
            Record::Change { workspace, origin, change } => {
                to.u32(*workspace).u64(origin.client_id).u64(origin.request_id);
                change.encode(&mut to);
                change.kind()
            }
        };
        (kind, to.0)
    }

    pub fn decode(kind: u8, payload: &[u8]) -> Result<Record<'_>, Malformed> {
        let mut from = Decoder::new(payload, WHAT);
        let workspace = from.u32()?;
        let record = match kind {
            kind::WORKSPACE => Record::Workspace(NewWorkspace {
                id: workspace,
                name: from.text()?,
                view: from.text()?,
                root_mode: from.u32()?,
                root_uid: from.u32()?,
                root_gid: from.u32()?,
                root_time_ns: from.i64()?,
            }),
            kind::BASE => Record::Base { workspace, hash: from.array()? },
            kind => Record::Change {
                workspace,
                origin: Origin { client_id: from.u64()?, request_id: from.u64()? },
                change: Change::decode(kind, &mut from)?,
            },
        };
        from.finish()?;
        Ok(record)
    }
}

impl<'a> Change<'a> {
    fn kind(&self) -> u8 {
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

    fn encode(&self, to: &mut Encoder) {
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

    fn decode(kind: u8, from: &mut Decoder<'a>) -> Result<Change<'a>, Malformed> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn examples() -> Vec<Record<'static>> {
        let new = NewVnode {
            mode: 0o100644,
            uid: 1,
            gid: 2,
            rdev: 3,
            size: 4,
            atime_ns: 5,
            mtime_ns: -6,
            ctime_ns: 7,
            content: Content::Sealed([9; 32]),
            target: b"where",
        };
        let dir = VnodeNo(1);
        let set = SetAttr { gid: Some(7), mtime_ns: Some(-1), ..SetAttr::default() };
        let changes = [
            Change::Make { at: VnodeNo(7), dir, name: b"a", new, now_ns: 1 },
            Change::Link { vnode: VnodeNo(3), dir, name: b"b", now_ns: 2 },
            Change::Unlink { dir, name: b"c", now_ns: 3 },
            Change::Rmdir { dir, name: b"\xff", now_ns: 4 },
            Change::Rename { dir, name: b"d", dir2: VnodeNo(2), name2: b"e", flags: 1, now_ns: 5 },
            Change::SetAttr { vnode: VnodeNo(3), set },
            Change::SetXattr { vnode: VnodeNo(3), name: b"user.a", value: Some(b"\0x"), ctime_ns: 6 },
            Change::SetXattr { vnode: VnodeNo(3), name: b"user.a", value: None, ctime_ns: 7 },
            Change::SetContent {
                vnode: VnodeNo(3),
                content: Content::Staged,
                size: 1,
                blocks: 2,
                mtime_ns: 3,
                ctime_ns: 4,
            },
        ];
        let origin = Origin { client_id: u64::MAX, request_id: 12 };
        let mut all: Vec<_> =
            changes.into_iter().map(|change| Record::Change { workspace: 3, origin, change }).collect();
        all.push(Record::Base { workspace: 1, hash: [1; 32] });
        all.push(Record::Workspace(NewWorkspace {
            id: 1,
            name: b"w",
            view: b"/v",
            root_mode: 0o755,
            root_uid: 0,
            root_gid: 0,
            root_time_ns: 1,
        }));
        all
    }

    #[test]
    fn every_record_is_read_back_as_it_was_written() {
        for record in examples() {
            let (kind, bytes) = record.encode();
            let again = Record::decode(kind, &bytes).map(|record| format!("{record:?}"));
            assert_eq!(again, Ok(format!("{record:?}")));
        }
    }

    #[test]
    fn a_cut_or_lengthened_record_is_refused() {
        for record in examples() {
            let (kind, mut bytes) = record.encode();
            for len in 0..bytes.len() {
                assert!(Record::decode(kind, &bytes[..len]).is_err(), "{record:?} cut to {len}");
            }
            bytes.push(0);
            assert!(Record::decode(kind, &bytes).is_err());
        }
    }
}
