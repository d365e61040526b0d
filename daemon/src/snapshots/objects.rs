//! Directory objects in the store.

use crate::daemon::Daemon;
use crate::namespace::Workspace;
use statefs_journal::{BlobHash, Store};
use std::collections::{HashMap, HashSet};
use std::io;
use vrift_manifest::VnodeNo;
use vrift_manifest::tree::{Address, Facts, Frozen, Xattrs, visit};

/// Reads an object.
pub fn fetch(store: &Store, address: &Address) -> io::Result<Vec<u8>> {
    store.read_blob_vec(&BlobHash(*address)).map_err(io::Error::other)
}

/// What sealing a workspace's tree asks for; objects go to the store.
pub struct InStore<'a> {
    pub store: &'a Store,
    pub xattrs: &'a crate::xattrs::Xattrs,
    pub frozen: &'a HashMap<u64, Frozen>,
}

impl Facts for InStore<'_> {
    fn xattrs(&self, vnode: VnodeNo) -> Option<&Xattrs> {
        self.xattrs.of(vnode)
    }

    fn frozen(&self, vnode: VnodeNo) -> Option<Frozen> {
        self.frozen.get(&vnode.0).copied()
    }

    fn put(&mut self, object: &[u8]) -> io::Result<Address> {
        let hash = BlobHash::of(object);
        match self.store.put_blob(&hash, object) {
            Ok(_) => {
                // The cache relies on it from now on.
                self.store.note_use(&hash);
                Ok(hash.0)
            }
            Err(error) if error.is_no_space() => Err(io::Error::from_raw_os_error(libc::ENOSPC)),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

/// Objects that were looked into already.
#[derive(Default)]
pub struct Marked(HashSet<Address>);

/// Everything that snapshots, sleeping workspaces and the caches of the others rely on.
///
/// # Errors
/// An object that cannot be read: then nobody knows what it refers to. Interrupted: `goes_on`, which gets how much was found
/// so far, ended it.
pub fn mark(
    daemon: &Daemon,
    marked: &mut Marked,
    live: &mut HashSet<BlobHash>,
    goes_on: &dyn Fn(usize) -> bool,
) -> io::Result<()> {
    let mut due: Vec<(String, Address)> = {
        let spaces = daemon.spaces();
        let cached = spaces.workspaces.values().flat_map(|workspace: &Workspace| workspace.tree.addresses());
        live.extend(cached.map(|address| BlobHash(*address)));
        let snapshots = spaces.snapshots.values().map(|it| {
            (format!("{}@{}", spaces.name_of(it.workspace).unwrap_or_default(), it.number), it.root.address())
        });
        let asleep = spaces.asleep.values().map(|it| (it.name.clone(), it.root.address()));
        let journal = spaces.journal_roots.iter().map(|root| ("the journal".to_string(), *root));
        snapshots.chain(asleep).chain(journal).collect()
    };
    while let Some((owner, address)) = due.pop() {
        if !marked.0.insert(address) {
            continue;
        }
        if !goes_on(live.len()) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        live.insert(BlobHash(address));
        let read = fetch(&daemon.store, &address).and_then(|object| {
            visit(&object, &mut |entry| {
                due.extend(entry.object.map(|object| (owner.clone(), object)));
                if let vrift_manifest::Content::Sealed(hash) = entry.attr.content {
                    live.insert(BlobHash(hash));
                }
                Ok(())
            })
        });
        read.map_err(|error| io::Error::other(format!("a directory of {owner} cannot be read: {error}")))?;
    }
    Ok(())
}
