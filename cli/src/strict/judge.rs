//! Whether a system call may go on: those of the C library and the preload library may; of others, those that do
//! not lead into the view.

use super::sys::Notice;
use nix::errno::Errno;
use nix::libc::{SYS_execve, SYS_execveat, SYS_io_uring_setup};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use vrift_protocol::names;
use vrift_protocol::path_calls::{At, Call, find};

/// Processes whose mappings are remembered.
const KNOWN_MAX: usize = 4096;
/// As PATH_MAX of the kernel.
const PATH_MAX: usize = 4096;

/// Whose code made a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Caller {
    /// The C library's, in a process with the preload library, or the preload library's own.
    Covered,
    /// ld.so's.
    Loader,
    Other,
}

/// A program that made calls which nothing covers.
#[derive(Default, Debug)]
pub struct Found {
    pub times: u64,
    /// Of the first.
    pub path: PathBuf,
}

pub struct Judge {
    pub view: PathBuf,
    /// Folders of the state folder that stand for directories of the view.
    pub mirrors: PathBuf,
    /// Files that are opened at their own path, wherever that is.
    pub exempt: Vec<PathBuf>,
    /// By program and call.
    pub found: BTreeMap<(String, &'static str), Found>,
    covered: HashMap<u32, Vec<(Range<u64>, Caller)>>,
    own_mounts: Option<PathBuf>,
}

impl Judge {
    pub fn new(view: PathBuf, home: &Path, exempt: Vec<PathBuf>) -> Judge {
        Judge {
            view,
            mirrors: home.join(names::MIRROR_DIR),
            exempt,
            found: BTreeMap::new(),
            covered: HashMap::new(),
            own_mounts: fs::read_link("/proc/self/ns/mnt").ok(),
        }
    }

    /// None: it may go on; else what it fails with.
    pub fn judge(&mut self, notice: &Notice) -> Option<Errno> {
        let call = find(notice.number)?;
        let caller = self.caller(notice);
        if notice.number == SYS_execve || notice.number == SYS_execveat {
            self.covered.remove(&notice.pid);
        }
        // In a mount namespace of its own the workspace's copy is at the view path.
        if caller == Caller::Covered || self.is_elsewhere(notice.pid) {
            return None;
        }
        if notice.number == SYS_io_uring_setup {
            self.note(notice.pid, call, PathBuf::new());
            return Some(Errno::ENOSYS);
        }
        for (at, argument) in call.paths() {
            match self.path(notice, at, argument) {
                Ok(Some(path)) if self.is_in_view(&path) => {
                    // A run path that the view does not have: ld.so goes on as if the real one were not there.
                    if caller == Caller::Loader {
                        return Some(Errno::ENOENT);
                    }
                    self.note(notice.pid, call, path);
                    return Some(Errno::EPERM);
                }
                Ok(_) => {}
                Err(errno) if caller == Caller::Other => {
                    self.note(
                        notice.pid,
                        call,
                        PathBuf::from(format!("(a path that cannot be read: {errno})")),
                    );
                    return Some(Errno::EPERM);
                }
                Err(_) => {}
            }
        }
        None
    }

    fn note(&mut self, pid: u32, call: &'static Call, path: PathBuf) {
        let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        let name = program.file_name().unwrap_or(OsStr::new("?"));
        let key = (crate::text::escape(name.as_bytes()), call.name());
        let found = self.found.entry(key).or_insert_with(|| Found { times: 0, path });
        found.times += 1;
    }

    fn caller(&mut self, notice: &Notice) -> Caller {
        let find = |known: &Vec<(Range<u64>, Caller)>| {
            known.iter().find(|(range, _)| range.contains(&notice.instruction)).map(|(_, caller)| *caller)
        };
        if let Some(caller) = self.covered.get(&notice.pid).and_then(find) {
            return caller;
        }
        // Loaded since, or another program by now.
        let known = covered(&fs::read_to_string(format!("/proc/{}/maps", notice.pid)).unwrap_or_default());
        let caller = find(&known).unwrap_or(Caller::Other);
        if self.covered.len() >= KNOWN_MAX {
            self.covered.clear();
        }
        self.covered.insert(notice.pid, known);
        caller
    }

    fn is_elsewhere(&self, pid: u32) -> bool {
        let mounts = fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
        mounts.is_some() && mounts != self.own_mounts
    }

    /// A path of a call, absolute. None: there is none.
    fn path(&self, notice: &Notice, at: At, argument: usize) -> Result<Option<PathBuf>, Errno> {
        let address = notice.args[argument];
        if address == 0 {
            return Ok(None);
        }
        let bytes = read_string(notice.pid, address)?;
        let path = Path::new(OsStr::from_bytes(&bytes));
        if bytes.is_empty() || path.is_absolute() {
            return Ok((!bytes.is_empty()).then(|| path.into()));
        }
        // As the kernel reads it: an int.
        let fd = match at {
            At::Fd(argument) => notice.args[usize::from(argument)] as i32,
            At::Cwd => nix::libc::AT_FDCWD,
        };
        let base = match fd {
            nix::libc::AT_FDCWD => format!("/proc/{}/cwd", notice.pid),
            fd => format!("/proc/{}/fd/{fd}", notice.pid),
        };
        match fs::read_link(base) {
            Ok(base) => Ok(Some(base.join(path))),
            // The call will say so.
            Err(error) if error.raw_os_error() == Some(nix::libc::ENOENT) => Ok(None),
            Err(error) => Err(error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)),
        }
    }

