//! Set-user-ID and set-group-ID bits of files that are being written: the kernel takes them away when somebody without
//! privileges writes. It does so at the staging file, which therefore carries them.

use nix::errno::Errno;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use vrift_cas::MAY_BE_HELD;

const SET_ID: u32 = 0o6000;
/// Without it the kernel takes set-group-ID for the mark of mandatory locking, and leaves it.
const GROUP_EXECUTE: u32 = 0o010;

/// Gives a staging file the bits of its vnode's mode, if there are any.
pub fn carry(path: &Path, mode: u32) -> Result<(), Errno> {
    if mode & SET_ID == 0 {
        return Ok(());
    }
    let mode = Permissions::from_mode(0o600 | MAY_BE_HELD | mode & (SET_ID | GROUP_EXECUTE));
    fs::set_permissions(path, mode).map_err(|error| crate::namespace::errno_of(&error))
}

/// The permissions of a vnode after its staging file, whose mode is `real`, was written; None: they stay.
pub fn left(mode: u32, real: u32) -> Option<u32> {
    let lost = mode & SET_ID & !real;
    (lost != 0).then_some(mode & 0o7777 & !lost)
}

#[cfg(test)]
mod tests {
    use super::left;

    #[test]
    fn only_what_the_kernel_took_is_lost() {
        assert_eq!(left(0o104_755, 0o104_610), None);
        assert_eq!(left(0o106_755, 0o100_610), Some(0o755));
        assert_eq!(left(0o102_745, 0o102_600), None);
        assert_eq!(left(0o100_755, 0o100_600), None);
    }
}
