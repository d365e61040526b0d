//! What snapshots, and forks that nobody entered, hold: for the check of the store.

use super::objects::fetch;
use crate::namespace::Namespaces;
use statefs_journal::{BlobHash, Store};
use std::collections::HashSet;
use vrift_manifest::Content;
use vrift_manifest::tree::{Address, TreeRoot, visit};

/// A blob of a tree.
pub struct Kept<'a> {
    /// `W@SNAP`, or the name of a fork.
    pub owner: &'a str,
    /// Absolute path at which the workspace is seen.
    pub view: &'a [u8],
    /// Relative to the view.
    pub path: &'a [u8],
    pub hash: BlobHash,
}

/// Calls `each` with every blob, once for each place in a directory of which there are not several the same. What is
/// below a directory that cannot be read is unknown.
pub fn each(store: &Store, spaces: &Namespaces, each: &mut dyn FnMut(&Kept<'_>)) {
    let mut seen: HashSet<Address> = HashSet::new();
    for (owner, view, root) in owners(spaces) {
        let mut due: Vec<(Vec<u8>, Address)> = vec![(Vec::new(), root.address())];
        while let Some((path, address)) = due.pop() {
            if !seen.insert(address) {
                continue;
            }
            each(&Kept { owner: &owner, view, path: &path, hash: BlobHash(address) });
            let Ok(object) = fetch(store, &address) else { continue };
            let _what_follows_is_unknown = visit(&object, &mut |entry| {
                let path = if path.is_empty() {
                    entry.name.to_vec()
                } else {
                    [&path, &b"/"[..], entry.name].concat()
                };
                match (entry.attr.content, entry.object) {
                    (Content::Sealed(hash), _) => {
                        each(&Kept { owner: &owner, view, path: &path, hash: BlobHash(hash) });
                    }
                    (_, Some(object)) => due.push((path, object)),
                    _ => {}
                }
                Ok(())
            });
        }
    }
}

fn owners(spaces: &Namespaces) -> Vec<(String, &[u8], &TreeRoot)> {
    let view = |id: u32| -> &[u8] {
        let awake = spaces.workspaces.get(&id).map(|workspace| &workspace.view);
        awake.or_else(|| spaces.asleep.get(&id).map(|asleep| &asleep.view)).map_or(&[], Vec::as_slice)
    };
    let snapshots = spaces.snapshots.values().map(|it| {
        let name = spaces.name_of(it.workspace).unwrap_or_default();
        (format!("{name}@{}", it.number), view(it.workspace), &it.root)
    });
    let asleep = spaces.asleep.values().map(|asleep| (asleep.name.clone(), &asleep.view[..], &asleep.root));
    snapshots.chain(asleep).collect()
}