    fn is_in_view(&self, path: &Path) -> bool {
        let inside = |path: &Path| path.starts_with(&self.view) || path.starts_with(&self.mirrors);
        let normal = normalised(path);
        if self.exempt.contains(&normal) {
            return false;
        }
        let real = |path: &Path| path.canonicalize().is_ok_and(|path| inside(&path));
        inside(&normal) || real(path) || path.parent().is_some_and(real)
    }
}

/// A path without `.` and `..`.
fn normalised(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}

/// The code that is covered, from proc_pid_maps(5). Without the preload library that is ld.so's alone.
fn covered(maps: &str) -> Vec<(Range<u64>, Caller)> {
    let mut known = Vec::new();
    for line in maps.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (Some(range), Some(mode)) = (fields.next(), fields.next()) else { continue };
        let file = fields.nth(3).unwrap_or_default().rsplit('/').next().unwrap_or_default();
        let Some((start, end)) = range.split_once('-') else { continue };
        let (Ok(start), Ok(end)) = (u64::from_str_radix(start, 16), u64::from_str_radix(end, 16)) else {
            continue;
        };
        let starts = |names: &[&str]| names.iter().any(|name| file.starts_with(name));
        let caller = match () {
            () if file == names::SHIM_FILE || starts(&["libc.so.", "libc-2.", "libpthread"]) => {
                Caller::Covered
            }
            () if starts(&["ld-linux", "ld-2."]) => Caller::Loader,
            () => continue,
        };
        if mode.contains('x') || file == names::SHIM_FILE {
            // The kernel gives the address after the instruction.
            known.push((start..end + 1, caller));
        }
    }
    let has_shim = maps.lines().any(|line| line.ends_with(names::SHIM_FILE));
    known.retain(|(_, caller)| has_shim || *caller == Caller::Loader);
    known
}

fn read_string(pid: u32, address: u64) -> Result<Vec<u8>, Errno> {
    let errno = |error: std::io::Error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
    let memory = fs::File::open(format!("/proc/{pid}/mem")).map_err(errno)?;
    let mut bytes = Vec::new();
    while bytes.len() < PATH_MAX {
        let mut part = [0; 256];
        // Up to the page's end: the next one may not be there.
        let at = address + bytes.len() as u64;
        let len = part.len().min(4096 - (at % 4096) as usize);
        let len = memory.read_at(&mut part[..len], at).map_err(errno)?;
        match part[..len].iter().position(|byte| *byte == 0) {
            Some(end) => {
                bytes.extend_from_slice(&part[..end]);
                return Ok(bytes);
            }
            None if len == 0 => return Err(Errno::EFAULT),
            None => bytes.extend_from_slice(&part[..len]),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
400000-401000 r-xp 00000000 fe:00 1                      /tmp/program
7f00000000-7f00001000 r-xp 00000000 fe:00 2              /lib/x86_64-linux-gnu/libc.so.6
7f00002000-7f00003000 r--p 00000000 fe:00 2              /lib/x86_64-linux-gnu/libc.so.6
7f10000000-7f10001000 r-xp 00000000 fe:00 3              /lib64/ld-linux-x86-64.so.2
";

    #[test]
    fn only_code_of_the_c_library_is_covered_and_only_with_the_preload_library() {
        let with = format!("{MAPS}7f20000000-7f20001000 r-xp 00000000 fe:00 4  /x/libvrift_shim.so\n");
        let caller = |maps: &str, at: u64| {
            covered(maps).iter().find(|(range, _)| range.contains(&at)).map(|(_, caller)| *caller)
        };
        assert_eq!(caller(&with, 0x7f00000010), Some(Caller::Covered));
        assert_eq!(caller(&with, 0x7f20000010), Some(Caller::Covered));
        assert_eq!(caller(&with, 0x400010), None);
        assert_eq!(caller(&with, 0x7f00002010), None);
        assert_eq!(caller(&with, 0x7f10000010), Some(Caller::Loader));
        assert_eq!(caller(MAPS, 0x7f00000010), None);
    }

    #[test]
    fn paths_lead_into_the_view_by_any_spelling() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let view = root.join("view");
        fs::create_dir_all(view.join("sub")).unwrap();
        std::os::unix::fs::symlink(&view, root.join("link")).unwrap();
        let judge = Judge::new(view.clone(), Path::new("/home/x"), vec![view.join("exempt")]);
        assert!(judge.is_in_view(&view.join("a")));
        assert!(judge.is_in_view(&root.join("other/../view/./a")));
        assert!(judge.is_in_view(&root.join("link/a")));
        assert!(judge.is_in_view(Path::new("/home/x/mirror/00000001/0000000000000001/a")));
        assert!(!judge.is_in_view(&view.join("exempt")));
        assert!(!judge.is_in_view(&root.join("viewed")));
        assert!(!judge.is_in_view(&view.join("sub/../../other")));
    }
}
