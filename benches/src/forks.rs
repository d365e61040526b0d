//! Another working copy of a large tree, against the other ways to have one.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::playground::{Playground, remove_tree, run};
use crate::report::Row;
use crate::trees;

const FILES: u32 = 100_000;
const SIZE_BYTES: usize = 256;
const KIB: f64 = 1024.0;

pub fn measure(playground: &Playground, pairs: u32) -> Result<Vec<Row>> {
    let project = playground.path("forked");
    trees::make(&project, FILES, SIZE_BYTES)?;
    playground.fresh()?;
    playground.ingest(&project)?;
    // A snapshot finds most of its work done, as it does some seconds after a build.
    std::thread::sleep(std::time::Duration::from_secs(5));
    let vrift = |args: &[&str]| playground.vrift(&project, args);
    run(&mut vrift(&["snapshot"]))?;

    let copy = playground.path("copy");
    let mut fork = Row::new("fork of 100,000 files", "ms", "at most 10 ms").against("cp -a");
    let mut worktree = Row::new("the same", "ms", "-").against("git worktree add");
    let mut reflink = Row::new("the same", "ms", "-").against("cp --reflink");
    let mut overlay = Row::new("the same", "ms", "-").against("an overlayfs mount");
    let mut enter = Row::new("first entry into the fork", "ms", "-").against("cp -a");
    let mut edit = Row::new("snapshot after an edit", "ms", "at most 10 ms").against("cp -a");
    let mut back = Row::new("rollback of an edit", "ms", "at most 10 ms").against("cp -a");
    let mut space = Row::new("store after a fork", "KiB more", "at most 1024").against("before").difference();
    let ms = |command: &mut Command| playground.measure(command).map(|cost| cost.wall_s * 1000.0);
    // What copies a hundred thousand files takes so long that once is enough.
    let copied = ms(Command::new("cp").arg("-a").arg(&project).arg(&copy))?;
    for pair in 0..pairs {
        let before = store_kib(playground)?;
        let name = format!("fork{pair}");
        let forked = ms(&mut vrift(&["fork", "forked", &name]))?;
        space.push(before, store_kib(playground)?);
        fork.push(copied, forked);
        enter.push(copied, ms(&mut vrift(&["run", "-q", "-w", &name, "--", "true"]))?);
        let script = format!("echo {pair} >>d0007/f000700");
        run(&mut vrift(&["run", "-q", "--", "sh", "-c", &script]))?;
        edit.push(copied, ms(&mut vrift(&["snapshot"]))?);
        run(&mut vrift(&["run", "-q", "--", "sh", "-c", &script]))?;
        back.push(copied, ms(&mut vrift(&["rollback"]))?);
        if let Some(mounted) = mount_overlay(playground, &project)? {
            overlay.push(mounted, forked);
        }
    }
    let forked = ms(&mut vrift(&["fork", "forked", "last"]))?;
    if let Some(git) = prepare_git(&copy)? {
        let mut add = Command::new("git");
        add.arg("-C").arg(&git).args(["worktree", "add", "-q", "--detach"]).arg(playground.path("worktree"));
        worktree.push(ms(&mut add)?, forked);
    }
    // Most file systems refuse at the first file: then there is nothing to compare with.
    let clone = |from: &Path, to: &str| {
        let mut cp = Command::new("cp");
        cp.args(["-a", "--reflink=always"]).arg(from).arg(playground.path(to));
        ms(&mut cp).ok()
    };
    if clone(&project.join("d0007/f000700"), "one").is_some()
        && let Some(cost) = clone(&project, "cloned")
    {
        reflink.push(cost, forked);
    }
    let rows = vec![fork, worktree, reflink, overlay, enter, edit, back, space];
    Ok(rows.into_iter().filter(|row| !row.is_empty()).collect())
}

fn store_kib(playground: &Playground) -> Result<f64> {
    use std::os::unix::fs::MetadataExt;
    Ok(fs::metadata(playground.path("home/store.img"))?.blocks() as f64 * 512.0 / KIB)
}

/// Makes a copy of the tree a repository; None without git.
fn prepare_git(copy: &Path) -> Result<Option<std::path::PathBuf>> {
    if Command::new("git").arg("--version").output().is_err() {
        return Ok(None);
    }
    let run_git = |args: &[&str]| run(Command::new("git").arg("-C").arg(copy).args(args));
    run_git(&["init", "-q"])?;
    run_git(&["add", "."])?;
    run_git(&["-c", "user.name=b", "-c", "user.email=b@localhost", "commit", "-q", "-m", "all"])?;
    Ok(Some(copy.to_path_buf()))
}

/// Milliseconds of a mount in a namespace of its own; None where that is not allowed.
fn mount_overlay(playground: &Playground, project: &Path) -> Result<Option<f64>> {
    let base = playground.path("overlay");
    remove_tree(&base)?;
    for name in ["upper", "work", "merged"] {
        fs::create_dir_all(base.join(name))?;
    }
    let script = "mount -t overlay overlay -o lowerdir=$0,upperdir=$1/upper,workdir=$1/work $1/merged";
    let mut mount = Command::new("unshare");
    mount.args(["-rm", "sh", "-c", script]).arg(project).arg(&base);
    Ok(playground.measure(&mut mount).ok().map(|cost| cost.wall_s * 1000.0))
}
