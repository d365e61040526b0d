//! Which workspace a command means, and which path in it.

use crate::error::{CliError, Result};
use crate::session::Session;
use clap::Args;
use std::cmp::Reverse;
use std::env;
use std::path::{Component, Path, PathBuf};
use vrift_protocol::admin::{AdminReply, AdminRequest, PathBytes, Side, Target, WorkspaceInfo};
use vrift_protocol::names;

/// `-w W`, shared by all commands that look at one workspace.
#[derive(Args, Clone, Debug, Default)]
pub struct Which {
    /// The workspace; default: $VRIFT_WORKSPACE, or the one that holds the current directory
    #[arg(short = 'w', long = "workspace", value_name = "W")]
    pub workspace: Option<String>,
}

impl Which {
    /// The name that was given. VRIFT_WORKSPACE counts as long as the current directory is in the view that
    /// it came with: who leaves the view for another project means that one.
    pub fn name(&self, cwd: &Path) -> Option<String> {
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        self.workspace.clone().or_else(|| {
            let name = set(names::ENV_WORKSPACE)?.into_string().ok()?;
            set(names::ENV_VIEW).is_none_or(|view| cwd.starts_with(view)).then_some(name)
        })
    }

    /// For requests that may create the workspace.
    pub fn target(&self, cwd: &Path) -> Target {
        match self.name(cwd) {
            Some(name) => Target::Name(name),
            None => Target::Holding(cwd.into()),
        }
    }
}

/// `--at PATH`, shared by all commands that put processes into a view.
#[derive(Args, Clone, Debug, Default)]
pub struct Place {
    /// Show the workspace at this path instead of the one that it was taken in from
    #[arg(long = "at", value_name = "PATH")]
    pub at: Option<PathBuf>,
}

impl Place {
    /// The path as processes in the view will see it: absolute, symlinks of what exists resolved.
    pub fn resolve(&self) -> Result<Option<PathBuf>> {
        let Some(at) = &self.at else { return Ok(None) };
        let plain = normal(&current_dir()?.join(at));
        let at = canonical_prefix(&plain).unwrap_or(plain);
        if at.parent().is_none() {
            return Err(CliError::Usage {
                what: "a workspace cannot be shown at /".into(),
                hint: "programs and libraries would be hidden by it: name another path".into(),
            });
        }
        Ok(Some(at))
    }
}

/// The current directory, symlink-free; inside a view as the view names it.
pub fn current_dir() -> Result<PathBuf> {
    env::current_dir().map_err(|source| CliError::path("the current directory", source))
}

/// A workspace that exists.
pub struct Chosen {
    pub info: WorkspaceInfo,
    /// Where relative paths start: the current directory, or the view's root when that is not in the view.
    base: PathBuf,
}

impl Chosen {
    pub fn find(session: &mut Session, which: &Which) -> Result<Chosen> {
        let cwd = current_dir()?;
        let all = workspaces(session)?;
        let known = || all.iter().map(|info| info.name.clone()).collect();
        let info = match which.name(&cwd) {
            Some(name) => all
                .iter()
                .find(|info| info.name == name)
                .ok_or_else(|| CliError::NoSuchWorkspace { name, known: known() })?,
            None => all
                .iter()
                .filter(|info| cwd.starts_with(info.view.as_path()))
                // Forks are seen at the same path: the one that was taken in there, else the oldest.
                .min_by_key(|info| (Reverse(info.view.0.len()), info.origin.is_some(), info.id))
                .ok_or_else(|| CliError::NoWorkspace { dir: cwd.clone(), known: known() })?,
        };
        let view = info.view.to_path_buf();
        let base = if cwd.starts_with(&view) { cwd } else { view };
        Ok(Chosen { info: info.clone(), base })
    }

    pub fn target(&self) -> Target {
        Target::Name(self.info.name.clone())
    }

    /// An argument `W@SNAP:PATH`, which is a path from the root of a workspace's snapshot (no `W`: the chosen one),
    /// or a plain path in the chosen workspace as it is now.
    pub fn spot(session: &mut Session, which: &Which, path: &Path) -> Result<Spot> {
        let Some((name, snapshot, rest)) = split_snapshot(path) else {
            let chosen = Chosen::find(session, which)?;
            let path = chosen.resolve(path)?;
            return Ok(Spot { target: chosen.target(), snapshot: None, path });
        };
        let named = Which { workspace: Some(name).filter(|name| !name.is_empty()) };
        let mut chosen = Chosen::find(session, if named.workspace.is_some() { &named } else { which })?;
        chosen.base = chosen.info.view.to_path_buf();
        Ok(Spot { target: chosen.target(), snapshot: Some(snapshot), path: chosen.resolve(&rest)? })
    }

    /// An argument as an absolute path in the view.
    pub fn resolve(&self, path: &Path) -> Result<PathBytes> {
        let view = self.info.view.as_path();
        let plain = normal(&self.base.join(path));
        if plain.starts_with(view) {
            return Ok(plain.into());
        }
        // Another spelling of a folder above the view.
        match canonical_prefix(&plain).filter(|path| path.starts_with(view)) {
            Some(path) => Ok(path.into()),
            None => Err(CliError::OutsideView { path: path.to_path_buf(), view: view.to_path_buf() }),
        }
    }

