//! Rows of `status` and `diff`.

use super::output::{Colour, Output};
use crate::error::Result;
use crate::session::Session;
use crate::target::Chosen;
use crate::text::{path_text, size};
use serde::Serialize;
use vrift_protocol::admin::{AdminReply, AdminRequest, Change, ChangeKind, PathBytes};

/// What `--json` prints.
#[derive(Serialize)]
pub struct Changes {
    pub workspace: String,
    pub view: PathBytes,
    pub added: usize,
    pub modified: usize,
    pub deleted: usize,
    pub changes: Vec<Change>,
}

impl Changes {
    pub fn ask(session: &mut Session, chosen: &Chosen, request: &AdminRequest) -> Result<Changes> {
        let mut changes = Vec::new();
        session.ask(request, &mut |reply| {
            if let AdminReply::Changes(rows) = reply {
                changes.extend_from_slice(rows);
            }
        })?;
        changes.sort_by(|a, b| a.path.cmp(&b.path));
        let of = |kind| changes.iter().filter(|change| change.kind == kind).count();
        Ok(Changes {
            workspace: chosen.info.name.clone(),
            view: chosen.info.view.clone(),
            added: of(ChangeKind::Added),
            modified: of(ChangeKind::Modified),
            deleted: of(ChangeKind::Deleted),
            changes,
        })
    }

    pub fn print(&self, out: &mut Output) -> Result<()> {
        for change in &self.changes {
            let row = row(change);
            out.line(&match change.kind {
                ChangeKind::Added => out.paint(Colour::Green, &row),
                ChangeKind::Modified => out.paint(Colour::Yellow, &row),
                ChangeKind::Deleted => out.paint(Colour::Red, &row),
            })?;
        }
        Ok(())
    }

    pub fn summary(&self) -> String {
        format!("{} added, {} modified, {} deleted", self.added, self.modified, self.deleted)
    }
}

fn row(change: &Change) -> String {
    let path = path_text(&change.path);
    let letter = match change.kind {
        ChangeKind::Added => 'A',
        ChangeKind::Modified => 'M',
        ChangeKind::Deleted => 'D',
    };
    match (change.file_type.as_str(), change.kind) {
        ("directory", _) => format!("{letter} {path}/"),
        (_, ChangeKind::Deleted) => format!("{letter} {path}"),
        ("file", ChangeKind::Added) => format!("{letter} {path} ({})", size(change.new_size)),
        ("file", ChangeKind::Modified) => {
            format!("{letter} {path} ({} -> {})", size(change.old_size), size(change.new_size))
        }
        (other, _) => format!("{letter} {path} ({other})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_say_kind_path_and_sizes() {
        let change = |kind, file_type: &str| Change {
            kind,
            path: PathBytes(b"a\tb".to_vec()),
            file_type: file_type.into(),
            old_size: 5,
            new_size: 2048,
        };
        assert_eq!(row(&change(ChangeKind::Added, "file")), "A a\\x09b (2.0 KiB)");
        assert_eq!(row(&change(ChangeKind::Modified, "file")), "M a\\x09b (5 B -> 2.0 KiB)");
        assert_eq!(row(&change(ChangeKind::Deleted, "file")), "D a\\x09b");
        assert_eq!(row(&change(ChangeKind::Added, "directory")), "A a\\x09b/");
        assert_eq!(row(&change(ChangeKind::Added, "symlink")), "A a\\x09b (symlink)");
    }
}
