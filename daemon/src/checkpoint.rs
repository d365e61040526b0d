//! The daemon's state as one stream: what replay starts from. Layout: `docs/spec/journal-records.md`.

use crate::codec::{Decoder, Encoder, Malformed};
use crate::daemon::Daemon;
use crate::namespace::{Namespaces, Places, Workspace};
use crate::retry::Answers;
use crate::snapshots::{Asleep, Snapshot};
use std::collections::HashMap;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;
use vrift_manifest::tree::TreeCache;
use vrift_manifest::{Content, Index, Params, VnodeNo};

const MAGIC: [u8; 8] = *b"VRIFTCP3";
/// Before snapshots.
const MAGIC_2: [u8; 8] = *b"VRIFTCP2";
/// Before extended attributes.
const MAGIC_1: [u8; 8] = *b"VRIFTCP1";
/// A checkpoint is written when the journal since the last one is longer than this: bounds the time of a
/// restart to about a second of replay.
pub const JOURNAL_LEN_MAX_BYTES: u64 = 64 << 20;
/// What a file takes in the stream, with its name; more is only slower.
const DUMP_LEN_OF_A_FILE: usize = 192;
/// Longest block accepted: retry tables, extended attributes and the list of snapshots (some 300 bytes each) grow.
const HEADER_LEN_MAX: u32 = 64 << 20;

/// Writes everything that `spaces` holds.
pub fn write(spaces: &Namespaces, to: &mut dyn Write) -> io::Result<()> {
    let mut to = BufWriter::with_capacity(256 << 10, to);
    let complete: Vec<&Workspace> =
        spaces.workspaces.values().filter(|workspace| workspace.base.is_some()).collect();
    let mut header = Encoder::default();
    header.u32(spaces.last_id).u32(complete.len() as u32);
    spaces.answers.encode(&mut header);
    write_block(&mut to, &header.0, true)?;
    for workspace in &complete {
        let mut row = Encoder::default();
        row.u32(workspace.id).text(workspace.name.as_bytes()).text(&workspace.view);
        row.raw(&workspace.base.unwrap_or_default());
        write_block(&mut to, &row.0, false)?;
        workspace.index.dump(&mut to)?;
        let mut xattrs = Encoder::default();
        workspace.xattrs.encode(&mut xattrs);
        write_block(&mut to, &xattrs.0, false)?;
    }
    write_block(&mut to, &history(spaces, &complete).0, false)?;
    to.flush()
}

/// What the workspaces were forked from, those that are asleep, all snapshots.
fn history(spaces: &Namespaces, complete: &[&Workspace]) -> Encoder {
    let mut block = Encoder::default();
    for workspace in complete {
        block.u32(workspace.origin).u32(workspace.snapshot);
    }
    block.u32(spaces.asleep.len() as u32);
    spaces.asleep.values().for_each(|asleep| asleep.encode(&mut block));
    block.u32(spaces.snapshots.len() as u32);
    spaces.snapshots.values().for_each(|snapshot| snapshot.encode(&mut block));
    block
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

fn write_block(to: &mut dyn Write, block: &[u8], first: bool) -> io::Result<()> {
    if first {
        to.write_all(&MAGIC)?;
    }
    to.write_all(&(block.len() as u32).to_le_bytes())?;
    to.write_all(block)
}

/// Reads what [`write`] wrote.
pub fn read(from: &mut dyn Read, places: &dyn Places) -> io::Result<Namespaces> {
    let mut from = BufReader::with_capacity(256 << 10, from);
    let mut magic = [0; 8];
    from.read_exact(&mut magic)?;
    if ![MAGIC, MAGIC_2, MAGIC_1].contains(&magic) {
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
        order.push(workspace.id);
        spaces.workspaces.insert(workspace.id, workspace);
    }
    if magic == MAGIC {
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
        // Memory is asked for, and touched, while others go on.
        let files: usize = self.spaces().workspaces.values().map(|workspace| workspace.index.len()).sum();
        let mut dump = vec![1; files * DUMP_LEN_OF_A_FILE];
        dump.clear();
        let (pending, dump, roots) = {
            // The lock keeps the records still, so that the dump stands for exactly what the old epoch holds. It goes
            // to memory: the device is written when others may go on.
            let spaces = self.spaces();
            if spaces.broken.is_some() || spaces.fresh > 0 {
                return Ok(());
            }
            let held = Instant::now();
            let pending = room.begin().map_err(|error| error.to_string())?;
            crate::kill_points::pass(|| "checkpoint begun".into());
            write(&spaces, &mut dump).map_err(|error| error.to_string())?;
            tracing::info!(held_us = held.elapsed().as_micros(), bytes = dump.len(), "checkpoint begun");
            (pending, dump, spaces.journal_roots.len())
        };
        let written = pending.finish(&mut |to| {
            let (first, rest) = dump.split_at(dump.len() / 2);
            to.write_all(first)?;
            crate::kill_points::pass(|| "checkpoint writing".into());
            to.write_all(rest)
        });
        crate::kill_points::pass(|| "checkpoint written".into());
        self.dirty.store(true, Ordering::Release);
        if written.is_ok() {
            self.spaces().journal_roots.drain(..roots);
        }
        written.map_err(|error| error.to_string())
    }
}
