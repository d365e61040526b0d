//! Base tables as bytes: a whole one, and what changed since a whole one. Layouts: `docs/spec/journal-records.md`.

use super::{Base, Changes, Held, Row, path_order};
use crate::codec::{Decoder, Encoder, Malformed};

const WHOLE: &[u8; 8] = b"VRIFTBT1";
const CHANGED: &[u8; 8] = b"VRIFTBC1";
/// Bytes of a row without its path and what it holds, rounded up.
const ROW_LEN: usize = 112;

/// What a blob of a base table is.
#[derive(Debug, PartialEq, Eq)]
pub enum Table {
    Whole(Base),
    /// The changes since the whole table with this hash.
    Changed([u8; 32], Changes),
}

impl Base {
    /// Paths share their beginnings with their predecessors, so that the table stays small.
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Encoder(Vec::with_capacity(16 + self.rows.len() * ROW_LEN));
        to.raw(WHOLE);
        encode_rows(&mut to, self.rows.iter().map(|row| (&row.path[..], Some(row))), self.rows.len());
        to.0
    }

    pub fn decode(bytes: &[u8]) -> Result<Base, Malformed> {
        match Table::decode(bytes)? {
            Table::Whole(base) => Ok(base),
            Table::Changed(..) => Err(Malformed(WHAT)),
        }
    }
}

const WHAT: &str = "base table";

/// The table of `changes` since the whole one.
pub fn encode_changes(whole: &[u8; 32], changes: &Changes) -> Vec<u8> {
    let mut to = Encoder(Vec::with_capacity(48 + changes.len() * ROW_LEN));
    to.raw(CHANGED).raw(whole);
    let mut rows: Vec<(&[u8], Option<&Row>)> =
        changes.iter().map(|(path, row)| (&path[..], row.as_ref())).collect();
    rows.sort_unstable_by(|one, two| path_order(one.0, two.0));
    let count = rows.len();
    encode_rows(&mut to, rows.into_iter(), count);
    to.0
}

/// The whole table that a table of changes needs; None: it is whole itself, or none at all.
pub fn whole_of(bytes: &[u8]) -> Option<[u8; 32]> {
    bytes.strip_prefix(CHANGED)?.get(..32)?.try_into().ok()
}

fn encode_rows<'r>(to: &mut Encoder, rows: impl Iterator<Item = (&'r [u8], Option<&'r Row>)>, count: usize) {
    to.u32(count as u32);
    let gone = Row::nothing(Held::Nothing);
    let mut last: &[u8] = &[];
    for (path, there) in rows {
        let shared = path.iter().zip(last).take_while(|(one, two)| one == two).count();
        let shared = shared.min(usize::from(u16::MAX));
        to.u16(shared as u16).text(&path[shared..]);
        let row = there.unwrap_or(&gone);
        to.u32(row.mode).u32(row.nlink).u32(row.uid).u32(row.gid).u64(row.size);
        to.i64(row.mtime_ns).i64(row.ctime_ns).u64(row.ino).u64(row.dev);
        match (&row.held, there) {
            (_, None) => to.u8(3),
            (Held::Nothing, _) => to.u8(0),
            (Held::Hash(hash), _) => to.u8(1).raw(hash),
            (Held::Target(target), _) => to.u8(2).text(target),
        };
        last = path;
    }
}

impl Table {
    pub fn decode(bytes: &[u8]) -> Result<Table, Malformed> {
        let mut from = Decoder::new(bytes, WHAT);
        let magic: [u8; 8] = from.array()?;
        let table = match &magic {
            WHOLE => {
                let mut rows = Vec::with_capacity(count_of(&mut from.clone(), bytes)?);
                decode_rows(&mut from, &mut |row, is_there| {
                    rows.push(row);
                    is_there
                })?;
                Table::Whole(Base { rows })
            }
            CHANGED => {
                let whole = from.array()?;
                let mut changes = Changes::new();
                decode_rows(&mut from, &mut |row, is_there| {
                    changes.insert(row.path.clone(), is_there.then_some(row));
                    true
                })?;
                Table::Changed(whole, changes)
            }
            _ => return Err(from.bad()),
        };
        from.finish()?;
        Ok(table)
    }
}

/// How many rows there may be, at most.
fn count_of(from: &mut Decoder<'_>, bytes: &[u8]) -> Result<usize, Malformed> {
    Ok((from.u32()? as usize).min(bytes.len() / 64))
}

/// `each` gets a row and whether it is one at all, or only its path is gone; false: this is no place for that.
fn decode_rows(from: &mut Decoder<'_>, each: &mut dyn FnMut(Row, bool) -> bool) -> Result<(), Malformed> {
    let mut last: Vec<u8> = Vec::new();
    for _ in 0..from.u32()? {
        let shared = usize::from(from.u16()?);
        if shared > last.len() {
            return Err(from.bad());
        }
        last.truncate(shared);
        last.extend_from_slice(from.text()?);
        let (mode, nlink, uid, gid) = (from.u32()?, from.u32()?, from.u32()?, from.u32()?);
        let size = from.u64()?;
        let (mtime_ns, ctime_ns, ino, dev) = (from.i64()?, from.i64()?, from.u64()?, from.u64()?);
        let kind = from.u8()?;
        let held = match kind {
            0 | 3 => Held::Nothing,
            1 => Held::Hash(from.array()?),
            2 => Held::Target(from.text()?.to_vec()),
            _ => return Err(from.bad()),
        };
        let blocks = size.div_ceil(4096) * 8;
        let (path, xattrs) = (last.clone(), Vec::new());
        let row =
            Row { path, mode, nlink, uid, gid, size, mtime_ns, ctime_ns, ino, dev, held, blocks, xattrs };
        if !each(row, kind != 3) {
            return Err(from.bad());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(path: &str, held: Held) -> Row {
        let about =
            Row { mode: 0o100644, nlink: 1, uid: 1, gid: 2, size: 3, blocks: 8, ..Row::nothing(held) };
        Row { path: path.into(), mtime_ns: 4, ctime_ns: 5, ino: 6, dev: 7, ..about }
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
        assert_eq!(whole_of(&bytes), None);
    }

    #[test]
    fn changes_are_read_back_with_what_is_gone_and_with_the_whole_table_they_need() {
        let mut changes = Changes::new();
        changes.insert(b"a/x".to_vec(), Some(row("a/x", Held::Hash([9; 32]))));
        changes.insert(b"a-b".to_vec(), None);
        changes.insert(b"a".to_vec(), Some(row("a", Held::Nothing)));
        let bytes = encode_changes(&[7; 32], &changes);
        assert_eq!(Table::decode(&bytes), Ok(Table::Changed([7; 32], changes)));
        assert_eq!(whole_of(&bytes), Some([7; 32]));
        for len in 0..bytes.len() {
            assert!(Table::decode(&bytes[..len]).is_err());
        }
        assert!(Base::decode(&bytes).is_err(), "changes alone are no table");
    }

    #[test]
    fn a_whole_table_has_no_row_that_is_gone() {
        let mut bytes = Base { rows: vec![row("", Held::Nothing)] }.encode();
        *bytes.last_mut().unwrap() = 3;
        assert!(Base::decode(&bytes).is_err());
    }
}
