//! What a walk found, put together from what its threads found.

use crate::base::{Extent, Row};
use vrift_cas::CasError;
use vrift_protocol::admin::{PathBytes, Problem};

/// At most this many problems are named.
pub const PROBLEMS_MAX: usize = 1000;
/// Of what is left out, so many are named.
pub const IGNORED_MAX: usize = 20;

/// What a walk found.
#[derive(Default)]
pub struct Found {
    pub rows: Vec<Row>,
    pub skipped: Vec<Problem>,
    pub new_bytes: u64,
    pub duplicates: u64,
    /// Left out by rules, the tops alone: the first ones, and how many.
    pub ignored: Vec<PathBytes>,
    pub ignored_count: u64,
    /// Names that were looked at.
    pub looked_at: u64,
    /// Of [`super::look_at`]: what `rows` stands for.
    pub extents: Vec<Extent>,
    /// The store cannot take more: the walk is of no use.
    pub failed: Option<CasError>,
    /// Nobody waits for the result: it is not complete.
    pub is_cancelled: bool,
}

pub(super) fn merge(all: &mut Found, mut part: Found) {
    all.rows.append(&mut part.rows);
    all.new_bytes += part.new_bytes;
    all.duplicates += part.duplicates;
    all.ignored_count += part.ignored_count;
    all.looked_at += part.looked_at;
    all.extents.append(&mut part.extents);
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
