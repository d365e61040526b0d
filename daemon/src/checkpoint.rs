//! The daemon's state as one stream: what replay starts from. Layout: `docs/spec/journal-records.md`.

use crate::codec::{Decoder, Encoder, Malformed};
use crate::copying::{self, Copying, Part};
use crate::daemon::Daemon;
use crate::namespace::{Namespaces, Places, Workspace};
use crate::retry::Answers;
use crate::snapshots::{Asleep, Snapshot};
use std::collections::HashMap;
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;
use vrift_manifest::tree::TreeCache;
use vrift_manifest::{Content, Dump, Index, Params, VnodeNo};

const MAGIC: [u8; 8] = *b"VRIFTCP4";
/// Before what staged files had been.
const MAGIC_3: [u8; 8] = *b"VRIFTCP3";
/// Before snapshots.
const MAGIC_2: [u8; 8] = *b"VRIFTCP2";
/// Before extended attributes.
const MAGIC_1: [u8; 8] = *b"VRIFTCP1";
/// A checkpoint is written when the journal since the last one is longer than this: bounds the time of a
/// restart to about a second of replay.
pub const JOURNAL_LEN_MAX_BYTES: u64 = 64 << 20;
/// Longest block accepted: retry tables, extended attributes and the list of snapshots (some 300 bytes each) grow.
const HEADER_LEN_MAX: u32 = 64 << 20;

/// Workspaces that were taken in to the end.
pub fn complete(spaces: &Namespaces) -> impl Iterator<Item = &Workspace> {
    spaces.workspaces.values().filter(|workspace| workspace.base.is_some())
}

/// Everything that `spaces` holds; `dump` copies the names of a workspace.
pub fn parts(spaces: &Namespaces, dump: &mut dyn FnMut(&Workspace) -> Dump) -> Vec<Part> {
    let mut header = Encoder::default();
    header.u32(spaces.last_id).u32(complete(spaces).count() as u32);
    spaces.answers.encode(&mut header);
    let mut bytes = MAGIC.to_vec();
    add_block(&mut bytes, &header);
    let mut parts = Vec::new();
    for workspace in complete(spaces) {
        let mut row = Encoder::default();
        row.u32(workspace.id).text(workspace.name.as_bytes()).text(&workspace.view);
        row.raw(&workspace.base.unwrap_or_default());
        add_block(&mut bytes, &row);
        parts.push(Part::Bytes(std::mem::take(&mut bytes)));
        parts.push(Part::Index(dump(workspace)));
        let mut xattrs = Encoder::default();
        workspace.xattrs.encode(&mut xattrs);
        add_block(&mut bytes, &xattrs);
        add_block(&mut bytes, &before_staged(workspace));
    }
    add_block(&mut bytes, &history(spaces));
    parts.push(Part::Bytes(bytes));
    parts
}

/// What the workspaces were forked from, those that are asleep, all snapshots.
fn history(spaces: &Namespaces) -> Encoder {
    let mut block = Encoder::default();
    for workspace in complete(spaces) {
        block.u32(workspace.origin).u32(workspace.snapshot);
    }
    block.u32(spaces.asleep.len() as u32);
    spaces.asleep.values().for_each(|asleep| asleep.encode(&mut block));
    block.u32(spaces.snapshots.len() as u32);
    spaces.snapshots.values().for_each(|snapshot| snapshot.encode(&mut block));
    block
}

/// The content that files had before they were staged, or that was kept of them since: what they have when their
/// staging files are gone.
fn before_staged(workspace: &Workspace) -> Encoder {
    let mut before: Vec<_> =
        workspace.staged.iter().filter_map(|(vnode, hash)| Some((*vnode, (*hash)?))).collect();
    before.sort_unstable();
    let mut block = Encoder::default();
    block.u32(before.len() as u32);
    for (vnode, hash) in before {
        block.u64(vnode).raw(&hash);
    }
    block
}

fn read_before_staged(from: &mut dyn Read, workspace: &mut Workspace) -> io::Result<()> {
    let block = read_block(from)?;
    let mut fields = Decoder::new(&block, "checkpoint staged files");
    let mut take = || -> Result<(), Malformed> {
        for _ in 0..fields.u32()? {
            let (vnode, hash) = (fields.u64()?, fields.array()?);
            workspace.staged.entry(vnode).and_modify(|before| *before = Some(hash));
        }
        Ok(())
    };
    take().map_err(invalid)?;
    fields.finish().map_err(invalid)
}

fn read_history(from: &mut dyn Read, spaces: &mut Namespaces, order: &[u32]) -> io::Result<()> {
    let block = read_block(from)?;
    let mut fields = Decoder::new(&block, "checkpoint snapshots");
    let mut take = || -> Result<(), Malformed> {
        for id in order {
            let (origin, snapshot) = (fields.u32()?, fields.u32()?);
            if let Some(workspace) = spaces.workspaces.get_mut(id) {
                (workspace.origin, workspace.snapshot) = (origin, snapshot);
            }
        }
        for _ in 0..fields.u32()? {
            let asleep = Asleep::decode(&mut fields)?;
            spaces.asleep.insert(asleep.id, asleep);
        }
        for _ in 0..fields.u32()? {
            let snapshot = Snapshot::decode(&mut fields)?;
            spaces.snapshots.insert((snapshot.workspace, snapshot.number), Arc::new(snapshot));
        }
        Ok(())
    };
    take().map_err(invalid)?;
    fields.finish().map_err(invalid)
}

fn add_block(to: &mut Vec<u8>, block: &Encoder) {
    to.extend_from_slice(&(block.0.len() as u32).to_le_bytes());
    to.extend_from_slice(&block.0);
}