    pub fn resolve_all(&self, paths: &[PathBuf]) -> Result<Vec<PathBytes>> {
        paths.iter().map(|path| self.resolve(path)).collect()
    }
}

/// A path in a workspace, or in one of its snapshots.
pub struct Spot {
    pub target: Target,
    pub snapshot: Option<String>,
    pub path: PathBytes,
}

/// Workspace, snapshot and path of `W@SNAP:PATH`. No workspace has an `@` in its name, nor a `/`: a plain path of that
/// form can be written with `./` before it.
fn split_snapshot(path: &Path) -> Option<(String, String, PathBuf)> {
    let text = path.to_str()?;
    let (name, rest) = text.split_once('@')?;
    let (snapshot, path) = rest.split_once(':')?;
    let is_plain = name.contains('/') || snapshot.contains('/') || snapshot.is_empty();
    (!is_plain)
        .then(|| (name.into(), snapshot.into(), if path.is_empty() { ".".into() } else { path.into() }))
}

/// `W@SNAP` (no `W`: the chosen workspace), the name of a workspace as it is now, or a snapshot of the chosen one.
pub fn side(session: &mut Session, which: &Which, text: &str) -> Result<Side> {
    if let Some((name, snapshot)) = text.split_once('@') {
        let named = Which { workspace: Some(name.to_string()).filter(|name| !name.is_empty()) };
        let chosen = Chosen::find(session, if named.workspace.is_some() { &named } else { which })?;
        return Ok(Side { workspace: chosen.target(), snapshot: Some(snapshot.into()) });
    }
    if workspaces(session)?.iter().any(|info| info.name == text) {
        return Ok(Side { workspace: Target::Name(text.into()), snapshot: None });
    }
    Ok(Side { workspace: Chosen::find(session, which)?.target(), snapshot: Some(text.into()) })
}

fn workspaces(session: &mut Session) -> Result<Vec<WorkspaceInfo>> {
    let mut all = Vec::new();
    session.ask(&AdminRequest::Workspaces, &mut |reply| {
        if let AdminReply::Workspaces(some) = reply {
            all.extend_from_slice(some);
        }
    })?;
    Ok(all)
}

/// Without `.` and `..`, by text alone.
fn normal(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

/// `path` with the symlinks of its longest existing part resolved; the rest may exist in the view alone.
fn canonical_prefix(path: &Path) -> Option<PathBuf> {
    path.ancestors()
        .find_map(|prefix| Some((prefix.canonicalize().ok()?, path.strip_prefix(prefix).ok()?)))
        .map(|(prefix, rest)| if rest.as_os_str().is_empty() { prefix } else { prefix.join(rest) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(view: &Path, base: &Path) -> Chosen {
        let info = WorkspaceInfo { id: 1, name: "w".into(), view: view.into(), vnodes: 1, origin: None };
        Chosen { info, base: base.to_path_buf() }
    }

    #[test]
    fn paths_are_relative_to_the_current_directory_in_the_view() {
        let chosen = chosen(Path::new("/p"), Path::new("/p/src"));
        let resolved = |path| chosen.resolve(Path::new(path)).map(|path| path.to_path_buf());
        assert_eq!(resolved("a").unwrap(), Path::new("/p/src/a"));
        assert_eq!(resolved(".").unwrap(), Path::new("/p/src"));
        assert_eq!(resolved("../b/./c").unwrap(), Path::new("/p/b/c"));
        assert_eq!(resolved("/p").unwrap(), Path::new("/p"));
        assert_eq!(resolved("/p2").unwrap_err().exit_code(), 2);
        assert_eq!(resolved("../..").unwrap_err().exit_code(), 2);
    }

    #[test]
    fn snapshots_are_told_from_paths() {
        let split = |text: &str| split_snapshot(Path::new(text));
        let found =
            |name: &str, snapshot: &str, path: &str| Some((name.into(), snapshot.into(), path.into()));
        assert_eq!(split("w@3:src/a"), found("w", "3", "src/a"));
        assert_eq!(split("@3:a@b:c"), found("", "3", "a@b:c"));
        assert_eq!(split("w@beef12:"), found("w", "beef12", "."));
        for plain in ["a", "a@b", "./a@b:c", "d/a@b:c", "a@b/c:d", "a@:b", "a:b@c"] {
            assert_eq!(split(plain), None, "{plain}");
        }
    }

    #[test]
    fn an_absolute_path_through_a_symlink_is_found_in_the_view() {
        let outer = tempfile::tempdir().unwrap();
        let view = outer.path().canonicalize().unwrap().join("tree");
        std::fs::create_dir(&view).unwrap();
        let link = outer.path().join("link");
        std::os::unix::fs::symlink(&view, &link).unwrap();
        let resolved = chosen(&view, &view).resolve(&link.join("only/in/view")).unwrap();
        assert_eq!(resolved.to_path_buf(), view.join("only/in/view"));
    }
}
