//! Which names of a real directory are left out of a workspace (RFC 0013): what git ignores in a git work tree, and what
//! `.vriftignore` says anywhere. What is tracked, and what was taken in before, is never left out by git's rules; `.git`
//! and what is in it never at all.

mod index;
mod repo;
mod rule_file;

pub use rule_file::{RuleFile, Says};

use crate::walk::os;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use repo::Repo;
use std::path::Path;
use std::sync::Arc;

/// Rules of vrift's own, in any directory; they come before git's.
pub const OWN_FILE: &[u8] = b".vriftignore";
pub const GIT_FILE: &[u8] = b".gitignore";
pub const GIT_DIR: &[u8] = b".git";
/// A file of rules is read as far as this: more than any that people write.
pub const RULES_LEN_MAX: u64 = 1 << 20;

/// What holds for the names in one directory.
pub struct Rules {
    above: Option<Arc<Rules>>,
    own: Option<Gitignore>,
    git: Option<Gitignore>,
    repo: Option<Arc<Repo>>,
    /// Git's rules of the directories above do not hold here: another repository begins.
    is_repo_root: bool,
    /// The directory itself is ignored, and so is what it holds, but for what is tracked.
    ignored: bool,
}

/// What a directory holds that has to do with rules.
#[derive(Default)]
pub struct RuleFiles {
    pub own: Option<Vec<u8>>,
    pub git: Option<Vec<u8>>,
    pub is_repo: bool,
}

/// What becomes of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    TakenIn,
    LeftOut,
    /// A directory that is ignored and holds something that git tracks.
    OnlyTracked,
}

impl Rules {
    /// What holds above `view`: nothing, or the rules of the git work tree that it is a part of.
    pub fn above(view: &[u8], uses_git: bool) -> Option<Arc<Rules>> {
        let view = Path::new(os(view));
        let root = view.ancestors().skip(1).find(|dir| uses_git && dir.join(os(GIT_DIR)).exists())?;
        let below = view.strip_prefix(root).ok()?;
        let read = |dir: &Path| {
            let git = std::fs::read(dir.join(os(GIT_FILE))).ok();
            RuleFiles { own: None, git, is_repo: dir == root }
        };
        let mut rules = Rules::of(None, root, &read(root), uses_git, false);
        let mut dir = root.to_path_buf();
        for name in below.parent()?.components() {
            dir.push(name);
            let ignored = rules.as_ref().is_some_and(|rules| rules.verdict(&dir, true) != Verdict::TakenIn);
            rules = Rules::of(rules.as_ref(), &dir, &read(&dir), uses_git, ignored);
        }
        // Whoever takes an ignored directory in by its name means what is in it.
        match &rules {
            Some(rules) if rules.ignored || rules.verdict(view, true) != Verdict::TakenIn => None,
            _ => rules,
        }
    }

    /// What holds in `dir`, whose files are `files`. `ignored`: only what is tracked counts there.
    pub fn of(
        above: Option<&Arc<Rules>>,
        dir: &Path,
        files: &RuleFiles,
        uses_git: bool,
        ignored: bool,
    ) -> Option<Arc<Rules>> {
        let repo = match (files.is_repo && uses_git).then(|| Repo::at(dir)) {
            Some(own) => own.map(Arc::new),
            None => above.and_then(|above| above.repo.clone()),
        };
        let is_repo_root = files.is_repo && uses_git;
        let has_rules = files.own.is_some() || (files.git.is_some() && repo.is_some());
        if !has_rules && !is_repo_root && !ignored {
            return above.cloned();
        }
        let git = files.git.as_deref().filter(|_| repo.is_some()).map(|text| patterns(dir, GIT_FILE, text));
        let own = files.own.as_deref().map(|text| patterns(dir, OWN_FILE, text));
        Some(Arc::new(Rules { above: above.cloned(), own, git, repo, is_repo_root, ignored }))
    }

    /// The files of the repository that these rules were made of, which need not be in the directory.
    pub fn repo_files(&self) -> &[RuleFile] {
        self.repo.as_ref().map_or(&[], |repo| &repo.files)
    }

    /// The files above `view` that [`Rules::above`] reads, or would read if they were there.
    pub fn files_above(view: &[u8], uses_git: bool) -> Vec<RuleFile> {
        let above = Path::new(os(view)).ancestors().skip(1).filter(|_| uses_git);
        let of = |dir: &Path| {
            let git_dir = dir.join(os(GIT_DIR));
            let mut files = vec![
                RuleFile::now(dir.join(os(GIT_FILE)), Says::WhatIsIgnored),
                RuleFile::presence(git_dir.clone(), Says::WhatIsIgnored),
            ];
            if git_dir.exists() {
                files.extend(Repo::at(dir).into_iter().flat_map(|repo| repo.files));
            }
            files
        };
        above.flat_map(of).collect()
    }