/// Reads what [`parts`] are, one after the other.
pub fn read(from: &mut dyn Read, places: &dyn Places) -> io::Result<Namespaces> {
    let mut from = BufReader::with_capacity(256 << 10, from);
    let mut magic = [0; 8];
    from.read_exact(&mut magic)?;
    if ![MAGIC, MAGIC_3, MAGIC_2, MAGIC_1].contains(&magic) {
        return Err(invalid(Malformed("checkpoint magic")));
    }
    let header = read_block(&mut from)?;
    let mut fields = Decoder::new(&header, "checkpoint header");
    let mut take =
        || -> Result<_, Malformed> { Ok((fields.u32()?, fields.u32()?, Answers::decode(&mut fields)?)) };
    let (last_id, count, answers) = take().map_err(invalid)?;
    let mut spaces = Namespaces { last_id, answers, ..Namespaces::default() };
    let mut order = Vec::new();
    for _ in 0..count {
        let mut workspace = read_workspace(&mut from, places)?;
        if magic != MAGIC_1 {
            read_xattrs(&mut from, &mut workspace)?;
        }
        if magic == MAGIC {
            read_before_staged(&mut from, &mut workspace)?;
        }
        order.push(workspace.id);
        spaces.workspaces.insert(workspace.id, workspace);
    }
    if [MAGIC, MAGIC_3].contains(&magic) {
        read_history(&mut from, &mut spaces, &order)?;
    }
    Ok(spaces)
}

fn read_workspace(from: &mut dyn Read, places: &dyn Places) -> io::Result<Workspace> {
    let row = read_block(from)?;
    let mut fields = Decoder::new(&row, "checkpoint workspace");
    let mut take = || -> Result<_, Malformed> {
        Ok((fields.u32()?, fields.text()?.to_vec(), fields.text()?.to_vec(), fields.array()?))
    };
    let (id, name, view, base) = take().map_err(invalid)?;
    let path = places.index_path(id);
    if let Some(dir) = path.parent() {
        crate::folders::make_private(dir)?;
    }
    let params = Params {
        view: &view,
        home: places.home().as_os_str().as_bytes(),
        workspace: id,
        root_mode: 0o700,
        root_uid: 0,
        root_gid: 0,
        root_time_ns: 0,
    };
    let index = Index::load(&path, &params, from)?;
    let mut staged = HashMap::new();
    index.vnodes(&mut |vnode: VnodeNo| {
        if index.attr(vnode).is_some_and(|attr| attr.content == Content::Staged) {
            staged.insert(vnode.0, None);
        }
    });
    let name = String::from_utf8_lossy(&name).into_owned();
    Ok(Workspace {
        id,
        name,
        view,
        index,
        base: Some(base),
        origin: 0,
        snapshot: 0,
        xattrs: crate::xattrs::Xattrs::default(),
        tree: TreeCache::default(),
        staged,
        runs: HashMap::new(),
        changes: 0,
    })
}

fn read_xattrs(from: &mut dyn Read, workspace: &mut Workspace) -> io::Result<()> {
    let block = read_block(from)?;
    let mut fields = Decoder::new(&block, "checkpoint extended attributes");
    workspace.xattrs = crate::xattrs::Xattrs::decode(&mut fields).map_err(invalid)?;
    fields.finish().map_err(invalid)?;
    for vnode in workspace.xattrs.vnodes() {
        workspace
            .index
            .note_xattrs(vnode, true, None)
            .map_err(|_| invalid(Malformed("checkpoint extended attributes")))?;
    }
    Ok(())
}

fn read_block(from: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut len = [0; 4];
    from.read_exact(&mut len)?;
    let len = u32::from_le_bytes(len);
    if len > HEADER_LEN_MAX {
        return Err(invalid(Malformed("checkpoint block length")));
    }
    let mut block = vec![0; len as usize];
    from.read_exact(&mut block)?;
    Ok(block)
}

fn invalid(error: Malformed) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl Daemon {
    /// Writes a checkpoint when the journal is `longer_than` this.
    pub fn checkpoint(&self, longer_than: u64) -> Result<(), String> {
        if self.store.stats().journal_bytes <= longer_than {
            return Ok(());
        }
        let room = self.store.prepare_checkpoint().map_err(|error| error.to_string())?;
        let mut copying = Copying::new(self);
        let (pending, parts, roots) = loop {
            // The lock keeps the records still, so that the parts stand for exactly what the old epoch holds. The device
            // is written when others may go on.
            let spaces = self.spaces();
            if spaces.broken.is_some() || spaces.fresh > 0 {
                // Not under the lock: what was copied is given up under it.
                drop(spaces);
                return Ok(());
            }
            let held = Instant::now();
            if !copying.step(&spaces) {
                drop(spaces);
                copying.held(held);
                copying.pause();
                continue;
            }
            let pending = match room.begin() {
                Ok(pending) => pending,
                Err(error) => {
                    drop(spaces);
                    return Err(error.to_string());
                }
            };
            crate::kill_points::pass(|| "checkpoint begun".into());
            let parts = copying.finish(&spaces);
            copying.held(held);
            tracing::info!(held_us = copying.longest.as_micros(), "checkpoint begun");
            break (pending, parts, spaces.journal_roots.len());
        };
        let written = pending.finish(&mut |to| {
            let (first, rest) = parts.split_at(parts.len() / 2);
            copying::write(first, to)?;
            crate::kill_points::pass(|| "checkpoint writing".into());
            copying::write(rest, to)
        });
        crate::kill_points::pass(|| "checkpoint written".into());
        self.dirty.store(true, Ordering::Release);
        if written.is_ok() {
            self.spaces().journal_roots.drain(..roots);
        }
        written.map_err(|error| error.to_string())
    }
}
