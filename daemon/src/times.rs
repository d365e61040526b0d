//! Times of what a run changed: none later than a given one, and those of the future named.

use crate::admin::Refusal;
use crate::clock::timespec;
use crate::connection::Connection;
use crate::daemon::Daemon;
use crate::namespace::errno_of;
use crate::record::{Change, Origin};
use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::PoisonError;
use std::time::{SystemTime, UNIX_EPOCH};
use vrift_manifest::{Attr, Content, SetAttr, VnodeNo};
use vrift_protocol::admin::Dated;

/// Files whose time is ahead by less are not of the future: clocks of machines that share files differ so much.
const AHEAD_NS: i64 = 2_000_000_000;

/// For the run of this connection.
pub fn settle(daemon: &Daemon, connection: &Connection, clamp_s: Option<u64>) -> Result<Dated, Refusal> {
    let run = *connection.run.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(run) = run else {
        return Err(Refusal::input("this connection has no run".into(), "enter first".into()));
    };
    let failed = |errno| Refusal::errno("the run's files", errno, daemon);
    crate::worktree::read_back(daemon, run.workspace, None)?;
    // The time of what is still being written would move again.
    daemon.seal_all(run.workspace).map_err(failed)?;
    let mut changed: Vec<u64> = {
        let mut spaces = daemon.spaces();
        let workspace = spaces.get_mut(run.workspace).map_err(failed)?;
        workspace
            .runs
            .get(&connection.id)
            .map(|notes| notes.changed.iter().copied().collect())
            .unwrap_or_default()
    };
    changed.sort_unstable();
    let clamp_ns =
        clamp_s.map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000_000));
    let mut dated = Dated::default();
    for vnode in changed {
        one(daemon, run.workspace, VnodeNo(vnode), clamp_ns, &mut dated).map_err(failed)?;
    }
    Ok(dated)
}

fn one(
    daemon: &Daemon,
    workspace: u32,
    vnode: VnodeNo,
    clamp_ns: Option<i64>,
    dated: &mut Dated,
) -> Result<(), Errno> {
    let mut spaces = daemon.spaces();
    // Removed again in the meantime.
    let Some(attr) = spaces.get(workspace)?.index.attr(vnode) else { return Ok(()) };
    let mtime_ns = mtime(daemon, workspace, &attr);
    if let Some(clamp_ns) = clamp_ns.filter(|clamp_ns| mtime_ns > *clamp_ns) {
        if attr.content == Content::Staged {
            let path = daemon.folders.staging(workspace, vnode.0);
            let flags = UtimensatFlags::NoFollowSymlink;
            utimensat(AT_FDCWD, &path, &TimeSpec::UTIME_OMIT, &timespec(clamp_ns), flags)?;
        }
        let ctime_ns = Some(daemon.clock.now_ns());
        let set = SetAttr { mtime_ns: Some(clamp_ns), ctime_ns, ..SetAttr::default() };
        daemon.commit(&mut spaces, workspace, Origin::default(), &Change::SetAttr { vnode, set })?;
        dated.clamped += 1;
    } else if mtime_ns > now_ns().saturating_add(AHEAD_NS) {
        dated.future += 1;
        if dated.first.is_none() {
            dated.first = spaces.get(workspace)?.index.path_of(vnode).map(|path| path[..].into());
        }
    }
    Ok(())
}

/// The staging file has it as long as there is one.
fn mtime(daemon: &Daemon, workspace: u32, attr: &Attr) -> i64 {
    let staged = (attr.content == Content::Staged).then(|| {
        fs::symlink_metadata(daemon.folders.staging(workspace, attr.vnode.0))
            .map_err(|error| errno_of(&error))
    });
    match staged {
        Some(Ok(stat)) => stat.mtime().saturating_mul(1_000_000_000).saturating_add(stat.mtime_nsec()),
        _ => attr.mtime_ns,
    }
}

fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
