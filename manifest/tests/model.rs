//! The namespace against a plain model: random histories of all its operations, while it grows, is dumped and loaded, and
//! while a dump is taken in steps beside them. A history that fails is made short by proptest and kept in `regressions`.

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use std::collections::BTreeMap;
use std::path::Path;
use vrift_manifest::{Content, Index, NewVnode, OpError, Params, ROOT, SetAttr, Steps, VnodeNo, types};

/// Histories in one run of the test.
const CASES: u32 = 150;
const NAMES: [&str; 5] = ["a", "b", "a-longer-name", "c", "d"];
const TARGET: &[u8] = b"where/it/leads";
const NOREPLACE: u32 = 1;
const EXCHANGE: u32 = 2;
const ENOENT: i32 = 2;
const EEXIST: i32 = 17;
const ENOTDIR: i32 = 20;
const EISDIR: i32 = 21;
const EINVAL: i32 = 22;
const ENOTEMPTY: i32 = 39;

/// Directories and files are chosen by their place among those that are there.
#[derive(Clone, Debug)]
enum Step {
    Make {
        dir: usize,
        name: usize,
        kind: u32,
    },
    Link {
        dir: usize,
        name: usize,
        dir2: usize,
        name2: usize,
    },
    Unlink {
        dir: usize,
        name: usize,
    },
    Rmdir {
        dir: usize,
        name: usize,
    },
    Rename {
        dir: usize,
        name: usize,
        dir2: usize,
        name2: usize,
        flags: u32,
    },
    SetAttr {
        of: usize,
        mode: u32,
    },
    SetContent {
        of: usize,
        content: u8,
    },
    Grow,
    /// Dumped and loaded.
    Reload,
    /// A dump in steps: the next one of about so many; the first begins it.
    Copy(usize),
    /// Its end, and a look at what it leads to.
    Finish,
}

fn step() -> impl Strategy<Value = Step> {
    let (dir, name) = (0..6_usize, 0..NAMES.len());
    let place = (dir.clone(), name.clone());
    let kind = prop_oneof![Just(types::S_IFDIR), Just(types::S_IFREG), Just(types::S_IFLNK)];
    let flags = prop_oneof![4 => Just(0), 1 => Just(NOREPLACE), 2 => Just(EXCHANGE), 1 => Just(3)];
    prop_oneof![
        8 => (place.clone(), kind).prop_map(|((dir, name), kind)| Step::Make { dir, name, kind }),
        2 => (place.clone(), place.clone())
            .prop_map(|((dir, name), (dir2, name2))| Step::Link { dir, name, dir2, name2 }),
        2 => place.clone().prop_map(|(dir, name)| Step::Unlink { dir, name }),
        2 => place.clone().prop_map(|(dir, name)| Step::Rmdir { dir, name }),
        5 => (place.clone(), place, flags).prop_map(|((dir, name), (dir2, name2), flags)| Step::Rename {
            dir,
            name,
            dir2,
            name2,
            flags
        }),
        2 => (0..20_usize, 0..0o1000_u32).prop_map(|(of, mode)| Step::SetAttr { of, mode }),
        2 => (0..20_usize, 0..3_u8).prop_map(|(of, content)| Step::SetContent { of, content }),
        1 => Just(Step::Grow),
        1 => Just(Step::Reload),
        6 => (1..12_usize).prop_map(Step::Copy),
        1 => Just(Step::Finish),
    ]
}

#[derive(Clone, Debug, PartialEq)]
struct Node {
    mode: u32,
    nlink: u32,
    size: u64,
    mtime_ns: i64,
    ctime_ns: i64,
    content: Content,
    /// Of a directory, in the order of creation.
    entries: Vec<(&'static str, u64)>,
}

impl Node {
    fn is_dir(&self) -> bool {
        self.mode & types::S_IFMT == types::S_IFDIR
    }
}

#[derive(Clone, Debug)]
struct Model {
    nodes: BTreeMap<u64, Node>,
    now_ns: i64,
}

impl Model {
    fn new() -> Model {
        let root = Node {
            mode: types::S_IFDIR | 0o755,
            nlink: 2,
            size: 4096,
            mtime_ns: 0,
            ctime_ns: 0,
            content: Content::None,
            entries: Vec::new(),
        };
        Model { nodes: BTreeMap::from([(ROOT.0, root)]), now_ns: 0 }
    }

