//! The rows of the last table below one directory, gone through together with the directory's sorted names: no search
//! for a name, and nothing to allocate for one that is as it was.

use crate::base::{Row, is_at_or_below};
use std::cmp::Ordering;

/// What the last table has at a name, and below it.
#[derive(Clone, Copy, Default)]
pub(super) struct Group<'b> {
    pub own: Option<&'b Row>,
    pub below: &'b [Row],
}

impl<'b> Group<'b> {
    /// Of rows at and below one path.
    pub fn of(rows: &'b [Row], path: &[u8]) -> Group<'b> {
        match rows.split_first() {
            Some((own, below)) if own.path == path => Group { own: Some(own), below },
            _ => Group { own: None, below: rows },
        }
    }

    pub fn is_empty(&self) -> bool {
        self.own.is_none() && self.below.is_empty()
    }
}

/// The rows that were not come to yet.
pub(super) struct Known<'b> {
    rows: &'b [Row],
    /// Bytes of each path that are the directory's, with the slash.
    skip: usize,
}

impl<'b> Known<'b> {
    /// `rows` are those below `dir`.
    pub fn below(rows: &'b [Row], dir: &[u8]) -> Known<'b> {
        Known { rows, skip: if dir.is_empty() { 0 } else { dir.len() + 1 } }
    }

    fn first_name(&self) -> Option<&'b [u8]> {
        let rest = &self.rows.first()?.path[self.skip..];
        Some(rest.split(|byte| *byte == b'/').next().unwrap_or(rest))
    }

    /// The rows of the first name, which has `name_len` bytes.
    fn take(&mut self, name_len: usize) -> Group<'b> {
        let path = &self.rows[0].path[..self.skip + name_len];
        let at_it = |row: &Row| is_at_or_below(&row.path, path);
        let is_alone = self.rows.get(1).is_none_or(|next| !at_it(next));
        let len = if is_alone { 1 } else { self.rows.partition_point(at_it) };
        let (group, rest) = self.rows.split_at(len);
        self.rows = rest;
        Group::of(group, path)
    }

    /// What there was at `name`. Names are asked for in the order of their bytes; paths of those that were not asked for
    /// before it are `gone`.
    pub fn at(&mut self, name: &[u8], gone: &mut dyn FnMut(&[u8])) -> Group<'b> {
        while let Some(first) = self.first_name() {
            match first.cmp(name) {
                Ordering::Less => self.go(first.len(), gone),
                Ordering::Equal => return self.take(first.len()),
                Ordering::Greater => break,
            }
        }
        Group::default()
    }

    /// All names that were not asked for are `gone`.
    pub fn end(mut self, gone: &mut dyn FnMut(&[u8])) {
        while let Some(first) = self.first_name() {
            self.go(first.len(), gone);
        }
    }

    fn go(&mut self, name_len: usize, gone: &mut dyn FnMut(&[u8])) {
        gone(&self.rows[0].path[..self.skip + name_len]);
        self.take(name_len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Held, path_order};

    fn rows(paths: &[&str]) -> Vec<Row> {
        let row = |path: &&str| Row { path: path.as_bytes().into(), ..Row::nothing(Held::Nothing) };
        let mut rows: Vec<Row> = paths.iter().map(row).collect();
        rows.sort_unstable_by(|one, two| path_order(&one.path, &two.path));
        rows
    }

    #[test]
    fn names_meet_their_rows_and_what_is_not_asked_for_is_gone() {
        // "x/b-c" comes between "x/b" and its entries by its bytes; "x/lost/in" has no row above it.
        let rows = rows(&["x/a", "x/b", "x/b/1", "x/b/2/3", "x/b-c", "x/lost/in", "x/z"]);
        let mut known = Known::below(&rows, b"x");
        let mut gone = Vec::new();
        let mut note = |path: &[u8]| gone.push(String::from_utf8_lossy(path).into_owned());
        assert!(known.at(b"0", &mut note).is_empty());
        let b = known.at(b"b", &mut note);
        assert_eq!((b.own.map(|row| &row.path[..]), b.below.len()), (Some(&b"x/b"[..]), 2));
        assert!(known.at(b"c", &mut note).is_empty());
        let lost = known.at(b"lost", &mut note);
        assert_eq!((lost.own.is_none(), lost.below.len()), (true, 1));
        known.end(&mut note);
        assert_eq!(gone, ["x/a", "x/b-c", "x/z"]);
    }

    #[test]
    fn the_rows_of_the_directory_itself_have_no_slash_before_them() {
        let rows = rows(&["a", "a/b", "c"]);
        let mut known = Known::below(&rows, b"");
        let mut gone = Vec::new();
        let a = known.at(b"a", &mut |path| gone.push(path.to_vec()));
        assert_eq!(a.below.len(), 1);
        known.end(&mut |path| gone.push(path.to_vec()));
        assert_eq!(gone, [b"c".to_vec()]);
    }
}
