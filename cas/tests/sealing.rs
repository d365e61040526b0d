//! From staging to hot tier to store.

mod sys;

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use statefs_journal::layout::DEVICE_LEN_MIN_BYTES;
use statefs_journal::{FormatOptions, MemDevice, Store};
use vrift_cas::{
    Access, BlobHash, Cas, CasError, CommitOutcome, LeaseSupport, PrepareOutcome, Prepared, SealOutcome,
    Sealed,
};

const WS: u32 = 1;

fn store(max_len_bytes: u64) -> (Arc<MemDevice>, Arc<Store>) {
    let dev = Arc::new(MemDevice::new(0, max_len_bytes));
    Store::format(&*dev, &FormatOptions::default()).unwrap();
    (dev.clone(), Arc::new(Store::open(dev, &mut |_| Ok(())).unwrap()))
}

fn cas_with(home: &Path, store: Arc<Store>) -> Cas {
    let cas = Cas::open(home, store).unwrap();
    assert_eq!(*cas.lease_support(), LeaseSupport::Works, "these tests need leases");
    cas.ensure_staging_dir(WS).unwrap();
    cas
}

fn cas(home: &Path) -> Cas {
    cas_with(home, store(1 << 30).1)
}

fn stage(cas: &Cas, vnode: u64, bytes: &[u8]) {
    cas.create_staging(WS, vnode).unwrap().write_all(bytes).unwrap();
}

fn sealed(cas: &Cas, vnode: u64) -> Sealed {
    match cas.seal(WS, vnode).unwrap() {
        SealOutcome::Sealed(sealed) => sealed,
        other => panic!("{other:?}"),
    }
}

fn prepared(cas: &Cas, vnode: u64) -> Prepared<'_> {
    match cas.prepare_seal(WS, vnode).unwrap() {
        PrepareOutcome::Prepared(prepared) => prepared,
        _ => panic!("not prepared"),
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn read(mut file: File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn folders_are_private_and_tmp_is_emptied() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("tmp")).unwrap();
    fs::write(home.path().join("tmp/half"), b"x").unwrap();
    let _cas = cas(home.path());
    for folder in ["hot", "staging", "tmp", "staging/00000001"] {
        assert_eq!(mode(&home.path().join(folder)), 0o700, "{folder}");
    }
    assert_eq!(fs::read_dir(home.path().join("tmp")).unwrap().count(), 0);
}

#[test]
fn adoption_keeps_the_inode_and_makes_it_read_only() {
    let home = tempfile::tempdir().unwrap();
    let cas = cas(home.path());
    stage(&cas, 1, b"hello");
    let before = fs::metadata(cas.staging_path(WS, 1)).unwrap();
    let done = sealed(&cas, 1);
    assert_eq!((done.hash, done.size_bytes, done.adopted), (BlobHash::of(b"hello"), 5, true));
    assert_eq!(done.mtime_ns, before.mtime() * 1_000_000_000 + before.mtime_nsec());
    let hot = cas.hot_path(&done.hash);
    assert_eq!(before.ino(), fs::metadata(&hot).unwrap().ino());
    assert_eq!(mode(&hot), 0o555);
    assert!(matches!(cas.seal(WS, 1).unwrap(), SealOutcome::Gone));
}

#[test]
fn two_equal_files_are_one_hot_inode_and_one_blob() {
    let home = tempfile::tempdir().unwrap();
    let cas = cas(home.path());
    stage(&cas, 1, b"same");
    stage(&cas, 2, b"same");
    let first = sealed(&cas, 1);
    let inode = fs::metadata(cas.hot_path(&first.hash)).unwrap().ino();
    assert_eq!(sealed(&cas, 2).hash, first.hash);
    assert_eq!(fs::metadata(cas.hot_path(&first.hash)).unwrap().ino(), inode);
    assert!(cas.list_staging(WS).unwrap().is_empty());
    assert_eq!(cas.pending(), 1);
    assert_eq!(cas.flush().unwrap(), 1);
    assert_eq!((cas.pending(), cas.flush().unwrap(), cas.store().stats().blobs), (0, 0, 1));
    assert!(!cas.ingest_bytes(b"same").unwrap().new);
}

