//! What files and directories were when their last name was removed: who has one open asks for it (fstat(2)). A staged
//! file tells it itself (`vnode_ops::tidy`); the bytes of a sealed one are shared, and have the store's mode and times.

use crate::daemon::Daemon;
use crate::vnode_ops::Call;
use nix::errno::Errno;
use std::sync::{Mutex, PoisonError};
use vrift_manifest::{Attr, VnodeNo};
use vrift_protocol::vnode_op::REMOVED_LEN;

/// Places; the one of a vnode goes to a later one with the same remainder. One MiB, taken when something is first removed.
const PLACES: usize = 16_384;

#[derive(Clone, Copy, Default)]
struct Place {
    workspace: u32,
    mode: u32,
    uid: u32,
    gid: u32,
    /// 0: nothing is here.
    vnode: u64,
    times_ns: [i64; 3],
}

/// The latest that were removed.
#[derive(Default)]
pub struct Removed(Mutex<Vec<Place>>);

impl Removed {
    /// Takes down what `attr` says of something that has just lost its last name.
    pub fn note(&self, workspace: u32, attr: &Attr, now_ns: i64) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.is_empty() {
            places.resize(PLACES, Place::default());
        }
        let Attr { vnode, mode, uid, gid, atime_ns, mtime_ns, .. } = *attr;
        let times_ns = [atime_ns, mtime_ns, now_ns];
        if let Some(place) = places.get_mut(vnode.0 as usize % PLACES) {
            *place = Place { workspace, mode, uid, gid, vnode: vnode.0, times_ns };
        }
    }

    fn find(&self, workspace: u32, vnode: VnodeNo) -> Option<Place> {
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = *places.get(vnode.0 as usize % PLACES)?;
        (place.workspace == workspace && place.vnode == vnode.0 && vnode.0 != 0).then_some(place)
    }
}

/// The answer to the request: mode, owner, group, four bytes of nothing, and the times of the last read, write and change.
pub fn tell(daemon: &Daemon, call: &Call) -> Result<Vec<u8>, Errno> {
    daemon.spares.settle(daemon, call.workspace, call.vnode());
    let place = daemon.removed.find(call.workspace, call.vnode()).ok_or(Errno::ENOENT)?;
    let mut bytes = Vec::with_capacity(REMOVED_LEN);
    for number in [place.mode, place.uid, place.gid, 0] {
        bytes.extend(number.to_le_bytes());
    }
    for time_ns in place.times_ns {
        bytes.extend(time_ns.to_le_bytes());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vrift_manifest::Content;

    #[test]
    fn the_latest_are_known_each_in_its_own_workspace() {
        let removed = Removed::default();
        assert!(removed.find(1, VnodeNo(0)).is_none());
        let attr = |vnode, mode| Attr {
            vnode: VnodeNo(vnode),
            mode,
            nlink: 1,
            uid: 7,
            gid: 8,
            rdev: 0,
            size: 0,
            blocks: 0,
            atime_ns: 1,
            mtime_ns: 2,
            ctime_ns: 3,
            content: Content::None,
        };
        removed.note(1, &attr(5, 0o100600), 9);
        let place = removed.find(1, VnodeNo(5)).unwrap();
        assert_eq!((place.mode, place.uid, place.gid, place.times_ns), (0o100600, 7, 8, [1, 2, 9]));
        assert!(removed.find(2, VnodeNo(5)).is_none() && removed.find(1, VnodeNo(6)).is_none());
        assert!(removed.find(1, VnodeNo(0)).is_none());
        removed.note(1, &attr(5 + PLACES as u64, 0o100644), 9);
        assert!(removed.find(1, VnodeNo(5)).is_none());
    }
}
