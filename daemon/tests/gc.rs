//! Collecting: what is in use stays, what is not goes, over kill -9 and beside a build.

mod common;

use common::{World, eventually};
use std::fs;
use vrift_protocol::admin::{AdminReply, AdminRequest, Collected};
use vrift_protocol::state::State;

fn collect(world: &World, max_bytes: Option<u64>) -> Collected {
    match world.ask(&AdminRequest::Collect { max_bytes }).0.pop() {
        Some(AdminReply::Collected(done)) => done,
        other => panic!("{other:?}"),
    }
}

fn hot_files(world: &World) -> usize {
    let folders = fs::read_dir(world.home().join("hot")).unwrap();
    folders.map(|folder| fs::read_dir(folder.unwrap().path()).unwrap().count()).sum()
}

/// Bytes that no other file has.
fn bytes(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251 * seed + seed) as u8).collect()
}

#[test]
fn what_is_in_use_stays_and_the_rest_goes() {
    let world = World::started();
    for i in 0..20 {
        fs::write(world.project().join(format!("f{i}")), bytes(i, 20_000)).unwrap();
    }
    world.ingest();
    let long = bytes(99, 200_000);
    let mut client = world.client();
    State(&mut client).put(b"/state/kept", &long).unwrap();
    State(&mut client).put(b"/state/replaced", &bytes(98, 200_000)).unwrap();
    State(&mut client).put(b"/state/replaced", b"short").unwrap();
    assert_eq!(collect(&world, None).blobs, 1, "the replaced value");
    for i in 0..10 {
        fs::write(world.project().join(format!("f{i}")), bytes(100 + i, 20_000)).unwrap();
    }
    world.sync();
    let before = collect(&world, None);
    assert!(before.blobs >= 10 && before.blob_bytes >= 200_000, "{before:?}");
    assert_eq!(collect(&world, None).blobs, 0);
    world.kill_and_wait();
    for i in 0..20 {
        let seed = if i < 10 { 100 + i } else { i };
        assert!(fs::read(world.project().join(format!("f{i}"))).unwrap() == bytes(seed, 20_000));
        let entry = world.entry(&format!("f{i}")).unwrap();
        let kept = blake3::hash(&bytes(seed, 20_000)).to_hex();
        assert_eq!(entry.hash.unwrap(), kept.as_str());
        let request = AdminRequest::Cat {
            target: world.target(),
            snapshot: None,
            path: format!("f{i}").as_bytes().into(),
        };
        assert!(matches!(world.ask(&request).0.pop(), Some(AdminReply::File { size: 20_000 })));
    }
    assert!(State(&mut world.client()).get(b"/state/kept").unwrap().unwrap() == long);
}

#[test]
fn a_size_keeps_garbage_as_long_as_it_fits_and_gives_up_the_cache() {
    let world = World::started();
    for i in 0..10 {
        fs::write(world.project().join(format!("f{i}")), bytes(i, 100_000)).unwrap();
    }
    world.ingest();
    for i in 0..5 {
        fs::write(world.project().join(format!("f{i}")), bytes(100 + i, 100_000)).unwrap();
    }
    world.sync();
    for i in 0..10 {
        world.ask(&AdminRequest::Cat {
            target: world.target(),
            snapshot: None,
            path: format!("f{i}").as_bytes().into(),
        });
    }
    assert!(hot_files(&world) >= 10);
    assert_eq!(collect(&world, Some(1 << 40)).blobs, 0);
    let tight = collect(&world, Some(1));
    assert!(!tight.fits && tight.blobs >= 5, "{tight:?}");
    assert_eq!(hot_files(&world), 0);
    // The cache is made again.
    let request = AdminRequest::Cat { target: world.target(), snapshot: None, path: (&b"f7"[..]).into() };
    assert!(matches!(world.ask(&request).0.pop(), Some(AdminReply::File { size: 100_000 })));
}

#[test]
fn an_ingest_that_failed_leaves_nothing_for_long() {
    let world = World::started();
    fs::write(world.project().join("a"), bytes(1, 300_000)).unwrap();
    let status = |world: &World| match world.ask(&AdminRequest::Status).0.pop() {
        Some(AdminReply::Status(status)) => status.blobs,
        other => panic!("{other:?}"),
    };
    // A name that is not allowed is found out after the reading.
    let request = AdminRequest::Ingest { dir: world.project().into(), name: Some("a/b".into()) };
    assert!(matches!(world.ask(&request).0.pop(), Some(AdminReply::Error { .. })));
    eventually("an empty store", || (status(&world) == 0).then_some(()));
}

#[test]
fn collections_beside_take_ins_lose_nothing() {
    let world = World::started();
    fs::write(world.project().join("first"), b"x").unwrap();
    world.ingest();
    std::thread::scope(|scope| {
        let collector = scope.spawn(|| {
            for _ in 0..30 {
                collect(&world, None);
            }
        });
        for round in 0..15 {
            for i in 0..20 {
                fs::write(world.project().join(format!("f{i}")), bytes(round * 20 + i, 3000 + i)).unwrap();
            }
            world.sync();
        }
        collector.join().unwrap();
    });
    for i in 0..20 {
        let seed = 14 * 20 + i;
        assert_eq!(world.cat_bytes(&format!("f{i}")), bytes(seed, 3000 + i));
    }
}

#[test]
fn a_size_in_the_configuration_is_kept_without_being_asked_and_content_is_compressed() {
    let mut world = World::new();
    fs::create_dir(world.home()).unwrap();
    // What was superseded below is larger than this.
    fs::write(world.home().join("config.toml"), "[store]\ncompression = 1\nmax_size_bytes = 20000000\n")
        .unwrap();
    world.start();
    let text = "int answer(void) { return 42; }\n".repeat(100_000);
    fs::write(world.project().join("text"), &text).unwrap();
    world.ingest();
    let status = || match world.ask(&AdminRequest::Status).0.pop() {
        Some(AdminReply::Status(status)) => status,
        other => panic!("{other:?}"),
    };
    assert_eq!(world.cat_bytes("text"), text.as_bytes());
    for round in 0..4_u64 {
        let mut random = vec![0; 6_000_000];
        blake3::Hasher::new().update(&round.to_le_bytes()).finalize_xof().fill(&mut random);
        fs::write(world.project().join("random"), &random).unwrap();
        world.sync();
    }
    eventually("store of the size that was set", || (status().store_bytes <= 20_000_000).then_some(()));
    assert_eq!(world.cat_bytes("text"), text.as_bytes());
}

#[test]
fn a_configuration_that_is_not_understood_is_refused_by_name() {
    let world = World::new();
    fs::create_dir(world.home()).unwrap();
    fs::write(world.home().join("config.toml"), "[store]\ncompresion = 1\n").unwrap();
    let (mut child, said) = world.start_with_ready();
    assert!(said.contains("config.toml") && said.contains("compresion"), "{said}");
    child.wait().unwrap();
}
