//! The directories that the two workers begin with, and proof that the real one stays as it is.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use anyhow::{Context, Result};

use crate::sys;
use crate::text;

const TIME_S: i64 = 1200;

/// The tree that the sequence with this number begins in.
pub fn tree(base: &Path, number: u64, user: Option<u32>) -> Result<()> {
    let root = base.join(format!("s{number}/q"));
    fs::create_dir_all(root.join("d/f"))?;
    fs::create_dir(root.join("e"))?;
    // Equal bytes in all of them, so that they share what is stored.
    fs::write(root.join("a"), text::bytes(0, 0, 600))?;
    fs::write(root.join("b"), text::bytes(number, 9, 5000))?;
    fs::write(root.join("d/b"), text::bytes(number, 10, 10))?;
    fs::write(root.join("d/f/a"), "")?;
    fs::set_permissions(root.join("d/b"), fs::Permissions::from_mode(0o600))?;
    fs::hard_link(root.join("a"), root.join("d/a"))?;
    symlink("a", root.join("l"))?;
    for name in ["a", "b", "d/b", "d/f/a", "l", "d/f", "d", "e", ".", ".."] {
        let path = root.join(name);
        if let Some(user) = user
            && name != "l"
        {
            chown(&path, Some(user), Some(user))?;
        }
        let path = path.to_str().context("a path that is no text")?;
        let set = sys::utimens(path, Some(TIME_S), Some(TIME_S), name == "..");
        set.map_err(|errno| anyhow::anyhow!("{path}: {}", text::errno(errno)))?;
    }
    if let Some(user) = user {
        std::os::unix::fs::lchown(root.join("l"), Some(user), Some(user))?;
    }
    Ok(())
}

/// A line for each file below `path`: everything but the time of the last read.
pub fn fingerprint(path: &Path) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    let mut todo = vec![path.to_path_buf()];
    while let Some(path) = todo.pop() {
        let stat = fs::symlink_metadata(&path)?;
        lines.push(format!(
            "{} {:o} {} {} {} {} {}.{} {}.{}",
            path.display(),
            stat.mode(),
            stat.ino(),
            stat.nlink(),
            stat.uid(),
            stat.size(),
            stat.mtime(),
            stat.mtime_nsec(),
            stat.ctime(),
            stat.ctime_nsec()
        ));
        if stat.is_dir() {
            for entry in fs::read_dir(&path)? {
                todo.push(entry?.path());
            }
        }
    }
    lines.sort();
    Ok(lines)
}
