//! Services keep nothing but by way of the daemon: no storage in what they are built from, no way to write a file in
//! their code. That the kernel holds them to it is tested in `confine/tests`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::{process, workspace};

/// Crates that keep things, or write files for others.
const STORAGE: [&str; 16] = [
    "statefs-journal",
    "vrift-cas",
    "vrift-manifest",
    "vrift-daemon",
    "vrift-virtio-backend",
    "redb",
    "sled",
    "rusqlite",
    "libsqlite3-sys",
    "rocksdb",
    "heed",
    "lmdb",
    "fjall",
    "memmap2",
    "tempfile",
    "io-uring",
];

/// Words of code that write files, or open them by themselves. What they must read, the daemon or a library opens.
const WORDS: [&str; 22] = [
    "OpenOptions",
    "create_new",
    "fs::write",
    "fs::create_dir",
    "fs::create_dir_all",
    "fs::remove_file",
    "fs::remove_dir",
    "fs::remove_dir_all",
    "fs::rename",
    "fs::copy",
    "fs::hard_link",
    "fs::set_permissions",
    "File::create",
    "File::options",
    "fcntl::open",
    "fcntl::openat",
    "unistd::write",
    "libc::open",
    "libc::openat",
    "libc::write",
    "libc::syscall",
    "asm!",
];

pub fn broken() -> Result<Vec<String>> {
    let mut broken = Vec::new();
    let mut packages = BTreeSet::new();
    for file in workspace::rust_files()?.into_iter().filter(|file| file.starts_with("services")) {
        let text = fs::read_to_string(workspace::root().join(&file))?;
        broken.extend(writes(&file, &text));
        packages.extend(file.components().nth(1).map(|name| name.as_os_str().to_string_lossy().into_owned()));
    }
    anyhow::ensure!(!packages.is_empty(), "there are no services");
    for name in packages {
        let manifest = workspace::root().join("services").join(&name).join("Cargo.toml");
        let manifest = manifest.display().to_string();
        let tree = process::output(&mut process::cargo(&[
            "tree",
            "--locked",
            "--manifest-path",
            &manifest,
            "--edges",
            "normal,build",
            "--prefix",
            "none",
        ]))?;
        let reached: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
        broken.extend(
            STORAGE
                .iter()
                .filter(|one| reached.contains(*one))
                .map(|one| format!("services/{name} reaches {one}")),
        );
    }
    Ok(broken)
}

/// Lines that write or open files, whatever the spelling of the spaces.
fn writes(file: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code: String = line.split("//").next().unwrap_or_default().split_whitespace().collect();
        for word in WORDS.iter().filter(|word| code.contains(*word)) {
            found.push(format!("{}:{} has {word}", file.display(), number + 1));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_write_a_file_is_found() {
        for word in WORDS {
            let found =
                writes(Path::new("services/x/src/main.rs"), &format!("fn f() {{\n    {word}(\"/x\");\n}}"));
            assert!(!found.is_empty(), "{word}");
        }
        assert!(writes(Path::new("x"), "// fs::write\nlet file = File::open(path);").is_empty());
    }
}
