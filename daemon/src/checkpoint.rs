//! The daemon's state as one stream: what replay starts from. Layout: `docs/spec/journal-records.md`.

use crate::codec::{Decoder, Encoder, Malformed};
use crate::daemon::Daemon;
use crate::namespace::{Namespaces, Places, Workspace};
use crate::retry::Answers;
use std::collections::HashMap;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::Ordering;
use vrift_manifest::{Content, Index, Params, VnodeNo};

const MAGIC: [u8; 8] = *b"VRIFTCP2";
/// Before extended attributes.
const MAGIC_1: [u8; 8] = *b"VRIFTCP1";
/// A checkpoint is written when the journal since the last one is longer than this: bounds the time of a
/// restart to about a second of replay.
pub const JOURNAL_LEN_MAX_BYTES: u64 = 64 << 20;
/// Longest header accepted: the retry table is its only part that grows.
const HEADER_LEN_MAX: u32 = 16 << 20;

/// Writes everything that `spaces` holds.
pub fn write(spaces: &Namespaces, to: &mut dyn Write) -> io::Result<()> {
    let mut to = BufWriter::with_capacity(256 << 10, to);
    let complete: Vec<&Workspace> =
        spaces.workspaces.values().filter(|workspace| workspace.base.is_some()).collect();
    let mut header = Encoder::default();
    header.u32(spaces.last_id).u32(complete.len() as u32);
    spaces.answers.encode(&mut header);
    write_block(&mut to, &header.0, true)?;
    for workspace in complete {
        let mut row = Encoder::default();
        row.u32(workspace.id).text(workspace.name.as_bytes()).text(&workspace.view);
        row.raw(&workspace.base.unwrap_or_default());
        write_block(&mut to, &row.0, false)?;
        workspace.index.dump(&mut to)?;
        let mut xattrs = Encoder::default();
        workspace.xattrs.encode(&mut xattrs);
        write_block(&mut to, &xattrs.0, false)?;
    }
    to.flush()
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
    if ![MAGIC, MAGIC_1].contains(&magic) {
        return Err(invalid(Malformed("checkpoint magic")));
    }
    let header = read_block(&mut from)?;
    let mut fields = Decoder::new(&header, "checkpoint header");
    let mut take =
        || -> Result<_, Malformed> { Ok((fields.u32()?, fields.u32()?, Answers::decode(&mut fields)?)) };
    let (last_id, count, answers) = take().map_err(invalid)?;
    let mut spaces = Namespaces { last_id, answers, ..Namespaces::default() };
    for _ in 0..count {
        let mut workspace = read_workspace(&mut from, places)?;
        if magic == MAGIC {
            read_xattrs(&mut from, &mut workspace)?;
        }
        spaces.workspaces.insert(workspace.id, workspace);
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
        xattrs: crate::xattrs::Xattrs::default(),
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
        let (pending, dump) = {
            // The lock keeps the records still, so that the dump stands for exactly what the old epoch holds. It goes
            // to memory: the device is written when others may go on.
            let spaces = self.spaces();
            if spaces.broken.is_some() || spaces.fresh > 0 {
                return Ok(());
            }
            let pending = self.store.begin_checkpoint().map_err(|error| error.to_string())?;
            let mut dump = Vec::new();
            write(&spaces, &mut dump).map_err(|error| error.to_string())?;
            (pending, dump)
        };
        let written = pending.finish(&mut |to| to.write_all(&dump));
        self.dirty.store(true, Ordering::Release);
        written.map_err(|error| error.to_string())
    }
}