#[test]
fn eight_threads_seal_equal_content_into_one_file() {
    let home = tempfile::tempdir().unwrap();
    let cas = cas(home.path());
    for round in 0..10 {
        let content = vec![round; 300_000];
        (0..8).for_each(|vnode| stage(&cas, vnode, &content));
        std::thread::scope(|scope| {
            for vnode in 0..8 {
                let (cas, content) = (&cas, &content);
                scope.spawn(move || assert_eq!(sealed(cas, vnode).hash, BlobHash::of(content)));
            }
        });
        let hot = cas.hot_path(&BlobHash::of(&content));
        assert_eq!(fs::read(&hot).unwrap(), content);
        assert_eq!(mode(&hot), 0o555);
    }
    assert_eq!(cas.flush().unwrap(), 10);
    assert!(cas.list_staging(WS).unwrap().is_empty());
}

#[test]
fn a_writer_of_any_kind_keeps_the_file_staged() {
    let home = tempfile::tempdir().unwrap();
    let cas = cas(home.path());
    let mut file = cas.create_staging(WS, 1).unwrap();
    file.write_all(&[1; 4096]).unwrap();
    assert!(matches!(cas.seal(WS, 1).unwrap(), SealOutcome::Busy), "open for writing");
    let duplicate = file.try_clone().unwrap();
    drop(file);
    assert!(matches!(cas.seal(WS, 1).unwrap(), SealOutcome::Busy), "a dup");
    let map = sys::SharedPage::of(&duplicate);
    drop(duplicate);
    assert!(matches!(cas.seal(WS, 1).unwrap(), SealOutcome::Busy), "a shared mapping without descriptor");
    drop(map);
    let reader = File::open(cas.staging_path(WS, 1)).unwrap();
    assert_eq!(sealed(&cas, 1).hash, BlobHash::of(&[1; 4096]), "readers do not matter");
    drop(reader);
}

#[test]
fn a_writer_between_prepare_and_commit_makes_it_busy_and_kills_nobody() {
    let home = tempfile::tempdir().unwrap();
    let cas = cas(home.path());
    stage(&cas, 1, b"draft");
    let seal = prepared(&cas, 1);
    assert_eq!(seal.sealed().hash, BlobHash::of(b"draft"));
    // The kernel sends SIGIO for this; its default action would end this process.
    let tried = cas.open_staging(WS, 1, Access::ReadWrite);
    assert!(matches!(tried, Err(CasError::BeingSealed { .. })));
    assert!(matches!(seal.commit().unwrap(), CommitOutcome::Busy));
    assert_eq!(cas.pending(), 0);
    let mut file = cas.open_staging(WS, 1, Access::ReadWrite).unwrap().unwrap();
    file.seek(SeekFrom::End(0)).unwrap();
    file.write_all(b" two").unwrap();
    drop(file);
    assert_eq!(sealed(&cas, 1).hash, BlobHash::of(b"draft two"));
}

#[test]
fn a_waiting_writer_gets_its_file_when_the_seal_is_abandoned() {
    let home = tempfile::tempdir().unwrap();
    let cas = cas(home.path());
    stage(&cas, 1, b"draft");
    let seal = prepared(&cas, 1);
    let path = cas.staging_path(WS, 1);
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || fs::OpenOptions::new().append(true).open(path).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(50));
        seal.abandon();
        writer.join().unwrap().write_all(b"!").unwrap();
    });
    assert_eq!(sealed(&cas, 1).hash, BlobHash::of(b"draft!"));
}

#[test]
fn a_deleted_hot_tier_is_made_again_from_the_store() {
    let home = tempfile::tempdir().unwrap();
    let cas = cas(home.path());
    let bytes = vec![3; 200_000];
    stage(&cas, 1, &bytes);
    let done = sealed(&cas, 1);
    cas.flush().unwrap();
    fs::remove_dir_all(home.path().join("hot").join(&done.hash.to_string()[..2])).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(read(cas.open_blob(&done.hash).unwrap()), bytes));
        }
    });
    assert!(matches!(cas.materialise(&BlobHash([9; 32])), Err(CasError::NotFound { .. })));
    assert_eq!(fs::read_dir(home.path().join("tmp")).unwrap().count(), 0);
}

