//! Reading directories: which names are taken in, and what is at them.

use super::files::{open_dir, rules_text};
use super::found::{Found, IGNORED_MAX, join, skip};
use super::known::{Group, Known};
use super::listing::Listing;
use super::{FILES_PER_STEP, Leaving, Opened, S_IFREG, Scope, Step, Walk, os};
use crate::base::{Held, Row, row_of};
use crate::ignored::{self, RuleFiles, Rules, Verdict};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, readlinkat};
use nix::sys::stat::fstatat;
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;
use vrift_manifest::types::{S_IFDIR, S_IFLNK, S_IFMT};

/// What was found, and what is still to be looked into.
#[derive(Default)]
pub(super) struct Part<'a> {
    pub found: Found,
    pub steps: Vec<Step<'a>>,
    /// Files and bytes that are done with.
    pub seen: (u64, u64),
}

/// How deep a look at a name goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// A directory is read, too.
    Below,
    /// A directory whose changes are noticed is not.
    Noticed,
}

/// What a look at a name comes to.
#[derive(PartialEq, Eq)]
pub(super) enum Looked {
    /// All is said about it and, by steps to come, about what is below.
    Settled,
    /// A directory; what is below it was not looked at, as nothing was noticed there.
    OnlyItself,
    /// A file whose bytes are to be read.
    ToRead,
}

