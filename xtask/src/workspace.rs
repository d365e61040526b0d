//! Where things are: the checkout, cargo's target folder, the binaries, the Rust files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// What makes up an installation, as named in the release folder.
pub const PROGRAMS: [&str; 2] = ["vrift", "vriftd"];
/// Started by the daemon, which looks for them beside itself and in `../lib/vrift`.
pub const SERVICES: [&str; 4] = ["vrift-identityd", "vrift-keystored", "vrift-timed", "vrift-updated"];
pub const SHIM: &str = "libvrift_shim.so";

/// The root of the checkout.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// Cargo's target folder, also when the user moved it.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// The folder of the optimised binaries.
pub fn release() -> PathBuf {
    target().join("release")
}

/// All Rust files of the checkout, relative to its root, sorted.
pub fn rust_files() -> Result<Vec<PathBuf>> {
    let root = root();
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let entry = entry?;
            let name = entry.file_name();
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                let skipped = name.to_string_lossy().starts_with('.') || (folder == root && name == "target");
                if !skipped {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path.strip_prefix(&root)?.to_path_buf());
            }
        }
    }
    files.sort();
    Ok(files)
}
