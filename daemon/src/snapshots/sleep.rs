//! From a root to a workspace that processes can be in, when somebody first enters it.

use super::model::{Asleep, Deferred};
use super::objects::fetch;
use crate::daemon::Daemon;
use crate::namespace::{Namespaces, Places, Workspace, errno_of};
use crate::record::Record;
use nix::errno::Errno;
use statefs_journal::Store;
use std::collections::HashMap;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::PoisonError;
use vrift_manifest::{Index, Params};

/// Makes a workspace's index if it has none. The caller does not hold its turn.
pub fn wake(daemon: &Daemon, id: u32) -> Result<(), Errno> {
    let turn = daemon.turn(id);
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(asleep) = daemon.spaces().asleep.get(&id).cloned() else { return Ok(()) };
    let path = daemon.folders.index_path(id);
    let workspace = load(&daemon.store, &asleep, daemon.folders.home(), &path).map_err(|error| {
        tracing::error!(workspace = id, %error, "a tree cannot be read");
        errno_of(&error)
    })?;
    crate::recover::make_counters(&daemon.folders.workspace_runtime(id)).map_err(|error| errno_of(&error))?;
    daemon.watch_staging(id)?;
    super::nodes::make_all_missing(&daemon.folders, id, &workspace.index);
    let mut spaces = daemon.spaces();
    if spaces.asleep.remove(&id).is_some() {
        spaces.workspaces.insert(id, workspace);
    }
    Ok(())
}

/// A workspace from its root, its index shown at `path`.
pub fn load(store: &Store, asleep: &Asleep, home: &Path, path: &Path) -> io::Result<Workspace> {
    if let Some(dir) = path.parent() {
        crate::folders::make_private(dir)?;
    }
    let root = &asleep.root.entry.attr;
    let params = Params {
        view: &asleep.view,
        home: home.as_os_str().as_bytes(),
        workspace: asleep.id,
        root_mode: root.mode & 0o7777,
        root_uid: root.uid,
        root_gid: root.gid,
        root_time_ns: root.mtime_ns,
    };
    let mut loaded = Index::load_tree(path, &params, &asleep.root, &mut |address| fetch(store, address))?;
    let mut xattrs = crate::xattrs::Xattrs::default();
    for (vnode, all) in std::mem::take(&mut loaded.xattrs) {
        for (name, value) in &all {
            xattrs.set(vnode, name, Some(value));
        }
        let noted = loaded.index.note_xattrs(vnode, true, None);
        noted.map_err(|_| io::Error::other("extended attributes of nothing"))?;
    }
    loaded.publish()?;
    Ok(Workspace {
        id: asleep.id,
        name: asleep.name.clone(),
        view: asleep.view.clone(),
        index: loaded.index,
        base: Some(asleep.base),
        origin: asleep.origin,
        snapshot: asleep.snapshot,
        xattrs,
        tree: loaded.cache,
        staged: HashMap::new(),
        runs: HashMap::new(),
        changes: 0,
    })
}

/// After the journal was read: what followed on a root is applied; what processes had mapped is there again. What cannot
/// be read is noted as such.
pub fn load_all(store: &Store, spaces: &mut Namespaces, places: &dyn Places) {
    for (id, deferred) in std::mem::take(&mut spaces.deferred) {
        if deferred.changes.is_empty() && !places.published_path(id).exists() {
            spaces.asleep.insert(id, deferred.asleep);
        } else if let Err(error) = load_deferred(store, spaces, &deferred, places) {
            spaces.unreadable.insert(id, (deferred.asleep.name, error.to_string()));
        }
    }
    let mapped: Vec<u32> =
        spaces.asleep.keys().copied().filter(|id| places.published_path(*id).exists()).collect();
    for id in mapped {
        let Some(asleep) = spaces.asleep.get(&id) else { continue };
        // One that cannot be read is found to be so by who enters it.
        if let Ok(workspace) = load(store, asleep, places.home(), &places.index_path(id)) {
            spaces.asleep.remove(&id);
            spaces.workspaces.insert(id, workspace);
        }
    }
}

fn load_deferred(
    store: &Store,
    spaces: &mut Namespaces,
    deferred: &Deferred,
    places: &dyn Places,
) -> io::Result<()> {
    let id = deferred.asleep.id;
    let mut workspace = load(store, &deferred.asleep, places.home(), &places.index_path(id))?;
    for (origin, kind, payload) in &deferred.changes {
        let record = Record::decode(*kind, payload).map_err(io::Error::other)?;
        if let Record::Change { change, .. } = record
            && let Ok(applied) = workspace.apply(&change)
        {
            spaces.note_answer(*origin, &change, &applied);
        }
    }
    spaces.workspaces.insert(id, workspace);
    Ok(())
}
