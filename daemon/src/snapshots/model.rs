//! What the namespaces know of snapshots and of workspaces that nobody has entered yet, and how it is written in the
//! journal and in checkpoints. Layouts: `docs/spec/journal-records.md`.

use crate::codec::{Decoder, Encoder, Malformed};
use crate::namespace::{Namespaces, Workspace};
use crate::record::{Change, Origin};
use std::io;
use vrift_manifest::tree::{Entry, TreeRoot};
use vrift_protocol::admin::{SnapshotInfo, WorkspaceInfo};

/// A workspace's tree at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub workspace: u32,
    /// From 1: one more than the highest that the workspace has.
    pub number: u32,
    /// ns since 1970.
    pub time_ns: i64,
    /// What it is about, in the user's words; may be empty.
    pub message: String,
    pub root: TreeRoot,
}

/// A workspace whose index is not made yet: a fork that nobody has looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asleep {
    pub id: u32,
    pub name: String,
    /// Absolute path at which it is seen.
    pub view: Vec<u8>,
    /// Hash of the base table.
    pub base: [u8; 32],
    /// The workspace that it was forked from, 0 if none.
    pub origin: u32,
    /// The snapshot of its own that it is; 0: none.
    pub snapshot: u32,
    pub root: TreeRoot,
}

/// While the journal is read no object can be: a workspace whose index comes from objects, with the changes that follow.
pub struct Deferred {
    pub asleep: Asleep,
    pub changes: Vec<(Origin, u8, Vec<u8>)>,
}

impl Snapshot {
    pub fn info(&self, spaces: &Namespaces) -> SnapshotInfo {
        SnapshotInfo {
            workspace: spaces.name_of(self.workspace).unwrap_or_default(),
            number: self.number,
            root: super::compare::root_hex(&self.root),
            time_ns: self.time_ns,
            message: self.message.clone(),
            current: spaces.current_snapshot(self.workspace) == self.number,
        }
    }

    pub fn encode(&self, to: &mut Encoder) {
        to.u32(self.workspace).u32(self.number).i64(self.time_ns).text(self.message.as_bytes());
        to.text(&self.root.encode());
    }

    pub fn decode(from: &mut Decoder<'_>) -> Result<Snapshot, Malformed> {
        let (workspace, number, time_ns) = (from.u32()?, from.u32()?, from.i64()?);
        let message = String::from_utf8_lossy(from.text()?).into_owned();
        Ok(Snapshot { workspace, number, time_ns, message, root: decode_root(from)? })
    }
}

impl Asleep {
    pub fn info(&self, spaces: &Namespaces) -> WorkspaceInfo {
        WorkspaceInfo {
            id: self.id,
            name: self.name.clone(),
            view: self.view[..].into(),
            vnodes: 0,
            origin: spaces.name_of(self.origin),
        }
    }

    /// A complete workspace without its tree; the root is the caller's to fill.
    pub fn of(workspace: &Workspace) -> Option<Asleep> {
        let attr = workspace.index.attr(vrift_manifest::ROOT)?;
        let entry = Entry {
            name: Vec::new(),
            attr,
            object: None,
            target: Vec::new(),
            xattrs: vrift_manifest::tree::Xattrs::new(),
        };
        Some(Asleep {
            id: workspace.id,
            name: workspace.name.clone(),
            view: workspace.view.clone(),
            base: workspace.base?,
            origin: workspace.origin,
            snapshot: workspace.snapshot,
            root: TreeRoot { entry, slots: 0, generation_floor: 0 },
        })
    }

    pub fn encode(&self, to: &mut Encoder) {
        to.u32(self.id)
            .u32(self.origin)
            .u32(self.snapshot)
            .text(self.name.as_bytes())
            .text(&self.view)
            .raw(&self.base);
        to.text(&self.root.encode());
    }

    pub fn decode(from: &mut Decoder<'_>) -> Result<Asleep, Malformed> {
        let (id, origin, snapshot) = (from.u32()?, from.u32()?, from.u32()?);
        let name = String::from_utf8_lossy(from.text()?).into_owned();
        let (view, base) = (from.text()?.to_vec(), from.array()?);
        Ok(Asleep { id, name, view, base, origin, snapshot, root: decode_root(from)? })
    }
}

pub fn decode_root(from: &mut Decoder<'_>) -> Result<TreeRoot, Malformed> {
    TreeRoot::decode(from.text()?).map_err(|_: io::Error| from.bad())
}

impl Deferred {
    /// A change of a workspace whose index is not there yet.
    pub fn note(&mut self, origin: Origin, change: &Change<'_>) {
        let (kind, payload) =
            crate::record::Record::Change { workspace: self.asleep.id, origin, change: *change }.encode();
        self.changes.push((origin, kind, payload));
    }
}
