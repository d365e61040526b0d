//! Journal records: every change of a namespace, with the numbers and times it was decided with, so that
//! replay is the same calls again. Layouts: `docs/spec/journal-records.md`.

pub use crate::change::Change;
use crate::codec::{Decoder, Encoder, Malformed};
use crate::snapshots::model::{Asleep, Snapshot, decode_root};
use vrift_manifest::Content;
use vrift_manifest::tree::TreeRoot;

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
    Snapshot(Snapshot),
    RemoveSnapshot {
        workspace: u32,
        number: u32,
    },
    /// A workspace begins that shares a tree with others.
    Fork(Asleep),
    /// The workspace's tree is this one from now on.
    Rollback {
        workspace: u32,
        snapshot: u32,
        root: TreeRoot,
    },
    /// The workspace and its snapshots are gone.
    Remove {
        workspace: u32,
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
mod kind {
    pub const WORKSPACE: u8 = 1;
    pub const BASE: u8 = 2;
    pub const SNAPSHOT: u8 = 3;
    pub const FORK: u8 = 4;
    pub const ROLLBACK: u8 = 5;
    pub const REMOVE: u8 = 6;
    pub const REMOVE_SNAPSHOT: u8 = 7;
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
            Record::Snapshot(snapshot) => {
                snapshot.encode(&mut to);
                kind::SNAPSHOT
            }
            Record::RemoveSnapshot { workspace, number } => {
                to.u32(*workspace).u32(*number);
                kind::REMOVE_SNAPSHOT
            }
            Record::Fork(asleep) => {
                asleep.encode(&mut to);
                kind::FORK
            }
            Record::Rollback { workspace, snapshot, root } => {
                to.u32(*workspace).u32(*snapshot).text(&root.encode());
                kind::ROLLBACK
            }
            Record::Remove { workspace } => {
                to.u32(*workspace);
                kind::REMOVE
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
        if let kind::SNAPSHOT | kind::FORK = kind {
            let record = match kind {
                kind::SNAPSHOT => Record::Snapshot(Snapshot::decode(&mut from)?),
                _ => Record::Fork(Asleep::decode(&mut from)?),
            };
            from.finish()?;
            return Ok(record);
        }
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
            kind::ROLLBACK => {
                Record::Rollback { workspace, snapshot: from.u32()?, root: decode_root(&mut from)? }
            }
            kind::REMOVE => Record::Remove { workspace },
            kind::REMOVE_SNAPSHOT => Record::RemoveSnapshot { workspace, number: from.u32()? },
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

#[cfg(test)]
mod tests {
    use super::*;
    use vrift_manifest::{NewVnode, SetAttr, VnodeNo};

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
        let attr = vrift_manifest::Attr {
            vnode: dir,
            mode: 0o040755,
            nlink: 2,
            uid: 1,
            gid: 2,
            rdev: 0,
            size: 4096,
            blocks: 8,
            atime_ns: 1,
            mtime_ns: 2,
            ctime_ns: 3,
            content: Content::None,
        };
        let entry = vrift_manifest::tree::Entry {
            name: Vec::new(),
            attr,
            object: Some([5; 32]),
            target: Vec::new(),
            xattrs: vrift_manifest::tree::Xattrs::from([(b"user.a".to_vec(), b"1".to_vec())]),
        };
        let root = TreeRoot { entry, slots: 9, generation_floor: 4 };
        all.push(Record::Snapshot(Snapshot {
            workspace: 1,
            number: 2,
            time_ns: 3,
            message: "m".into(),
            root: root.clone(),
        }));
        all.push(Record::Fork(Asleep {
            id: 3,
            name: "n".into(),
            view: b"/v".to_vec(),
            base: [4; 32],
            origin: 1,
            snapshot: 0,
            root: root.clone(),
        }));
        all.push(Record::Rollback { workspace: 1, snapshot: 2, root });
        all.push(Record::RemoveSnapshot { workspace: 1, number: 2 });
        all.push(Record::Remove { workspace: 7 });
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
