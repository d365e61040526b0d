//! The namespace keeps POSIX's rules, survives growth and a dump, and readers never see half a rename.

use std::sync::atomic::{AtomicBool, Ordering};
use vrift_manifest::{Content, Index, MappedReader, NewVnode, OpError, Params, ROOT, VnodeNo, types};

const NOW: i64 = 1_700_000_000_123_456_789;

fn params() -> Params<'static> {
    Params {
        view: b"/view",
        home: b"/home",
        workspace: 7,
        root_mode: 0o755,
        root_uid: 1,
        root_gid: 2,
        root_time_ns: NOW,
    }
}

fn new(mode: u32, target: &[u8]) -> NewVnode<'_> {
    NewVnode {
        mode,
        uid: 1,
        gid: 2,
        rdev: 0,
        size: 0,
        atime_ns: NOW,
        mtime_ns: NOW,
        ctime_ns: NOW,
        content: if mode & types::S_IFMT == types::S_IFREG {
            Content::Sealed([5; 32])
        } else {
            Content::None
        },
        target,
    }
}

const FILE: u32 = types::S_IFREG | 0o644;
const DIR: u32 = types::S_IFDIR | 0o755;

struct Scratch(tempfile::TempDir);
impl Scratch {
    fn index(&self) -> Index {
        Index::create(&self.0.path().join("index"), &params()).unwrap()
    }
}
fn scratch() -> Scratch {
    Scratch(tempfile::tempdir().unwrap())
}

fn names(index: &Index, dir: VnodeNo) -> Vec<String> {
    let mut names = Vec::new();
    index.children(dir, &mut |name, _| names.push(String::from_utf8_lossy(name).into_owned()));
    names
}

#[test]
fn made_names_are_found_and_listed_in_order() {
    let scratch = scratch();
    let mut index = scratch.index();
    let dir = index.make(None, ROOT, b"dir", &new(DIR, b""), NOW + 1).unwrap();
    let a = index.make(None, dir, b"a", &new(FILE, b""), NOW + 2).unwrap();
    let link = index.make(None, dir, b"link", &new(types::S_IFLNK | 0o777, b"../target"), NOW + 3).unwrap();
    assert_eq!(index.lookup(dir, b"a"), Some(a));
    assert_eq!(index.lookup(ROOT, b"a"), None);
    assert_eq!(names(&index, dir), ["a", "link"]);
    assert_eq!(index.target(link).unwrap(), b"../target");
    assert_eq!(index.attr(link).unwrap().size, 9);
    assert_eq!(index.attr(ROOT).unwrap().nlink, 3);
    assert_eq!(index.attr(dir).unwrap().mtime_ns, NOW + 3);
    assert_eq!(index.path_of(link).unwrap(), b"dir/link");
    assert_eq!(index.make(None, dir, b"a", &new(FILE, b""), NOW), Err(OpError::Errno(17)));
    assert_eq!(index.make(None, a, b"x", &new(FILE, b""), NOW), Err(OpError::Errno(20)));
    assert_eq!(index.make(None, dir, &[b'n'; 256], &new(FILE, b""), NOW), Err(OpError::Errno(36)));
    index.make(None, dir, &[b'n'; 255], &new(FILE, b""), NOW).unwrap();
}

#[test]
fn numbers_are_never_reused() {
    let scratch = scratch();
    let mut index = scratch.index();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..100 {
        let vnode = index.make(None, ROOT, b"f", &new(FILE, b""), NOW).unwrap();
        assert!(seen.insert(vnode.0));
        let gone = index.unlink(ROOT, b"f", NOW).unwrap();
        assert!(gone.last && gone.vnode == vnode);
        assert_eq!(index.attr(vnode), None);
    }
}

#[test]
fn hard_links_share_a_vnode_until_the_last_name_goes() {
    let scratch = scratch();
    let mut index = scratch.index();
    let vnode = index.make(None, ROOT, b"one", &new(FILE, b""), NOW).unwrap();
    index.link(vnode, ROOT, b"two", NOW + 5).unwrap();
    assert_eq!(index.attr(vnode).unwrap().nlink, 2);
    assert!(!index.unlink(ROOT, b"one", NOW + 6).unwrap().last);
    assert_eq!(index.attr(vnode).unwrap().ctime_ns, NOW + 6);
    assert_eq!(index.lookup(ROOT, b"two"), Some(vnode));
    assert!(index.unlink(ROOT, b"two", NOW).unwrap().last);
}

