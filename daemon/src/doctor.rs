//! What the daemon can tell about the ground it stands on.

use crate::daemon::Daemon;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statvfs::statvfs;
use std::fs;
use std::sync::atomic::Ordering;
use vrift_cas::LeaseSupport;
use vrift_protocol::PROTOCOL_VERSION;
use vrift_protocol::admin::Check;
use vrift_protocol::keystore::Reply;
use vrift_protocol::service::Service;

/// Free space below this is worth a warning: one large build fills it.
const FREE_MIN_BYTES: u64 = 1 << 30;
/// Fds below this limit the processes of a parallel build.
const FDS_MIN: u64 = 4096;
/// Kernels before this have no renameat2 on all file systems and no memfd sealing: not tried.
const KERNEL_MIN: (u32, u32) = (5, 4);

pub fn checks(daemon: &Daemon) -> Vec<Check> {
    vec![
        check(
            "daemon",
            true,
            format!("version {}, protocol {PROTOCOL_VERSION}", env!("CARGO_PKG_VERSION")),
            "",
        ),
        store(daemon),
        content(daemon),
        leases(daemon),
        inotify(daemon),
        watching(daemon),
        fds(),
        space(daemon),
        kernel(),
        requests(daemon),
        history(daemon),
        keystore(daemon),
    ]
}

fn check(name: &str, ok: bool, detail: String, remedy: &str) -> Check {
    let remedy = (!ok && !remedy.is_empty()).then(|| remedy.to_string());
    Check { name: name.into(), ok, detail, remedy }
}

fn store(daemon: &Daemon) -> Check {
    let stats = daemon.store.stats();
    let broken = daemon.spaces().broken.clone().or_else(|| daemon.store.poisoned());
    let detail = match &broken {
        Some(why) => why.clone(),
        None => format!(
            "{} blobs, {} MiB used, {} KiB of journal",
            stats.blobs,
            stats.used_bytes >> 20,
            stats.journal_bytes >> 10
        ),
    };
    check("store", broken.is_none(), detail, "free space or repair the disk, then: vrift daemon stop")
}

fn content(daemon: &Daemon) -> Check {
    let pending = daemon.cas.pending();
    let staged: usize = daemon.spaces().workspaces.values().map(|workspace| workspace.staged.len()).sum();
    check("content", true, format!("{staged} files staged, {pending} blobs to be stored"), "")
}

fn leases(daemon: &Daemon) -> Check {
    match daemon.cas.lease_support() {
        LeaseSupport::Works => {
            check("leases", true, "the kernel tells when the last writer is gone".into(), "")
        }
        LeaseSupport::Missing(what) => {
            let detail = format!("not on this file system ({what}): content is copied when it is sealed");
            check("leases", false, detail, "put VRIFT_HOME on ext4, xfs, btrfs or tmpfs")
        }
    }
}

fn inotify(daemon: &Daemon) -> Check {
    let limit = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/fs/inotify/{name}")).unwrap_or_default();
        text.trim().to_string()
    };
    let detail = format!(
        "{} instances and {} watches allowed",
        limit("max_user_instances"),
        limit("max_user_watches")
    );
    let remedy = "raise fs.inotify.max_user_instances with sysctl";
    check("inotify", daemon.seals.has_inotify(), detail, remedy)
}

/// What changes in real directories is looked for, one way or the other.
fn watching(daemon: &Daemon) -> Check {
    let noticed = daemon.noticed.state();
    let mut detail =
        format!("{} of {} in use, for {} projects", noticed.dirs, noticed.dirs_max, noticed.workspaces);
    if let Some((id, why)) = noticed.lost.first() {
        let name = daemon.spaces().name_of(*id).unwrap_or_else(|| id.to_string());
        detail += &format!("; {name} is looked through as a whole: {why}");
    }
    check("watched directories", true, detail, "")
}

fn fds() -> Check {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((0, 0));
    check("fds", soft >= FDS_MIN, format!("{soft} allowed"), "raise the limit: ulimit -Hn 65536")
}

fn space(daemon: &Daemon) -> Check {
    match statvfs(&daemon.folders.home) {
        Ok(stat) => {
            let free = stat.blocks_available() * stat.fragment_size();
            let detail = format!("{} MiB free at {}", free >> 20, daemon.folders.home.display());
            check("space", free >= FREE_MIN_BYTES, detail, "free space, or move VRIFT_HOME")
        }
        Err(errno) => check("space", false, errno.desc().into(), "look at the file system of VRIFT_HOME"),
    }
}

fn kernel() -> Check {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    check("kernel", version >= KERNEL_MIN, release.into(), "use Linux 5.4 or later")
}

fn history(daemon: &Daemon) -> Check {
    let problem = daemon.history.problem();
    let detail = problem.clone().unwrap_or_else(|| "runs are remembered".into());
    check("history", problem.is_none(), detail, "move it away: it is begun anew")
}

/// The keystore is started to look at it only if there is something in it.
fn keystore(daemon: &Daemon) -> Check {
    let name = "keystore";
    if let Err(refusal) = crate::services::installed(Service::Keystore) {
        return check(name, false, refusal.1, "install all of vrift's programs into one folder");
    }
    if !daemon.keystore_has_key() {
        return check(name, true, "no key yet: vrift key show makes it".into(), "");
    }
    match daemon.service_ready(Service::Keystore) {
        Err(refusal) => check(name, false, refusal.1, "see [keystore] key_file in config.toml"),
        Ok(ready) => {
            let rest = match (daemon.keystore_status(), &daemon.config.keystore.key_file) {
                (Some(Reply::Status { sealed_by: Some(by), locked: true }), _) => {
                    format!("private keys are sealed by {by}, and locked: vrift key unlock")
                }
                (Some(Reply::Status { sealed_by: Some(by), .. }), Some(path)) if by == "the key file" => {
                    format!("private keys are sealed by {}", path.display())
                }
                (Some(Reply::Status { sealed_by: Some(by), .. }), _) => format!("private keys are sealed by {by}"),
                (Some(_), _) => "private keys are in the clear in the store (vrift key seal, or [keystore] key_file in config.toml, seals them)".into(),
                (None, _) => "it does not say whether private keys are sealed".into(),
            };
            let detail = format!(
                "confined by {}, a file was refused with {}; {rest}",
                ready.confinement, ready.refused
            );
            check(name, true, detail, "")
        }
    }
}

fn requests(daemon: &Daemon) -> Check {
    let stats = &daemon.stats;
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let detail = format!(
        "{} answered on {} connections, {} malformed, {} clients refused",
        count(&stats.requests),
        count(&stats.connections),
        count(&stats.malformed),
        count(&stats.refused)
    );
    check("requests", true, detail, "")
}
