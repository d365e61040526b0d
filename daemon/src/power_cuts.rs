//! Tests: what power cuts leave that take the state folder as well, so that only the store's device knows anything.

use crate::clock::Clock;
use crate::daemon::Daemon;
use crate::folders::Folders;
use crate::namespace::Namespaces;
use crate::place::Place;
use crate::record::{Change, NewWorkspace, Origin, Record};
use crate::seal::SealOutcome;
use crate::{damage, recover};
use statefs_journal::device::FaultDevice;
use statefs_journal::{BlockDevice, FormatOptions, MemDevice, Store};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use vrift_cas::{BlobHash, Cas};
use vrift_manifest::{Content, NewVnode, ROOT, VnodeNo};
use vrift_protocol::names;

const ID: u32 = 1;
const DEVICE_MAX_BYTES: u64 = 256 << 20;

fn folders(dir: &Path) -> Folders {
    for name in [names::HOT_DIR, names::STAGING_DIR, names::MIRROR_DIR, names::WORKTREE_DIR, names::TMP_DIR] {
        fs::create_dir_all(dir.join("home").join(name)).unwrap();
    }
    for name in ["w", names::SOCKETS_DIR, names::WATCHES_DIR] {
        fs::create_dir_all(dir.join("run").join(name)).unwrap();
    }
    let store = Place::Path(dir.join("home"));
    Folders { home: dir.join("home"), runtime: dir.join("run"), store }
}

/// A daemon's inside, with a folder of its own.
fn start(device: Arc<dyn BlockDevice>, dir: &TempDir) -> Daemon {
    let folders = folders(dir.path());
    let (store, mut spaces) = recover::replay_store(device, &folders).unwrap();
    let cas = Cas::open(&folders.home, Arc::clone(&store)).unwrap();
    recover::take_over(&folders, &store, &cas, &mut spaces).unwrap();
    recover::publish(&folders, &mut spaces).unwrap();
    let clock = Clock::open(&folders.in_home(names::SCRATCH_FILE)).unwrap();
    let (config, policy) = (crate::config::read(&folders.home), crate::policy::read(&folders.home));
    let mut daemon =
        Daemon::new(folders, store, cas, clock, spaces, config.unwrap(), policy.unwrap()).unwrap();
    daemon.store_is_elsewhere = true;
    daemon
}

/// A store with one empty workspace, all of it durable.
fn device() -> Arc<FaultDevice> {
    let device = Arc::new(FaultDevice::new(DEVICE_MAX_BYTES));
    Store::format(&*device, &FormatOptions::default()).unwrap();
    let store = Store::open(Arc::clone(&device) as Arc<dyn BlockDevice>, &mut |_| Ok(())).unwrap();
    let base = BlobHash::of(b"base");
    store.put_blob(&base, b"base").unwrap();
    let new = NewWorkspace {
        id: ID,
        name: b"w",
        view: b"/w",
        root_mode: 0o755,
        root_uid: 0,
        root_gid: 0,
        root_time_ns: 1,
    };
    for record in [Record::Workspace(new), Record::Base { workspace: ID, hash: base.0 }] {
        let (kind, payload) = record.encode();
        store.append(kind, &payload).unwrap();
    }
    store.sync().unwrap();
    device
}

/// A new file that is being written.
fn make(daemon: &Daemon, name: &str) -> (VnodeNo, File) {
    let mut spaces = daemon.spaces();
    let vnode = spaces.get(ID).unwrap().index.next_vnode();
    let file = daemon.cas.create_staging(ID, vnode.0).unwrap();
    let new = NewVnode {
        mode: 0o100_644,
        uid: 0,
        gid: 0,
        rdev: 0,
        size: 0,
        atime_ns: 1,
        mtime_ns: 1,
        ctime_ns: 1,
        content: Content::Staged,
        target: b"",
    };
    let change = Change::Make { at: vnode, dir: ROOT, name: name.as_bytes(), new, now_ns: 1 };
    daemon.commit(&mut spaces, ID, Origin::default(), &change).unwrap();
    (vnode, file)
}

/// A closed file with these bytes.
fn written(daemon: &Daemon, name: &str, bytes: &[u8]) -> VnodeNo {
    let (vnode, mut file) = make(daemon, name);
    file.write_all(bytes).unwrap();
    vnode
}

