//! Holes stay holes on the way in and out.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;

use statefs_journal::{FormatOptions, MemDevice, Store};
use vrift_cas::{BlobHash, Cas, SealOutcome, hash_file};

const GIB: u64 = 1 << 30;

fn cas(home: &std::path::Path) -> (Cas, Arc<MemDevice>) {
    let dev = Arc::new(MemDevice::new(0, 1 << 30));
    Store::format(&*dev, &FormatOptions::default()).unwrap();
    let store = Arc::new(Store::open(dev.clone(), &mut |_| Ok(())).unwrap());
    (Cas::open(home, store).unwrap(), dev)
}

/// Data at the start, in the middle, off any block, and at the end.
fn fill(file: &File, len: u64) {
    file.set_len(len).unwrap();
    file.write_all_at(b"start", 0).unwrap();
    file.write_all_at(&[7; 10_000], len / 2 + 1234).unwrap();
    file.write_all_at(b"end", len - 3).unwrap();
}

#[test]
fn a_gib_of_holes_takes_no_space_in_store_and_hot_tier() {
    let home = tempfile::tempdir().unwrap();
    let (cas, _) = cas(home.path());
    cas.ensure_staging_dir(1).unwrap();
    let file = cas.create_staging(1, 1).unwrap();
    fill(&file, GIB);
    drop(file);
    let SealOutcome::Sealed(sealed) = cas.seal(1, 1).unwrap() else { panic!("not sealed") };
    assert_eq!(sealed.size_bytes, GIB);
    assert!(sealed.blocks * 512 <= 64 << 10, "{}", sealed.blocks);
    cas.flush().unwrap();
    cas.store().sync().unwrap();
    assert!(cas.store().blob_stored_len(&sealed.hash).unwrap() < 64 << 10);
    // From the store again, with other names for the same bytes beside it.
    fs::remove_file(cas.hot_path(&sealed.hash)).unwrap();
    let path = cas.materialise(&sealed.hash).unwrap();
    let meta = path.metadata().unwrap();
    assert!(meta.len() == GIB && meta.blocks() * 512 <= 64 << 10, "{} blocks", meta.blocks());
    cas.stage_copy(1, 2, &sealed.hash).unwrap();
    let copy = cas.staging_path(1, 2).metadata().unwrap();
    assert!(copy.len() == GIB && copy.blocks() * 512 <= 64 << 10, "{} blocks", copy.blocks());
}

#[test]
fn files_with_holes_of_every_kind_are_the_same_afterwards() {
    let home = tempfile::tempdir().unwrap();
    let (cas, _) = cas(home.path());
    for (number, len) in [4096, 70_000, 9 << 20, (9 << 20) + 1, (33 << 20) + 4095].into_iter().enumerate() {
        for kind in 0..4 {
            let path = home.path().join(format!("f{number}-{kind}"));
            let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
            match kind {
                0 => file.set_len(len).unwrap(),
                1 => fill(&file, len + 20_000),
                // Data, and zeros that are written, up to the end.
                2 => (0..len / 4096).step_by(3).for_each(|block| {
                    file.write_all_at(&[0; 9000], block * 4096).unwrap();
                    file.write_all_at(b"x", block * 4096 + 1).unwrap();
                }),
                // A hole at the end alone.
                _ => {
                    file.write_all_at(&vec![3; 5000], 0).unwrap();
                    file.set_len(len + 5000).unwrap();
                }
            }
            let bytes = fs::read(&path).unwrap();
            let hash = BlobHash::of(&bytes);
            assert_eq!(hash_file(&file, 0).unwrap(), (hash, bytes.len() as u64), "{number} {kind}");
            let got = cas.ingest(&File::open(&path).unwrap(), bytes.len() as u64).unwrap();
            assert_eq!((got.hash, got.len_bytes), (hash, bytes.len() as u64));
            assert!(cas.store().read_blob_vec(&hash).unwrap() == bytes, "{number} {kind}");
            assert!(fs::read(cas.materialise(&hash).unwrap()).unwrap() == bytes, "{number} {kind}");
        }
    }
}
