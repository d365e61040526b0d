// SPDX-License-Identifier: MIT OR Apache-2.0
//! Trees as objects: what is loaded is what was sealed, and sealing what changed equals sealing everything.

use std::collections::HashMap;
use std::io;
use vrift_manifest::tree::{Address, Facts, Frozen, Restore, SealError, TreeCache, TreeRoot, Xattrs, diff};
use vrift_manifest::types::{S_IFDIR, S_IFLNK, S_IFREG};
use vrift_manifest::{Content, Index, NewVnode, Params, ROOT, SetAttr, VnodeNo};

/// Objects in memory.
#[derive(Default)]
struct Objects {
    kept: HashMap<Address, Vec<u8>>,
    xattrs: HashMap<u64, Xattrs>,
    frozen: HashMap<u64, Frozen>,
    puts: usize,
    fetches: usize,
}

impl Facts for Objects {
    fn xattrs(&self, vnode: VnodeNo) -> Option<&Xattrs> {
        self.xattrs.get(&vnode.0)
    }
    fn frozen(&self, vnode: VnodeNo) -> Option<Frozen> {
        self.frozen.get(&vnode.0).copied()
    }
    fn put(&mut self, object: &[u8]) -> io::Result<Address> {
        self.puts += 1;
        let address = *blake3::hash(object).as_bytes();
        self.kept.insert(address, object.to_vec());
        Ok(address)
    }
}

impl Objects {
    fn fetch(&mut self, address: &Address) -> io::Result<Vec<u8>> {
        self.fetches += 1;
        self.kept.get(address).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
    fn diff(&mut self, old: &TreeRoot, new: &TreeRoot) -> Vec<(String, bool, bool)> {
        self.fetches = 0;
        let mut rows: Vec<_> = diff(old, new, &mut |address| self.fetch(address))
            .unwrap()
            .into_iter()
            .map(|row| (String::from_utf8(row.path).unwrap(), row.old.is_some(), row.new.is_some()))
            .collect();
        rows.sort();
        rows
    }
}

fn params() -> Params<'static> {
    Params {
        view: b"/v",
        home: b"/h",
        workspace: 1,
        root_mode: 0o755,
        root_uid: 0,
        root_gid: 0,
        root_time_ns: 1,
    }
}

fn new(mode: u32, content: Content, target: &[u8]) -> NewVnode<'_> {
    NewVnode {
        mode,
        uid: 1,
        gid: 2,
        rdev: 0,
        size: 3,
        atime_ns: 4,
        mtime_ns: 5,
        ctime_ns: 6,
        content,
        target,
    }
}

fn make(index: &mut Index, dir: VnodeNo, name: &str, mode: u32, byte: u8) -> Option<VnodeNo> {
    let content = if mode & 0o170000 == S_IFREG { Content::Sealed([byte; 32]) } else { Content::None };
    let target: &[u8] = if mode & 0o170000 == S_IFLNK { b"where" } else { b"" };
    index.make(None, dir, name.as_bytes(), &new(mode, content, target), 7).ok()
}

