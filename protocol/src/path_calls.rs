//! The system calls that take paths: their numbers on x86-64, and where the paths are among their arguments.

use libc as c;

/// Where a path starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum At {
    Cwd,
    /// The directory fd in this argument.
    Fd(u8),
}

/// A call. It has all of its parts in one place: a pointer in a table costs each process that loads the table a relocation.
pub struct Call {
    pub number: i64,
    /// Ended by NULs.
    name: [u8; NAME_LEN],
    paths: Paths,
}

const NAME_LEN: usize = 18;
/// Bases, and arguments with paths.
type Paths = [Option<(At, u8)>; 2];

const NONE: Paths = [None, None];
const ONE: Paths = [Some((At::Cwd, 0)), None];
const SECOND: Paths = [Some((At::Cwd, 1)), None];
const TWO: Paths = [Some((At::Cwd, 0)), Some((At::Cwd, 1))];
const AT: Paths = [Some((At::Fd(0), 1)), None];
const AT_SECOND: Paths = [Some((At::Fd(1), 2)), None];
const AT_TWO: Paths = [Some((At::Fd(0), 1)), Some((At::Fd(2), 3))];

const fn call(number: i64, name: &str, paths: Paths) -> Call {
    let mut bytes = [0; NAME_LEN];
    let mut at = 0;
    while at < name.len() {
        bytes[at] = name.as_bytes()[at];
        at += 1;
    }
    Call { number, name: bytes, paths }
}

impl Call {
    pub fn name(&self) -> &str {
        let len = self.name.iter().position(|byte| *byte == 0).unwrap_or(NAME_LEN);
        core::str::from_utf8(&self.name[..len]).unwrap_or("")
    }

    /// Its paths as (base, argument with the path).
    pub fn paths(&self) -> impl Iterator<Item = (At, usize)> {
        self.paths.into_iter().flatten().map(|(at, argument)| (at, argument.into()))
    }
}

/// Calls of the first kernels that have them; in the order of their frequency in builds.
pub static CALLS: [Call; 53] = [
    call(c::SYS_openat, "openat", AT),
    call(c::SYS_newfstatat, "newfstatat", AT),
    call(c::SYS_open, "open", ONE),
    call(c::SYS_stat, "stat", ONE),
    call(c::SYS_lstat, "lstat", ONE),
    call(c::SYS_access, "access", ONE),
    call(c::SYS_readlink, "readlink", ONE),
    call(c::SYS_execve, "execve", ONE),
    call(c::SYS_statx, "statx", AT),
    call(c::SYS_openat2, "openat2", AT),
    call(c::SYS_creat, "creat", ONE),
    call(c::SYS_faccessat, "faccessat", AT),
    call(c::SYS_faccessat2, "faccessat2", AT),
    call(c::SYS_readlinkat, "readlinkat", AT),
    call(c::SYS_mkdir, "mkdir", ONE),
    call(c::SYS_mkdirat, "mkdirat", AT),
    call(c::SYS_rmdir, "rmdir", ONE),
    call(c::SYS_unlink, "unlink", ONE),
    call(c::SYS_unlinkat, "unlinkat", AT),
    call(c::SYS_rename, "rename", TWO),
    call(c::SYS_renameat, "renameat", AT_TWO),
    call(c::SYS_renameat2, "renameat2", AT_TWO),
    call(c::SYS_link, "link", TWO),
    call(c::SYS_linkat, "linkat", AT_TWO),
    call(c::SYS_symlink, "symlink", SECOND),
    call(c::SYS_symlinkat, "symlinkat", AT_SECOND),
    call(c::SYS_mknod, "mknod", ONE),
    call(c::SYS_mknodat, "mknodat", AT),
    call(c::SYS_chmod, "chmod", ONE),
    call(c::SYS_fchmodat, "fchmodat", AT),
    call(452, "fchmodat2", AT),
    call(c::SYS_chown, "chown", ONE),
    call(c::SYS_lchown, "lchown", ONE),
    call(c::SYS_fchownat, "fchownat", AT),
    call(c::SYS_truncate, "truncate", ONE),
    call(c::SYS_utime, "utime", ONE),
    call(c::SYS_utimes, "utimes", ONE),
    call(c::SYS_futimesat, "futimesat", AT),
    call(c::SYS_utimensat, "utimensat", AT),
    call(c::SYS_chdir, "chdir", ONE),
    call(c::SYS_execveat, "execveat", AT),
    call(c::SYS_statfs, "statfs", ONE),
    call(c::SYS_setxattr, "setxattr", ONE),
    call(c::SYS_lsetxattr, "lsetxattr", ONE),
    call(c::SYS_getxattr, "getxattr", ONE),
    call(c::SYS_lgetxattr, "lgetxattr", ONE),
    call(c::SYS_listxattr, "listxattr", ONE),
    call(c::SYS_llistxattr, "llistxattr", ONE),
    call(c::SYS_removexattr, "removexattr", ONE),
    call(c::SYS_lremovexattr, "lremovexattr", ONE),
    call(c::SYS_inotify_add_watch, "inotify_add_watch", SECOND),
    call(c::SYS_name_to_handle_at, "name_to_handle_at", AT),
    call(c::SYS_io_uring_setup, "io_uring_setup", NONE),
];

/// Longest text that tells of a call: its name, a NUL, and the path, which is left out when it does not fit.
pub const TOLD_MAX: usize = crate::vnode_op::TARGET_MAX + 1;

/// The call with this number.
pub fn find(number: i64) -> Option<&'static Call> {
    CALLS.iter().find(|call| call.number == number)
}
