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

/// `$XDG_RUNTIME_DIR/vrift/HOMEHASH`, or `/tmp/vrift-UID/HOMEHASH` when the variable is not set.
/// `home` should be canonical, so that two spellings of it find one daemon.
pub fn runtime_dir(home: &Path) -> PathBuf {
    let base = match env::var_os("XDG_RUNTIME_DIR").filter(|value| !value.is_empty()) {
        Some(dir) => PathBuf::from(dir).join("vrift"),
        None => PathBuf::from(format!("/tmp/vrift-{}", nix::unistd::geteuid())),
    };
    base.join(format!("{:016x}", fnv1a(home.as_os_str().as_bytes())))
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
    fn fnv1a_matches_its_published_test_vectors() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x85944171f73967e8);
    }
}