/// Writes a sealed file, as open(2) for writing and a write would.
fn write_again(daemon: &Daemon, vnode: VnodeNo, bytes: &[u8]) -> File {
    let mut spaces = daemon.spaces();
    let attr = spaces.get(ID).unwrap().index.attr(vnode).unwrap();
    let mut file = daemon.cas.create_staging(ID, vnode.0).unwrap();
    let (mtime_ns, ctime_ns) = (attr.mtime_ns, attr.ctime_ns);
    let change =
        Change::SetContent { vnode, content: Content::Staged, size: 0, blocks: 0, mtime_ns, ctime_ns };
    daemon.commit(&mut spaces, ID, Origin::default(), &change).unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn sealed(daemon: &Daemon, vnode: VnodeNo) {
    assert_eq!(daemon.seal(ID, vnode), Ok(SealOutcome::Sealed));
}

/// What a file has; `None`: it is not there.
fn content(daemon: &Daemon, name: &str) -> Option<Vec<u8>> {
    let spaces = daemon.spaces();
    let index = &spaces.get(ID).unwrap().index;
    let attr = index.attr(index.lookup(ROOT, name.as_bytes())?)?;
    let path = match attr.content {
        Content::Sealed(hash) => daemon.cas.materialise(&BlobHash(hash)).unwrap(),
        _ => daemon.folders.staging(ID, attr.vnode.0),
    };
    Some(fs::read(path).unwrap())
}

/// The content that fsck would miss.
fn missing(device: Arc<MemDevice>) -> usize {
    let dir = TempDir::new().unwrap();
    let folders = folders(dir.path());
    let (store, spaces): (_, Namespaces) = recover::replay_store(device, &folders).unwrap();
    damage::unstored(&store, &spaces).len()
}

/// A daemon on what a cut behind the first `prefix` operations left.
fn after(device: &FaultDevice, prefix: usize, keep: &dyn Fn(usize) -> bool) -> (Daemon, TempDir) {
    assert_eq!(missing(Arc::new(device.crash_image(prefix, keep))), 0, "a cut behind operation {prefix}");
    let dir = TempDir::new().unwrap();
    (start(Arc::new(device.crash_image(prefix, keep)), &dir), dir)
}

/// Blocks that are lost alone, and kept alone, for each cut.
const SINGLES: usize = 8;

/// Cuts behind every operation from the `from`th on: with all that was not flushed, none of it, all but one block, one
/// alone.
fn each_cut(device: &FaultDevice, from: usize, check: &dyn Fn(&Daemon)) {
    let mut cuts = 0;
    for prefix in from..=device.log_len() {
        let units = device.unflushed(prefix).len();
        let mut keep: Vec<Box<dyn Fn(usize) -> bool>> = vec![Box::new(|_| true), Box::new(|_| false)];
        for one in (0..units).step_by(units / SINGLES + 1) {
            keep.push(Box::new(move |at| at != one));
            keep.push(Box::new(move |at| at == one));
        }
        for keep in keep {
            let (daemon, _dir) = after(device, prefix, &*keep);
            check(&daemon);
            cuts += 1;
        }
    }
    assert!(cuts > 10, "{cuts} cuts");
}

#[test]
fn no_cut_leaves_the_hash_of_a_sealed_file_without_its_content() {
    let device = device();
    let dir = TempDir::new().unwrap();
    let daemon = start(Arc::clone(&device) as _, &dir);
    let from = device.log_len();
    let vnode = written(&daemon, "a", b"first");
    sealed(&daemon, vnode);
    // Somebody else's: it makes all records durable.
    daemon.store.sync().unwrap();
    drop(write_again(&daemon, vnode, b"second, and longer"));
    sealed(&daemon, vnode);
    // Longer than what is gathered, and several with one record.
    for (name, len) in [("b", 100_000), ("c", 10), ("d", 5_000)] {
        written(&daemon, name, &vec![name.as_bytes()[0]; len]);
    }
    daemon.seal_all(ID).unwrap();
    daemon.store.sync().unwrap();
    drop(daemon);
    each_cut(&device, from, &|daemon| {
        let a = content(daemon, "a");
        assert!([None, Some(&b"first"[..]), Some(b"second, and longer")].contains(&a.as_deref()), "{a:?}");
        for (name, len) in [("b", 100_000), ("c", 10), ("d", 5_000)] {
            let found = content(daemon, name);
            assert!(found.is_none_or(|found| found == vec![name.as_bytes()[0]; len]), "{name}");
        }
    });
}

#[test]
fn a_checkpoint_names_no_content_that_is_not_in_the_store() {
    let device = device();
    let dir = TempDir::new().unwrap();
    let daemon = start(Arc::clone(&device) as _, &dir);
    let from = device.log_len();
    let vnode = written(&daemon, "a", b"first");
    sealed(&daemon, vnode);
    daemon.checkpoint(0).unwrap();
    drop(daemon);
    each_cut(&device, from, &|daemon| {
        assert!(content(daemon, "a").is_none_or(|found| found == b"first"));
    });
}

#[test]
fn what_fsync_acknowledged_of_an_open_file_survives_the_state_folder() {
    let device = device();
    let dir = TempDir::new().unwrap();
    let daemon = start(Arc::clone(&device) as _, &dir);
    let (vnode, mut file) = make(&daemon, "a");
    file.write_all(b"one ").unwrap();
    daemon.sync_file(ID, vnode).unwrap();
    let first = device.log_len();
    let holds = |daemon: &Daemon, least: &[&[u8]]| {
        let found = content(daemon, "a");
        assert!(least.iter().any(|bytes| found.as_deref() == Some(bytes)), "{found:?}");
    };
    // Still open, and written without being synced: a checkpoint keeps what was.
    file.write_all(b"two ").unwrap();
    daemon.checkpoint(0).unwrap();
    let second = device.log_len();
    daemon.sync_file(ID, vnode).unwrap();
    let third = device.log_len();
    drop(file);
    sealed(&daemon, vnode);
    drop(daemon);
    each_cut(&device, first, &|daemon| holds(daemon, &[b"one ", b"one two "]));
    for prefix in [first, second] {
        let (daemon, _dir) = after(&device, prefix, &|_| false);
        holds(&daemon, &[b"one "]);
    }
    for prefix in third..=device.log_len() {
        for keep in [true, false] {
            let (daemon, _dir) = after(&device, prefix, &|_| keep);
            holds(&daemon, &[b"one two "]);
        }
    }
}

#[test]
fn a_file_that_is_open_when_everything_is_synced_survives_the_state_folder() {
    let device = device();
    let dir = TempDir::new().unwrap();
    let daemon = start(Arc::clone(&device) as _, &dir);
    let vnode = written(&daemon, "a", b"before");
    sealed(&daemon, vnode);
    daemon.sync(None).unwrap();
    let file = write_again(&daemon, vnode, b"written over");
    daemon.sync(Some(ID)).unwrap();
    let (times, stat) = (daemon.spaces().get(ID).unwrap().index.attr(vnode).unwrap(), file.metadata());
    assert_eq!(
        times.mtime_ns,
        stat.as_ref().map(|stat| stat.mtime() * 1_000_000_000 + stat.mtime_nsec()).unwrap()
    );
    let (daemon, _dir) = after(&device, device.log_len(), &|_| false);
    assert_eq!(content(&daemon, "a").as_deref(), Some(&b"written over"[..]));
    let attr = daemon.spaces().get(ID).unwrap().index.attr(vnode).unwrap();
    assert_eq!((attr.size, attr.mtime_ns), (12, times.mtime_ns));
}

#[test]
fn a_writer_that_was_let_in_when_the_daemon_died_before_the_rename_loses_nothing() {
    for late in [true, false] {
        let device = device();
        let dir = TempDir::new().unwrap();
        let daemon = start(Arc::clone(&device) as _, &dir);
        let vnode = written(&daemon, "a", b"sealed");
        let path = daemon.folders.staging(ID, vnode.0);
        let beside = dir.path().join("beside");
        fs::hard_link(&path, &beside).unwrap();
        sealed(&daemon, vnode);
        drop(daemon);
        // As it was when the journal had the record.
        fs::rename(&beside, &path).unwrap();
        if late {
            File::options().append(true).open(&path).unwrap().write_all(b" and more").unwrap();
        }
        let daemon = start(Arc::new(device.killed_image()), &dir);
        let wanted: &[u8] = if late { b"sealed and more" } else { b"sealed" };
        assert_eq!(content(&daemon, "a").as_deref(), Some(wanted));
        assert_eq!(path.exists(), late, "what is sealed needs no staging file");
    }
}