impl<'a> Walk<'a> {
    /// `rows` are those that the last table has below the directory.
    pub(super) fn read_dir(
        &self,
        parent: Option<&Opened>,
        name: &CStr,
        (path, rules, rows): (Vec<u8>, Scope, &'a [Row]),
        part: &mut Part<'a>,
    ) {
        let fd = match open_dir(parent.map(|parent| &parent.fd), name) {
            Ok(fd) => fd,
            Err(errno) => {
                return skip(&mut part.found, path, format!("cannot be read: {}", errno.desc()));
            }
        };
        if let Some(eye) = self.plan.eye {
            // Before its names are read: what changes from here on is noticed.
            eye.watch(&fd, &path);
        }
        let listing = Listing::of(&fd);
        let dir = Arc::new(Opened { fd, path });
        let rules = self.rules(&dir, &|name| listing.has(name), rules);
        let mut known = Known::below(rows, &dir.path);
        let mut unknown = Vec::new();
        for name in listing.names() {
            let group = known.at(name.to_bytes(), &mut |path| part.found.gone(path));
            if self.look(&dir, name, (rules.as_ref(), Depth::Below, group), part) == Looked::ToRead {
                unknown.push(name.to_owned());
            }
        }
        match listing.failed {
            None => known.end(&mut |path| part.found.gone(path)),
            // What was not read is as it was.
            Some(errno) => {
                let what = format!("cannot be read to its end: {}", errno.desc());
                skip(&mut part.found, dir.path.clone(), what);
            }
        }
        self.read_later(&dir, unknown, part);
    }

    /// Files whose bytes are to be read.
    pub(super) fn read_later(&self, dir: &Arc<Opened>, mut unknown: Vec<CString>, part: &mut Part<'a>) {
        while !unknown.is_empty() {
            let files = unknown.split_off(unknown.len().saturating_sub(FILES_PER_STEP));
            part.steps.push(Step::Files { dir: Arc::clone(dir), files });
        }
    }

    /// Looks at one name, for which the last table has `known`. Only what differs from it is found, and said to be replaced.
    pub(super) fn look(
        &self,
        dir: &Arc<Opened>,
        name: &CStr,
        (rules, depth, known): (Option<&Arc<Rules>>, Depth, Group<'a>),
        part: &mut Part<'a>,
    ) -> Looked {
        if name.to_bytes().starts_with(crate::real_tree::BESIDE.as_bytes()) {
            return Looked::Settled;
        }
        let Part { found, steps, seen } = part;
        let path = || join(&dir.path, name.to_bytes());
        found.looked_at += 1;
        let stat = match fstatat(&dir.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::ENOENT) => {
                if !known.is_empty() {
                    found.gone(&path());
                }
                return Looked::Settled;
            }
            Err(errno) => {
                skip(found, path(), format!("cannot be looked at: {}", errno.desc()));
                return Looked::Settled;
            }
        };
        let is_dir = stat.st_mode & S_IFMT == S_IFDIR;
        let Some(below) = self.judge(rules, (&path, name.to_bytes()), is_dir, !known.is_empty()) else {
            let path = path();
            found.ignored_count += 1;
            if let Some(eye) = self.plan.eye {
                eye.leaves_out(&path);
            }
            if found.ignored.len() < IGNORED_MAX {
                found.ignored.push(path[..].into());
            }
            return Looked::Settled;
        };
        let is_same = known.own.is_some_and(|own| own.is_still(&stat));
        match stat.st_mode & S_IFMT {
            S_IFDIR if self.home == Some((stat.st_dev, stat.st_ino)) => {
                skip(found, path(), "holds vrift's own state (VRIFT_HOME)".into());
            }
            S_IFDIR => {
                seen.0 += 1;
                let path = path();
                if !is_same || known.own.is_some_and(|own| own.changed_at(&stat)) {
                    let xattrs = crate::real_xattrs::read_dir(self.plan.reading, &dir.fd, name);
                    if !is_same || !xattrs.is_empty() {
                        found.is_now(known, Row { xattrs, ..row_of(path.clone(), &stat, Held::Nothing) });
                    }
                }
                if depth == Depth::Noticed && known.own.is_some_and(Row::is_dir) && self.sees(&path) {
                    return Looked::OnlyItself;
                }
                let rows = if known.own.is_none_or(Row::is_dir) { known.below } else { &[] };
                let parent = Some(Arc::clone(dir));
                steps.push(Step::Dir { parent, name: name.to_owned(), path, rules: below, rows });
            }
            S_IFLNK | S_IFREG if is_same => {
                *seen = (seen.0 + 1, seen.1 + stat.st_size.cast_unsigned());
                if stat.st_nlink > 1 {
                    found.linked.extend(known.own.cloned());
                }
            }
            S_IFLNK => match readlinkat(&dir.fd, name) {
                Ok(target) => {
                    seen.0 += 1;
                    found.is_now(known, row_of(path(), &stat, Held::Target(target.into_vec())));
                }
                Err(errno) => skip(found, path(), format!("cannot be read: {}", errno.desc())),
            },
            S_IFREG => {
                if !known.is_empty() {
                    found.gone(&path());
                }
                return Looked::ToRead;
            }
            0o140000 => skip(found, path(), "is a socket".into()),
            0o010000 => skip(found, path(), "is a fifo".into()),
            _ => skip(found, path(), "is a device".into()),
        }
        Looked::Settled
    }

    fn sees(&self, path: &[u8]) -> bool {
        self.plan.eye.is_some_and(|eye| eye.sees(path))
    }

    /// The rules that hold in a directory that has such names.
    pub(super) fn rules(
        &self,
        dir: &Opened,
        has: &dyn Fn(&[u8]) -> bool,
        scope: Scope,
    ) -> Option<Arc<Rules>> {
        let Scope::Below(above, ignored) = scope else { return None };
        let read = |name: &[u8]| has(name).then(|| rules_text(&dir.fd, name)).flatten();
        let files = RuleFiles {
            own: read(ignored::OWN_FILE),
            git: read(ignored::GIT_FILE),
            is_repo: has(ignored::GIT_DIR),
        };
        let path = self.dir.join(os(&dir.path));
        let rules = Rules::of(above.as_ref(), &path, &files, self.daemon.config.ingest.gitignore, ignored);
        if let (Some(eye), Some(rules), true) = (self.plan.eye, &rules, files.is_repo) {
            eye.depends_on(rules.repo_files());
        }
        rules
    }

    /// None: left out. For a directory: what holds in it. The path is made only where a rule asks for it.
    pub(super) fn judge(
        &self,
        rules: Option<&Arc<Rules>>,
        (path, name): (&dyn Fn() -> Vec<u8>, &[u8]),
        is_dir: bool,
        is_known: bool,
    ) -> Option<Scope> {
        let Some(rules) = rules.filter(|_| self.plan.leaving == Leaving::Ignored) else {
            return Some(self.below(None, false));
        };
        if is_dir && name == ignored::GIT_DIR {
            return Some(Scope::Free);
        }
        if is_known && !is_dir {
            return Some(Scope::Free);
        }
        match rules.verdict(&self.dir.join(os(&path())), is_dir) {
            Verdict::TakenIn => Some(self.below(Some(rules), false)),
            Verdict::OnlyTracked => Some(self.below(Some(rules), true)),
            Verdict::LeftOut => is_known.then(|| self.below(Some(rules), true)),
        }
    }

    fn below(&self, rules: Option<&Arc<Rules>>, ignored: bool) -> Scope {
        match self.plan.leaving {
            Leaving::Nothing => Scope::Free,
            Leaving::Ignored => Scope::Below(rules.cloned(), ignored),
        }
    }
}
