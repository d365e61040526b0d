//! What the state folder's file system can do, tried out on a file.

use super::{check, file_system};
use nix::unistd::{Whence, lseek64};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use vrift_protocol::admin::Check;

/// The file that is tried: data, then a hole of this size.
const HOLE_LEN: u64 = 1 << 20;

/// Long names, attributes, holes and times: what a file system lacks is said with what follows from it.
pub fn features(home: &Path) -> Check {
    let path = home.join(format!(".doctor-{}", std::process::id()));
    let tried = try_out(&path);
    let _ = fs::remove_file(&path);
    let name = "file system";
    match tried {
        Err(error) => check(name, false, format!("cannot be tried: {error}"), "look at its mount options"),
        Ok(lacks) if lacks.is_empty() => {
            let detail = format!("{}: holes, attributes, times to the nanosecond", file_system(home));
            check(name, true, detail, "")
        }
        Ok(lacks) => {
            let detail = format!("{}: {}", file_system(home), lacks.join("; "));
            let remedy = Some("set VRIFT_HOME to a folder on ext4, xfs, btrfs or tmpfs".to_string());
            Check { name: name.into(), ok: true, detail, remedy }
        }
    }
}

fn try_out(path: &Path) -> std::io::Result<Vec<&'static str>> {
    let mut lacks = Vec::new();
    let mut file = File::options().read(true).write(true).create_new(true).open(path)?;
    file.write_all(b"x")?;
    file.set_len(HOLE_LEN)?;
    let hole = lseek64(&file, 0, Whence::SeekHole)?;
    if hole.cast_unsigned() >= HOLE_LEN || file.metadata()?.blocks() * 512 >= HOLE_LEN {
        lacks.push("no holes (sparse files take their whole size)");
    }
    if xattr::set(path, "user.vrift", b"x").is_err() {
        lacks.push("no extended attributes");
    }
    let time = std::time::UNIX_EPOCH + std::time::Duration::new(1_600_000_000, 123_456_789);
    file.set_modified(time)?;
    if file.metadata()?.mtime_nsec() != 123_456_789 {
        lacks.push("no times to the nanosecond");
    }
    file.sync_all()?;
    Ok(lacks)
}
