//! The system calls that take paths: their numbers on x86-64, and where the paths are among their arguments.

use libc as c;

/// Where a path starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum At {
    Cwd,
    /// The directory fd in this argument.
    Fd(usize),
}

/// A call; `paths` as (base, argument with the path).
pub struct Call {
    pub number: i64,
    pub name: &'static str,
    pub paths: &'static [(At, usize)],
}

const ONE: &[(At, usize)] = &[(At::Cwd, 0)];
const TWO: &[(At, usize)] = &[(At::Cwd, 0), (At::Cwd, 1)];
const AT: &[(At, usize)] = &[(At::Fd(0), 1)];
const AT_TWO: &[(At, usize)] = &[(At::Fd(0), 1), (At::Fd(2), 3)];

const fn call(number: i64, name: &'static str, paths: &'static [(At, usize)]) -> Call {
    Call { number, name, paths }
}

/// Calls of the first kernels that have them; in the order of their frequency in builds.
pub const CALLS: &[Call] = &[
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
    call(c::SYS_symlink, "symlink", &[(At::Cwd, 1)]),
    call(c::SYS_symlinkat, "symlinkat", &[(At::Fd(1), 2)]),
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
    call(c::SYS_inotify_add_watch, "inotify_add_watch", &[(At::Cwd, 1)]),
    call(c::SYS_name_to_handle_at, "name_to_handle_at", AT),
    call(c::SYS_io_uring_setup, "io_uring_setup", &[]),
];

/// Longest text that tells of a call: its name, a NUL, and the path, which is left out when it does not fit.
pub const TOLD_MAX: usize = crate::vnode_op::TARGET_MAX + 1;

/// The call with this number.
pub fn find(number: i64) -> Option<&'static Call> {
    CALLS.iter().find(|call| call.number == number)
}