    /// What becomes of `path`, an absolute one in the directory of these rules or below it.
    pub fn verdict(&self, path: &Path, is_dir: bool) -> Verdict {
        if path.file_name().is_some_and(|name| name.as_encoded_bytes() == GIT_DIR) {
            return Verdict::TakenIn;
        }
        if let Some(by_own) = self.by_own(path, is_dir) {
            // Nothing in an ignored directory comes back, as with git.
            if by_own || !self.ignored {
                return if by_own { Verdict::LeftOut } else { Verdict::TakenIn };
            }
        }
        if !self.ignored && !self.by_git(path, is_dir) {
            return Verdict::TakenIn;
        }
        let Some(repo) = &self.repo else { return Verdict::LeftOut };
        match (repo.tracks(path), is_dir && repo.tracks_below(path)) {
            (_, true) => Verdict::OnlyTracked,
            (true, _) => Verdict::TakenIn,
            _ => Verdict::LeftOut,
        }
    }

    /// What `.vriftignore` files say, the nearest first.
    fn by_own(&self, path: &Path, is_dir: bool) -> Option<bool> {
        let own = self.own.as_ref().map(|own| own.matched(path, is_dir));
        match own {
            Some(said) if !said.is_none() => Some(said.is_ignore()),
            _ => self.above.as_ref().and_then(|above| above.by_own(path, is_dir)),
        }
    }

    /// What git's files say: the nearest `.gitignore` first, `info/exclude` last.
    fn by_git(&self, path: &Path, is_dir: bool) -> bool {
        let Some(repo) = &self.repo else { return false };
        if let Some(said) = self.git.as_ref().map(|git| git.matched(path, is_dir)).filter(|it| !it.is_none())
        {
            return said.is_ignore();
        }
        match &self.above {
            Some(above) if !self.is_repo_root => above.by_git(path, is_dir),
            _ => repo.exclude.as_ref().is_some_and(|exclude| exclude.matched(path, is_dir).is_ignore()),
        }
    }
}

/// The patterns of one file; a line that is none is told in the log, and ignores nothing.
fn patterns(dir: &Path, name: &[u8], text: &[u8]) -> Gitignore {
    let mut builder = GitignoreBuilder::new(dir);
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let added = std::str::from_utf8(line)
            .map_err(|error| error.to_string())
            .and_then(|line| builder.add_line(None, line).map(drop).map_err(|error| error.to_string()));
        if let Err(error) = added {
            let file = dir.join(os(name));
            tracing::warn!(
                "{}, line {}: not understood, ignores nothing: {error}",
                file.display(),
                number + 1
            );
        }
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(own: &str, git: &str) -> Arc<Rules> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(".git")).unwrap();
        let files = RuleFiles { own: Some(own.into()), git: Some(git.into()), is_repo: true };
        let rules = Rules::of(None, Path::new("/p"), &files, true, false).unwrap();
        // The repository is read from the path: without one there are no rules of git.
        let repo = Repo::at(dir.path()).map(Arc::new);
        let rules = Arc::into_inner(rules).unwrap();
        let git = patterns(Path::new("/p"), GIT_FILE, git.as_bytes());
        Arc::new(Rules { repo, git: Some(git), ..rules })
    }

    #[test]
    fn own_rules_come_before_those_of_git_and_nothing_hides_git_itself() {
        let rules = rules("!kept.log\n*.mine\n.git\n", "*.log\n/out/\nnested/*\n");
        let verdict = |path: &str, is_dir| rules.verdict(Path::new(path), is_dir);
        assert_eq!(verdict("/p/a.log", false), Verdict::LeftOut);
        assert_eq!(verdict("/p/kept.log", false), Verdict::TakenIn);
        assert_eq!(verdict("/p/x/y.mine", false), Verdict::LeftOut);
        assert_eq!(verdict("/p/out", true), Verdict::LeftOut);
        assert_eq!(verdict("/p/out", false), Verdict::TakenIn, "the pattern is for directories");
        assert_eq!(verdict("/p/x/out", true), Verdict::TakenIn, "the pattern is for the top");
        assert_eq!(verdict("/p/.git", true), Verdict::TakenIn);
        assert_eq!(verdict("/p/nested/x", false), Verdict::LeftOut);
    }

    #[test]
    fn a_line_that_is_no_pattern_ignores_nothing_and_the_others_count() {
        let rules = rules("[z-a]\n", "\u{feff}first\r\n");
        assert_eq!(rules.verdict(Path::new("/p/[z-a]"), false), Verdict::TakenIn);
        assert_eq!(rules.verdict(Path::new("/p/first"), false), Verdict::LeftOut);
    }
}