#[test]
fn rename_follows_the_manual() {
    let scratch = scratch();
    let mut index = scratch.index();
    let dir = index.make(None, ROOT, b"dir", &new(DIR, b""), NOW).unwrap();
    let sub = index.make(None, dir, b"sub", &new(DIR, b""), NOW).unwrap();
    let file = index.make(None, ROOT, b"file", &new(FILE, b""), NOW).unwrap();
    let other = index.make(None, ROOT, b"other", &new(FILE, b""), NOW).unwrap();
    let errno = |result: Result<_, OpError>| match result {
        Err(OpError::Errno(errno)) => errno,
        Ok::<vrift_manifest::Renamed, _>(_) => 0,
        Err(OpError::Full) => -1,
    };
    assert_eq!(errno(index.rename(ROOT, b"dir", sub, b"x", 0, NOW)), 22, "into itself");
    assert_eq!(errno(index.rename(ROOT, b"file", ROOT, b"dir", 0, NOW)), 21);
    assert_eq!(errno(index.rename(dir, b"sub", ROOT, b"file", 0, NOW)), 20);
    assert_eq!(errno(index.rename(ROOT, b"none", ROOT, b"x", 0, NOW)), 2);
    assert_eq!(errno(index.rename(ROOT, b"file", ROOT, b"other", 1, NOW)), 17);
    index.make(None, ROOT, b"dir2", &new(DIR, b""), NOW).unwrap();
    assert_eq!(errno(index.rename(ROOT, b"dir2", ROOT, b"dir", 0, NOW)), 39);
    let renamed = index.rename(ROOT, b"file", ROOT, b"other", 0, NOW + 9).unwrap();
    assert_eq!(renamed.replaced.unwrap().vnode, other);
    assert_eq!(index.lookup(ROOT, b"other"), Some(file));
    index.rename(dir, b"sub", ROOT, b"top", 0, NOW).unwrap();
    assert_eq!((index.attr(dir).unwrap().nlink, index.attr(ROOT).unwrap().nlink), (2, 5));
    index.rename(ROOT, b"other", ROOT, b"dir", 2, NOW).unwrap();
    assert_eq!(index.lookup(ROOT, b"dir"), Some(file));
    assert_eq!(index.path_of(dir).unwrap(), b"other");
    assert_eq!(index.rmdir(ROOT, b"other", NOW).unwrap(), dir);
    assert_eq!(errno(index.rename(ROOT, b"top", ROOT, b"top", 0, NOW)), 0);
}

#[test]
fn a_dump_of_few_vnodes_with_high_numbers_is_loaded() {
    const MADE: u32 = 20_000;
    let scratch = Scratch(tempfile::tempdir().unwrap());
    let mut index = scratch.index();
    for number in 0..MADE {
        let name = number.to_string();
        while let Err(OpError::Full) = index.make(None, ROOT, name.as_bytes(), &new(FILE, b""), NOW) {
            index.grow().unwrap();
        }
    }
    for number in 0..MADE - 1 {
        index.unlink(ROOT, number.to_string().as_bytes(), NOW).unwrap();
    }
    let last = (MADE - 1).to_string();
    let vnode = index.lookup(ROOT, last.as_bytes()).unwrap();
    let mut dump = Vec::new();
    index.dump(&mut dump).unwrap();
    let path = scratch.0.path().join("again");
    let again = Index::load(&path, &params(), &mut &dump[..]).unwrap();
    assert_eq!(again.lookup(ROOT, last.as_bytes()), Some(vnode));
    // A number beyond any table: an error, and soon.
    let at = dump.windows(8).position(|bytes| bytes == vnode.0.to_le_bytes()).unwrap();
    dump[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(Index::load(&path, &params(), &mut &dump[..]).is_err());
}

#[test]
fn growth_and_a_dump_keep_everything() {
    let scratch = scratch();
    let mut index = scratch.index();
    let mut made = Vec::new();
    for number in 0..30_000u32 {
        let name = format!("file-{number}");
        let vnode = loop {
            match index.make(None, ROOT, name.as_bytes(), &new(FILE, b""), NOW) {
                Ok(vnode) => break vnode,
                Err(OpError::Full) => index.grow().unwrap(),
                Err(error) => panic!("{error:?}"),
            }
        };
        made.push((name, vnode));
        if number % 3 == 0 {
            let (name, _) = made.swap_remove((number as usize * 7919) % made.len());
            index.unlink(ROOT, name.as_bytes(), NOW).unwrap();
        }
    }
    let mut dump = Vec::new();
    index.dump(&mut dump).unwrap();
    let loaded = Index::load(&scratch.0.path().join("second"), &params(), &mut &dump[..]).unwrap();
    for index in [&index, &loaded] {
        assert_eq!(index.len(), made.len() + 1);
        for (name, vnode) in &made {
            assert_eq!(index.lookup(ROOT, name.as_bytes()), Some(*vnode));
        }
    }
    assert_eq!(names(&index, ROOT), names(&loaded, ROOT));
    let mut again = Vec::new();
    loaded.dump(&mut again).unwrap();
    assert_eq!(dump.len(), again.len());
    for cut in (0..dump.len()).step_by(dump.len() / 50) {
        assert!(Index::load(&scratch.0.path().join("cut"), &params(), &mut &dump[..cut]).is_err());
    }
}

#[test]
fn a_reader_never_sees_a_rename_half_done() {
    let scratch = scratch();
    let mut index = scratch.index();
    let one = index.make(None, ROOT, b"one", &new(DIR, b""), NOW).unwrap();
    let two = index.make(None, ROOT, b"two", &new(DIR, b""), NOW).unwrap();
    let file = index.make(None, one, b"file", &new(FILE, b""), NOW).unwrap();
    let reader = MappedReader::open(&scratch.0.path().join("index")).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut looks = 0u64;
                    while !done.load(Ordering::Relaxed) {
                        let found = reader.read(|reader| {
                            let at = |dir: VnodeNo| reader.lookup(dir.slot(), b"file");
                            (at(one), at(two))
                        });
                        if let Some(found) = found {
                            let slot = Some(file.slot());
                            assert!(found == (slot, None) || found == (None, slot), "{found:?}");
                            looks += 1;
                        }
                    }
                    looks
                })
            })
            .collect();
        // Each rename takes 8 bytes of the arena; the readers hold this generation, so it must not fill up.
        for _ in 0..20_000 {
            index.rename(one, b"file", two, b"file", 0, NOW).unwrap_or_else(|error| panic!("{error:?}"));
            index.rename(two, b"file", one, b"file", 0, NOW).unwrap_or_else(|error| panic!("{error:?}"));
        }
        done.store(true, Ordering::Relaxed);
        for reader in readers {
            assert!(reader.join().unwrap() > 0);
        }
    });
}
