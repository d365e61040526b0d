//! The base table: what a workspace's real directory held when it was last taken in. A stat walk against it
//! finds what changed without reading a byte. Layout: `docs/spec/journal-records.md`.

use crate::codec::{Decoder, Encoder, Malformed};
use crate::record::Change;
use nix::sys::stat::FileStat;
use std::cmp::Ordering;
use vrift_manifest::{Content, VnodeNo};
use vrift_protocol::admin::Problem;

const MAGIC: &[u8; 8] = b"VRIFTBT1";

/// What a path held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// A directory.
    Nothing,
    /// A regular file: BLAKE3 of its bytes.
    Hash([u8; 32]),
    /// A symlink.
    Target(Vec<u8>),
}

/// One path of the real directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Relative to the directory; empty for itself.
    pub path: Vec<u8>,
    /// Type and permission bits.
    pub mode: u32,
    pub nlink: u32,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    pub mtime_ns: i64,
    /// 0: written too shortly before it was read to be sure that a later write shows.
    pub ctime_ns: i64,
    pub ino: u64,
    pub dev: u64,
    pub held: Held,
    /// As st_blocks. Not in the table, which says what the size asks for.
    pub blocks: u64,
    /// Those of users, of a file or directory that was just read. Not in the table.
    pub xattrs: Vec<crate::real_xattrs::Pair>,
}

impl Row {
    pub fn is_dir(&self) -> bool {
        self.held == Held::Nothing
    }

    /// What a new vnode is told of a file with holes, which takes at least a block less than its size asks for.
    pub fn with_holes(&self, vnode: VnodeNo) -> Option<Change<'static>> {
        let Held::Hash(hash) = self.held else { return None };
        let (size, blocks, mtime_ns) = (self.size, self.blocks, self.mtime_ns);
        let ctime_ns = self.ctime_ns.max(mtime_ns);
        let content = Content::Sealed(hash);
        let change = Change::SetContent { vnode, content, size, blocks, mtime_ns, ctime_ns };
        ((blocks + 8) * 512 <= size).then_some(change)
    }

    /// Whether the same thing is there still, as far as stat(2) tells.
    pub fn same_stat(&self, now: &Row) -> bool {
        if self.is_dir() || now.is_dir() {
            // Size and links of a directory are the file system's affair.
            let facts = |row: &Row| (row.mode, row.uid, row.gid, row.mtime_ns);
            return facts(self) == facts(now) && self.is_dir() == now.is_dir();
        }
        let facts =
            |row: &Row| (row.mode, row.size, row.mtime_ns, row.ctime_ns, row.ino, row.dev, row.uid, row.gid);
        self.ctime_ns != 0 && facts(self) == facts(now)
    }

    /// Whether both hold the same type, permissions and bytes.
    pub fn same_content(&self, other: &Row) -> bool {
        self.mode == other.mode && self.held == other.held
    }
}

/// What a walk has found at a path.
pub fn row_of(path: Vec<u8>, stat: &FileStat, held: Held) -> Row {
    Row {
        path,
        mode: stat.st_mode,
        nlink: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
        uid: stat.st_uid,
        gid: stat.st_gid,
        size: stat.st_size.cast_unsigned(),
        mtime_ns: stat.st_mtime * 1_000_000_000 + stat.st_mtime_nsec,
        ctime_ns: stat.st_ctime * 1_000_000_000 + stat.st_ctime_nsec,
        ino: stat.st_ino,
        dev: stat.st_dev,
        held,
        blocks: stat.st_blocks.cast_unsigned(),
        xattrs: Vec::new(),
    }
}

/// The order of a walk that visits a directory, then its entries by name: '/' sorts before every other byte.
pub fn path_order(one: &[u8], two: &[u8]) -> Ordering {
    let key = |byte: &u8| if *byte == b'/' { 0 } else { u16::from(*byte) + 1 };
    one.iter().map(key).cmp(two.iter().map(key))
}