    fn dir(&self, at: usize) -> u64 {
        let dirs: Vec<u64> =
            self.nodes.iter().filter(|(_, node)| node.is_dir()).map(|(vnode, _)| *vnode).collect();
        dirs[at % dirs.len()]
    }

    fn any(&self, at: usize) -> u64 {
        self.nodes.keys().nth(at % self.nodes.len()).copied().unwrap()
    }

    fn node(&mut self, vnode: u64) -> &mut Node {
        self.nodes.get_mut(&vnode).unwrap()
    }

    fn lookup(&self, dir: u64, name: &str) -> Option<u64> {
        self.nodes[&dir].entries.iter().find(|(entry, _)| *entry == name).map(|(_, vnode)| *vnode)
    }

    fn is_within(&self, mut dir: u64, ancestor: u64) -> bool {
        loop {
            if dir == ancestor {
                return true;
            }
            let holds = |node: &Node| node.entries.iter().any(|(_, vnode)| *vnode == dir);
            match self.nodes.iter().find(|(_, node)| holds(node)) {
                Some((parent, _)) => dir = *parent,
                None => return false,
            }
        }
    }

    fn touch(&mut self, dir: u64) {
        let now_ns = self.now_ns;
        let node = self.node(dir);
        (node.mtime_ns, node.ctime_ns) = (now_ns, now_ns);
    }

    fn add(&mut self, dir: u64, name: &'static str, vnode: u64) {
        let is_dir = self.nodes[&vnode].is_dir();
        let parent = self.node(dir);
        parent.entries.push((name, vnode));
        parent.nlink += u32::from(is_dir);
        self.touch(dir);
    }

    /// Takes a name away, and with the last one what it named.
    fn remove(&mut self, dir: u64, name: &str, moves: bool) {
        let vnode = self.lookup(dir, name).unwrap();
        let now_ns = self.now_ns;
        let is_dir = self.nodes[&vnode].is_dir();
        let parent = self.node(dir);
        parent.entries.retain(|(entry, _)| *entry != name);
        parent.nlink -= u32::from(is_dir);
        self.touch(dir);
        let node = self.node(vnode);
        if !moves {
            node.nlink -= 1;
            if is_dir || node.nlink == 0 {
                self.nodes.remove(&vnode);
                return;
            }
        }
        self.node(vnode).ctime_ns = now_ns;
    }

