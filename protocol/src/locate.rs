//! Where the state and the runtime folder of this user are; the command line and the daemon must agree.

use crate::names::ENV_HOME;
use std::env;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// `$VRIFT_HOME`, else `$XDG_STATE_HOME/vrift`, else `~/.local/state/vrift`; made absolute.
pub fn home_dir() -> io::Result<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = set(ENV_HOME)
        .or_else(|| set("XDG_STATE_HOME").map(|dir| dir.join("vrift")))
        .or_else(|| set("HOME").map(|dir| dir.join(".local/state/vrift")))
        .ok_or_else(|| io::Error::other("none of VRIFT_HOME, XDG_STATE_HOME and HOME is set"))?;
    std::path::absolute(home)
}

/// Below the user's own folder of users(5), where the state is by default.
const DEFAULT_HOME: &str = ".local/state/vrift";

/// The name of the default state folder's runtime folder, by which a socket unit of systemd can call it.
pub const DEFAULT_RUNTIME: &str = "default";

/// `$XDG_RUNTIME_DIR/vrift/HOMEHASH`, or `/tmp/vrift-UID/HOMEHASH` when the variable is not set; for the default state
/// folder of the user `default` in place of the hash.
/// `home` should be canonical, so that two spellings of it find one daemon.
pub fn runtime_dir(home: &Path) -> PathBuf {
    let base = match env::var_os("XDG_RUNTIME_DIR").filter(|value| !value.is_empty()) {
        Some(dir) => PathBuf::from(dir).join("vrift"),
        None => PathBuf::from(format!("/tmp/vrift-{}", nix::unistd::geteuid())),
    };
    match is_default(home) {
        true => base.join(DEFAULT_RUNTIME),
        false => base.join(format!("{:016x}", fnv1a(home.as_os_str().as_bytes()))),
    }
}

/// By the user database, not by `$HOME`, which may be another one for the same user at the same time.
fn is_default(home: &Path) -> bool {
    if !home.ends_with(DEFAULT_HOME) {
        return false;
    }
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
    let default = user.map(|user| user.dir.join(DEFAULT_HOME));
    default.is_some_and(|dir| dir == home || dir.canonicalize().is_ok_and(|dir| dir == home))
}

/// FNV-1a, 64 bits: names a folder; nothing depends on its strength.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_users_own_default_folder_has_a_name() {
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap();
        let dir = runtime_dir(&user.dir.join(DEFAULT_HOME));
        assert!(dir.ends_with(DEFAULT_RUNTIME), "{}", dir.display());
        for other in ["/somebody/.local/state/vrift", "/.local/state/vrift/more", "/tmp/default"] {
            assert!(!runtime_dir(Path::new(other)).ends_with(DEFAULT_RUNTIME), "{other}");
        }
    }

    #[test]
    fn fnv1a_matches_its_published_test_vectors() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x85944171f73967e8);
    }
}
