//! Reading directories: which names are taken in, and what is at them.

use super::files::{open_dir, rules_text};
use super::found::{Found, IGNORED_MAX, join, skip};
use super::{FILES_PER_STEP, Leaving, Opened, S_IFREG, Scope, Step, Walk, os};
use crate::base::{Held, Row, row_of};
use crate::ignored::{self, RuleFiles, Rules, Verdict};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, readlinkat};
use nix::sys::stat::fstatat;
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;
use vrift_manifest::types::{S_IFDIR, S_IFLNK, S_IFMT};

/// What was found, and what is still to be looked into.
#[derive(Default)]
pub(super) struct Part {
    pub found: Found,
    pub steps: Vec<Step>,
}

/// How deep a look at a name goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// A directory is read, too.
    Below,
    /// A directory whose changes are noticed is not.
    Noticed,
}

impl Walk<'_> {
    pub(super) fn read_dir(
        &self,
        parent: Option<&Opened>,
        name: &CStr,
        (path, rules): (Vec<u8>, Scope),
        part: &mut Part,
    ) {
        let found = &mut part.found;
        let opened = open_dir(parent.map(|parent| &parent.fd), name)
            .and_then(|fd| Ok((Dir::from_fd(fd.try_clone().map_err(|_| Errno::EMFILE)?)?, fd)));
        let (mut entries, fd) = match opened {
            Ok(opened) => opened,
            Err(errno) => return skip(found, path, format!("cannot be read: {}", errno.desc())),
        };
        if let Some(eye) = self.plan.eye {
            // Before its names are read: what changes from here on is noticed.
            eye.watch(&fd, &path);
        }
        let dir = Arc::new(Opened { fd, path });
        let mut unknown = Vec::new();
        let mut names: Vec<CString> = Vec::new();
        for entry in entries.iter() {
            match &entry {
                Ok(entry) if entry.file_name() == c"." || entry.file_name() == c".." => {}
                Ok(entry) => names.push(entry.file_name().to_owned()),
                Err(errno) => {
                    skip(found, dir.path.clone(), format!("cannot be read to its end: {}", errno.desc()));
                    break;
                }
            }
        }
        let has = |wanted: &[u8]| names.iter().any(|name| name.to_bytes() == wanted);
        let rules = self.rules(&dir, &has, rules);
        for name in &names {
            unknown.extend(self.look(&dir, name, (rules.as_ref(), Depth::Below), part));
        }
        self.read_later(&dir, unknown, part);
    }

    /// Files whose bytes are to be read.
    pub(super) fn read_later(&self, dir: &Arc<Opened>, mut unknown: Vec<CString>, part: &mut Part) {
        while !unknown.is_empty() {
            let files = unknown.split_off(unknown.len().saturating_sub(FILES_PER_STEP));
            part.steps.push(Step::Files { dir: Arc::clone(dir), files });
        }
    }

    /// Looks at one name; it is given back if it is a file to be read.
    pub(super) fn look(
        &self,
        dir: &Arc<Opened>,
        name: &CStr,
        (rules, depth): (Option<&Arc<Rules>>, Depth),
        part: &mut Part,
    ) -> Option<CString> {
        let Part { found, steps } = part;
        if name.to_bytes().starts_with(crate::real_tree::BESIDE.as_bytes()) {
            return None;
        }
        let path = join(&dir.path, name.to_bytes());
        found.looked_at += 1;
        let stat = match fstatat(&dir.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::ENOENT) => return None,
            Err(errno) => {
                skip(found, path, format!("cannot be looked at: {}", errno.desc()));
                return None;
            }
        };
        let Some(below) = self.judge(rules, &path, stat.st_mode & S_IFMT == S_IFDIR) else {
            found.ignored_count += 1;
            if let Some(eye) = self.plan.eye {
                eye.leaves_out(&path);
            }
            if found.ignored.len() < IGNORED_MAX {
                found.ignored.push(path[..].into());
            }
            return None;
        };
        match stat.st_mode & S_IFMT {
            S_IFDIR if self.home == Some((stat.st_dev, stat.st_ino)) => {
                skip(found, path, "holds vrift's own state (VRIFT_HOME)".into());
            }
            S_IFDIR => {
                let xattrs = crate::real_xattrs::read_dir(self.plan.reading, &dir.fd, name);
                found.rows.push(Row { xattrs, ..row_of(path.clone(), &stat, Held::Nothing) });
                let noticed = depth == Depth::Noticed && self.is_noticed(&path);
                if !noticed {
                    let parent = Some(Arc::clone(dir));
                    steps.push(Step::Dir { parent, name: name.to_owned(), path, rules: below });
                }
            }
            S_IFLNK => match readlinkat(&dir.fd, name) {
                Ok(target) => found.rows.push(row_of(path, &stat, Held::Target(target.into_vec()))),
                Err(errno) => skip(found, path, format!("cannot be read: {}", errno.desc())),
            },
            S_IFREG => {
                let now = row_of(path, &stat, Held::Hash([0; 32]));
                match self.plan.base.find(&now.path).filter(|known| known.same_stat(&now)) {
                    Some(known) => found.rows.push(Row { held: known.held.clone(), ..now }),
                    None => return Some(name.to_owned()),
                }
            }
            0o140000 => skip(found, path, "is a socket".into()),
            0o010000 => skip(found, path, "is a fifo".into()),
            _ => skip(found, path, "is a device".into()),
        }
        None
    }

    /// Whether changes below a directory that is there were noticed, if there were any.
    fn is_noticed(&self, path: &[u8]) -> bool {
        let was_dir = self.plan.base.find(path).is_some_and(Row::is_dir);
        was_dir && self.plan.eye.is_some_and(|eye| eye.sees(path))
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

    /// None: left out. For a directory: what holds in it.
    pub(super) fn judge(&self, rules: Option<&Arc<Rules>>, path: &[u8], is_dir: bool) -> Option<Scope> {
        let Some(rules) = rules.filter(|_| self.plan.leaving == Leaving::Ignored) else {
            return Some(self.below(None, false));
        };
        if is_dir && path.rsplit(|byte| *byte == b'/').next() == Some(ignored::GIT_DIR) {
            return Some(Scope::Free);
        }
        let is_known = self.plan.base.find(path).is_some();
        if is_known && !is_dir {
            return Some(Scope::Free);
        }
        match rules.verdict(&self.dir.join(os(path)), is_dir) {
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
