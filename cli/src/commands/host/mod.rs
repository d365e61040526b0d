//! What `doctor` finds out without the daemon: kernel, limits, folders.

mod clock;
mod features;
mod programs;

use crate::places::Places;
use crate::text::{escape_path, size};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statfs::{self, FsType};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::sys::utsname::uname;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use vrift_protocol::admin::Check;
use vrift_protocol::client::{Client, ClientError};
use vrift_protocol::names;

/// statx(2), which the preload library answers, came with this kernel.
const KERNEL_MIN: (u32, u32) = (4, 11);
/// Each process that changes something has a connection; a parallel build has some hundred.
const FDS_MIN: u64 = 1024;
/// The daemon needs one instance; editors and desktops need the others.
const INOTIFY_INSTANCES_MIN: u64 = 16;
/// One watch for each workspace.
const INOTIFY_WATCHES_MIN: u64 = 1024;
/// sun_path of sockaddr_un, with its NUL; the daemon binds a name four bytes longer and renames it.
const SOCKET_PATH_MAX: usize = 107 - 4;
/// Below this the store soon refuses writes.
const FREE_BYTES_MIN: u64 = 256 * 1024 * 1024;

fn check(name: &str, ok: bool, detail: String, remedy: &str) -> Check {
    Check { name: name.into(), ok, detail, remedy: (!ok).then(|| remedy.to_string()) }
}

/// Kernel and limits.
pub fn checks() -> Vec<Check> {
    let mut checks = vec![
        kernel(),
        fd_limit(),
        inotify("max_user_instances", INOTIFY_INSTANCES_MIN),
        inotify("max_user_watches", INOTIFY_WATCHES_MIN),
        memlock(),
        out_of_reach(),
        strict(),
        programs::secure_execution(),
    ];
    checks.extend(programs::on_path());
    checks
}

/// What programs get that the preload library cannot reach. Asked of a process of its own: one cannot leave a
/// namespace.
fn out_of_reach() -> Check {
    let asked = crate::install::own_binary().ok().and_then(|own| {
        std::process::Command::new(own)
            .arg(crate::namespace::PROBE)
            .stdin(std::process::Stdio::null())
            .output()
            .ok()
    });
    let (works, said) = asked.map_or((false, String::new()), |output| {
        (output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_string())
    });
    let detail = match works {
        true => {
            "statically linked programs get the workspace at its own path (mount namespaces work)".to_string()
        }
        false => format!("statically linked programs get the workspace by relative paths alone ({said})"),
    };
    let remedy = "allow user namespaces: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, \
                  kernel.apparmor_restrict_unprivileged_userns";
    // Less, not nothing: no failure.
    Check { name: "out of reach".into(), ok: true, detail, remedy: (!works).then(|| remedy.to_string()) }
}

fn strict() -> Check {
    let actions = fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
    let works = actions.split_ascii_whitespace().any(|action| action == "user_notif");
    let detail = match works {
        true => "vrift run --strict works (seccomp user notification)",
        false => "vrift run --strict does not work: no seccomp user notification",
    };
    let remedy = (!works).then(|| "use Linux 5.5 or later with CONFIG_SECCOMP_FILTER".to_string());
    Check { name: "strict".into(), ok: true, detail: detail.into(), remedy }
}

fn kernel() -> Check {
    let (release, machine) = match uname() {
        Ok(name) => {
            (name.release().to_string_lossy().into_owned(), name.machine().to_string_lossy().into_owned())
        }
        Err(errno) => {
            return check("kernel", false, format!("uname failed: {errno}"), "needs Linux on x86-64");
        }
    };
    let mut numbers =
        release.split(|letter: char| !letter.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let ok = version >= KERNEL_MIN && machine == "x86_64";
    let remedy = format!("needs Linux {}.{} or newer on x86-64", KERNEL_MIN.0, KERNEL_MIN.1);
    check("kernel", ok, format!("Linux {release} on {machine}"), &remedy)
}

fn fd_limit() -> Check {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((0, 0));
    let detail = format!("{soft} open files, the daemon raises it to {hard}");
    check(
        "fds",
        hard >= FDS_MIN,
        detail,
        &format!("raise it to {FDS_MIN} or more: ulimit -Hn, limits.conf(5)"),
    )
}

fn inotify(name: &str, least: u64) -> Check {
    let path = format!("/proc/sys/fs/inotify/{name}");
    let value = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<u64>().ok());
    let detail = value.map_or_else(|| format!("{path} cannot be read"), |value| format!("{name} is {value}"));
    let remedy = format!("sysctl fs.inotify.{name}={least}");
    check("inotify", value.is_some_and(|value| value >= least), detail, &remedy)
}