/// Everything there is to know of a tree, whatever the order of its directories.
fn facts_of(index: &Index) -> Vec<(Vec<u8>, String)> {
    let mut all = Vec::new();
    let mut dirs = vec![(Vec::new(), ROOT)];
    while let Some((path, dir)) = dirs.pop() {
        all.push((path.clone(), format!("{:?}", index.attr(dir))));
        index.children(dir, &mut |name, child| {
            let path = [&path[..], b"/", name].concat();
            let attr = index.attr(child).unwrap();
            if attr.mode & 0o170000 == S_IFDIR {
                dirs.push((path, child));
            } else {
                all.push((path, format!("{attr:?} {:?}", index.target(child))));
            }
        });
    }
    all.sort();
    all
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

fn seal(index: &Index, cache: &mut TreeCache, objects: &mut Objects) -> TreeRoot {
    index.seal_tree(cache, objects, usize::MAX).unwrap().unwrap()
}

fn dirs_of(index: &Index) -> Vec<VnodeNo> {
    let mut dirs = Vec::new();
    index.vnodes(&mut |vnode| {
        if index.attr(vnode).unwrap().mode & 0o170000 == S_IFDIR {
            dirs.push(vnode);
        }
    });
    dirs
}

/// One random operation, told to the cache as the daemon does.
fn step(index: &mut Index, cache: &mut TreeCache, random: &mut Random) {
    let dirs = dirs_of(index);
    let dir = dirs[random.below(dirs.len())];
    let dir2 = dirs[random.below(dirs.len())];
    let name = format!("n{}", random.below(6));
    let name2 = format!("n{}", random.below(6));
    let there = index.lookup(dir, name.as_bytes());
    let over = index.lookup(dir2, name2.as_bytes());
    let (name, name2) = (name.as_bytes(), name2.as_bytes());
    match random.below(8) {
        0 => {
            if let Some(vnode) = make(index, dir, std::str::from_utf8(name).unwrap(), S_IFDIR | 0o755, 0) {
                cache.forget(vnode);
                cache.touch(index, vnode);
            }
        }
        1 | 2 => {
            let byte = random.below(200) as u8;
            if let Some(vnode) = make(index, dir, std::str::from_utf8(name).unwrap(), S_IFREG | 0o644, byte) {
                cache.touch(index, vnode);
            }
        }
        3 => {
            if let Some(vnode) = there
                && index.link(vnode, dir2, name2, 8).is_ok()
            {
                cache.touch(index, vnode);
                cache.touch(index, dir2);
            }
        }
        4 => {
            if index.unlink(dir, name, 9).is_ok() {
                cache.touch(index, dir);
                there.into_iter().for_each(|vnode| cache.touch(index, vnode));
            } else if index.rmdir(dir, name, 9).is_ok() {
                cache.forget(there.unwrap());
                cache.touch(index, dir);
            }
        }
        5 => {
            if index.rename(dir, name, dir2, name2, 0, 10).is_ok() {
                for vnode in [Some(dir), Some(dir2), there, over].into_iter().flatten() {
                    if index.attr(vnode).is_none() {
                        cache.forget(vnode);
                    }
                    cache.touch(index, vnode);
                }
            }
        }
        _ => {
            if let Some(vnode) = there {
                let mtime_ns = Some(random.below(1000) as i64);
                let set = SetAttr { mtime_ns, ..SetAttr::default() };
                index.set_attr(vnode, &set).unwrap();
                cache.touch(index, vnode);
            }
        }
    }
}

#[test]
fn sealing_what_changed_equals_sealing_everything_and_loads_as_it_was() {
    for seed in 1..=15 {
        let folder = tempfile::tempdir().unwrap();
        let mut index = Index::create(&folder.path().join("index"), &params()).unwrap();
        let mut random = Random(seed * 0x9e37_79b9);
        let mut cache = TreeCache::default();
        let mut objects = Objects::default();
        let mut roots: Vec<TreeRoot> = Vec::new();
        for round in 0..30 {
            for _ in 0..random.below(25) {
                step(&mut index, &mut cache, &mut random);
            }
            // In steps, changed in between.
            for _ in 0..3 {
                if index.seal_tree(&mut cache, &mut objects, 3).unwrap().is_none() {
                    step(&mut index, &mut cache, &mut random);
                }
            }
            let root = seal(&index, &mut cache, &mut objects);
            let anew = seal(&index, &mut TreeCache::default(), &mut objects);
            assert_eq!(root.entry, anew.entry, "seed {seed}, round {round}");
            assert!(root.generation_floor >= anew.generation_floor);
            let path = folder.path().join("loaded");
            let mut loaded =
                Index::load_tree(&path, &params(), &root, &mut |address| objects.fetch(address)).unwrap();
            loaded.publish().unwrap();
            assert_eq!(facts_of(&loaded.index), facts_of(&index), "seed {seed}, round {round}");
            assert!(loaded.index.next_vnode().generation() >= root.generation_floor);
            let (mut loaded_cache, puts) = (loaded.cache, objects.puts);
            let again = seal(&loaded.index, &mut loaded_cache, &mut objects);
            assert_eq!(
                (again.address(), objects.puts),
                (root.address(), puts + 1),
                "only the root is written"
            );
            if let Some(back) = roots.get(random.below(roots.len() + 1)) {
                let before = random.below(2) == 0;
                let index = if before { &mut index } else { &mut loaded.index };
                let cache = if before { &mut cache } else { &mut loaded_cache };
                let plan = Restore::plan(&root, back, &mut |address| objects.fetch(address)).unwrap();
                index.restore(&plan, cache).unwrap();
                let alone = seal(index, &mut TreeCache::default(), &mut objects);
                assert_eq!(alone.entry, back.entry, "seed {seed}, round {round}");
                assert_eq!(seal(index, cache, &mut objects).entry, back.entry, "seed {seed}, round {round}");
                assert!(index.next_vnode().generation() >= root.generation_floor);
            }
            if let Some(old) = roots.first() {
                // One that was loaded from an earlier tree, which had fewer slots, goes forward.
                let path = folder.path().join("early");
                let mut early =
                    Index::load_tree(&path, &params(), old, &mut |address| objects.fetch(address)).unwrap();
                early.publish().unwrap();
                let plan = Restore::plan(old, &root, &mut |address| objects.fetch(address)).unwrap();
                early.index.restore(&plan, &mut early.cache).unwrap();
                assert_eq!(seal(&early.index, &mut early.cache, &mut objects).entry, root.entry);
            }
            roots.push(root.clone());
            if round % 7 == 6 {
                // Go on with what was loaded.
                index = loaded.index;
                cache = loaded_cache;
            }
        }
    }
}

#[test]
fn a_diff_looks_only_where_something_changed() {
    let folder = tempfile::tempdir().unwrap();
    let mut index = Index::create(&folder.path().join("index"), &params()).unwrap();
    let mut cache = TreeCache::default();
    let mut objects = Objects::default();
    let mut dirs = Vec::new();
    for dir in 0..50 {
        let dir = make(&mut index, ROOT, &format!("d{dir}"), S_IFDIR | 0o755, 0).unwrap();
        dirs.push(dir);
        for file in 0..20 {
            make(&mut index, dir, &format!("f{file}"), S_IFREG | 0o644, file).unwrap();
        }
    }
    let before = seal(&index, &mut cache, &mut objects);
    let file = index.lookup(dirs[3], b"f7").unwrap();
    index.set_content(file, Content::Sealed([99; 32]), 3, 8, 5, 6).unwrap();
    cache.touch(&index, file);
    index.unlink(dirs[4], b"f1", 9).unwrap();
    cache.touch(&index, dirs[4]);
    let added = make(&mut index, dirs[5], "new", S_IFDIR | 0o755, 0).unwrap();
    cache.forget(added);
    cache.touch(&index, added);
    let inside = make(&mut index, added, "inside", S_IFREG | 0o644, 1).unwrap();
    cache.touch(&index, inside);
    let touched = index.lookup(dirs[6], b"f0").unwrap();
    index.set_attr(touched, &SetAttr { mtime_ns: Some(77), ..SetAttr::default() }).unwrap();
    cache.touch(&index, touched);
    objects.puts = 0;
    let after = seal(&index, &mut cache, &mut objects);
    assert_eq!(objects.puts, 6, "four directories, the new one and the root");
    assert_ne!(before.address(), after.address());
    let expected = [
        ("d3/f7", true, true),
        ("d4/f1", true, false),
        ("d5/new", false, true),
        ("d5/new/inside", false, true),
    ];
    let expected: Vec<_> = expected.map(|(path, old, new)| (path.to_string(), old, new)).into();
    assert_eq!(objects.diff(&before, &after), expected);
    assert_eq!(objects.fetches, 11, "both sides of four directories and the root, and the new one");
    assert_eq!(objects.diff(&after, &after), []);
    assert_eq!(objects.fetches, 0);
}

#[test]
fn what_is_being_written_is_taken_as_it_was_frozen_and_looked_at_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut index = Index::create(&folder.path().join("index"), &params()).unwrap();
    let (mut cache, mut objects) = (TreeCache::default(), Objects::default());
    let file = index.make(None, ROOT, b"f", &new(S_IFREG | 0o644, Content::Staged, b""), 7).unwrap();
    match index.seal_tree(&mut cache, &mut objects, usize::MAX) {
        Err(SealError::Staged(staged)) => assert_eq!(staged, [file]),
        other => panic!("{other:?}"),
    }
    let frozen = |byte| Frozen { hash: [byte; 32], size: 9, blocks: 8, mtime_ns: 10, ctime_ns: 11 };
    objects.frozen.insert(file.0, frozen(1));
    let one = seal(&index, &mut cache, &mut objects);
    cache.touch(&index, file);
    objects.frozen.insert(file.0, frozen(2));
    let two = seal(&index, &mut cache, &mut objects);
    assert_eq!(objects.diff(&one, &two), [("f".to_string(), true, true)]);
}

