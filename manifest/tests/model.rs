//! Random histories on the index and on a plain model give the same answers and the same trees, also after
//! growth and after a dump and load. A failing seed is printed.

use std::collections::BTreeMap;
use vrift_manifest::{Content, Index, NewVnode, OpError, Params, ROOT, VnodeNo, types};

const HISTORIES: u64 = 60;
const STEPS: u32 = 400;
const NAMES: [&str; 5] = ["a", "b", "a-longer-name", "c", "d"];

/// A generator with a printable state: SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);
impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

#[derive(Default)]
struct Model {
    /// Directory to its entries.
    dirs: BTreeMap<u64, BTreeMap<String, u64>>,
    nlinks: BTreeMap<u64, u32>,
}

impl Model {
    fn parent_of(&self, dir: u64) -> Option<u64> {
        self.dirs
            .iter()
            .find(|(_, entries)| entries.values().any(|child| *child == dir))
            .map(|(parent, _)| *parent)
    }

    fn is_within(&self, mut dir: u64, ancestor: u64) -> bool {
        while dir != ancestor {
            match self.parent_of(dir) {
                Some(parent) => dir = parent,
                None => return false,
            }
        }
        true
    }

    fn drop_link(&mut self, vnode: u64) {
        if let Some(count) = self.nlinks.get_mut(&vnode) {
            *count -= 1;
            if *count == 0 {
                self.nlinks.remove(&vnode);
            }
        }
    }

    fn rename(&mut self, from: u64, name: &str, to: u64, name2: &str) -> Result<(), i32> {
        let source = *self.dirs[&from].get(name).ok_or(2)?;
        let is_dir = self.dirs.contains_key(&source);
        if is_dir && self.is_within(to, source) {
            return Err(22);
        }
        if let Some(&over) = self.dirs[&to].get(name2) {
            // What holds the source is not replaced, whatever the source is.
            if self.is_within(from, over) {
                return Err(39);
            }
            if over == source {
                return Ok(());
            }
            match (is_dir, self.dirs.get(&over)) {
                (true, None) => return Err(20),
                (false, Some(_)) => return Err(21),
                (true, Some(entries)) if !entries.is_empty() => return Err(39),
                (true, Some(_)) => drop(self.dirs.remove(&over)),
                (false, None) => self.drop_link(over),
            }
        }
        self.dirs.get_mut(&from).unwrap().remove(name);
        self.dirs.get_mut(&to).unwrap().insert(name2.into(), source);
        Ok(())
    }
}

fn new(mode: u32) -> NewVnode<'static> {
    let content = if mode & types::S_IFMT == types::S_IFREG { Content::Staged } else { Content::None };
    let mode = mode | 0o644;
    NewVnode {
        mode,
        uid: 0,
        gid: 0,
        rdev: 0,
        size: 0,
        atime_ns: 0,
        mtime_ns: 0,
        ctime_ns: 0,
        content,
        target: b"",
    }
}

fn errno<T>(result: Result<T, OpError>) -> Result<T, i32> {
    result.map_err(|error| match error {
        OpError::Errno(errno) => errno,
        OpError::Full => -1,
    })
}

fn check(index: &Index, model: &Model, seed: u64) {
    let mut count = 0;
    for (dir, entries) in &model.dirs {
        count += 1;
        let mut seen = BTreeMap::new();
        index.children(VnodeNo(*dir), &mut |name, vnode| {
            seen.insert(String::from_utf8_lossy(name).into_owned(), vnode.0);
        });
        assert_eq!(&seen, entries, "seed {seed}");
        let subdirs = entries.values().filter(|child| model.dirs.contains_key(child)).count();
        assert_eq!(index.attr(VnodeNo(*dir)).unwrap().nlink as usize, 2 + subdirs, "seed {seed}");
        for (name, vnode) in entries {
            assert_eq!(index.lookup(VnodeNo(*dir), name.as_bytes()), Some(VnodeNo(*vnode)), "seed {seed}");
        }
    }
    for (vnode, nlink) in &model.nlinks {
        count += 1;
        assert_eq!(index.attr(VnodeNo(*vnode)).unwrap().nlink, *nlink, "seed {seed}");
    }
    assert_eq!(index.len(), count, "seed {seed}");
}