    fn rename(
        &mut self,
        (dir, name): (u64, &'static str),
        (dir2, name2): (u64, &'static str),
        flags: u32,
    ) -> Result<(), i32> {
        if flags == NOREPLACE | EXCHANGE {
            return Err(EINVAL);
        }
        let source = self.lookup(dir, name).ok_or(ENOENT)?;
        let over = self.lookup(dir2, name2);
        match over {
            Some(_) if flags == NOREPLACE => return Err(EEXIST),
            None if flags == EXCHANGE => return Err(ENOENT),
            _ => {}
        }
        let is_dir = |vnode: u64| self.nodes[&vnode].is_dir();
        if is_dir(source) && self.is_within(dir2, source) {
            return Err(EINVAL);
        }
        let Some(over) = over else {
            self.remove(dir, name, true);
            self.add(dir2, name2, source);
            return Ok(());
        };
        let holds_source = is_dir(over) && self.is_within(dir, over);
        if flags == EXCHANGE {
            match holds_source {
                _ if over == source => {}
                true => return Err(EINVAL),
                false => self.exchange((dir, name, source), (dir2, name2, over)),
            }
            return Ok(());
        }
        // What holds the source is not replaced, whatever the source is.
        if holds_source {
            return Err(ENOTEMPTY);
        }
        if over == source {
            return Ok(());
        }
        match (is_dir(source), is_dir(over)) {
            (true, false) => return Err(ENOTDIR),
            (false, true) => return Err(EISDIR),
            (true, true) if !self.nodes[&over].entries.is_empty() => return Err(ENOTEMPTY),
            _ => {}
        }
        self.remove(dir2, name2, false);
        self.remove(dir, name, true);
        self.add(dir2, name2, source);
        Ok(())
    }

    fn exchange(&mut self, (dir, name, one): (u64, &str, u64), (dir2, name2, two): (u64, &str, u64)) {
        let now_ns = self.now_ns;
        for (dir, name, before, after) in [(dir, name, one, two), (dir2, name2, two, one)] {
            let links = [before, after].map(|vnode| u32::from(self.nodes[&vnode].is_dir()));
            let parent = self.node(dir);
            let entry = parent.entries.iter_mut().find(|(entry, _)| *entry == name).unwrap();
            entry.1 = after;
            parent.nlink = parent.nlink + links[1] - links[0];
            self.touch(dir);
        }
        [one, two].into_iter().for_each(|vnode| self.node(vnode).ctime_ns = now_ns);
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
        root_time_ns: 0,
    }
}

fn errno<T>(result: Result<T, OpError>) -> Result<T, i32> {
    result.map_err(|error| match error {
        OpError::Errno(errno) => errno,
        OpError::Full => -1,
    })
}

/// What was done, in both; and the dump under way.
struct Pair<'a> {
    dir: &'a Path,
    index: Index,
    model: Model,
    steps: Option<Steps>,
}

impl Pair<'_> {
    fn perform(&mut self, step: &Step) {
        self.model.now_ns += 1;
        let Pair { index, model, .. } = self;
        let now_ns = model.now_ns;
        match *step {
            Step::Make { dir, name, kind } => {
                let (dir, name) = (model.dir(dir), NAMES[name]);
                let content = if kind == types::S_IFREG { Content::Staged } else { Content::None };
                let target = if kind == types::S_IFLNK { TARGET } else { b"" };
                let new = NewVnode {
                    mode: kind | 0o644,
                    uid: 3,
                    gid: 4,
                    rdev: 0,
                    size: 0,
                    atime_ns: 7,
                    mtime_ns: now_ns,
                    ctime_ns: now_ns,
                    content,
                    target,
                };
                let made = errno(index.make(None, VnodeNo(dir), name.as_bytes(), &new, now_ns));
                if model.lookup(dir, name).is_some() {
                    return assert_eq!(made, Err(EEXIST));
                }
                let vnode = made.unwrap().0;
                let size = if kind == types::S_IFDIR { 4096 } else { target.len() as u64 };
                let nlink = if kind == types::S_IFDIR { 2 } else { 1 };
                let (mode, entries) = (kind | 0o644, Vec::new());
                let node = Node { mode, nlink, size, mtime_ns: now_ns, ctime_ns: now_ns, content, entries };
                assert!(model.nodes.insert(vnode, node).is_none());
                model.add(dir, name, vnode);
            }
            Step::Link { dir, name, dir2, name2 } => {
                let (dir, name, dir2, name2) = (model.dir(dir), NAMES[name], model.dir(dir2), NAMES[name2]);
                let Some(vnode) = model.lookup(dir, name).filter(|vnode| !model.nodes[vnode].is_dir()) else {
                    return;
                };
                let got = errno(index.link(VnodeNo(vnode), VnodeNo(dir2), name2.as_bytes(), now_ns));
                if model.lookup(dir2, name2).is_some() {
                    return assert_eq!(got, Err(EEXIST));
                }
                got.unwrap();
                model.add(dir2, name2, vnode);
                let node = model.node(vnode);
                (node.nlink, node.ctime_ns) = (node.nlink + 1, now_ns);
            }
            Step::Unlink { dir, name } => {
                let (dir, name) = (model.dir(dir), NAMES[name]);
                let got = errno(index.unlink(VnodeNo(dir), name.as_bytes(), now_ns)).map(drop);
                match model.lookup(dir, name).map(|vnode| model.nodes[&vnode].is_dir()) {
                    None => assert_eq!(got, Err(ENOENT)),
                    Some(true) => assert_eq!(got, Err(EISDIR)),
                    Some(false) => model.remove(dir, name, false),
                }
            }
            Step::Rmdir { dir, name } => {
                let (dir, name) = (model.dir(dir), NAMES[name]);
                let got = errno(index.rmdir(VnodeNo(dir), name.as_bytes(), now_ns)).map(drop);
                match model.lookup(dir, name).map(|vnode| &model.nodes[&vnode]) {
                    None => assert_eq!(got, Err(ENOENT)),
                    Some(node) if !node.is_dir() => assert_eq!(got, Err(ENOTDIR)),
                    Some(node) if !node.entries.is_empty() => assert_eq!(got, Err(ENOTEMPTY)),
                    Some(_) => model.remove(dir, name, false),
                }
            }
            Step::Rename { dir, name, dir2, name2, flags } => {
                let (dir, name, dir2, name2) = (model.dir(dir), NAMES[name], model.dir(dir2), NAMES[name2]);
                let (from, to) = (VnodeNo(dir), VnodeNo(dir2));
                let got = index.rename(from, name.as_bytes(), to, name2.as_bytes(), flags, now_ns);
                assert_eq!(errno(got).map(drop), model.rename((dir, name), (dir2, name2), flags));
            }
            Step::SetAttr { of, mode } => {
                let vnode = model.any(of);
                index.set_attr(VnodeNo(vnode), &SetAttr { mode: Some(mode), ..SetAttr::default() }).unwrap();
                let node = model.node(vnode);
                node.mode = node.mode & types::S_IFMT | mode;
            }
            Step::SetContent { of, content } => {
                let vnode = model.any(of);
                let node = model.node(vnode);
                if node.mode & types::S_IFMT == types::S_IFREG {
                    node.content =
                        if content == 0 { Content::Staged } else { Content::Sealed([content; 32]) };
                    (node.size, node.mtime_ns, node.ctime_ns) = (u64::from(content), now_ns, now_ns - 1);
                    let (content, size) = (node.content, node.size);
                    index.set_content(VnodeNo(vnode), content, size, 8, now_ns, now_ns - 1).unwrap();
                }
            }
            Step::Grow => index.grow().unwrap(),
            Step::Reload => {
                let mut dump = Vec::new();
                index.dump(&mut dump).unwrap();
                *index = Index::load(&self.dir.join("index"), &params(), &mut &dump[..]).unwrap();
                // What it was of is gone.
                self.steps = None;
            }
            Step::Copy(count) => {
                let steps = self.steps.get_or_insert_with(|| index.begin_steps());
                let _all = steps.step(index, count);
            }
            Step::Finish => {
                let Some(steps) = self.steps.take() else { return };
                let mut dump = Vec::new();
                steps.finish(index).write(&mut dump).unwrap();
                assert!(!index.in_steps());
                let path = self.dir.join("other");
                check(&Index::load(&path, &params(), &mut &dump[..]).unwrap(), model);
            }
        }
    }
}

fn check(index: &Index, model: &Model) {
    for (vnode, node) in &model.nodes {
        let attr = index.attr(VnodeNo(*vnode)).unwrap();
        let mut entries = Vec::new();
        index.children(VnodeNo(*vnode), &mut |name, child| {
            assert_eq!(index.lookup(VnodeNo(*vnode), name), Some(child));
            entries.push((*NAMES.iter().find(|known| known.as_bytes() == name).unwrap(), child.0));
        });
        let found = Node {
            mode: attr.mode,
            nlink: attr.nlink,
            size: attr.size,
            mtime_ns: attr.mtime_ns,
            ctime_ns: attr.ctime_ns,
            content: attr.content,
            entries,
        };
        assert_eq!(&found, node, "vnode {vnode:#x}");
        let target = (attr.mode & types::S_IFMT == types::S_IFLNK).then(|| TARGET.to_vec());
        assert_eq!(index.target(VnodeNo(*vnode)), target);
    }
    assert_eq!(index.len(), model.nodes.len());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: CASES,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_namespace_is_a_tree_of_names(history in proptest::collection::vec(step(), 1..120)) {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::create(&dir.path().join("index"), &params()).unwrap();
        let mut pair = Pair { dir: dir.path(), index, model: Model::new(), steps: None };
        for (number, step) in history.iter().enumerate() {
            pair.perform(step);
            if number % 8 == 0 {
                check(&pair.index, &pair.model);
            }
        }
        check(&pair.index, &pair.model);
        pair.perform(&Step::Finish);
    }
}
