//! The dump of a namespace that checkpoints carry, and its load. All integers little-endian.
//!
//! ```text
//! magic u64 "VRIFTTR1" | vnode count u32 | generation floor u32
//! per vnode: number u64, mode u32, nlink u32, uid u32, gid u32, rdev u32, kind u32, size u64,
//!            atime, mtime, ctime i64 (ns), blocks u64, hash 32 bytes (zero unless sealed),
//!            target length u32, target bytes
//! dentry count u32
//! per dentry, directory by directory in its order: parent u64, child u64, name length u16, name
//! ```

use crate::index::{Attr, Index, Params};
use crate::layout::inode;
use crate::steps::Steps;
use crate::types::{Content, S_IFDIR, S_IFLNK, S_IFMT, VnodeNo};
use std::io::{self, Read, Write};
use std::path::Path;

pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"VRIFTTR1");
/// A vnode's number, which every part of the dump begins with.
pub(crate) const NUMBER_LEN: usize = 8;
/// A vnode's record without its target.
pub(crate) const VNODE_LEN: usize = NUMBER_LEN + 6 * 4 + 8 + 3 * 8 + 8 + 32 + 4;
/// Longest symlink target accepted from a dump.
const TARGET_MAX: u32 = 4095;

impl Index {
    /// Writes the whole namespace.
    pub fn dump(&self, to: &mut dyn Write) -> io::Result<()> {
        Steps::new().all(self).write(to)
    }

    /// Reads a dump and publishes the index at `path`.
    pub fn load(path: &Path, params: &Params<'_>, from: &mut dyn Read) -> io::Result<Index> {
        if u64::from_le_bytes(take(from)?) != MAGIC {
            return Err(bad("magic"));
        }
        let count = u32::from_le_bytes(take(from)?);
        let floor = u32::from_le_bytes(take(from)?);
        let mut index = Index::with_capacity_for(path, params, count)?;
        let mut nlinks = Vec::new();
        for _ in 0..count {
            let (attr, target) = read_vnode(from)?;
            nlinks.push((attr.vnode, attr.nlink));
            index.load_vnode(&attr, &target)?;
        }
        index.set_generation_floor(floor);
        let mut name = vec![0; 255];
        for _ in 0..u32::from_le_bytes(take(from)?) {
            let parent = VnodeNo(u64::from_le_bytes(take(from)?));
            let child = VnodeNo(u64::from_le_bytes(take(from)?));
            let len = u16::from_le_bytes(take(from)?) as usize;
            let name = name.get_mut(..len).ok_or_else(|| bad("name length"))?;
            from.read_exact(name)?;
            index.load_dentry(parent, child, name)?;
        }
        for (vnode, nlink) in nlinks {
            index.load_nlink(vnode, nlink);
        }
        index.publish()?;
        Ok(index)
    }

    fn load_vnode(&mut self, attr: &Attr, target: &[u8]) -> io::Result<()> {
        let new = attr.as_new(target);
        if !self.load_slot(attr.vnode, &new, attr.blocks) {
            self.grow_unpublished(attr.vnode.slot())?;
            if !self.load_slot(attr.vnode, &new, attr.blocks) {
                return Err(bad("vnode number"));
            }
        }
        Ok(())
    }
}

/// Appends the record of a vnode that is there.
pub(crate) fn write_vnode(record: &mut Vec<u8>, index: &Index, vnode: VnodeNo) {
    let Some(attr) = index.attr(vnode) else { return };
    let target = index.target(vnode).unwrap_or_default();
    let (kind, hash) = match attr.content {
        Content::None => (inode::KIND_NONE, [0; 32]),
        Content::Sealed(hash) => (inode::KIND_SEALED, hash),
        Content::Staged => (inode::KIND_STAGED, [0; 32]),
    };
    record.extend_from_slice(&attr.vnode.0.to_le_bytes());
    for value in [attr.mode, attr.nlink, attr.uid, attr.gid, attr.rdev, kind] {
        record.extend_from_slice(&value.to_le_bytes());
    }
    record.extend_from_slice(&attr.size.to_le_bytes());
    for value in [attr.atime_ns, attr.mtime_ns, attr.ctime_ns] {
        record.extend_from_slice(&value.to_le_bytes());
    }
    record.extend_from_slice(&attr.blocks.to_le_bytes());
    record.extend_from_slice(&hash);
    record.extend_from_slice(&(target.len() as u32).to_le_bytes());
    record.extend_from_slice(&target);
}

fn read_vnode(from: &mut dyn Read) -> io::Result<(Attr, Vec<u8>)> {
    let vnode = VnodeNo(u64::from_le_bytes(take(from)?));
    let mut words = [0u32; 6];
    for word in &mut words {
        *word = u32::from_le_bytes(take(from)?);
    }
    let [mode, nlink, uid, gid, rdev, kind] = words;
    let size = u64::from_le_bytes(take(from)?);
    let mut times = [0i64; 3];
    for time in &mut times {
        *time = i64::from_le_bytes(take(from)?);
    }
    let blocks = u64::from_le_bytes(take(from)?);
    let hash: [u8; 32] = take(from)?;
    let content = match kind {
        inode::KIND_NONE => Content::None,
        inode::KIND_SEALED => Content::Sealed(hash),
        inode::KIND_STAGED => Content::Staged,
        _ => return Err(bad("content kind")),
    };
    let target_len = u32::from_le_bytes(take(from)?);
    if target_len > TARGET_MAX || (target_len != 0 && mode & S_IFMT != S_IFLNK) || vnode.slot() == 0 {
        return Err(bad("vnode"));
    }
    let mut target = vec![0; target_len as usize];
    from.read_exact(&mut target)?;
    let [atime_ns, mtime_ns, ctime_ns] = times;
    let attr =
        Attr { vnode, mode, nlink, uid, gid, rdev, size, blocks, atime_ns, mtime_ns, ctime_ns, content };
    if vnode == crate::types::ROOT && mode & S_IFMT != S_IFDIR {
        return Err(bad("root"));
    }
    Ok((attr, target))
}

fn take<const N: usize>(from: &mut dyn Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("namespace dump: bad {what}"))
}
