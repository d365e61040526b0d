//! What each part needs of the machine: declared here, probed before anything says that it is ready, and printed by
//! `vrift doctor`.

use crate::args::Args;
use crate::config::Config;
use crate::folders::Folders;
use crate::place::Place;
use crate::services;
use anyhow::{Context, Result, anyhow, ensure};
use nix::sys::inotify::{InitFlags, Inotify};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, socket};
use std::fmt::Write;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use vrift_protocol::admin::Check;
use vrift_protocol::names;
use vrift_protocol::service::Service;

/// Folders in which the preload library may be, seen from the daemon.
const SHIM_DIRS: [&str; 2] = ["", "../lib/vrift"];
/// A connection for each process that changes something, and as many files again.
const FDS_MIN: u64 = 1024;
/// What an ELF file for x86-64 begins with, and where the machine is said.
const ELF: &[u8] = b"\x7fELF\x02\x01";
const MACHINE_AT: usize = 18;
const X86_64: u8 = 62;

/// Who cannot do without it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The daemon itself.
    Daemon,
    /// Keystored. One that is started again after a death has builds that wait for it, and starts without.
    Keystore,
    /// Programs in the view: a daemon that is started by hand serves without.
    Programs,
    /// Requests for the services alone, which then say so; builds run without.
    Requests,
}

/// One row of the table.
struct Need {
    name: &'static str,
    part: Part,
    /// What was found.
    probe: fn(&Ground<'_>) -> Result<String>,
    remedy: &'static str,
}

/// The table.
const NEEDS: [Need; 8] = [
    Need {
        name: "settings",
        part: Part::Daemon,
        probe: |ground| ground.config().map(|_| "config.toml is right, or there is none".into()),
        remedy: "mend config.toml; vrift config show lists what there is",
    },
    Need {
        name: "sockets",
        part: Part::Daemon,
        probe: sockets,
        remedy: "set XDG_RUNTIME_DIR to a folder with a short path that you may write",
    },
    Need {
        name: "store device",
        part: Part::Daemon,
        probe: store_device,
        remedy: "attach it, or see store.device in config.toml",
    },
    Need {
        name: "key file",
        part: Part::Keystore,
        probe: key_file,
        remedy: "attach what it is on, or see [keystore] key_file in config.toml",
    },
    Need {
        name: "policy",
        part: Part::Daemon,
        probe: |ground| {
            let policy = crate::policy::read(ground.home)?;
            Ok(format!("{} rules, {}", policy.len(), policy.digest.get(..16).unwrap_or_default()))
        },
        remedy: "mend policy.toml, or put it away",
    },
    Need {
        name: "limits",
        part: Part::Daemon,
        probe: limits,
        remedy: "ulimit -Hn 65536; sysctl fs.inotify.max_user_instances=512",
    },
    Need { name: "shim", part: Part::Programs, probe: shim, remedy: "install all of vrift into one folder" },
    Need {
        name: "services",
        part: Part::Requests,
        probe: programs,
        remedy: "install all of vrift into one folder",
    },
];

/// What is probed.
pub struct Ground<'a> {
    pub home: &'a Path,
    pub runtime: &'a Path,
    pub args: &'a Args,
}

impl<'a> Ground<'a> {
    pub fn of(folders: &'a Folders, args: &'a Args) -> Ground<'a> {
        Ground { home: &folders.home, runtime: &folders.runtime, args }
    }

    fn config(&self) -> Result<Config> {
        crate::config::read(self.home)
    }
}

/// The whole table, for people.
pub fn table(ground: &Ground<'_>) -> Vec<Check> {
    let row = |need: &Need| {
        let found = (need.probe)(ground);
        let ok = found.is_ok();
        let detail = found.unwrap_or_else(|error| format!("{error:#}").replace('\n', "; "));
        Check { name: format!("needs {}", need.name), ok, detail, remedy: (!ok).then(|| need.remedy.into()) }
    };
    NEEDS.iter().map(row).collect()
}

/// Everything that the daemon needs is there; also what programs need, when it was started for them.
///
/// # Errors
/// All that is missing, at once.
pub fn check(ground: &Ground<'_>) -> Result<()> {
    let begins = !ground.args.serve || ground.args.ready_fd.is_some();
    let counts = |need: &&Need| match need.part {
        Part::Daemon => true,
        Part::Keystore => begins,
        Part::Programs => ground.args.for_programs,
        Part::Requests => false,
    };
    let missing: Vec<(&Need, anyhow::Error)> =
        NEEDS.iter().filter(counts).filter_map(|need| Some((need, (need.probe)(ground).err()?))).collect();
    match missing.len() {
        0 => Ok(()),
        1 => Err(missing.into_iter().next().map_or_else(|| anyhow!("?"), |(_, error)| error)),
        count => {
            let mut text = format!("{count} things that it needs are missing or not right");
            for (need, error) in &missing {
                let error = format!("{error:#}");
                let _ = write!(text, "; {}: {}", need.name, error.lines().next().unwrap_or_default());
            }
            Err(anyhow!(text.replacen(';', ":", 1)))
        }
    }
}

