//! Datagrams to and from the daemon: one frame each, and at most one fd beside it.

use crate::raw::{self, Errno};
use core::ffi::c_int;

pub fn address_of(path: &[u8]) -> libc::sockaddr_un {
    let mut address = libc::sockaddr_un { sun_family: libc::AF_UNIX as u16, sun_path: [0; 108] };
    for (to, from) in address.sun_path.iter_mut().zip(path) {
        *to = *from as i8;
    }
    address
}

/// A greeting in two parts and a request in four.
const PARTS_MAX: usize = 6;

/// Sends the parts, at most [`PARTS_MAX`], as one datagram.
pub fn send_parts(fd: c_int, parts: &[&[u8]]) -> Result<(), Errno> {
    let mut slices = [libc::iovec { iov_base: core::ptr::null_mut(), iov_len: 0 }; PARTS_MAX];
    for (slice, part) in slices.iter_mut().zip(parts) {
        *slice = libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.len() };
    }
    // SAFETY: an all-zero msghdr is valid.
    let mut message: libc::msghdr = unsafe { core::mem::zeroed() };
    message.msg_iov = slices.as_mut_ptr();
    message.msg_iovlen = parts.len();
    loop {
        // SAFETY: the slices outlive the call and are only read.
        match unsafe { raw::sendmsg(fd, &message) } {
            Err(libc::EINTR) => {}
            result => return result.map(drop),
        }
    }
}

/// Receives one datagram and at most one fd. End of file is ECONNRESET, the socket's timeout EAGAIN.
pub fn receive(fd: c_int, to: &mut [u8], cloexec: bool) -> Result<(usize, Option<c_int>), Errno> {
    #[repr(C, align(8))]
    struct Control([u8; 32]);
    let mut control = Control([0; 32]);
    let mut slice = libc::iovec { iov_base: to.as_mut_ptr().cast(), iov_len: to.len() };
    // SAFETY: an all-zero msghdr is valid.
    let mut message: libc::msghdr = unsafe { core::mem::zeroed() };
    message.msg_iov = &mut slice;
    message.msg_iovlen = 1;
    let flags = if cloexec { libc::MSG_CMSG_CLOEXEC } else { 0 };
    loop {
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = control.0.len();
        // SAFETY: the buffers outlive the call and have the lengths given.
        match unsafe { raw::recvmsg(fd, &mut message, flags) } {
            Err(libc::EINTR) => {}
            Err(errno) => return Err(errno),
            Ok(0) => return Err(libc::ECONNRESET),
            Ok(len) => {
                // SAFETY: the kernel wrote whole control messages of msg_controllen bytes.
                let passed = unsafe {
                    let header = libc::CMSG_FIRSTHDR(&message);
                    (!header.is_null() && (*header).cmsg_type == libc::SCM_RIGHTS)
                        .then(|| libc::CMSG_DATA(header).cast::<c_int>().read_unaligned())
                };
                return Ok((len, passed));
            }
        }
    }
}
