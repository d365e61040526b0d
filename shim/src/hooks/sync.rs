//! fsync(2) and its kin: the bytes are the kernel's to sync, the name they are found under the daemon's.

use super::hook;
use crate::errno;
use crate::fds::{self, FdKind};
use crate::init;
use crate::raw::Errno;
use crate::real::real;
use crate::request::Request;
use core::ffi::c_int;
use vrift_manifest::VnodeNo;
use vrift_protocol::Op;
use zerocopy::byteorder::little_endian::U64;

/// All of the workspace, in [`request`].
const EVERYTHING: VnodeNo = VnodeNo(0);

fn request(vnode: VnodeNo) -> Result<(), Errno> {
    let mut request = Request::new(Op::Sync);
    request.body.vnode = U64::new(vnode.0);
    request.send().map(drop)
}

/// `real` syncs the bytes of the fd.
fn synced(fd: c_int, real: impl FnOnce() -> c_int) -> c_int {
    let FdKind::View(vnode) = fds::identify(fd) else { return real() };
    if init::settings().fsync_at_end {
        return 0;
    }
    match real() {
        0 => request(vnode).map_or_else(errno::fail, |()| 0),
        failed => failed,
    }
}

hook! {
    fn fsync(fd: c_int) -> c_int {
        synced(fd, || real!(fsync(fd: c_int) -> c_int))
    }
}

hook! {
    /// fdatasync(2): a file that cannot be found under its name is not there, so this is as much as fsync(2).
    fn fdatasync(fd: c_int) -> c_int {
        synced(fd, || real!(fdatasync(fd: c_int) -> c_int))
    }
}

hook! {
    /// syncfs(2) of the view is the workspace's own.
    fn syncfs(fd: c_int) -> c_int {
        match fds::identify(fd) {
            FdKind::Outside => real!(syncfs(fd: c_int) -> c_int),
            FdKind::View(_) if init::settings().fsync_at_end => 0,
            FdKind::View(_) => request(EVERYTHING).map_or_else(errno::fail, |()| 0),
        }
    }
}

hook! {
    /// sync(2) cannot fail.
    fn sync() -> () {
        if init::in_view() && !init::settings().fsync_at_end {
            let _ = request(EVERYTHING);
        }
        real!(sync() -> ())
    }
}
