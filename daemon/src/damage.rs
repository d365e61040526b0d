//! Blobs whose bytes have gone bad: which paths they belong to, and where the right bytes still are.

use crate::namespace::{Namespaces, Workspace};
use crate::snapshots::kept;
use crate::walk::os;
use statefs_journal::{BlobHash, Store};
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use vrift_cas::{SparseReader, hash_file};
use vrift_protocol::admin::{Flaw, PathBytes};

/// Paths that are named for one blob.
const PATHS_MAX: usize = 16;

/// Where a blob lies in the hot tier, whether it does or not.
fn hot_path(home: &Path, hash: &BlobHash) -> PathBuf {
    let name = hash.to_string();
    home.join("hot").join(&name[..2]).join(name)
}

/// A path of a workspace that has some content.
struct Owner {
    workspace: String,
    /// Relative to the view.
    path: Vec<u8>,
    /// In the real directory, which may hold the same bytes.
    real: PathBuf,
}

impl Owner {
    fn name(&self) -> PathBytes {
        PathBytes([self.workspace.as_bytes(), b":", self.path.as_slice()].concat())
    }
}

fn real(view: &[u8], path: &[u8]) -> PathBuf {
    Path::new(os(view)).join(os(path.strip_prefix(b"/").unwrap_or(path)))
}

fn owners(spaces: &Namespaces, hash: &BlobHash) -> Vec<Owner> {
    let mut found = Vec::new();
    for workspace in spaces.workspaces.values() {
        workspace.index.vnodes(&mut |vnode| {
            if found.len() < PATHS_MAX && workspace.sealed_hash(vnode) == Some(hash.0) {
                let path = workspace.index.path_of(vnode).unwrap_or_default();
                let real = real(&workspace.view, &path);
                found.push(Owner { workspace: workspace.name.clone(), path, real });
            }
        });
    }
    found
}

/// The file at `path`, if it has the right bytes.
fn file_with(path: &Path, hash: &BlobHash, len_bytes: u64) -> Option<File> {
    let file = File::open(path).ok()?;
    if !file.metadata().is_ok_and(|meta| meta.is_file() && meta.len() == len_bytes) {
        return None;
    }
    hash_file(&file, 0).is_ok_and(|(found, _)| found == *hash).then_some(file)
}

/// Whose content a damaged blob is.
pub struct Hit {
    owners: Vec<Owner>,
    paths: Vec<PathBytes>,
    /// Workspaces and their base tables.
    tables: Vec<(String, BlobHash)>,
}

/// Looks for the paths of a damaged blob in workspaces.
pub fn hit(spaces: &Namespaces, hash: &BlobHash) -> Hit {
    let owners = owners(spaces, hash);
    let paths = owners.iter().map(Owner::name).collect();
    Hit { owners, paths, tables: tables(spaces) }
}

impl Hit {
    /// Looks for them in snapshots and forks, too, and for tables that need it.
    pub fn and_kept(mut self, store: &Store, trees: &[kept::Tree], hash: &BlobHash) -> Hit {
        for (name, table) in &self.tables {
            if table == hash || crate::tables::needs(store, table).is_ok_and(|whole| whole == Some(*hash)) {
                self.paths.push(taken_in(name));
            }
        }
        kept::each(store, trees, &mut |kept| {
            if self.paths.len() < PATHS_MAX && kept.hash == *hash {
                let owner = Owner {
                    workspace: kept.owner.into(),
                    path: kept.path.to_vec(),
                    real: real(kept.view, kept.path),
                };
                self.paths.push(owner.name());
                self.owners.push(owner);
            }
        });
        self
    }
}

