//! The base table: what a workspace's real directory held when it was last taken in. A stat walk against it
//! finds what changed without reading a byte. Layout: `docs/spec/journal-records.md`.

mod format;

pub use format::{Table, encode_changes, whole_of};

use crate::record::Change;
use nix::sys::stat::FileStat;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use vrift_manifest::{Content, VnodeNo};
use vrift_protocol::admin::Problem;

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
    /// All zeros, without a path.
    pub fn nothing(held: Held) -> Row {
        let (path, xattrs) = (Vec::new(), Vec::new());
        let (mode, nlink, uid, gid, size, mtime_ns) = (0, 0, 0, 0, 0, 0);
        let (ctime_ns, ino, dev, blocks) = (0, 0, 0, 0);
        Row { path, mode, nlink, uid, gid, size, mtime_ns, ctime_ns, ino, dev, held, blocks, xattrs }
    }

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

    /// As [`Row::same_stat`], of what stat(2) tells.
    pub fn is_still(&self, now: &FileStat) -> bool {
        let owned = (self.mode, self.uid, self.gid) == (now.st_mode, now.st_uid, now.st_gid);
        let mtime_ns = now.st_mtime * 1_000_000_000 + now.st_mtime_nsec;
        if !owned || self.mtime_ns != mtime_ns || self.is_dir() {
            return owned && self.mtime_ns == mtime_ns;
        }
        let same_inode = (self.ino, self.dev) == (now.st_ino, now.st_dev);
        same_inode && self.size == now.st_size.cast_unsigned() && self.ctime_ns != 0 && !self.changed_at(now)
    }

    /// Whether the change time is another one.
    pub fn changed_at(&self, stat: &FileStat) -> bool {
        self.ctime_ns != stat.st_ctime * 1_000_000_000 + stat.st_ctime_nsec
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
    let shared = one.iter().zip(two).take_while(|(one, two)| one == two).count();
    let key = |byte: &u8| if *byte == b'/' { 0 } else { u16::from(*byte) + 1 };
    one.get(shared).map(key).cmp(&two.get(shared).map(key))
}

/// The new row of each path, or that there is none any more.
pub type Changes = BTreeMap<Vec<u8>, Option<Row>>;

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

    /// Puts changes in their places: rows that stay are moved at most, and only where names come or go.
    pub fn change(&mut self, changes: &Changes) {
        let place = |rows: &[Row], path: &[u8]| rows.binary_search_by(|row| path_order(&row.path, path));
        let mut others: Vec<(&[u8], Option<&Row>)> = Vec::new();
        for (path, row) in changes {
            match (place(&self.rows, path), row) {
                (Ok(at), Some(row)) => self.rows[at] = row.clone(),
                (Err(_), None) => {}
                (_, row) => others.push((path, row.as_ref())),
            }
        }
        if others.is_empty() {
            return;
        }
        others.sort_unstable_by(|one, two| path_order(one.0, two.0));
        let old = std::mem::take(&mut self.rows);
        self.rows.reserve(old.len() + others.len());
        let mut others = others.into_iter().peekable();
        for row in old {
            while let Some((_, new)) = others.next_if(|(path, _)| path_order(path, &row.path).is_lt()) {
                self.rows.extend(new.cloned());
            }
            if others.next_if(|(path, _)| *path == row.path).is_none() {
                self.rows.push(row);
            }
        }
        self.rows.extend(others.filter_map(|(_, new)| new.cloned()));
    }

    /// What is to be changed in `self` so that it becomes `next`.
    pub fn changes_to(&self, next: &Base) -> Changes {
        let (mut one, mut two) = (self.rows.iter().peekable(), next.rows.iter().peekable());
        let mut changes = Changes::new();
        loop {
            let order = match (one.peek(), two.peek()) {
                (None, None) => return changes,
                (Some(one), Some(two)) => path_order(&one.path, &two.path),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
            };
            let old = one.next_if(|_| order.is_le());
            let new = two.next_if(|_| order.is_ge());
            match (old, new) {
                (Some(old), None) => _ = changes.insert(old.path.clone(), None),
                (old, Some(new)) if old != Some(new) => {
                    changes.insert(new.path.clone(), Some(new.clone()));
                }
                _ => {}
            }
        }
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
        Row { path: path.into(), ..Row::nothing(held) }
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
    #[test]
    fn changes_lead_from_one_table_to_the_other_in_place() {
        let table = |rows: &[(&str, u8)]| Base {
            rows: rows.iter().map(|(path, byte)| row(path, Held::Hash([*byte; 32]))).collect(),
        };
        let tables = [
            table(&[]),
            table(&[("", 0), ("a", 0), ("a/b", 1), ("a-b", 2), ("e", 3)]),
            table(&[("", 0), ("a", 0), ("a/b", 9), ("a-b", 2), ("e", 3)]),
            table(&[("", 1), ("a", 0), ("a/b/c", 1), ("a-b", 2), ("d", 0), ("f", 3)]),
        ];
        for one in &tables {
            for two in &tables {
                let mut changed = one.clone();
                let changes = one.changes_to(two);
                changed.change(&changes);
                assert_eq!(&changed, two);
                assert_eq!(changes.is_empty(), one == two);
            }
        }
        assert_eq!(tables[1].changes_to(&tables[2]).len(), 1);
    }
}