/// A part of a table: the row at a path, and with `is_whole` those below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    pub path: Vec<u8>,
    pub is_whole: bool,
}

/// Rows in [`path_order`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base {
    pub rows: Vec<Row>,
}

impl Base {
    pub fn find(&self, path: &[u8]) -> Option<&Row> {
        self.rows.binary_search_by(|row| path_order(&row.path, path)).ok().map(|at| &self.rows[at])
    }

    /// The rows at and below `path`.
    pub fn below(&self, path: &[u8]) -> &[Row] {
        if path.is_empty() {
            return &self.rows;
        }
        let start = self.rows.partition_point(|row| path_order(&row.path, path) == Ordering::Less);
        let rest = &self.rows[start..];
        &rest[..rest.partition_point(|row| is_at_or_below(&row.path, path))]
    }

    /// The rows that extents stand for, which are in [`path_order`] and do not overlap.
    pub fn within(&self, extents: &[Extent]) -> Base {
        let rows = extents.iter().flat_map(|extent| self.of(extent).iter().cloned());
        Base { rows: rows.collect() }
    }

    fn of(&self, extent: &Extent) -> &[Row] {
        let rows = self.below(&extent.path);
        if extent.is_whole { rows } else { &rows[..usize::from(self.find(&extent.path).is_some())] }
    }

    /// The table with these rows in place of those that the extents stood for.
    pub fn with(&self, extents: &[Extent], rows: &[Row]) -> Base {
        let mut all = Vec::with_capacity(self.rows.len() + rows.len());
        let (mut at, mut new) = (0, rows.iter().peekable());
        let mut put = |old: &[Row], all: &mut Vec<Row>| {
            for row in old {
                while let Some(row) = new.next_if(|new| path_order(&new.path, &row.path).is_lt()) {
                    all.push(row.clone());
                }
                all.push(row.clone());
            }
        };
        for extent in extents {
            let start = self.rows.partition_point(|row| path_order(&row.path, &extent.path).is_lt());
            put(&self.rows[at..start], &mut all);
            at = start + self.of(extent).len();
        }
        put(&self.rows[at..], &mut all);
        all.extend(new.cloned());
        Base { rows: all }
    }

    /// Paths share their beginnings with their predecessors, so that the table stays small.
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Encoder(Vec::with_capacity(16 + self.rows.len() * 112));
        to.raw(MAGIC).u32(self.rows.len() as u32);
        let mut last: &[u8] = &[];
        for row in &self.rows {
            let shared = row.path.iter().zip(last).take_while(|(one, two)| one == two).count();
            let shared = shared.min(usize::from(u16::MAX));
            to.u16(shared as u16).text(&row.path[shared..]);
            to.u32(row.mode).u32(row.nlink).u32(row.uid).u32(row.gid).u64(row.size);
            to.i64(row.mtime_ns).i64(row.ctime_ns).u64(row.ino).u64(row.dev);
            match &row.held {
                Held::Nothing => to.u8(0),
                Held::Hash(hash) => to.u8(1).raw(hash),
                Held::Target(target) => to.u8(2).text(target),
            };
            last = &row.path;
        }
        to.0
    }

    pub fn decode(bytes: &[u8]) -> Result<Base, Malformed> {
        let mut from = Decoder::new(bytes, "base table");
        if from.raw(MAGIC.len())? != MAGIC {
            return Err(from.bad());
        }
        let count = from.u32()? as usize;
        let mut rows: Vec<Row> = Vec::with_capacity(count.min(bytes.len() / 64));
        for _ in 0..count {
            let shared = usize::from(from.u16()?);
            let last = rows.last().map_or(&[][..], |row| &row.path);
            let mut path = last.get(..shared).ok_or(from.bad())?.to_vec();
            path.extend_from_slice(from.text()?);
            let (mode, nlink, uid, gid) = (from.u32()?, from.u32()?, from.u32()?, from.u32()?);
            let size = from.u64()?;
            rows.push(Row {
                path,
                mode,
                nlink,
                uid,
                gid,
                size,
                mtime_ns: from.i64()?,
                ctime_ns: from.i64()?,
                ino: from.u64()?,
                dev: from.u64()?,
                held: match from.u8()? {
                    0 => Held::Nothing,
                    1 => Held::Hash(from.array()?),
                    2 => Held::Target(from.text()?.to_vec()),
                    _ => return Err(from.bad()),
                },
                blocks: size.div_ceil(4096) * 8,
                xattrs: Vec::new(),
            });
        }
        from.finish()?;
        Ok(Base { rows })
    }
}