#[test]
fn a_hot_file_of_the_wrong_length_is_not_served() {
    let home = tempfile::tempdir().unwrap();
    let cas = cas(home.path());
    stage(&cas, 1, b"right");
    let done = sealed(&cas, 1);
    let path = cas.hot_path(&done.hash);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(&path, b"wrong length").unwrap();
    assert!(matches!(cas.open_blob(&done.hash), Err(CasError::HotDamaged { .. })));
    assert!(matches!(cas.flush(), Err(CasError::HotDamaged { .. })));
    assert!(matches!(cas.note_unstored(&done.hash), Err(CasError::HotDamaged { .. })));
    assert!(cas.ingest_bytes(b"right").unwrap().new);
    assert_eq!(read(cas.open_blob(&done.hash).unwrap()), b"right");
}

#[test]
fn a_blob_the_store_lost_is_put_again_from_the_hot_tier() {
    let home = tempfile::tempdir().unwrap();
    let (dev, first) = store(1 << 30);
    let before = cas_with(home.path(), first);
    stage(&before, 1, b"never flushed");
    let hash = sealed(&before, 1).hash;
    drop(before);
    let reopened = Arc::new(Store::open(Arc::new(dev.fork()), &mut |_| Ok(())).unwrap());
    let cas = cas_with(home.path(), reopened);
    assert!(matches!(cas.materialise(&hash), Err(CasError::NotFound { .. })), "nobody vouches for it yet");
    cas.note_unstored(&hash).unwrap();
    assert_eq!((cas.pending(), cas.flush().unwrap()), (1, 1));
    assert_eq!(cas.store().read_blob_vec(&hash).unwrap(), b"never flushed");
    assert!(matches!(cas.note_unstored(&BlobHash([9; 32])), Err(CasError::NotFound { .. })));
}

#[test]
fn a_staged_copy_is_writable_and_leaves_the_sealed_blob_alone() {
    let home = tempfile::tempdir().unwrap();
    let cas = cas(home.path());
    let hash = cas.ingest_bytes(b"original").unwrap().hash;
    cas.stage_copy(WS, 5, &hash).unwrap();
    assert_eq!(fs::read(cas.staging_path(WS, 5)).unwrap(), b"original");
    let mut file = cas.open_staging(WS, 5, Access::ReadWrite).unwrap().unwrap();
    file.write_all(b"ORIG").unwrap();
    drop(file);
    assert_eq!(cas.list_staging(WS).unwrap(), [5]);
    assert_eq!(sealed(&cas, 5).hash, BlobHash::of(b"ORIGinal"));
    assert_eq!(fs::read(cas.materialise(&hash).unwrap()).unwrap(), b"original");
    assert!(cas.open_staging(WS, 5, Access::Read).unwrap().is_none());
}

#[test]
fn files_of_every_length_are_ingested_from_several_threads() {
    let home = tempfile::tempdir().unwrap();
    let cas = cas(home.path());
    let lens = [0, 1, 4096, 70_000, 8 << 20, (8 << 20) + 1, 9_000_000];
    std::thread::scope(|scope| {
        for (i, len) in lens.into_iter().enumerate() {
            let (cas, path) = (&cas, home.path().join(format!("source{i}")));
            scope.spawn(move || {
                let bytes = vec![u8::try_from(i).unwrap() + 1; len];
                fs::write(&path, &bytes).unwrap();
                for (hint, new) in [(len as u64, true), (0, false)] {
                    let got = cas.ingest(&File::open(&path).unwrap(), hint).unwrap();
                    assert_eq!((got.hash, got.len_bytes, got.new), (BlobHash::of(&bytes), len as u64, new));
                }
                assert_eq!(cas.store().read_blob_vec(&BlobHash::of(&bytes)).unwrap(), bytes);
            });
        }
    });
}

#[test]
fn a_full_store_is_told_by_type_and_the_blob_stays_pending() {
    let home = tempfile::tempdir().unwrap();
    let cas = cas_with(home.path(), store(DEVICE_LEN_MIN_BYTES + (1 << 20)).1);
    stage(&cas, 1, &vec![1; 20 << 20]);
    let done = sealed(&cas, 1);
    assert!(matches!(cas.flush(), Err(CasError::NoSpace { .. })));
    assert_eq!(cas.pending(), 1);
    assert_eq!(cas.open_blob(&done.hash).unwrap().metadata().unwrap().len(), 20 << 20);
}