/// A name is bound and taken away again. The one that serves has its own.
fn sockets(ground: &Ground<'_>) -> Result<String> {
    let path = ground.runtime.join(format!("{}.{}", names::SOCKET_FILE, std::process::id()));
    let bound = || -> Result<()> {
        let fd = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
        // The longest name that is bound in earnest.
        let longest = ground.runtime.join(names::SOCKET_FILE).with_extension("new");
        UnixAddr::new(&longest).with_context(|| format!("the path {} is too long", longest.display()))?;
        let address =
            UnixAddr::new(&path).with_context(|| format!("the path {} is too long", path.display()))?;
        bind(fd.as_raw_fd(), &address)?;
        Ok(fs::remove_file(&path)?)
    };
    bound().with_context(|| format!("no socket can be made in {}", ground.runtime.display()))?;
    Ok(format!("in {}", ground.runtime.display()))
}

/// It is there and can be opened, or can be made. What it holds is seen when it is opened.
fn store_device(ground: &Ground<'_>) -> Result<String> {
    let Ok(config) = ground.config() else { return Ok("where it is, config.toml does not say".into()) };
    let place = Place::choose(ground.args, &config, ground.home)?;
    let Some(path) = place.look().with_context(|| format!("cannot use the store {place}"))? else {
        return Ok(format!("{place}"));
    };
    match fs::metadata(path) {
        Ok(stat) => {
            ensure!(!stat.is_dir(), "the store {place} is a folder");
            OpenOptions::new()
                .read(true)
                .write(true)
                .open(path)
                .with_context(|| format!("cannot open the store {place}"))?;
            Ok(format!("{place}"))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(Path::new("/"));
            ensure!(!path.starts_with("/dev") && folder.is_dir(), "there is no store device {place}");
            Ok(format!("{place}, which is to be made"))
        }
        Err(error) => Err(error).with_context(|| format!("cannot look at the store {place}")),
    }
}

fn key_file(ground: &Ground<'_>) -> Result<String> {
    let Ok(config) = ground.config() else {
        return Ok("whether there is one, config.toml does not say".into());
    };
    let Some(path) = config.keystore.key_file else { return Ok("none is configured".into()) };
    let mut byte = [0; 1];
    let read = File::open(&path).and_then(|file| file.take(1).read(&mut byte));
    let read = read.with_context(|| format!("the key file {} cannot be read", path.display()))?;
    ensure!(read == 1, "the key file {} is empty", path.display());
    Ok(path.display().to_string())
}

fn limits(_: &Ground<'_>) -> Result<String> {
    let (_, fds) = getrlimit(Resource::RLIMIT_NOFILE)?;
    ensure!(fds >= FDS_MIN, "{fds} open files are allowed, {FDS_MIN} are needed");
    Inotify::init(InitFlags::IN_CLOEXEC).context("the kernel gives no inotify instance")?;
    Ok(format!("{fds} open files, inotify"))
}

/// The preload library is there, and is one for this machine.
fn shim(_: &Ground<'_>) -> Result<String> {
    let path = installed(names::SHIM_FILE)?;
    let mut head = [0; 20];
    File::open(&path)
        .and_then(|mut file| file.read_exact(&mut head))
        .with_context(|| format!("the preload library {} cannot be read", path.display()))?;
    let right = head.starts_with(ELF) && head[MACHINE_AT] == X86_64;
    ensure!(right, "{} is no library for this machine", path.display());
    Ok(path.display().to_string())
}

fn installed(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let beside = own.parent().unwrap_or(Path::new("/"));
    let found = SHIM_DIRS.iter().map(|dir| beside.join(dir).join(name)).find(|path| path.is_file());
    found.ok_or_else(|| anyhow!("{name} is not installed beside {}", own.display()))
}

fn programs(_: &Ground<'_>) -> Result<String> {
    let missing: Vec<String> = Service::ALL
        .into_iter()
        .filter_map(|service| services::installed(service).err())
        .map(|refusal| refusal.1)
        .collect();
    ensure!(missing.is_empty(), "{}", missing.join(", "));
    Ok(Service::ALL.map(Service::name).join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_missing_is_named_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let args = Args { store: Some("/dev/no-such-device".into()), ..Args::default() };
        let ground = Ground { home: dir.path(), runtime: &dir.path().join("none"), args: &args };
        fs::write(dir.path().join("policy.toml"), "[[alow]]\n").unwrap();
        fs::write(dir.path().join("config.toml"), "[keystore]\nkey_file = \"/no/such/key\"\n").unwrap();
        let said = check(&ground).unwrap_err().to_string();
        for part in ["4 things", "sockets: ", "/dev/no-such-device", "/no/such/key", "policy.toml:1:3"] {
            assert!(said.contains(part), "{part} is not in {said}");
        }
        assert_eq!(said.lines().count(), 1);
        let failed = table(&ground).into_iter().filter(|row| !row.ok).map(|row| row.name).collect::<Vec<_>>();
        for name in ["needs sockets", "needs store device", "needs key file", "needs policy"] {
            assert!(failed.contains(&name.to_string()), "{name} {failed:?}");
        }
        // One alone is said as it is.
        let runtime = dir.path();
        fs::remove_file(dir.path().join("policy.toml")).unwrap();
        fs::remove_file(dir.path().join("config.toml")).unwrap();
        let said = check(&Ground { home: dir.path(), runtime, args: &args }).unwrap_err().to_string();
        assert_eq!(said, "there is no store device /dev/no-such-device");
        let args = Args::default();
        check(&Ground { home: dir.path(), runtime, args: &args }).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "probes leave nothing behind");
    }
}
