//! Hot files that can go: those of content that nothing refers to, and those that the store has, too.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use statefs_journal::BlobHash;

use crate::error::CasError;
use crate::home::{Cas, remove};

/// The names in the hot tier for one blob: its own, and those that vnodes have for it.
#[derive(Debug, Default)]
pub struct HotFile {
    pub paths: Vec<PathBuf>,
    /// Space that it takes.
    pub bytes: u64,
    /// When it was last read, as far as the file system says, in seconds since 1970.
    pub used_s: i64,
}

impl Cas {
    /// Everything in the hot tier, by blob. Names that are not ours are left out.
    ///
    /// # Errors
    /// `Io`.
    pub fn hot_files(&self) -> Result<HashMap<BlobHash, HotFile>, CasError> {
        let mut found: HashMap<BlobHash, HotFile> = HashMap::new();
        let hot = self.folder("hot");
        for folder in fs::read_dir(&hot).map_err(CasError::io("listing", &hot))? {
            let folder = folder.map_err(CasError::io("listing", &hot))?.path();
            // Not a folder, or gone meanwhile.
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries {
                let entry = entry.map_err(CasError::io("listing", &folder))?;
                let name = entry.file_name();
                let digits = name.to_str().and_then(|name| name.get(..64));
                let Some(hash) = digits.and_then(|digits| digits.parse::<BlobHash>().ok()) else { continue };
                let Ok(meta) = entry.metadata() else { continue };
                let file = found.entry(hash).or_default();
                file.paths.push(entry.path());
                // Some names share an inode, others have their own.
                file.bytes += meta.blocks() * 512 / meta.nlink().max(1);
                file.used_s = file.used_s.max(meta.atime()).max(meta.mtime());
            }
        }
        Ok(found)
    }

    /// Removes the names of a blob from the hot tier, unless they are its only copy; true if it did. Who has it open
    /// keeps it; who opens it next has it made again from the store.
    ///
    /// # Errors
    /// `Io`.
    pub fn drop_hot(&self, hash: &BlobHash, file: &HotFile) -> Result<bool, CasError> {
        if self.unstored().contains_key(hash) {
            return Ok(false);
        }
        for path in &file.paths {
            remove(path)?;
        }
        Ok(true)
    }
}
