//! One idea a file: a file that grows past the limit has two.

use std::fs;

use anyhow::Result;

use crate::workspace;

const LINES_MAX: usize = 499;

pub fn broken() -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for file in workspace::rust_files()? {
        let lines = fs::read_to_string(workspace::root().join(&file))?.lines().count();
        if lines > LINES_MAX {
            broken.push(format!("{} has {lines} lines", file.display()));
        }
    }
    Ok(broken)
}
