//! Looking at single names of a real directory, those at which something was noticed: what is there, whatever it was.

use super::dirs::{Depth, Looked, Part};
use super::files::open_dir;
use super::found::{Found, merge, skip};
use super::{Opened, Plan, Progress, Scope, Walk, os};
use crate::base::{is_at_or_below, path_order};
use crate::daemon::Daemon;
use crate::ignored::Rules;
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::fstatat;
use std::collections::{BTreeSet, HashMap};
use std::ffi::CString;
use std::sync::Arc;

/// Directories that are held open at a time.
const OPEN_MAX: usize = 128;

/// A directory and the rules in it.
type Ruled = (Arc<Opened>, Option<Arc<Rules>>);

/// Looks at these names, and below what is new among them. Other names of the same files are looked at as well.
pub fn look_at<'a>(
    daemon: &'a Daemon,
    plan: Plan<'a>,
    names: BTreeSet<Vec<u8>>,
    progress: &'a mut Progress<'a>,
) -> Result<Found, Errno> {
    let (walk, root, rules) = Walk::begin(daemon, plan, progress)?;
    let rules = walk.rules_in(&root, rules);
    let mut names_of = Names { walk: &walk, root: (root, rules), open: HashMap::new(), seen: HashMap::new() };
    names_of.look_at(names)?;
    let linked = names_of.linked();
    names_of.look_at(linked)?;
    drop(names_of);
    Ok(walk.end())
}

struct Names<'w, 'a> {
    walk: &'w Walk<'a>,
    root: Ruled,
    open: HashMap<Vec<u8>, Option<Ruled>>,
    /// Names that were looked at, and whether all that is below them is looked at as well.
    seen: HashMap<Vec<u8>, bool>,
}

impl Names<'_, '_> {
    fn look_at(&mut self, names: BTreeSet<Vec<u8>>) -> Result<(), Errno> {
        let mut names: Vec<Vec<u8>> = names.into_iter().filter(|name| !self.covers(name)).collect();
        names.sort_unstable_by(|one, two| path_order(one, two));
        let mut last_whole: Option<Vec<u8>> = None;
        for name in names {
            // The walk below the one comes to the other.
            if last_whole.as_ref().is_some_and(|last| is_at_or_below(&name, last)) {
                continue;
            }
            if self.look_at_one(&name)? {
                last_whole = Some(name);
            }
        }
        self.walk.work_together();
        Ok(())
    }

    /// Whether it was looked at already.
    fn covers(&self, name: &[u8]) -> bool {
        let slashes = name.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let mut above = slashes.map(|(end, _)| &name[..end]);
        self.seen.contains_key(name) || above.any(|dir| self.seen.get(dir) == Some(&true))
    }

    /// Whether what is below the name is replaced, too.
    fn look_at_one(&mut self, path: &[u8]) -> Result<bool, Errno> {
        let mut part = Part::default();
        if let Some(eye) = self.walk.plan.eye {
            eye.looks_at(path);
        }
        let known = self.walk.known(path);
        let is_whole = if path.is_empty() {
            self.walk.look_at_root(&self.root.0, known, &mut part.found)?;
            false
        } else {
            let slash = path.iter().rposition(|byte| *byte == b'/');
            let (dir, last) = slash.map_or((&path[..0], path), |at| (&path[..at], &path[at + 1..]));
            match self.dir(dir) {
                // Its directory is gone, or nobody's business.
                Ok(None) => {
                    if !known.is_empty() {
                        part.found.gone(path);
                    }
                    true
                }
                Ok(Some((dir, rules))) => {
                    let last = CString::new(last).map_err(|_| Errno::EINVAL)?;
                    let looked =
                        self.walk.look(&dir, &last, (rules.as_ref(), Depth::Noticed, known), &mut part);
                    if looked == Looked::ToRead {
                        self.walk.read_later(&dir, vec![last], &mut part);
                    }
                    looked != Looked::OnlyItself
                }
                Err(errno) => {
                    skip(&mut part.found, path.to_vec(), format!("cannot be looked at: {}", errno.desc()));
                    true
                }
            }
        };
        self.seen.insert(path.to_vec(), is_whole);
        let mut queue = self.walk.queue();
        queue.steps.append(&mut part.steps);
        merge(&mut queue.found, part.found);
        Ok(is_whole)
    }

    /// A directory below the root, no symlinks followed. None: it is none (any more), or it is left out.
    fn dir(&mut self, path: &[u8]) -> Result<Option<Ruled>, Errno> {
        if path.is_empty() {
            return Ok(Some(self.root.clone()));
        }
        if let Some(known) = self.open.get(path) {
            return Ok(known.clone());
        }
        let slash = path.iter().rposition(|byte| *byte == b'/');
        let (above, last) = slash.map_or((&path[..0], path), |at| (&path[..at], &path[at + 1..]));
        let opened = match self.dir(above)? {
            Some(above) => self.open_below(&above, path, last)?,
            None => None,
        };
        if self.open.len() >= OPEN_MAX {
            self.open.clear();
        }
        self.open.insert(path.to_vec(), opened.clone());
        Ok(opened)
    }

    fn open_below(&self, (above, rules): &Ruled, path: &[u8], last: &[u8]) -> Result<Option<Ruled>, Errno> {
        let is_known = self.walk.plan.base.find(path).is_some();
        let whole = || path.to_vec();
        let Some(scope) = self.walk.judge(rules.as_ref(), (&whole, last), true, is_known) else {
            return Ok(None);
        };
        let name = CString::new(last).map_err(|_| Errno::EINVAL)?;
        match open_dir(Some(&above.fd), &name) {
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
            Err(errno) => Err(errno),
            Ok(fd) => {
                let dir = Arc::new(Opened { fd, path: path.to_vec() });
                let rules = self.walk.rules_in(&dir, scope);
                Ok(Some((dir, rules)))
            }
        }
    }

    /// Names of the last table whose files have further names among those that were found: what is written by one name
    /// is in all of them, and noticed at one.
    fn linked(&self) -> BTreeSet<Vec<u8>> {
        let queue = self.walk.queue();
        let linked = queue.found.rows.iter().filter(|row| row.nlink > 1 && !row.is_dir());
        let linked: std::collections::HashSet<(u64, u64)> = linked.map(|row| (row.dev, row.ino)).collect();
        if linked.is_empty() {
            return BTreeSet::new();
        }
        let base = self.walk.plan.base.rows.iter();
        base.filter(|row| !row.is_dir() && linked.contains(&(row.dev, row.ino)))
            .map(|row| row.path.clone())
            .collect()
    }
}

impl Walk<'_> {
    /// The rules that hold in a directory whose names were not read.
    fn rules_in(&self, dir: &Opened, scope: Scope) -> Option<Arc<Rules>> {
        let has = |name: &[u8]| fstatat(&dir.fd, os(name), AtFlags::AT_SYMLINK_NOFOLLOW).is_ok();
        self.rules(dir, &has, scope)
    }
}