#[test]
fn damaged_objects_and_roots_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut index = Index::create(&folder.path().join("index"), &params()).unwrap();
    let (mut cache, mut objects) = (TreeCache::default(), Objects::default());
    let dir = make(&mut index, ROOT, "d", S_IFDIR | 0o755, 0).unwrap();
    make(&mut index, dir, "f", S_IFREG | 0o644, 1).unwrap();
    make(&mut index, dir, "l", S_IFLNK | 0o777, 1).unwrap();
    objects.xattrs.insert(dir.0, Xattrs::from([(b"user.a".to_vec(), b"1".to_vec())]));
    let root = seal(&index, &mut cache, &mut objects);
    let bytes = root.encode();
    assert_eq!(TreeRoot::decode(&bytes).unwrap(), root);
    for len in 0..bytes.len() {
        assert!(TreeRoot::decode(&bytes[..len]).is_err(), "root cut to {len}");
    }
    let object = objects.kept[&root.address()].clone();
    let entries = vrift_manifest::tree::decode(&object).unwrap();
    assert_eq!(entries[0].xattrs.len(), 1);
    assert_eq!(vrift_manifest::tree::encode(&entries), object);
    for len in 0..object.len() {
        assert!(vrift_manifest::tree::decode(&object[..len]).is_err(), "object cut to {len}");
    }
    // A directory under two names.
    let twice = vrift_manifest::tree::encode(&[
        entries[0].clone(),
        vrift_manifest::tree::Entry { name: b"e".to_vec(), ..entries[0].clone() },
    ]);
    let mut wrong = root.clone();
    wrong.entry.object = Some(objects.put(&twice).unwrap());
    let path = folder.path().join("loaded");
    let load = |root: &TreeRoot, objects: &mut Objects| {
        Index::load_tree(&path, &params(), root, &mut |address| objects.fetch(address)).map(drop)
    };
    assert!(load(&root, &mut objects).is_ok());
    assert!(load(&wrong, &mut objects).is_err());
    let mut small = root.clone();
    small.slots = dir.slot();
    assert!(load(&small, &mut objects).is_err());
}
