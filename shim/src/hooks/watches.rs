//! inotify(7): a watch on a file of the view is one on the real thing that the daemon moves as the vnode moves.

use super::{hook, on_path};
use crate::creds::{Creds, READ};
use crate::errno;
use crate::raw;
use crate::real::real;
use crate::request::Request;
use crate::resolve::Inside;
use crate::text::Text;
use core::ffi::{c_char, c_int};
use libc::{AT_FDCWD, IN_DONT_FOLLOW, IN_ONLYDIR};
use vrift_protocol::Op;
use zerocopy::byteorder::little_endian::U64;

fn watch_in(fd: c_int, inside: &Inside, mask: u32) -> Result<c_int, raw::Errno> {
    let attr = inside.existing()?;
    if mask & IN_ONLYDIR != 0 && !attr.is_dir() {
        return Err(libc::ENOTDIR);
    }
    if !attr.may(&Creds::effective(), READ) {
        return Err(libc::EACCES);
    }
    let mut request = Request::new(Op::Watch);
    request.body.vnode = U64::new(attr.vnode.0);
    let puppet = match request.send_for_fd() {
        Ok((_, puppet)) => puppet,
        // Removed between look-up and request: resolve again.
        Err(libc::ENOENT) => return Err(libc::ESTALE),
        Err(errno) => return Err(errno),
    };
    let mut name: Text<32> = Text::from_parts(&[b"/proc/self/fd/"]);
    name.push_decimal(puppet.max(0) as u64);
    // The name in /proc is itself a link that has to be followed.
    let (path, mask) = (name.as_ptr(), mask & !IN_DONT_FOLLOW);
    let descriptor = real!(inotify_add_watch(fd: c_int, path: *const c_char, mask: u32) -> c_int);
    let failed = errno::get();
    raw::close(puppet);
    if descriptor < 0 { Err(failed) } else { Ok(descriptor) }
}

hook! {
    fn inotify_add_watch(fd: c_int, path: *const c_char, mask: u32) -> c_int {
        // SAFETY: C's arguments.
        unsafe {
            on_path(AT_FDCWD, path, mask & IN_DONT_FOLLOW == 0, |inside| watch_in(fd, inside, mask), |_, path| {
                real!(inotify_add_watch(fd: c_int, path: *const c_char, mask: u32) -> c_int)
            })
        }
    }
}
