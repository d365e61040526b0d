//! Names that several processes must agree on.

/// Version of the store's on-disk format, as its superblocks carry it.
pub const STORE_FORMAT_VERSION: u32 = 1;

/// Set by `vrift run` and `vrift env`: absolute path at which the workspace is seen.
pub const ENV_VIEW: &str = "VRIFT_VIEW";
/// The workspace's runtime folder (`.../w/WS`), where the index and the counters are.
pub const ENV_RUNTIME: &str = "VRIFT_RUNTIME";
/// Name of the workspace.
pub const ENV_WORKSPACE: &str = "VRIFT_WORKSPACE";
/// The state folder.
pub const ENV_HOME: &str = "VRIFT_HOME";
/// When fsync(2) in the view makes things durable: [`FSYNC_EACH`] (the default) or [`FSYNC_END`].
/// Where the daemon's store is, when it is not in the state folder.
pub const ENV_STORE: &str = "VRIFT_STORE";
pub const ENV_FSYNC: &str = "VRIFT_FSYNC";
/// Each fsync(2) does what it says.
pub const FSYNC_EACH: &str = "each";
/// fsync(2) does nothing: the end of the run syncs everything.
pub const FSYNC_END: &str = "end";
/// Of so many processes one is looked at for system calls of its own on the view: [`sample_of`].
pub const ENV_SAMPLE: &str = "VRIFT_SAMPLE";
/// Without the variable.
pub const SAMPLE_DEFAULT: u16 = 16;
/// Which folders of the system lead outside the view, in hexadecimal: [`crate::system_folders`].
pub const ENV_SYSTEM: &str = "VRIFT_SYSTEM";
/// Set for a process that the library is loaded into but must leave alone; its value does not matter.
pub const ENV_PASSIVE: &str = "VRIFT_PASSIVE";
/// `off`: programs that the library cannot reach get no mount namespace, and so the workspace by relative paths alone.
pub const ENV_NAMESPACE: &str = "VRIFT_NAMESPACE";
/// The ordinary directory that processes see at the view path, where no mount namespace puts it there: the library
/// turns their absolute paths.
pub const ENV_WORKTREE: &str = "VRIFT_WORKTREE";
/// The fd of [`DOOR_DIR`] that a program of another user inherits, in decimal.
pub const ENV_SOCKET_FD: &str = "VRIFT_SOCKET_FD";
/// Number of the `vrift run` that a process belongs to, in decimal; not there in an environment of `vrift env`.
pub const ENV_RUN: &str = "VRIFT_RUN";
/// The preload variable of ld.so(8).
pub const ENV_PRELOAD: &str = "LD_PRELOAD";
/// File name of the preload library.
pub const SHIM_FILE: &str = "libvrift_shim.so";
/// Names inside the runtime folder.
pub const SOCKET_FILE: &str = "sock";
/// A folder that everybody may search, inside one that lets nobody in, with a further name of root's socket: who holds an
/// fd of it connects, as whatever user.
pub const DOOR_DIR: &str = "door";
pub const LOCK_FILE: &str = "lock";
pub const PID_FILE: &str = "pid";
pub const LOG_FILE: &str = "log";
/// The real sockets of socket vnodes: short names, as an address has room for 107 bytes.
pub const SOCKETS_DIR: &str = "s";
/// What stands for watched vnodes in inotify(7).
pub const WATCHES_DIR: &str = "n";
/// Ends the name of the symlink beside a real socket whose target is the name that its owner gave to bind(2).
pub const GIVEN_NAME_SUFFIX: &str = ".n";
/// Names inside a workspace's runtime folder.
pub const INDEX_FILE: &str = "index";
pub const COUNTERS_FILE: &str = "counters";
/// Names inside the state folder.
pub const STORE_FILE: &str = "store.img";
pub const HOT_DIR: &str = "hot";
pub const STAGING_DIR: &str = "staging";
pub const MIRROR_DIR: &str = "mirror";
pub const TMP_DIR: &str = "tmp";
/// `worktree/WS/tree` is an ordinary directory that stands for the workspace (RFC 0005), `worktree/WS/base` what it
/// held when it was last compared.
pub const WORKTREE_DIR: &str = "worktree";
pub const SCRATCH_FILE: &str = "scratch";

/// The value of [`ENV_SAMPLE`]: 0 for none, 1 for each, at most 10,000; None: it is no such number.
pub fn sample_of(value: &[u8]) -> Option<u16> {
    const MAX: u16 = 10_000;
    let number = core::str::from_utf8(value).ok()?.parse().ok()?;
    (number <= MAX).then_some(number)
}

/// Exit code of `vriftd --fsck` when a daemon serves the store: it is the one to be asked.
pub const EXIT_SERVED: i32 = 4;