/// Names a damaged blob's paths; with `heals`, puts it back from the hot tier or a real file that has its bytes. Reads
/// and writes as much as it is long: the caller holds no lock.
pub fn judge(store: &Store, home: &Path, hit: Hit, hash: &BlobHash, heals: bool) -> Flaw {
    let Hit { owners, paths, .. } = hit;
    let len_bytes = store.blob_len(hash).unwrap_or(0);
    let hot = hot_path(home, hash);
    let sources = std::iter::once(&hot).chain(owners.iter().map(|owner| &owner.real));
    let mut flaw = Flaw {
        what: format!("blob {hash} of {len_bytes} bytes is damaged"),
        remedy: None,
        repaired: false,
        paths,
    };
    for source in sources {
        let Some(file) = file_with(source, hash, len_bytes) else { continue };
        flaw.remedy = Some(format!("{} has its bytes", source.display()));
        if heals {
            let healed = SparseReader::new(&file, 0)
                .map_err(|error| error.to_string())
                .and_then(|mut bytes| store.heal_blob(hash, &mut bytes).map_err(|error| error.to_string()));
            match healed {
                Ok(()) => flaw.repaired = true,
                Err(error) => flaw.remedy = Some(format!("it cannot be written again: {error}")),
            }
        }
        break;
    }
    flaw
}

/// Content that workspaces refer to and the store does not have, with paths.
pub fn unstored(store: &Store, spaces: &Namespaces) -> HashMap<BlobHash, Vec<PathBytes>> {
    let mut missing: HashMap<BlobHash, Vec<PathBytes>> = HashMap::new();
    for workspace in spaces.workspaces.values() {
        let mut note = |hash: BlobHash, path: &dyn Fn() -> Vec<u8>| {
            if store.has_blob(&hash) {
                return;
            }
            let paths = missing.entry(hash).or_default();
            if paths.len() < PATHS_MAX {
                paths.push(PathBytes([workspace.name.as_bytes(), b":", path().as_slice()].concat()));
            }
        };
        workspace.index.vnodes(&mut |vnode| {
            if let Some(hash) = workspace.sealed_hash(vnode) {
                note(BlobHash(hash), &|| workspace.index.path_of(vnode).unwrap_or_default());
            }
        });
    }
    missing
}

/// The tables of what workspaces took in.
pub fn tables(spaces: &Namespaces) -> Vec<(String, BlobHash)> {
    let table = |workspace: &Workspace| Some((workspace.name.clone(), BlobHash(workspace.base?)));
    let awake = spaces.workspaces.values().filter_map(table);
    let asleep = spaces.asleep.values().map(|asleep| (asleep.name.clone(), BlobHash(asleep.base)));
    awake.chain(asleep).collect()
}

/// As [`unstored`], of tables and the whole ones that they need.
pub fn unstored_tables(store: &Store, tables: &[(String, BlobHash)]) -> HashMap<BlobHash, Vec<PathBytes>> {
    let mut missing = HashMap::new();
    for (name, table) in tables {
        // One that cannot be read is damaged, and named as such.
        let whole = crate::tables::needs(store, table).ok().flatten();
        for hash in std::iter::once(*table).chain(whole).filter(|hash| !store.has_blob(hash)) {
            missing.insert(hash, vec![taken_in(name)]);
        }
    }
    missing
}

fn taken_in(workspace: &str) -> PathBytes {
    PathBytes(format!("{workspace}: what it took in last").into_bytes())
}

/// As [`unstored`], of snapshots and forks.
pub fn unstored_kept(store: &Store, trees: &[kept::Tree]) -> HashMap<BlobHash, Vec<PathBytes>> {
    let mut missing: HashMap<BlobHash, Vec<PathBytes>> = HashMap::new();
    kept::each(store, trees, &mut |kept| {
        if !store.has_blob(&kept.hash) {
            let paths = missing.entry(kept.hash).or_default();
            if paths.len() < PATHS_MAX {
                paths.push(PathBytes([kept.owner.as_bytes(), b":", kept.path].concat()));
            }
        }
    });
    missing
}

/// Those that the hot tier does not have either, nor by now the store.
pub fn missing(store: &Store, home: &Path, unstored: HashMap<BlobHash, Vec<PathBytes>>) -> Vec<Flaw> {
    let flaw = |(hash, paths): (BlobHash, Vec<PathBytes>)| Flaw {
        what: format!("content {hash} is not there"),
        remedy: None,
        repaired: false,
        paths,
    };
    let gone = |hash: &BlobHash| !hot_path(home, hash).exists() && !store.has_blob(hash);
    unstored.into_iter().filter(|(hash, _)| gone(hash)).map(flaw).collect()
}