#[test]
fn random_histories_match_the_model() {
    let scratch = tempfile::tempdir().unwrap();
    let params = Params {
        view: b"/v",
        home: b"/h",
        workspace: 1,
        root_mode: 0o755,
        root_uid: 0,
        root_gid: 0,
        root_time_ns: 0,
    };
    for seed in 0..HISTORIES {
        let mut random = Random(seed);
        let path = scratch.path().join("index");
        let mut index = Index::create(&path, &params).unwrap();
        let mut model = Model::default();
        model.dirs.insert(ROOT.0, BTreeMap::new());
        for step in 0..STEPS {
            let dirs: Vec<u64> = model.dirs.keys().copied().collect();
            let (dir, dir2) = (dirs[random.below(dirs.len())], dirs[random.below(dirs.len())]);
            let (name, name2) = (NAMES[random.below(5)], NAMES[random.below(5)]);
            let present = model.dirs[&dir].get(name).copied();
            match random.below(7) {
                kind @ (0 | 1) => {
                    let mode = if kind == 0 { types::S_IFDIR } else { types::S_IFREG };
                    let made = errno(index.make(None, VnodeNo(dir), name.as_bytes(), &new(mode), 1));
                    assert_eq!(made.is_err(), present.is_some(), "seed {seed}");
                    if let Ok(vnode) = made {
                        model.dirs.get_mut(&dir).unwrap().insert(name.into(), vnode.0);
                        if kind == 0 {
                            model.dirs.insert(vnode.0, BTreeMap::new());
                        } else {
                            model.nlinks.insert(vnode.0, 1);
                        }
                    }
                }
                2 => {
                    let expected = match present {
                        None => Err(2),
                        Some(vnode) if model.dirs.contains_key(&vnode) => Err(21),
                        Some(_) => Ok(()),
                    };
                    let got = errno(index.unlink(VnodeNo(dir), name.as_bytes(), 1)).map(drop);
                    assert_eq!(got, expected, "seed {seed}");
                    if let (Ok(()), Some(vnode)) = (got, present) {
                        model.dirs.get_mut(&dir).unwrap().remove(name);
                        model.drop_link(vnode);
                    }
                }
                3 => {
                    let expected = match present.map(|vnode| model.dirs.get(&vnode)) {
                        None => Err(2),
                        Some(None) => Err(20),
                        Some(Some(entries)) if !entries.is_empty() => Err(39),
                        Some(Some(_)) => Ok(()),
                    };
                    let got = errno(index.rmdir(VnodeNo(dir), name.as_bytes(), 1)).map(drop);
                    assert_eq!(got, expected, "seed {seed}");
                    if let (Ok(()), Some(vnode)) = (got, present) {
                        model.dirs.get_mut(&dir).unwrap().remove(name);
                        model.dirs.remove(&vnode);
                    }
                }
                4 => {
                    let Some(vnode) = present.filter(|vnode| !model.dirs.contains_key(vnode)) else {
                        continue;
                    };
                    let taken = model.dirs[&dir2].contains_key(name2);
                    let got = errno(index.link(VnodeNo(vnode), VnodeNo(dir2), name2.as_bytes(), 1));
                    assert_eq!(got, if taken { Err(17) } else { Ok(()) }, "seed {seed}");
                    if got.is_ok() {
                        model.dirs.get_mut(&dir2).unwrap().insert(name2.into(), vnode);
                        *model.nlinks.get_mut(&vnode).unwrap() += 1;
                    }
                }
                _ => {
                    let got =
                        index.rename(VnodeNo(dir), name.as_bytes(), VnodeNo(dir2), name2.as_bytes(), 0, 1);
                    assert_eq!(errno(got).map(drop), model.rename(dir, name, dir2, name2), "seed {seed}");
                }
            }
            if step % 100 == 99 {
                index.grow().unwrap();
                check(&index, &model, seed);
            }
        }
        let mut dump = Vec::new();
        index.dump(&mut dump).unwrap();
        check(&Index::load(&path, &params, &mut &dump[..]).unwrap(), &model, seed);
    }
}
