//! Permission checks by effective user and groups, as path_resolution(7) and inode(7) describe them.

use crate::raw;
use core::cell::Cell;
use vrift_manifest::types::{S_IFDIR, S_IFMT};

pub const READ: u32 = 4;
pub const WRITE: u32 = 2;
pub const SEARCH: u32 = 1;

/// NGROUPS_MAX is 65,536; the kernel's answer beyond this many is not looked at.
const GROUPS_MAX: usize = 256;

/// Who asks. Ids are fetched when a mode needs them: most modes grant what is asked to everybody.
pub struct Creds {
    /// Judge by the real ids, as access(2).
    real: bool,
    uid: Cell<Option<u32>>,
    gid: Cell<Option<u32>>,
}

impl Creds {
    pub const fn effective() -> Creds {
        Creds { real: false, uid: Cell::new(None), gid: Cell::new(None) }
    }

    pub const fn real() -> Creds {
        Creds { real: true, uid: Cell::new(None), gid: Cell::new(None) }
    }

    pub fn uid(&self) -> u32 {
        known(&self.uid, if self.real { raw::getuid } else { raw::geteuid })
    }

    pub fn gid(&self) -> u32 {
        known(&self.gid, if self.real { raw::getgid } else { raw::getegid })
    }

    pub fn is_root(&self) -> bool {
        self.uid() == 0
    }

    /// Whether the group is one of the caller's.
    pub fn in_group(&self, gid: u32) -> bool {
        self.gid() == gid || in_groups(gid)
    }

    /// Whether `want` (bits of READ, WRITE, SEARCH) is granted on something with these attributes.
    pub fn may(&self, mode: u32, uid: u32, gid: u32, want: u32) -> bool {
        let everybody = mode & mode >> 3 & mode >> 6 & 7;
        if everybody & want == want {
            return true;
        }
        let own_uid = self.uid();
        if own_uid == 0 {
            // Root may do all but execute what nobody may execute.
            return want & SEARCH == 0 || mode & S_IFMT == S_IFDIR || mode & 0o111 != 0;
        }
        let granted = if own_uid == uid {
            mode >> 6
        } else if self.in_group(gid) {
            mode >> 3
        } else {
            mode
        };
        granted & want == want
    }
}

fn known(cell: &Cell<Option<u32>>, ask: fn() -> u32) -> u32 {
    cell.get().unwrap_or_else(|| {
        let id = ask();
        cell.set(Some(id));
        id
    })
}

fn in_groups(gid: u32) -> bool {
    let mut groups = [0u32; GROUPS_MAX];
    raw::getgroups(&mut groups).is_ok_and(|count| groups[..count].contains(&gid))
}
