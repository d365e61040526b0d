//! All that a directory tree promises to keep, so that two looks at it can be compared.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// One file, directory or symlink. The time of reading is left out: reading is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    mode: u32,
    owner: (u32, u32),
    inode: u64,
    links: u64,
    size: u64,
    modified_ns: i128,
    changed_ns: i128,
    /// BLAKE3 of a file's bytes or a symlink's target; of nothing for a directory.
    content: blake3::Hash,
}

/// A whole tree, by paths relative to its root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint(BTreeMap<PathBuf, Entry>);

impl Fingerprint {
    pub fn of(root: &Path) -> Result<Self> {
        let mut entries = BTreeMap::new();
        let mut paths = vec![root.to_path_buf()];
        while let Some(path) = paths.pop() {
            let entry = look(&path, &mut paths).with_context(|| format!("cannot read {}", path.display()))?;
            entries.insert(path.strip_prefix(root)?.to_path_buf(), entry);
        }
        Ok(Fingerprint(entries))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// What is different in `later`, a line for each path.
    pub fn differences(&self, later: &Fingerprint) -> Vec<String> {
        let gone = self.0.keys().filter(|path| !later.0.contains_key(*path)).map(|path| ("gone", path));
        let rest = later.0.iter().filter_map(|(path, entry)| match self.0.get(path) {
            None => Some(("new", path)),
            Some(before) if before != entry => Some(("changed", path)),
            Some(_) => None,
        });
        gone.chain(rest).map(|(what, path)| format!("{what}: {}", path.display())).collect()
    }
}

fn look(path: &Path, found: &mut Vec<PathBuf>) -> Result<Entry> {
    let meta = fs::symlink_metadata(path)?;
    let content = if meta.is_dir() {
        for entry in fs::read_dir(path)? {
            found.push(entry?.path());
        }
        blake3::hash(b"")
    } else if meta.is_symlink() {
        blake3::hash(fs::read_link(path)?.as_os_str().as_bytes())
    } else {
        blake3::hash(&fs::read(path)?)
    };
    Ok(Entry {
        mode: meta.mode(),
        owner: (meta.uid(), meta.gid()),
        inode: meta.ino(),
        links: meta.nlink(),
        size: meta.size(),
        modified_ns: nanoseconds(&meta, Metadata::mtime, Metadata::mtime_nsec),
        changed_ns: nanoseconds(&meta, Metadata::ctime, Metadata::ctime_nsec),
        content,
    })
}

fn nanoseconds(meta: &Metadata, seconds: fn(&Metadata) -> i64, rest: fn(&Metadata) -> i64) -> i128 {
    i128::from(seconds(meta)) * 1_000_000_000 + i128::from(rest(meta))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_change_shows() -> Result<()> {
        let temp = tempfile::tempdir()?;
        let root = temp.path();
        for name in ["same", "bytes", "gone"] {
            fs::write(root.join(name), "1")?;
        }
        let before = Fingerprint::of(root)?;
        assert_eq!(before.differences(&Fingerprint::of(root)?), Vec::<String>::new());
        fs::write(root.join("bytes"), "2")?;
        fs::remove_file(root.join("gone"))?;
        fs::create_dir(root.join("folder"))?;
        let seen = before.differences(&Fingerprint::of(root)?);
        assert_eq!(seen, ["gone: gone", "changed: ", "changed: bytes", "new: folder"]);
        Ok(())
    }
}
