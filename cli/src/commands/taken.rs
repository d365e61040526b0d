//! What was taken in, and what was not: shared by `ingest`, `sync` and all that enter a view.

use crate::text::{count, path_text, say, size};
use vrift_protocol::admin::{Problem, Taken};

/// Problems that are named one by one; the rest is counted.
const NAMED_MAX: usize = 20;
/// Of what is ignored.
const IGNORED_NAMED: usize = 5;

/// Names problems on stderr; none of them more than once a line.
pub fn name_problems(what: &str, problems: &[Problem]) {
    for problem in problems.iter().take(NAMED_MAX) {
        say!("vrift: {what}: {}: {}", path_text(&problem.path), problem.what);
    }
    if problems.len() > NAMED_MAX {
        say!("vrift: {what}: and {} more; --json names all", problems.len() - NAMED_MAX);
    }
}

/// Names what was skipped and what changed on both sides.
pub fn name_all_problems(taken: &Taken) {
    name_problems("skipped", &taken.skipped);
    name_problems("changed on both sides, kept as it is in the workspace", &taken.conflicts);
    if !taken.conflicts.is_empty() {
        say!(
            "vrift: to settle it: vrift sync --ours (the workspace's stands) or --theirs (the real directory's)"
        );
    }
}

/// `3 added, 1 modified, 0 deleted`.
pub fn changes(taken: &Taken) -> String {
    format!("{} added, {} modified, {} deleted", taken.added, taken.modified, taken.deleted)
}

pub fn has_changes(taken: &Taken) -> bool {
    taken.added + taken.modified + taken.deleted > 0
}

/// What was left out, and how to have it: `3 left out as ignored: target, .env, ...`; None: nothing was.
pub fn left_out(taken: &Taken) -> Option<String> {
    let named: Vec<String> = taken.ignored.iter().take(IGNORED_NAMED).map(path_text).collect();
    let more = if taken.ignored_count > named.len() as u64 { ", ..." } else { "" };
    (taken.ignored_count > 0).then(|| {
        format!(
            "{} left out as ignored: {}{more}; '!NAME' in .vriftignore takes one in",
            taken.ignored_count,
            named.join(", ")
        )
    })
}

/// On stderr, when a run or a shell begins: what the view took in first.
pub fn announce(taken: &Taken, quiet: bool) {
    if !quiet && taken.created {
        say!(
            "vrift: took in {} as workspace {}: {}, {}",
            path_text(&taken.view),
            taken.workspace,
            count(taken.files, "file", "files"),
            size(taken.bytes)
        );
        if let Some(text) = left_out(taken) {
            say!("vrift: {text}");
        }
    } else if !quiet && has_changes(taken) {
        say!("vrift: took in what changed in {}: {}", path_text(&taken.view), changes(taken));
    }
    name_all_problems(taken);
}