/// Not needed as long as the store is a file; said because other block devices will pin memory.
fn memlock() -> Check {
    let (soft, _) = getrlimit(Resource::RLIMIT_MEMLOCK).unwrap_or((0, 0));
    let limit = if soft == u64::MAX { "no limit".to_string() } else { size(soft) };
    check("memlock", true, format!("{limit}; a store in a file needs none"), "")
}

/// The state folder and the runtime folder.
pub fn folder_checks(places: &Places) -> Vec<Check> {
    let mut checks = vec![
        folder("state folder", &places.home),
        free_space(&places.home),
        socket_path(places),
        can_execute(&places.home),
        features::features(&places.home),
        clock::clock(&places.home),
    ];
    if let Some(runtime) = places.runtime.ancestors().find(|path| path.exists()) {
        checks.push(folder("runtime folder", runtime));
    }
    checks.push(leftovers(places));
    checks
}

fn folder(name: &str, path: &Path) -> Check {
    let shown = escape_path(path);
    match tempfile_in(path) {
        Ok(()) => check(name, true, format!("{shown} can be written, on {}", file_system(path)), ""),
        Err(error) => {
            let remedy = "set VRIFT_HOME and XDG_RUNTIME_DIR to folders that you may write";
            check(name, false, format!("{shown}: {error}"), remedy)
        }
    }
}

/// Proves that a file can be made here, written and removed.
fn tempfile_in(dir: &Path) -> std::io::Result<()> {
    let path = dir.join(format!(".doctor-{}", std::process::id()));
    let written = fs::write(&path, b"x").and_then(|()| fs::read(&path)).and_then(|bytes| match &bytes[..] {
        b"x" => Ok(()),
        _ => Err(std::io::Error::other("what was written does not read back")),
    });
    let removed = fs::remove_file(&path);
    written.and(removed)
}

fn file_system(path: &Path) -> String {
    const KNOWN: [(FsType, &str); 8] = [
        (statfs::EXT4_SUPER_MAGIC, "ext4"),
        (statfs::BTRFS_SUPER_MAGIC, "btrfs"),
        (statfs::XFS_SUPER_MAGIC, "xfs"),
        (statfs::TMPFS_MAGIC, "tmpfs"),
        (statfs::OVERLAYFS_SUPER_MAGIC, "overlayfs"),
        (statfs::NFS_SUPER_MAGIC, "nfs"),
        (statfs::FUSE_SUPER_MAGIC, "fuse"),
        (FsType(0x2fc1_2fc1), "zfs"),
    ];
    let Ok(found) = statfs::statfs(path) else { return "a file system that cannot be asked".into() };
    let kind = found.filesystem_type();
    match KNOWN.iter().find(|(known, _)| *known == kind) {
        Some((_, name)) => (*name).to_string(),
        None => format!("file system {:#x}", kind.0),
    }
}

fn free_space(home: &Path) -> Check {
    let free = statvfs(home).map_or(0, |stat| stat.blocks_available() * stat.fragment_size());
    let remedy = format!("free at least {}, or set VRIFT_HOME to a larger file system", size(FREE_BYTES_MIN));
    check("space", free >= FREE_BYTES_MIN, format!("{} for the state folder", size(free)), &remedy)
}

/// Programs of the view are started from the state folder.
fn can_execute(home: &Path) -> Check {
    let noexec = statvfs(home).is_ok_and(|stat| stat.flags().contains(FsFlags::ST_NOEXEC));
    let detail = if noexec {
        "the state folder is mounted noexec"
    } else {
        "programs can be started from the state folder"
    };
    check("exec", !noexec, detail.to_string(), "set VRIFT_HOME to a file system that is not mounted noexec")
}

fn socket_path(places: &Places) -> Check {
    let len = places.socket().as_os_str().as_bytes().len();
    let remedy = "set XDG_RUNTIME_DIR to a folder with a shorter path";
    check("socket path", len <= SOCKET_PATH_MAX, format!("{len} of at most {SOCKET_PATH_MAX} bytes"), remedy)
}

/// Sockets of this user that nobody serves. A daemon that starts replaces its own.
fn leftovers(places: &Places) -> Check {
    let base = places.runtime.parent().unwrap_or(&places.runtime);
    let stale: Vec<String> = fs::read_dir(base)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path() != places.runtime)
        .filter(|entry| is_stale(&entry.path().join(names::SOCKET_FILE)))
        .map(|entry| escape_path(&entry.path()))
        .collect();
    match &stale[..] {
        [] => check("leftovers", true, "no socket without a daemon".into(), ""),
        // Harmless: said, not counted as a failure.
        some => Check {
            name: "leftovers".into(),
            ok: true,
            detail: format!("{} of daemons that are gone", some.len()),
            remedy: Some(format!("may be removed: rm -r {}", some.join(" "))),
        },
    }
}

fn is_stale(socket: &Path) -> bool {
    use nix::errno::Errno::ECONNREFUSED;
    matches!(Client::connect(socket), Err(ClientError::Connect { source: ECONNREFUSED, .. }))
}
