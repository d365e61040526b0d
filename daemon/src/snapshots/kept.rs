//! What snapshots, and forks that nobody entered, hold: for the check of the store.

use super::objects::fetch;
use crate::namespace::Namespaces;
use statefs_journal::{BlobHash, Store};
use std::collections::HashSet;
use vrift_manifest::Content;
use vrift_manifest::tree::{Address, visit};

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

/// A tree to be looked into.
pub struct Tree {
    owner: String,
    view: Vec<u8>,
    root: Address,
}

/// Calls `each` with every blob, once for each place in a directory of which there are not several the same. What is
/// below a directory that cannot be read is unknown. Reads as much as there is: the caller holds no lock.
pub fn each(store: &Store, trees: &[Tree], each: &mut dyn FnMut(&Kept<'_>)) {
    let mut seen: HashSet<Address> = HashSet::new();
    for Tree { owner, view, root } in trees {
        let mut due: Vec<(Vec<u8>, Address)> = vec![(Vec::new(), *root)];
        while let Some((path, address)) = due.pop() {
            if !seen.insert(address) {
                continue;
            }
            each(&Kept { owner, view, path: &path, hash: BlobHash(address) });
            let Ok(object) = fetch(store, &address) else { continue };
            let _what_follows_is_unknown = visit(&object, &mut |entry| {
                let path = if path.is_empty() {
                    entry.name.to_vec()
                } else {
                    [&path, &b"/"[..], entry.name].concat()
                };
                match (entry.attr.content, entry.object) {
                    (Content::Sealed(hash), _) => {
                        each(&Kept { owner, view, path: &path, hash: BlobHash(hash) });
                    }
                    (_, Some(object)) => due.push((path, object)),
                    _ => {}
                }
                Ok(())
            });
        }
    }
}

/// The trees of all snapshots and of forks that nobody entered.
pub fn trees(spaces: &Namespaces) -> Vec<Tree> {
    let view = |id: u32| {
        let awake = spaces.workspaces.get(&id).map(|workspace| &workspace.view);
        awake.or_else(|| spaces.asleep.get(&id).map(|asleep| &asleep.view)).cloned().unwrap_or_default()
    };
    let snapshots = spaces.snapshots.values().map(|it| Tree {
        owner: format!("{}@{}", spaces.name_of(it.workspace).unwrap_or_default(), it.number),
        view: view(it.workspace),
        root: it.root.address(),
    });
    let asleep = spaces.asleep.values().map(|asleep| Tree {
        owner: asleep.name.clone(),
        view: asleep.view.clone(),
        root: asleep.root.address(),
    });
    snapshots.chain(asleep).collect()
}
