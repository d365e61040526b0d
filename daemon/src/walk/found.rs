//! What a walk found, put together from what its threads found.

use super::known::Group;
use crate::base::{Base, Extent, Row, path_order, with_unread};
use vrift_cas::CasError;
use vrift_protocol::admin::{PathBytes, Problem};

/// At most this many problems are named.
pub const PROBLEMS_MAX: usize = 1000;
/// Of what is left out, so many are named.
pub const IGNORED_MAX: usize = 20;

/// What a walk found to differ from the last table, in [`path_order`].
#[derive(Default)]
pub struct Found {
    pub rows: Vec<Row>,
    /// The rows of the last table that `rows` replace.
    pub extents: Vec<Extent>,
    /// Rows of files with several names that are as they were: of use where another of their names is not.
    pub linked: Vec<Row>,
    pub skipped: Vec<Problem>,
    /// Files whose content the store did not have, and its bytes.
    pub new_files: u64,
    pub new_bytes: u64,
    /// Files whose content it had.
    pub duplicates: u64,
    /// Left out by rules, the tops alone: the first ones, and how many.
    pub ignored: Vec<PathBytes>,
    pub ignored_count: u64,
    /// Names that were looked at.
    pub looked_at: u64,
    /// The store cannot take more: the walk is of no use.
    pub failed: Option<CasError>,
    /// Nobody waits for the result: it is not complete.
    pub is_cancelled: bool,
}

impl Found {
    /// What the last table has at and below this path is not so any more.
    pub(super) fn gone(&mut self, path: &[u8]) {
        self.extents.push(Extent { path: path.to_vec(), is_whole: true });
    }

    /// `row` is what is where the last table has `known`.
    pub(super) fn is_now(&mut self, known: Group<'_>, row: Row) {
        let is_whole = known.own.is_some_and(|own| !own.is_dir() || !row.is_dir()) || !row.is_dir();
        if known.own.is_some() || (is_whole && !known.is_empty()) {
            self.extents.push(Extent { path: row.path.clone(), is_whole });
        }
        self.rows.push(row);
    }

    /// Put in order; of files of which one name differs, all names count as found.
    pub(super) fn finish(&mut self) {
        if self.rows.iter().any(|row| row.nlink > 1 && !row.is_dir()) {
            for row in std::mem::take(&mut self.linked) {
                self.extents.push(Extent { path: row.path.clone(), is_whole: false });
                self.rows.push(row);
            }
        }
        self.rows.sort_unstable_by(|one, two| path_order(&one.path, &two.path));
        self.extents.sort_unstable_by(|one, two| path_order(&one.path, &two.path));
    }

    /// Nothing differs.
    pub fn is_same(&self) -> bool {
        self.rows.is_empty() && self.extents.is_empty()
    }

    /// The parts of the last table that are replaced, and what replaces them. What could not be read is as it was.
    pub fn parts(&mut self, old: &Base) -> (Base, Base) {
        let before = old.within(&self.extents);
        let rows = with_unread(&before, std::mem::take(&mut self.rows), &self.skipped);
        (before, Base { rows })
    }

    /// The whole table as it is now.
    pub fn table(&mut self, old: &Base) -> Base {
        let (_, now) = self.parts(old);
        old.with(&self.extents, &now.rows)
    }
}

pub(super) fn merge(all: &mut Found, mut part: Found) {
    all.rows.append(&mut part.rows);
    all.new_files += part.new_files;
    all.new_bytes += part.new_bytes;
    all.duplicates += part.duplicates;
    all.ignored_count += part.ignored_count;
    all.looked_at += part.looked_at;
    all.extents.append(&mut part.extents);
    all.linked.append(&mut part.linked);
    part.ignored.truncate(IGNORED_MAX - all.ignored.len());
    all.ignored.append(&mut part.ignored);
    all.failed = all.failed.take().or(part.failed);
    for problem in part.skipped {
        if all.skipped.len() < PROBLEMS_MAX {
            all.skipped.push(problem);
        }
    }
}

pub(super) fn skip(found: &mut Found, path: Vec<u8>, what: String) {
    found.skipped.push(Problem { path: path[..].into(), what });
}

pub fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir.is_empty() { name.to_vec() } else { [dir, b"/", name].concat() }
}