pub fn is_at_or_below(path: &[u8], dir: &[u8]) -> bool {
    dir.is_empty()
        || path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.first() == Some(&b'/'))
}

/// The rows of `scan` without what lies at or below the paths that could not be read: what is unknown did
/// not change.
pub fn with_unread(old: &Base, mut scan: Vec<Row>, skipped: &[Problem]) -> Vec<Row> {
    for problem in skipped {
        let kept: Vec<Row> =
            old.below(&problem.path.0).iter().filter(|row| !row.path.is_empty()).cloned().collect();
        if !kept.is_empty() {
            scan.retain(|row| !is_at_or_below(&row.path, &problem.path.0));
            scan.extend(kept);
        }
    }
    scan.sort_unstable_by(|one, two| path_order(&one.path, &two.path));
    scan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(path: &str, held: Held) -> Row {
        Row {
            path: path.into(),
            mode: 0o100644,
            nlink: 1,
            uid: 1,
            gid: 2,
            size: 3,
            mtime_ns: 4,
            ctime_ns: 5,
            ino: 6,
            dev: 7,
            held,
            blocks: 8,
            xattrs: Vec::new(),
        }
    }

    #[test]
    fn a_table_is_read_back_as_it_was_written() {
        let rows = vec![
            row("", Held::Nothing),
            row("a", Held::Nothing),
            row("a/long-name", Held::Hash([3; 32])),
            row("a/long-nose", Held::Target(b"x".to_vec())),
            row("a-b", Held::Hash([4; 32])),
        ];
        let base = Base { rows };
        assert!(base.rows.is_sorted_by(|one, two| path_order(&one.path, &two.path).is_lt()));
        let bytes = base.encode();
        assert_eq!(Base::decode(&bytes), Ok(base.clone()));
        for len in 0..bytes.len() {
            assert!(Base::decode(&bytes[..len]).is_err());
        }
        assert_eq!(base.find(b"a-b"), Some(&base.rows[4]));
        assert_eq!(base.find(b"a/l"), None);
        assert_eq!(base.below(b"a").len(), 3);
    }

    #[test]
    fn a_part_of_a_table_is_replaced() {
        let rows =
            |paths: &[&str]| -> Vec<Row> { paths.iter().map(|path| row(path, Held::Nothing)).collect() };
        let base = Base { rows: rows(&["", "a", "a/b", "a/b/c", "a/d", "a-b", "e"]) };
        let extent = |path: &str, is_whole| Extent { path: path.into(), is_whole };
        let paths = |base: &Base| -> String {
            base.rows.iter().map(|row| format!("{} ", String::from_utf8_lossy(&row.path))).collect()
        };
        let extents = [extent("", false), extent("a/b", true), extent("a/x", true), extent("e", false)];
        assert_eq!(paths(&base.within(&extents)), " a/b a/b/c e ");
        let new = rows(&["", "a/b", "a/b/n", "a/x", "a/x/y"]);
        assert_eq!(paths(&base.with(&extents, &new)), " a a/b a/b/n a/d a/x a/x/y a-b ");
        assert_eq!(base.with(&[], &[]), base);
        assert_eq!(base.with(&[extent("", true)], &new), Base { rows: new.clone() });
        assert_eq!(Base::default().with(&[extent("", true)], &new).rows, new);
    }
}
